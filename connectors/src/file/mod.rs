//! Files: which of a folder are taken and how, as a manifest and a connection's settings say; and the records in them, one after the other with the
//! line that they begin in, so that one bad row stops no other. It does no I/O of its own: whoever reads hands the bytes in.

mod names;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod xml;

use domain::http::{Identity, Login};
use domain::record::RecordKind;

use crate::connector::Connector;
use crate::manifest::Files;
use crate::request::{RequestContext, RequestError};
use crate::x12::Agreement;
pub use names::Names;
pub use rows::{FileFlaw, FileRecord, FileRecords, whole};

/// A file that is longer is not read, as it lies there or unpacked. Of X12 that is 32 MiB.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Seconds that a file stays the same until it is taken for whole, where nobody says otherwise.
const REST_S: u32 = 30;
const REST_S_MAX: u32 = 86_400;

/// How the records of a file are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFormat {
    Csv(Table),
    JsonLines,
    Xml { records: String, lists: Vec<String> },
    X12,
}

/// What a CSV file is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub delimiter: u8,
    /// Where the first row does not name them.
    pub columns: Vec<String>,
    pub group: Option<String>,
    pub has_paths: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Windows1252,
}

/// What becomes of a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    Keep,
    /// Into this folder.
    Archive(String),
    Delete,
}

/// A folder whose files bring records of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    pub site: Site,
    pub folder: String,
    pub names: Names,
    pub format: FileFormat,
    pub encoding: Encoding,
    pub after: After,
    /// The ending of the file that says that one is whole.
    pub ready: Option<String>,
    pub rest_s: u32,
    /// What is agreed on with the partner, where the format is X12.
    pub agreement: Option<std::sync::Arc<Agreement>>,
    /// The path of a record's id.
    pub(crate) id: Option<String>,
}

/// Where files lie, and who we are there.
#[derive(Debug, Clone)]
pub struct Site {
    /// `sftp://host:port`, or `file:` for the drop folders of this installation.
    pub url: String,
    pub login: Option<Login>,
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Site {}

impl Connector {
    /// The folder whose files bring records of a kind; `None` where no files do.
    ///
    /// # Errors
    /// Where the settings do not say what they must; the sentence says which.
    pub fn inbox(&self, kind: RecordKind, context: &RequestContext<'_>) -> Option<Result<Inbox, RequestError>> {
        let resource = self.resource(kind)?;
        let files = resource.files.as_ref()?;
        Some(self.read_inbox(files, resource.id.clone(), context))
    }

    /// True where files bring records of a kind.
    #[must_use]
    pub fn has_files(&self, kind: RecordKind) -> bool {
        self.resource(kind).is_some_and(|resource| resource.files.is_some())
    }

    fn read_inbox(&self, files: &Files, id: Option<String>, context: &RequestContext<'_>) -> Result<Inbox, RequestError> {
        let wrong = |what: String| RequestError::Template(what);
        let fill = |template: &str| context.fill_known(template).map(|text| text.trim().to_owned());
        let maybe = |template: &Option<String>| -> Result<Option<String>, RequestError> {
            let text = template.as_deref().map(fill).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let delimiter = match maybe(&files.delimiter)?.as_deref() {
            None => b',',
            Some("tab") => b'\t',
            Some(text) => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => *byte,
                _ => return Err(wrong(format!("\"{text}\" is no delimiter: one plain character, or tab"))),
            },
        };
        let columns = maybe(&files.columns)?.map(|text| text.split(',').map(|name| name.trim().to_owned()).collect());
        let format = match fill(&files.format)?.as_str() {
            "csv" => FileFormat::Csv(Table {
                delimiter,
                columns: columns.unwrap_or_default(),
                group: maybe(&files.group)?,
                has_paths: files.paths,
            }),
            "json_lines" => FileFormat::JsonLines,
            "xml" => FileFormat::Xml { records: maybe(&files.records)?.unwrap_or_default(), lists: files.lists.clone() },
            "x12" => FileFormat::X12,
            other => return Err(wrong(format!("\"{other}\" is no format of files: csv, json_lines, xml or x12"))),
        };
        let encoding = match maybe(&files.encoding)?.as_deref() {
            None | Some("utf-8") => Encoding::Utf8,
            Some("windows-1252") => Encoding::Windows1252,
            Some(other) => return Err(wrong(format!("\"{other}\" is no encoding: utf-8 or windows-1252"))),
        };
        let folder = fill(&files.folder)?;
        let after = match (maybe(&files.after)?.as_deref(), maybe(&files.archive)?) {
            (None | Some("keep"), _) => After::Keep,
            (Some("delete"), _) => After::Delete,
            (Some("archive"), Some(archive)) if archive.trim_end_matches('/') != folder.trim_end_matches('/') => {
                After::Archive(archive)
            }
            (Some("archive"), _) => {
                return Err(wrong("a file is moved to an archive, but no other folder is named for it".into()));
            }
            (Some(other), _) => {
                return Err(wrong(format!("\"{other}\" is nothing that becomes of a file: keep, archive or delete")));
            }
        };
        let rest_s = match maybe(&files.rest_s)? {
            None => REST_S,
            Some(text) => text
                .parse()
                .ok()
                .filter(|rest_s| *rest_s <= REST_S_MAX)
                .ok_or_else(|| wrong(format!("\"{text}\" is no number of seconds up to {REST_S_MAX}")))?,
        };
        let agreement = match (&format, self.agreement(context).transpose()?) {
            (FileFormat::X12, None) => return Err(wrong("the connector does not say what is agreed on with the partner".into())),
            (FileFormat::X12, agreement) => agreement.map(std::sync::Arc::new),
            _ => None,
        };
        Ok(Inbox {
            agreement,
            site: self.site(context)?,
            folder,
            names: Names::read(maybe(&files.names)?.as_deref().unwrap_or("*")),
            format,
            encoding,
            after,
            ready: maybe(&files.ready)?,
            rest_s,
            id,
        })
    }

    /// Where the files of a connection lie.
    ///
    /// # Errors
    /// Where the address is missing.
    pub fn site(&self, context: &RequestContext<'_>) -> Result<Site, RequestError> {
        let draft = crate::request::Draft {
            method: domain::http::Method::Get,
            url: self.base_url(context)?,
            query: vec![],
            headers: vec![],
            body: crate::request::DraftBody::None,
        };
        let request = self.sign(draft, context)?;
        let login = request.identity.and_then(|identity| if let Identity::Login(login) = identity { Some(*login) } else { None });
        Ok(Site { url: request.url, login })
    }
}

impl std::fmt::Display for FileFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Csv(_) => "CSV",
            Self::JsonLines => "JSON Lines",
            Self::Xml { .. } => "XML",
            Self::X12 => "X12",
        })
    }
}
