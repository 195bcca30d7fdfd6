//! Interchanges: a file of X12 is taken interchange by interchange, each once; every group of it is answered by a 997 that is written into the partner's
//! folder, and what its own 997s say closes groups of ours. How far a file, and an interchange in it, was taken is a row: whoever dies, the next one goes
//! on there.

use std::fs::File;
use std::sync::Arc;

use connectors::file::{Inbox, whole};
use connectors::x12::{
    Acknowledgement, Agreement, BYTES_MAX, ControlNumber, GroupNumber, Guide, ReceivedGroup, interchange_at, receive_only,
};
use domain::call_payload::ToldCall;
use domain::exception::Reason;
use domain::interchange::SentGroupState;
use domain::record::RecordKind;
use domain::task::Stage;
use infra::files::{FileFault, Session};
use infra::postgres::file::{FileMessage, Manner, OpenFile};
use infra::postgres::interchange::{ArrivedInterchange, BegunInterchange, OpenInterchange};
use infra::postgres::sent_group::OpenAnswer;
use tokio::sync::watch;

use crate::file::{FileError, FileReading, PAGE_BYTES, PAGE_RECORDS, START_BYTES, Taken, blocking, path};
use crate::poll::LEASE_S;

/// What stands at a place of a file.
enum Read {
    /// Nothing of it can be taken.
    Refused {
        why: String,
        start: Vec<u8>,
    },
    Whole(Box<Arrived>),
}

/// An interchange that is the partner's, held against the guides.
struct Arrived {
    interchange: ArrivedInterchange,
    groups: Vec<ReceivedGroup>,
    /// The text of each set that is not taken, in their order.
    rejected: Vec<Vec<u8>>,
}

/// The documents of an interchange that are still to be taken.
type Documents = Box<dyn Iterator<Item = FileMessage> + Send>;

impl FileReading<'_> {
    /// Takes the interchanges of a file behind so many that are taken; `None` where it is no text that can be unpacked, and a person knows.
    pub(crate) async fn read_interchanges(
        &self,
        agreement: &Arc<Agreement>,
        copy: File,
        (file, manner): (&OpenFile, Manner),
        behind: i64,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<Taken>, FileError> {
        let name = file.name.clone();
        let bytes = match blocking(move || whole(copy, &name, BYTES_MAX)).await {
            Ok(bytes) => Arc::new(bytes),
            Err(flaw) => return self.unreadable(file, manner, &flaw.to_string(), b"").await,
        };
        let (mut at, mut index) = (0, 0);
        loop {
            let (given, agreed, is_done) = (bytes.clone(), agreement.clone(), index < behind);
            let read = blocking(move || Ok(read(&given, at, index, &agreed, is_done)));
            let Some((read, end)) = read.await.map_err(|flaw| FileFault::NotSent(flaw.to_string()))? else { break };
            if let Some(read) = read {
                let is_taken = match read {
                    Read::Refused { why, start } => self.refuse(file, index, &why, &start).await?,
                    Read::Whole(arrived) => self.take_interchange(agreement, file, index, *arrived).await?,
                };
                if !is_taken || *stop.borrow() {
                    return Ok(Some(Taken::Over));
                }
            }
            (at, index) = (end, index + 1);
        }
        let store = self.context.store.within(self.scope);
        Ok(Some(if store.file_read(self.poll, file, LEASE_S).await? { Taken::Whole } else { Taken::Over }))
    }

    async fn refuse(&self, file: &OpenFile, index: i64, why: &str, start: &[u8]) -> Result<bool, FileError> {
        let reason = Reason::bad_interchange(&file.name, &self.connection.name, why);
        let store = self.context.store.within(self.scope);
        Ok(store.interchange_refused(self.poll, file, index, &reason, start, LEASE_S).await?)
    }

    /// Takes one interchange to its end; false where somebody else leads the poll.
    async fn take_interchange(
        &self,
        agreement: &Arc<Agreement>,
        file: &OpenFile,
        index: i64,
        arrived: Arrived,
    ) -> Result<bool, FileError> {
        let store = self.context.store.within(self.scope);
        let source = self.connection.name.as_str();
        let Arrived { interchange, groups, rejected } = arrived;
        let begun = store.interchange_begin(self.poll, file, index, &interchange, source, LEASE_S).await?;
        let open = match begun {
            None => return Ok(false),
            Some(BegunInterchange::Refused) => return Ok(true),
            Some(BegunInterchange::Open(open)) => open,
        };
        let acknowledgements = acknowledgements(&groups);
        let answered = groups.clone();
        let agreed = agreement.clone();
        let answer = move |number: GroupNumber| agreed.answer(&answered, number);
        // What cannot be written would be found out in the middle of the end.
        answer(GroupNumber { number: ControlNumber::FIRST, made_at: chrono::Utc::now() })
            .map_err(|error| self.unwritable(&error.to_string()))?;
        if !open.is_repeated {
            let documents = documents(groups, rejected, agreement, &interchange, source);
            if !self.take_documents(file, open, documents).await? {
                return Ok(false);
            }
        }
        let ended = store.interchange_end(self.poll, (file, index), open, source, &acknowledgements, (&answer, LEASE_S));
        Ok(ended.await?)
    }

    async fn take_documents(&self, file: &OpenFile, mut open: OpenInterchange, documents: Documents) -> Result<bool, FileError> {
        let store = self.context.store.within(self.scope);
        let mut rest: Documents = Box::new(documents.skip(usize::try_from(open.position).unwrap_or(usize::MAX)));
        loop {
            let taken = blocking(move || Ok(page(rest))).await.map_err(|flaw| FileFault::NotSent(flaw.to_string()))?;
            let page = taken.1;
            rest = taken.0;
            if page.is_empty() {
                return Ok(true);
            }
            let Some(brought) = store.interchange_page(self.poll, file, open, &page, LEASE_S).await? else { return Ok(false) };
            self.context.broker.nudge(Stage::Receive, brought).await;
            open.position += i64::try_from(page.len()).unwrap_or(i64::MAX);
        }
    }

    /// Writes the 997s that have their numbers: under a name that nobody reads, and then with its own. The first is committed before the second, so that
    /// a 997 that the partner has fetched already is not written again.
    pub(crate) async fn write_answers(
        &self,
        session: &mut Session<'_>,
        agreement: &Agreement,
        inbox: &Inbox,
        calls: &mut Vec<ToldCall>,
    ) -> Result<bool, FileError> {
        let store = self.context.store.within(self.scope);
        for answer in store.answers_open(self.poll).await? {
            // Partners may share a folder, and count alike.
            let id = answer.id.0.simple().to_string();
            let name = format!("997-{:09}-{}.edi", answer.control_number, &id[24..]);
            let (hidden, named) = (path(&agreement.out, &format!(".{name}.part")), path(&agreement.out, &name));
            if !answer.is_placed {
                let wrote = session.write(&hidden, answer.body.as_bytes()).await;
                self.told_at("PUT", inbox, &hidden, wrote.is_ok(), calls);
                wrote?;
                if !self.moved(&answer, SentGroupState::Placed).await? {
                    return Ok(false);
                }
            }
            let renamed = session.rename(&hidden, &named).await;
            self.told_at("RENAME", inbox, &named, renamed.is_ok(), calls);
            match renamed {
                // It has its name already: nobody had written that down.
                Ok(()) | Err(FileFault::NotFound(_)) => {}
                Err(fault) => return Err(fault.into()),
            }
            if !self.moved(&answer, SentGroupState::Sent).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn moved(&self, answer: &OpenAnswer, to: SentGroupState) -> Result<bool, FileError> {
        Ok(self.context.store.within(self.scope).answer_moved(self.poll, answer, to, LEASE_S).await?)
    }
}

/// Reads what stands at this byte, and says where it ends; `None` at the end of the file. Of what is done only the end is wanted.
fn read(bytes: &[u8], at: usize, index: i64, agreement: &Agreement, is_done: bool) -> Option<(Option<Read>, usize)> {
    let (read, end) = interchange_at(bytes, at, usize::try_from(index).unwrap_or(usize::MAX))?;
    if is_done {
        return Some((None, end));
    }
    let start = |from: usize| bytes[from.min(bytes.len())..end.min(bytes.len())].iter().take(START_BYTES).copied().collect();
    let interchange = match read {
        Ok(interchange) => interchange,
        Err(error) => return Some((Some(Read::Refused { why: error.to_string(), start: start(at) }), end)),
    };
    if let Some(why) = agreement.refuses(&interchange.header) {
        let why = format!("{why} (segment 1, byte {})", interchange.range.start + 1);
        return Some((Some(Read::Refused { why, start: start(interchange.range.start) }), end));
    }
    let arrived = ArrivedInterchange {
        us: agreement.us.id.to_string(),
        partner: agreement.partner.id.to_string(),
        number: interchange.header.control_number,
        hash: interchange.hash,
    };
    let groups = receive_only(&interchange, &|set| set == "997" || agreement.takes.contains_key(set));
    // A set's text ends where the next one begins, or the interchange does.
    let begins: Vec<usize> = groups.iter().flat_map(|group| &group.sets).map(|set| set.place.byte).collect();
    let ends = begins.iter().skip(1).copied().chain([interchange.range.end]);
    let texts = begins.iter().zip(ends).map(|(begin, end)| bytes.get(*begin..end).unwrap_or_default());
    let sets = groups.iter().flat_map(|group| &group.sets).zip(texts);
    let rejected =
        sets.filter(|(set, _)| set.tree.is_none()).map(|(_, text)| text[..text.len().min(PAGE_BYTES)].to_vec()).collect();
    Some((Some(Read::Whole(Box::new(Arrived { interchange: arrived, groups, rejected }))), end))
}

fn acknowledgements(groups: &[ReceivedGroup]) -> Vec<Acknowledgement> {
    let sets = groups.iter().flat_map(|group| &group.sets).filter(|set| set.id == "997");
    sets.filter_map(|set| Acknowledgement::read(set.tree.as_ref()?).ok()).collect()
}

/// What becomes a message: each document of a set that is taken, and each set that is not.
fn documents(
    groups: Vec<ReceivedGroup>,
    rejected: Vec<Vec<u8>>,
    agreement: &Agreement,
    interchange: &ArrivedInterchange,
    source: &str,
) -> Documents {
    let (takes, number, source) = (agreement.takes.clone(), interchange.number.to_string(), source.to_owned());
    let mut rejected = rejected.into_iter();
    let of_group = |group: ReceivedGroup| {
        let flaws: Vec<String> = group.flaws.iter().map(ToString::to_string).collect();
        group.sets.into_iter().map(move |set| (set, flaws.clone()))
    };
    Box::new(groups.into_iter().flat_map(of_group).flat_map(move |(mut set, flaws)| -> Documents {
        let (kind, topic) = (takes.get(&set.id).copied(), format!("x12/{}", set.id));
        let line = u64::try_from(set.place.segment).unwrap_or(u64::MAX);
        if set.tree.is_none() {
            let what: Vec<String> = flaws.into_iter().chain(set.sentences()).collect();
            let name = format!("{} {} ({})", set.id, set.control_number, set.place);
            let bad = Some(Reason::bad_set(&name, &number, &source, &what));
            let body = rejected.next().unwrap_or_default();
            return Box::new(std::iter::once(FileMessage { line, kind, topic, body, source_id: None, bad }));
        }
        if set.id == "997"
            && let Some(Err(error)) = set.tree.as_ref().map(Acknowledgement::read)
        {
            let bad = Some(Reason::bad_set(&format!("997 {}", set.control_number), &number, &source, &[error.to_string()]));
            let body = set.tree.as_ref().map(|tree| tree.to_json().into_bytes()).unwrap_or_default();
            return Box::new(std::iter::once(FileMessage { line, kind: None, topic, body, source_id: None, bad }));
        }
        match (set.tree.take(), kind, Guide::find(&set.id).and_then(Result::ok)) {
            (Some(tree), Some(kind), Some(guide)) => {
                Box::new(guide.split(tree).map(move |document| message(line, kind, topic.clone(), document.to_json())))
            }
            _ => Box::new(std::iter::empty()),
        }
    }))
}

fn message(line: u64, kind: RecordKind, topic: String, body: String) -> FileMessage {
    FileMessage { line, kind: Some(kind), topic, body: body.into_bytes(), source_id: None, bad: None }
}

/// The next documents of one transaction.
fn page(mut rest: Documents) -> (Documents, Vec<FileMessage>) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < PAGE_RECORDS && bytes < PAGE_BYTES {
        let Some(document) = rest.next() else { break };
        bytes += document.body.len();
        page.push(document);
    }
    (rest, page)
}
