//! Dry runs: a version of a flow over chosen records, messages or samples, with the exact requests that would be sent. None is.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::Inputs;
use connectors::trial::{Made, Revision, Tried};
use domain::exception::Reason;
use domain::id::{DeliveryId, RecordId};
use domain::mapping::Issue;
use domain::scope::Permission;
use infra::lookup::{Tables, TenantLookups};
use infra::postgres::entity::record;
use infra::trial::{Sides, TrialError, tables};

use super::change::version;
use super::input::FlowDraftInput;
use crate::graphql::error::{Code, UserError, fail, internal, scope, state, within};
use crate::graphql::page::{LARGE_COST, cost, uuid};
use crate::graphql::personal::Personal;

/// Records, messages and samples of one dry run.
const THINGS_MAX: usize = 20;
const MESSAGE_BYTES_MAX: usize = 512 * 1024;
const HOLLOW: &str = "•••";

/// What a version is run over; at least one of them.
#[derive(InputObject)]
struct DryRunInput {
    /// The version; the newest where it is not said.
    version: Option<i32>,
    /// Records that came from the flow's source, as they are now.
    record_ids: Option<Vec<ID>>,
    /// Messages as the source would send them, at most 512 KiB each.
    messages: Option<Vec<String>>,
    /// The samples that the source's connector comes with.
    samples: Option<bool>,
    /// What a draft would say that nobody has saved: laid over the version as `flowDraft` does, and saved nowhere.
    draft: Option<FlowDraftInput>,
}

/// What would happen.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum Verdict {
    /// The request would be sent.
    Sent,
    /// The filter leaves it out.
    Left,
    /// A person would have to look at it first.
    Exception,
}

/// One thing that was run, and what it becomes.
#[derive(SimpleObject)]
struct DryRun {
    /// The record's number or id, or the name of the sample.
    name: String,
    verdict: Verdict,
    /// The canonical document, as JSON.
    document: Option<Personal>,
    /// Why it would not be sent.
    reason: Option<DryRunReason>,
    /// All that stands against it, at most fifty.
    issues: Vec<DryRunIssue>,
    /// The exact request; what says who sends it is left out.
    request: Option<TriedRequest>,
}

#[derive(SimpleObject)]
struct DryRunReason {
    code: String,
    sentence: Personal,
    next_step: String,
}

/// Why a rule has no answer.
#[derive(SimpleObject)]
struct DryRunIssue {
    /// The rule: `rules[3].rules[0]`.
    rule: String,
    /// The field that could not be written, with its row: `lines[2].sku`.
    field: String,
    value: Option<Personal>,
    sentence: Personal,
    suggestion: Option<Personal>,
}

/// A request that was not sent.
#[derive(SimpleObject)]
pub(super) struct TriedRequest {
    method: String,
    url: Personal,
    headers: Vec<TriedHeader>,
    body: Personal,
    /// It is a read that comes before the write: what it finds goes into that, and it is not made in a dry run.
    is_look_up: bool,
}

#[derive(SimpleObject)]
struct TriedHeader {
    name: String,
    value: String,
}

impl From<Made> for TriedRequest {
    fn from(made: Made) -> Self {
        let is_look_up = made.not_looked_up;
        let request = made.request.unsigned();
        let mut headers: Vec<TriedHeader> =
            request.headers.into_iter().map(|(name, value)| TriedHeader { name, value }).collect();
        headers.push(TriedHeader { name: "Authorization".into(), value: HOLLOW.into() });
        Self {
            method: request.method.as_str().to_owned(),
            url: Personal::sentence(request.url),
            headers,
            body: Personal::payload(String::from_utf8_lossy(&request.body).into_owned()),
            is_look_up,
        }
    }
}

impl From<Issue> for DryRunIssue {
    fn from(issue: Issue) -> Self {
        let path = Some(issue.to.as_str());
        let sentence = Personal::sentence_about(issue.sentence, path, issue.value.as_deref());
        let value = issue.value.map(|value| Personal::at(path, value));
        Self { rule: issue.rule, field: issue.to, value, sentence, suggestion: issue.suggestion.map(Personal::sentence) }
    }
}

impl From<Reason> for DryRunReason {
    fn from(reason: Reason) -> Self {
        let sentence = Personal::sentence_about(reason.sentence, reason.path.as_deref(), reason.value.as_deref());
        Self { code: reason.code, sentence, next_step: reason.next_step }
    }
}

/// Something to run over.
struct Thing {
    name: String,
    origin_at: DateTime<Utc>,
    is_message: bool,
    text: String,
    source_id: String,
    number: Option<String>,
    revision: i32,
}

#[derive(Default)]
pub struct DryRunQuery;

#[Object]
impl DryRunQuery {
    /// Runs a version of a flow over records, messages or samples, at most twenty together, and shows the exact requests. Nothing is sent, and
    /// nothing is written.
    #[graphql(complexity = "cost(Some(20), child_complexity) + LARGE_COST * 4")]
    async fn flow_dry_run(&self, ctx: &Context<'_>, id: ID, input: DryRunInput) -> Result<Vec<DryRun>> {
        let scope = scope(ctx, Permission::ReadOperations)?;
        let found = version(ctx, &id, async |store, flow| match input.version {
            Some(version) => store.flow_version(flow, version).await,
            None => store.flow_newest(flow).await,
        });
        let version = found.await?.ok_or_else(|| fail(Code::BadRequest, "there is no such version of a flow"))?;
        let store = state(ctx).store.within(&scope);
        let sides = Sides::load(&store, state(ctx).catalog, &version).await.map_err(|error| told(ctx, error))?;
        let things = things(ctx, &input, &sides).await?;
        let spec = match &input.draft {
            Some(draft) => draft.over(version.spec.clone()).map_err(|errors| unreadable(&errors))?,
            None => version.spec.clone(),
        };
        let trial = sides.trial(&spec).map_err(|error| told(ctx, error))?;
        let tables = tables(&store, &trial).await.map_err(|error| internal(ctx, &error))?;
        let run = things.into_iter().map(|thing| dry_run(&sides, &trial, &tables, thing));
        Ok(run.collect())
    }
}

fn dry_run(sides: &Sides, trial: &connectors::trial::Trial<'_>, tables: &Tables, thing: Thing) -> DryRun {
    let (source, destination) = (sides.source().connector, sides.destination().connector);
    let mut run =
        DryRun { name: thing.name, verdict: Verdict::Exception, document: None, reason: None, issues: vec![], request: None };
    let (mut text, mut unbalanced, mut number, mut source_id) = (thing.text, None, thing.number, thing.source_id);
    if thing.is_message {
        match trial.read(text.as_bytes(), &TenantLookups::new(tables, source.tables(), thing.origin_at)) {
            Ok(read) => {
                text = read.document.to_json();
                (unbalanced, number) = (read.unbalanced, read.number);
                source_id = read.source_id.unwrap_or_default();
            }
            Err(reason) => {
                run.reason = Some(reason.into());
                return run;
            }
        }
    } else if let Ok(document) = domain::value::Value::parse(text.as_bytes(), &domain::value::Limits::DEFAULT) {
        unbalanced =
            domain::canonical::examine(sides.kind, &document).ok().and_then(|summary| summary.unbalanced).map(|i| i.sentence);
    }
    let revision = Revision {
        source_id: &source_id,
        number: number.as_deref(),
        revision: thing.revision,
        document: text.as_bytes(),
        unbalanced: unbalanced.as_deref(),
        delivery: DeliveryId::generate(),
    };
    let lookups = TenantLookups::new(tables, destination.tables(), thing.origin_at);
    match trial.run(&revision, &Inputs::default(), &lookups, Utc::now()) {
        Tried::Left => run.verdict = Verdict::Left,
        Tried::Refused(reason) => {
            run.reason = Some((*reason).into());
            run.issues = trial.issues(&revision, &lookups).into_iter().map(DryRunIssue::from).collect();
        }
        Tried::Made(made) => {
            run.verdict = Verdict::Sent;
            run.request = Some((*made).into());
        }
    }
    run.document = Some(Personal::record(sides.kind.as_str(), text));
    run
}

async fn things(ctx: &Context<'_>, input: &DryRunInput, sides: &Sides) -> Result<Vec<Thing>> {
    let now = Utc::now();
    let message = |name: String, text: String| Thing {
        name,
        origin_at: now,
        is_message: true,
        text,
        source_id: String::new(),
        number: None,
        revision: 1,
    };
    let (records, messages) = (input.record_ids.as_deref().unwrap_or_default(), input.messages.as_deref().unwrap_or_default());
    if messages.iter().any(|message| message.len() > MESSAGE_BYTES_MAX) {
        return Err(fail(Code::BadRequest, &format!("a message has at most {MESSAGE_BYTES_MAX} bytes")));
    }
    let mut things: Vec<Thing> =
        messages.iter().enumerate().map(|(at, text)| message(format!("messages[{at}]"), text.clone())).collect();
    if input.samples.unwrap_or_default() {
        let samples = sides.source().connector.samples(sides.kind);
        things.extend(samples.take(THINGS_MAX).map(|(name, text)| message(name.to_owned(), text.to_owned())));
    }
    if things.is_empty() && records.is_empty() {
        return Err(fail(Code::BadRequest, "say over what: `recordIds`, `messages` or `samples`"));
    }
    if things.len() + records.len() > THINGS_MAX {
        return Err(fail(Code::BadRequest, &format!("at most {THINGS_MAX} records, messages and samples together")));
    }
    for id in records {
        let missing = || fail(Code::BadRequest, &format!("{} is no record of the flow's source and kind", id.as_str()));
        let row = uuid::<RecordId>(id).ok_or_else(missing)?;
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<record::Entity>(row).await).await?;
        let source = sides.source().connection.0;
        let row = row.filter(|row| row.connection_id == source && row.kind == sides.kind.as_str()).ok_or_else(missing)?;
        let text = within(ctx, Permission::ReadOperations, async |store| store.revision_document(row.revision_id).await).await?;
        things.push(Thing {
            name: row.number.clone().unwrap_or_else(|| row.source_id.clone()),
            origin_at: row.updated_at,
            is_message: false,
            text: text.ok_or_else(missing)?,
            source_id: row.source_id,
            number: row.number,
            revision: row.revision,
        });
    }
    Ok(things)
}

/// What of an unsaved draft cannot be read, each with its field.
fn unreadable(errors: &[UserError]) -> async_graphql::Error {
    let told: Vec<String> = errors.iter().map(|error| format!("`draft.{}`: {}", error.field.join("."), error.message)).collect();
    fail(Code::BadRequest, &told.join("; "))
}

/// What a person can mend is said; the rest is in the log.
pub(in crate::graphql) fn told(ctx: &Context<'_>, error: TrialError) -> async_graphql::Error {
    match error {
        TrialError::Store(error) => internal(ctx, &error),
        error => fail(Code::BadRequest, &error.to_string()),
    }
}
