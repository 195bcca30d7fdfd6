//! Lists: what changed since when, in which order, page by page, exactly as the manifest says that this vendor pages.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::fault::FaultClass;
use domain::value::{Map, Value};

use super::SimAnswer;
use super::fault::Trouble;
use super::incoming::Incoming;
use super::pattern::Found;
use super::refusal::{Refusal, concrete};
use super::render;
use super::time;
use crate::auth::hmac_sha256;
use crate::hex::hex;
use crate::manifest::{Page, Place, Read, Size, Slot};
use crate::path;

/// Where nothing says how long a page is.
const SIZE: usize = 100;
/// The parameter of our own addresses of next pages.
const CURSOR_PARAMETER: &str = "page_info";
/// How many pages there are of a list that never ends.
const ENDLESS_PAGES: i64 = 1_000_000;

/// A record that could be listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'v> {
    pub value: &'v Value,
    pub changed: i64,
    pub seq: u64,
}

/// One list, asked for.
pub(super) struct Listing<'a> {
    pub read: &'a Read,
    pub incoming: &'a Incoming<'a>,
    pub found: &'a Found,
    /// Signs cursors; another list's cursor is none of this one.
    pub secret: u64,
    pub name: &'a str,
    pub trouble: Option<Trouble>,
}

/// What a cursor remembers.
#[derive(Debug, Clone, Default, PartialEq)]
struct Position {
    /// The last record of the page before: when it changed and its place.
    after: Option<(i64, u64)>,
    since: Option<i64>,
    parent: String,
    /// How many pages came before.
    page: u64,
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(FaultClass::Validation, message)
}

impl Listing<'_> {
    /// The position that the request's cursor says; the start where it has none.
    fn position(&self) -> Result<Position, Refusal> {
        let start = || -> Result<Position, Refusal> {
            Ok(Position { since: self.since()?, parent: self.parent().to_owned(), ..Position::default() })
        };
        let text = match &self.read.page {
            Some(Page::Cursor(page)) if page.last_record.is_none() => self.asked(&page.slot),
            Some(Page::Link(_) | Page::NextUrl(_)) => self.incoming.parameter(CURSOR_PARAMETER).map(Into::into),
            _ => None,
        };
        match text.filter(|text| !text.is_empty()) {
            None => start(),
            Some(text) => self.decode(&text).ok_or_else(|| invalid("The cursor is not one that was given out.")),
        }
    }

    /// The parent whose list it is; none for a list of all.
    pub fn parent(&self) -> &str {
        self.found.get("parent.id").unwrap_or_default()
    }

    fn since(&self) -> Result<Option<i64>, Refusal> {
        let (Some(rule), Some(text)) = (&self.read.since, self.found.get("since")) else { return Ok(None) };
        if text.is_empty() || rule.first.as_deref() == Some(text) {
            return Ok(None);
        }
        time::read(&rule.format, text)
            .map(Some)
            .ok_or_else(|| invalid(&format!("\"{text}\" is not a time of the expected form.")))
    }

    /// What stands where a page puts its number, size or cursor.
    fn asked(&self, slot: &Slot) -> Option<Cow<'_, str>> {
        if *slot == Slot::Template { self.found.get("page").map(Cow::Borrowed) } else { self.incoming.slot(slot) }
    }

    fn seal(&self, text: &str) -> String {
        let mac = hmac_sha256(&self.secret.to_be_bytes(), format!("{}\n{text}", self.name).as_bytes());
        hex(&mac[..8])
    }

    fn encode(&self, position: &Position) -> String {
        let (changed, seq) =
            position.after.map_or_else(Default::default, |(changed, seq)| (changed.to_string(), seq.to_string()));
        let since = position.since.map(|since| since.to_string()).unwrap_or_default();
        let text = URL_SAFE_NO_PAD.encode(format!("{changed}|{seq}|{since}|{}|{}", position.page, position.parent));
        format!("{text}.{}", self.seal(&text))
    }

    fn decode(&self, cursor: &str) -> Option<Position> {
        let (text, seal) = cursor.rsplit_once('.')?;
        if self.seal(text) != seal {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(5, '|');
        let mut next = || parts.next();
        let (changed, seq, since, page, parent) = (next()?, next()?, next()?, next()?, next()?);
        let after = if seq.is_empty() { None } else { Some((changed.parse().ok()?, seq.parse().ok()?)) };
        Some(Position { after, since: since.parse().ok(), parent: parent.to_owned(), page: page.parse().ok()? })
    }

    /// How many records a page has: what the request asks for, and never more than the vendor gives.
    fn size(&self, rule: Option<&Size>) -> Result<usize, Refusal> {
        let most = rule.map_or(SIZE, |rule| rule.value.max(1) as usize);
        let Some(text) = rule.and_then(|rule| rule.slot.as_ref()).and_then(|slot| self.asked(slot)) else {
            return Ok(most);
        };
        match text.parse::<usize>() {
            Ok(0) | Err(_) => Err(invalid(&format!("\"{text}\" is not a number of records that a page can have."))),
            Ok(asked) => Ok(asked.min(most)),
        }
    }

    fn number(&self, slot: &Slot, first: u32) -> Result<usize, Refusal> {
        let Some(text) = self.asked(slot) else { return Ok(0) };
        let number = text.parse::<u32>().ok().and_then(|number| number.checked_sub(first));
        number.map(|number| number as usize).ok_or_else(|| invalid(&format!("\"{text}\" is not a page.")))
    }

    /// The page that was asked for. `items` are all records, in the order of creation.
    pub fn answer(&self, mut items: Vec<Item<'_>>) -> Result<SimAnswer, Refusal> {
        let ascending = self.read.since.as_ref().is_some_and(|since| since.ascending);
        let position = self.position()?;
        if let Some(since) = position.since {
            items.retain(|item| item.changed >= since);
        }
        if ascending {
            items.sort_by_key(|item| (item.changed, item.seq));
        } else {
            // Without a promise the newest come first, as people want to see them.
            items.reverse();
        }
        let mut out = Out { document: Value::Map(Map::new()), headers: vec![] };
        let total = items.len();
        let endless = self.trouble == Some(Trouble::EndlessPages) && total > 0;
        // A list that never ends begins anew where it should have ended.
        let cut = |from: usize, size: usize| -> Vec<Item<'_>> {
            let from = if endless { from % total } else { from };
            items.iter().skip(from).take(size).copied().collect()
        };
        let page = match &self.read.page {
            None => cut(0, total),
            Some(Page::Number(rule)) => {
                let size = self.size(rule.size.as_ref())?;
                let page = cut(self.number(&rule.slot, rule.first)?.saturating_mul(size), size);
                out.records(self.read, &page);
                let pages = if endless { ENDLESS_PAGES } else { i64::try_from(total.div_ceil(size)).unwrap_or_default() };
                out.put(rule.pages.as_ref(), pages.into());
                page
            }
            Some(Page::Offset(rule)) => {
                let size = self.size(Some(&rule.size))?;
                let page = cut(self.number(&rule.slot, rule.first)?, size);
                out.records(self.read, &page);
                let total = if endless { ENDLESS_PAGES } else { i64::try_from(total).unwrap_or_default() };
                out.put(rule.total.as_ref(), total.into());
                page
            }
            Some(Page::Cursor(rule)) => {
                let size = self.size(rule.size.as_ref())?;
                let start = match &rule.last_record {
                    None => start(&items, position.after, ascending),
                    Some(at) => match self.asked(&rule.slot).filter(|text| !text.is_empty()) {
                        None => 0,
                        Some(text) => {
                            let is_it =
                                |item: &Item<'_>| path::first(item.value, at).and_then(Value::to_text).as_ref() == Some(&text);
                            1 + items.iter().position(is_it).ok_or_else(|| invalid("The cursor names no record."))?
                        }
                    },
                };
                let page = cut(start, size);
                let more = endless || self.trouble == Some(Trouble::SelfLink) || start + page.len() < total;
                out.records(self.read, &page);
                let next = self.next(&position, &page, more || rule.more.is_some());
                out.put(rule.next.as_ref(), next.map_or(Value::Null, Value::Text));
                out.put(rule.more.as_ref(), more.into());
                page
            }
            Some(Page::Link(_) | Page::NextUrl(_)) => {
                let size_rule = match &self.read.page {
                    Some(Page::Link(rule)) => rule.size.as_ref(),
                    Some(Page::NextUrl(rule)) => rule.size.as_ref(),
                    _ => None,
                };
                let size = self.size(size_rule)?;
                let start = start(&items, position.after, ascending);
                let page = cut(start, size);
                let more = endless || self.trouble == Some(Trouble::SelfLink) || start + page.len() < total;
                out.records(self.read, &page);
                let next = self.next(&position, &page, more).map(|cursor| self.address(&cursor, size_rule));
                match &self.read.page {
                    Some(Page::NextUrl(rule)) => out.put(Some(&rule.next), next.map_or(Value::Null, Value::Text)),
                    _ => {
                        let first = format!("<{}{}>; rel=\"first\"", self.incoming.origin, self.incoming.path);
                        let next = next.map(|next| format!(", <{next}>; rel=\"next\"")).unwrap_or_default();
                        out.headers.push(("Link".to_owned(), first + &next));
                    }
                }
                page
            }
        };
        if self.read.page.is_none() {
            out.records(self.read, &page);
        }
        let records: Vec<Value> = page.iter().map(|item| item.value.clone()).collect();
        let mut answer = render::answer(self.read, &out.document, &records);
        answer.headers.extend(out.headers);
        Ok(answer)
    }

    /// The cursor of the next page.
    fn next(&self, position: &Position, page: &[Item<'_>], wanted: bool) -> Option<String> {
        if self.trouble == Some(Trouble::SelfLink) {
            return Some(self.encode(position));
        }
        let last = page.last().filter(|_| wanted)?;
        let after = Some((last.changed, last.seq));
        Some(self.encode(&Position { after, page: position.page + 1, ..position.clone() }))
    }

    /// The whole address of a page, at the host that was asked.
    fn address(&self, cursor: &str, size: Option<&Size>) -> String {
        let mut address = format!("{}{}?{CURSOR_PARAMETER}={cursor}", self.incoming.origin, self.incoming.path);
        if let Some(Slot::Query(name)) = size.and_then(|size| size.slot.as_ref())
            && let Some(asked) = self.incoming.parameter(name)
        {
            address.push_str(&format!("&{name}={asked}"));
        }
        address
    }
}

/// Where the page after a record starts.
fn start(items: &[Item<'_>], after: Option<(i64, u64)>, ascending: bool) -> usize {
    let Some(after) = after else { return 0 };
    let is_before = |item: &&Item<'_>| if ascending { (item.changed, item.seq) <= after } else { item.seq >= after.1 };
    items.iter().take_while(is_before).count()
}

struct Out {
    document: Value,
    headers: Vec<(String, String)>,
}

impl Out {
    fn records(&mut self, read: &Read, page: &[Item<'_>]) {
        // Some vendors leave the place of no records out.
        if page.is_empty() && read.absent_is_empty {
            return;
        }
        render::place(&mut self.document, read.records.as_deref(), page.iter().map(|item| item.value.clone()).collect());
    }

    fn put(&mut self, place: Option<&Place>, value: Value) {
        let Some(place) = place else { return };
        if let Some(name) = place.header.first() {
            self.headers.extend(value.to_text().map(|text| (name.clone(), text.into_owned())));
        }
        // An answer that is a list has no room for it.
        if let (Some(at), Value::Map(_)) = (&place.path, &self.document) {
            path::put(&mut self.document, &concrete(at), value);
        }
    }
}
