//! One list, page by page: which request comes next, and when the last page was read.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};

use crate::connector::Connector;
use crate::decode::{DecodeError, Decoded, Decoder, Extracted, Lines};
use crate::manifest::{Page, Place, Read, Size};
use crate::request::{CallVars, Draft, RequestContext, RequestError};
use crate::response::is_success;

/// Pages of one list. Nobody has so many; a server that never ends has.
const PAGES_MAX: u64 = 200_000;
/// Empty pages in a row, where a vendor filters after it pages.
const EMPTY_PAGES_MAX: u32 = 1_000;

/// What the requests of one list are about.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListVars {
    pub since: Option<String>,
    pub source_id: Option<String>,
    pub parent_id: Option<String>,
}

/// What asks for the next page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Next {
    First,
    Number(u64),
    Offset(u64),
    Cursor(String),
    Url(String),
}

#[derive(Debug)]
pub(crate) struct List<'r> {
    read: &'r Read,
    decoder: Decoder,
    vars: ListVars,
    next: Option<Next>,
    /// What would have been asked for, where it began anew from a later moment.
    left_at: Option<(Next, Option<String>)>,
    /// The address of the request that waits for its answer.
    asked: String,
    pages: u64,
    records: u64,
    empty_pages: u32,
    /// Hashes of what asked for pages until now: one that comes again would go in circles for ever.
    circles: HashSet<u64>,
    /// The hash of the last page: a server that does not know the page's parameter answers the same again and again.
    last_page: Option<u64>,
    /// A page whose body is still coming.
    open: Option<(Lines, Seen)>,
}

/// What is remembered of a page's records.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    last_id: Option<String>,
    hash: DefaultHasher,
}

impl Seen {
    fn note(&mut self, records: &[Extracted]) {
        self.count += records.len() as u64;
        records.iter().for_each(|record| record.bytes.hash(&mut self.hash));
        if let Some(last) = records.last() {
            self.last_id.clone_from(&last.id);
        }
    }
}

impl<'r> List<'r> {
    pub fn new(connector: &Connector, read: &'r Read, id: Option<&str>, updated_at: Option<&str>, vars: ListVars) -> Self {
        let updated_at = read.since.as_ref().and_then(|since| since.field.as_deref()).or(updated_at);
        let last_record = match &read.page {
            Some(Page::Cursor(cursor)) => cursor.last_record.as_deref(),
            _ => None,
        };
        // A page by its last record's field reads that field as its id; vendors page by nothing else.
        let decoder = Decoder::new(read, (last_record.or(id), updated_at), &value_paths(read), &connector.manifest.error.inside);
        Self {
            read,
            decoder,
            vars,
            next: Some(Next::First),
            left_at: None,
            asked: String::new(),
            pages: 0,
            records: 0,
            empty_pages: 0,
            circles: HashSet::new(),
            last_page: None,
            open: None,
        }
    }

    /// The next page is asked for by its number or how many records are before it.
    pub fn is_counted(&self) -> bool {
        matches!(self.next, Some(Next::Number(_) | Next::Offset(_)))
    }

    /// Pages that are counted move when a record before them changes its place: of a list that begins with the oldest change, the next page
    /// is better asked for as the first one from a moment on. False where the next page is not a counted one.
    pub fn begin_anew(&mut self, since: String) -> bool {
        if !self.is_counted() {
            return false;
        }
        let Some(next) = self.next.take() else { return false };
        self.left_at = Some((next, self.vars.since.replace(since)));
        self.next = Some(Next::First);
        self.circles.clear();
        self.last_page = None;
        true
    }

    /// Goes on where it was before [`Self::begin_anew`]: the vendor does not know that parameter.
    pub fn go_back(&mut self) {
        if let Some((next, since)) = self.left_at.take() {
            self.next = Some(next);
            self.vars.since = since;
        }
    }

    /// Its last page was taken.
    pub fn is_at_end(&self) -> bool {
        self.next.is_none()
    }

    /// The next page's request; none where the list was read to its end.
    pub fn request(&mut self, connector: &Connector, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        let Some(next) = &self.next else { return Ok(None) };
        let page = self.page_text(next);
        let vars = CallVars {
            page: page.as_deref(),
            since: self.vars.since.as_deref(),
            source_id: self.vars.source_id.as_deref(),
            parent_id: self.vars.parent_id.as_deref(),
            ..CallVars::default()
        };
        let mut draft = connector.draft(&self.read.request, &vars, context)?;
        self.page(&mut draft, next);
        let request = connector.sign(draft, context)?;
        self.asked = request.url.clone();
        self.open = None;
        Ok(Some(request))
    }

    /// What a request names as `{{ page }}`.
    fn page_text(&self, next: &Next) -> Option<String> {
        match (&self.read.page, next) {
            (_, Next::Number(number) | Next::Offset(number)) => Some(number.to_string()),
            (_, Next::Cursor(cursor)) => Some(cursor.clone()),
            (Some(Page::Number(page)), Next::First) => Some(page.first.to_string()),
            (Some(Page::Offset(page)), Next::First) => Some(page.first.to_string()),
            _ => None,
        }
    }

    fn page(&self, draft: &mut Draft, next: &Next) {
        let size = |draft: &mut Draft, size: &Option<Size>| {
            if let Some(Size { slot: Some(slot), value }) = size {
                draft.set(slot, &value.to_string());
            }
        };
        match (&self.read.page, next) {
            (None, _) => {}
            (_, Next::Url(url)) => {
                // The vendor's own address has all that the page needs.
                draft.url.clone_from(url);
                draft.query.clear();
            }
            (Some(Page::Number(page)), next) => {
                size(draft, &page.size);
                let number = if let Next::Number(number) = next { *number } else { page.first.into() };
                draft.set(&page.slot, &number.to_string());
            }
            (Some(Page::Offset(page)), next) => {
                size(draft, &Some(page.size.clone()));
                let offset = if let Next::Offset(offset) = next { *offset } else { page.first.into() };
                draft.set(&page.slot, &offset.to_string());
            }
            (Some(Page::Cursor(page)), next) => {
                if let (Next::Cursor(cursor), kept) = (next, &page.alone_with) {
                    if let Some(kept) = kept {
                        draft.query.retain(|(name, _)| kept.contains(name));
                    }
                    draft.set(&page.slot, cursor);
                }
                size(draft, &page.size);
            }
            (Some(Page::Link(page)), _) => size(draft, &page.size),
            (Some(Page::NextUrl(page)), _) => size(draft, &page.size),
        }
    }

    /// Takes a page.
    pub fn take(&mut self, connector: &Connector, answer: &HttpAnswer) -> Result<Vec<Extracted>, Fault> {
        if !is_success(answer) {
            return Err(connector.classify(answer));
        }
        let decoded = if answer.status == 204 || (answer.body.is_empty() && self.read.absent_is_empty) {
            Decoded { values: vec![None; value_paths(self.read).len()], ..Decoded::default() }
        } else {
            self.decoder.decode(&answer.body).map_err(|error| connector.unreadable_page(answer, &error))?
        };
        if decoded.has_error_inside {
            return Err(connector.classify(answer));
        }
        let mut seen = Seen::default();
        seen.note(&decoded.records);
        self.turn(connector, answer, &seen, &decoded.values)?;
        Ok(decoded.records)
    }

    /// True where the answer to the last request may be taken while it comes.
    pub fn reads_lines(&self) -> bool {
        self.decoder.reads_lines()
    }

    /// The records that are whole by this chunk of an answer that succeeds; `head` is the answer without its body.
    pub fn take_chunk(&mut self, connector: &Connector, head: &HttpAnswer, chunk: &[u8]) -> Result<Vec<Extracted>, Fault> {
        let unreadable = |error: DecodeError| connector.unreadable_page(head, &error);
        if self.open.is_none() {
            self.open = self.decoder.lines().map_err(unreadable)?.map(|lines| (lines, Seen::default()));
        }
        let Some((lines, seen)) = &mut self.open else { return Ok(Vec::new()) };
        let records = lines.take(&self.decoder, chunk).map_err(unreadable)?;
        seen.note(&records);
        Ok(records)
    }

    /// The last records of an answer that came in chunks, and the turn to the next page.
    pub fn take_end(&mut self, connector: &Connector, head: &HttpAnswer) -> Result<Vec<Extracted>, Fault> {
        // Without a chunk it is an empty answer as any other.
        let Some((lines, mut seen)) = self.open.take() else { return self.take(connector, head) };
        let records = lines.end(&self.decoder).map_err(|error| connector.unreadable_page(head, &error))?;
        seen.note(&records);
        self.turn(connector, head, &seen, &vec![None; value_paths(self.read).len()])?;
        Ok(records)
    }

    /// A page was read: finds what asks for the next.
    fn turn(&mut self, connector: &Connector, answer: &HttpAnswer, seen: &Seen, values: &[Option<String>]) -> Result<(), Fault> {
        self.pages += 1;
        self.records += seen.count;
        self.empty_pages = if seen.count == 0 { self.empty_pages + 1 } else { 0 };
        let next = self.after(connector, answer, seen, values)?;
        self.guard(connector, answer, seen, next.as_ref())?;
        self.next = next;
        Ok(())
    }

    /// What asks for the page after this one.
    fn after(
        &self,
        connector: &Connector,
        answer: &HttpAnswer,
        seen: &Seen,
        values: &[Option<String>],
    ) -> Result<Option<Next>, Fault> {
        let mut values = values.iter();
        let mut at = |place: &Option<Place>| -> Option<String> {
            let place = place.as_ref()?;
            let in_body = if place.path.is_some() { values.next().and_then(Clone::clone) } else { None };
            place.header.iter().find_map(|name| answer.header(name)).map(str::to_owned).or(in_body)
        };
        let count = seen.count;
        let is_short = |size: Option<&Size>| count == 0 || size.is_some_and(|size| count < u64::from(size.value));
        Ok(match &self.read.page {
            None => None,
            Some(Page::Number(page)) => {
                let number = match self.next {
                    Some(Next::Number(number)) => number,
                    _ => page.first.into(),
                };
                let last = match at(&page.pages).and_then(|text| text.parse::<u64>().ok()) {
                    Some(pages) => number + 1 >= pages.saturating_add(page.first.into()),
                    None => is_short(page.size.as_ref()),
                };
                (!last).then_some(Next::Number(number + 1))
            }
            Some(Page::Offset(page)) => {
                let offset = match self.next {
                    Some(Next::Offset(offset)) => offset,
                    _ => page.first.into(),
                };
                // What would stand on an empty page was left out after the vendor paged: what is behind it begins a page later.
                let behind = offset.saturating_add(if count == 0 { u64::from(page.size.value).max(1) } else { count });
                let last = match at(&page.total).and_then(|text| text.parse::<u64>().ok()) {
                    Some(total) => behind >= total.saturating_add(page.first.into()),
                    None => is_short(Some(&page.size)),
                };
                (!last).then_some(Next::Offset(behind))
            }
            Some(Page::Cursor(page)) => {
                let next = at(&page.next).filter(|cursor| !cursor.is_empty());
                let has_more = at(&page.more).is_none_or(|more| !matches!(more.as_str(), "false" | "0" | "no" | ""));
                let last = seen.last_id.clone();
                let cursor = if page.last_record.is_some() { last } else { next };
                let may_end = page.more.is_some() || page.last_record.is_none() || !is_short(page.size.as_ref());
                cursor.filter(|_| has_more && may_end).map(Next::Cursor)
            }
            Some(Page::Link(_)) => match answer.header("link").and_then(|header| link(header, "next")) {
                Some(url) => Some(Next::Url(self.join(connector, answer, url)?)),
                None => None,
            },
            Some(Page::NextUrl(page)) => match at(&Some(page.next.clone())).filter(|url| !url.is_empty()) {
                Some(url) => Some(Next::Url(self.join(connector, answer, &url)?)),
                None => None,
            },
        })
    }

    /// The next address, which must be at the host that was asked: our credential goes with it.
    fn join(&self, connector: &Connector, answer: &HttpAnswer, next: &str) -> Result<String, Fault> {
        let wrong = |what: String| stuck(connector, answer, "page_elsewhere", what);
        let asked = url::Url::parse(&self.asked).map_err(|error| wrong(format!("its own address cannot be read: {error}")))?;
        let url = asked.join(next).map_err(|error| wrong(format!("gave a next page whose address cannot be read: {error}")))?;
        let whence = |url: &url::Url| (url.origin(), url.username().to_owned(), url.password().map(str::to_owned));
        // A user in it would be sent as a credential beside ours.
        if whence(&url) != whence(&asked) {
            return Err(wrong(format!(
                "points to another host or user for its next page: {}",
                url.host_str().unwrap_or_default()
            )));
        }
        Ok(url.to_string())
    }

    /// Refuses to read for ever.
    fn guard(&mut self, connector: &Connector, answer: &HttpAnswer, seen: &Seen, next: Option<&Next>) -> Result<(), Fault> {
        let page = seen.hash.finish();
        let is_same_page = seen.count > 0 && self.last_page == Some(page);
        self.last_page = Some(page);
        let Some(next) = next else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        next.hash(&mut hasher);
        let circle = !self.circles.insert(hasher.finish());
        let counts = matches!(self.read.page, Some(Page::Number(_) | Page::Offset(_)));
        let (code, what) = if circle {
            ("page_circle", "points from one page back to a page that was read already".to_owned())
        } else if is_same_page && counts {
            ("page_repeats", "answers the same page again and again".to_owned())
        } else if self.pages >= PAGES_MAX {
            ("pages_endless", format!("has more than {PAGES_MAX} pages"))
        } else if self.empty_pages >= EMPTY_PAGES_MAX {
            ("pages_empty", format!("answered {EMPTY_PAGES_MAX} empty pages in a row"))
        } else {
            return Ok(());
        };
        Err(stuck(connector, answer, code, what))
    }
}

/// A list that cannot be read to its end. What came until now is whole; the position stays where it was.
fn stuck(connector: &Connector, answer: &HttpAnswer, code: &str, what: String) -> Fault {
    let reason = format!("{} {what}", connector.title());
    let fix = "Compare the list's pages in the connector with the vendor's documentation, and check what stands between us and the vendor.";
    Fault::new(FaultClass::Validation, code, reason, Owner::Developer, fix).answered(answer.status)
}

/// The paths in the body that the pages of a list need, in the order in which [`List::after`] asks for them.
fn value_paths(read: &Read) -> Vec<String> {
    let places: Vec<&Place> = match &read.page {
        None | Some(Page::Link(_)) => vec![],
        Some(Page::Number(page)) => page.pages.iter().collect(),
        Some(Page::Offset(page)) => page.total.iter().collect(),
        Some(Page::Cursor(page)) => page.next.iter().chain(&page.more).collect(),
        Some(Page::NextUrl(page)) => vec![&page.next],
    };
    places.into_iter().filter_map(|place| place.path.clone()).collect()
}

/// The address of a relation, such as `rel="next"`, in a `Link` header (RFC 8288 section 3).
pub(crate) fn link<'h>(header: &'h str, relation: &str) -> Option<&'h str> {
    header.split('<').skip(1).find_map(|part| {
        let (url, parameters) = part.split_once('>')?;
        let is_it = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case(relation))
        });
        is_it.then_some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_header_names_the_next_page_among_others() {
        let header = r#"<https://x.example/a?page=1>; rel="prev", <https://x.example/a?b=1,2&page=3>; title="n"; rel="next""#;
        assert_eq!(link(header, "next"), Some("https://x.example/a?b=1,2&page=3"));
        assert_eq!(link(r#"<https://x.example/a>; rel="prev""#, "next"), None);
        assert_eq!(link("no link", "next"), None);
    }
}
