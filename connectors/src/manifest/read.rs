//! `resources.<kind>.read`: how a list of records is read, page by page, from where the last read ended.

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::{Place, Request, Slot};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub request: Request,
    /// Where an answer carries its records. Stepping into a list flattens: `data.orders.edges.node`. Absent: the whole answer.
    #[serde(default)]
    pub records: Option<String>,
    /// Where there are no records, the vendor leaves their place out. Without this word such an answer is a failure, not an empty page.
    #[serde(default)]
    pub absent_is_empty: bool,
    #[serde(default)]
    pub format: Format,
    /// The body is a gzip file (not only encoded for the way, which needs no word).
    #[serde(default)]
    pub gzip: bool,
    /// Absent: one answer has everything.
    #[serde(default)]
    pub page: Option<Page>,
    /// Absent: every read is a full one.
    #[serde(default)]
    pub since: Option<Since>,
    /// An expression; a record for which it is false is left out.
    #[serde(default)]
    pub filter: Option<String>,
    /// The records belong to others: one list is read for each of those.
    #[serde(default)]
    pub parent: Option<Box<Parent>>,
    /// What the vendor keeps apart and a record is not whole without: the lines of an order.
    #[serde(default)]
    pub include: Vec<Include>,
}

/// How the answer's bytes are written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    #[default]
    Json,
    /// One JSON document a line.
    JsonLines,
    /// RFC 4180; the first row names the columns. Every value is text, an empty cell is empty text.
    Csv(Csv),
    /// `records` names the element. An attribute is `@name`, text beside elements `#text`, what repeats is a list.
    Xml(Xml),
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// One character; a comma where absent.
    #[serde(default)]
    pub delimiter: Option<char>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Xml {
    /// Elements that are lists even where there is one only.
    #[serde(default)]
    pub lists: Vec<String>,
}

/// How the next page is asked for, and how the last one is known.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Page {
    Number(NumberPage),
    Offset(OffsetPage),
    Cursor(CursorPage),
    /// `Link: <…>; rel="next"` (RFC 8288).
    Link(LinkPage),
    /// The answer carries the next address: whole, relative, or the query only.
    NextUrl(NextUrlPage),
}

/// How many records a page may have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Absent: the vendor decides, and `value` is what it decides.
    #[serde(default)]
    pub slot: Option<Slot>,
    pub value: u32,
}

/// Pages have numbers. The last one is shorter than `size` or empty, or its number is in the answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberPage {
    pub slot: Slot,
    /// The number of the first one.
    #[serde(default = "one")]
    pub first: u32,
    #[serde(default)]
    pub size: Option<Size>,
    /// Where the answer says how many pages there are.
    #[serde(default)]
    pub pages: Option<Place>,
}

fn one() -> u32 {
    1
}

/// A page begins after so many records. The last one is shorter than `size` or empty, or the total is in the answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffsetPage {
    pub slot: Slot,
    /// The offset of the first record; 1 where a vendor counts positions.
    #[serde(default)]
    pub first: u32,
    pub size: Size,
    /// Where the answer says how many records there are.
    #[serde(default)]
    pub total: Option<Place>,
}

/// The answer carries what asks for the next page. Without it, or where `more` is false, the page is the last one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorPage {
    pub slot: Slot,
    #[serde(default)]
    pub next: Option<Place>,
    /// Instead of `next`: the path, in the page's last record, of what asks for the next page.
    #[serde(default)]
    pub last_record: Option<String>,
    /// Where the answer says whether there is more.
    #[serde(default)]
    pub more: Option<Place>,
    #[serde(default)]
    pub size: Option<Size>,
    /// The next request has the cursor and nothing else of the query but these: some vendors refuse a filter beside a cursor.
    #[serde(default)]
    pub alone_with: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPage {
    #[serde(default)]
    pub size: Option<Size>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextUrlPage {
    pub next: Place,
    #[serde(default)]
    pub size: Option<Size>,
}

/// An incremental read: only what changed since the last one. The request names `{{ since }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The path, in a record, of the time (or number) that it last changed; absent: the resource's `updated_at`.
    #[serde(default)]
    pub field: Option<String>,
    #[serde(default)]
    pub format: TimeFormat,
    /// How records write it, where that differs from how a request must.
    #[serde(default)]
    pub record_format: Option<TimeFormat>,
    /// How far a read goes back behind the newest that was seen, s: records that were late, and clocks that differ.
    #[serde(default)]
    pub overlap_s: u32,
    /// The vendor lists by that time, oldest first, so that the position may be kept after every page and not only at the end.
    #[serde(default)]
    pub ascending: bool,
    /// What `{{ since }}` is in a full read; absent: nothing, and the parameter is left out.
    #[serde(default)]
    pub first: Option<String>,
}

/// How a vendor writes a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeFormat {
    /// `2026-11-24T09:30:00Z` (RFC 3339); fractions are kept where a record has them.
    #[default]
    Rfc3339,
    UnixS,
    UnixMs,
    /// `Tue, 24 Nov 2026 09:30:00 +0000`
    Rfc2822,
    /// No time but a number that grows.
    Integer,
    /// Any other, as of `strftime`, in UTC: `%Y-%m-%d %H:%M:%S`.
    Pattern(String),
}

/// One list is read for each record of this one, which the request names as `{{ parent.id }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    pub read: Read,
    /// The path of its id.
    pub id: String,
    /// Where that id is written into each record, so that a record knows whose it is.
    #[serde(default)]
    pub into: Option<String>,
}

/// Read for each record, which the request names as `{{ source_id }}`, and written into it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Include {
    /// The field that it becomes.
    pub into: String,
    pub read: Read,
}

/// One record by its id, `{{ source_id }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    pub request: Request,
    /// Where the answer carries the record; absent: it is the whole answer.
    #[serde(default)]
    pub record: Option<String>,
    /// As of `read`: what the vendor keeps apart, so that a record that is read by its id is as whole as one of a list.
    #[serde(default)]
    pub include: Vec<Include>,
}
