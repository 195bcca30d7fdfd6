//! `resources.<kind>.files`: how the files of a folder become records. Every text is a template, so that a tenant may choose by its settings; what
//! comes out empty is as if it were not there.

use schemars::JsonSchema;
use serde::Deserialize;

/// The files of one folder of the server, or of the drop folder, that `base_url` names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    pub folder: String,
    /// Which of them: names with `*` and `?`, several with spaces between. Absent: all. Names that begin with a dot, or end with `.part`, `.tmp` or
    /// `.filepart`, are never read. What ends with `.gz` is unpacked.
    #[serde(default)]
    pub names: Option<String>,
    /// `csv`, `json_lines`, `xml` or `x12`.
    pub format: String,
    /// Of CSV: one character, or `tab`; a comma where absent.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// `utf-8` where absent, or `windows-1252`.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Of CSV: the names of the columns, with commas between, where the first row is a record too.
    #[serde(default)]
    pub columns: Option<String>,
    /// Of CSV: rows that follow each other with the same value in this column are one record: an order with a row for each line. It has what the first
    /// of them says, and all of them as `rows`.
    #[serde(default)]
    pub group: Option<String>,
    /// Of CSV: the names of columns are paths (`totals.grand`; `lines[].sku` is one more of a list for each row of a group), and empty cells are
    /// left out.
    #[serde(default)]
    pub paths: bool,
    /// Of XML: where records stand, below the outer element: `orders.order`. Absent: the whole document is one.
    #[serde(default)]
    pub records: Option<String>,
    /// Of XML: elements that are lists even where there is one only.
    #[serde(default)]
    pub lists: Vec<String>,
    /// What becomes of a file that was read: `keep` where absent, `archive` or `delete`.
    #[serde(default)]
    pub after: Option<String>,
    /// The folder that `archive` moves it to.
    #[serde(default)]
    pub archive: Option<String>,
    /// The ending of the empty file that says that one is whole: with `.done`, `orders.csv` is read once `orders.csv.done` is there. Absent: a file is
    /// whole once it has stayed the same for `rest_s`.
    #[serde(default)]
    pub ready: Option<String>,
    /// Seconds; 30 where absent.
    #[serde(default)]
    pub rest_s: Option<String>,
}

impl Files {
    /// All of its templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &String> {
        let maybe = [
            &self.names,
            &self.delimiter,
            &self.encoding,
            &self.columns,
            &self.group,
            &self.records,
            &self.after,
            &self.archive,
            &self.ready,
            &self.rest_s,
        ];
        [&self.folder, &self.format].into_iter().chain(maybe.into_iter().flatten())
    }
}
