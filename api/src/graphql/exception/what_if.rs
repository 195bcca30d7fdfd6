//! What-if: how many of a group would go on, and why the others would not, with entries that a table does not have yet or with a draft of the
//! flow. Nothing is changed and nothing is sent.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use chrono::Utc;
use connectors::Inputs;
use connectors::trial::Tried;
use domain::edit::Edits;
use domain::exception::Reason;
use domain::scope::Permission;
use infra::lookup::{Supposed, Supposing, Tables, TenantLookups};
use infra::postgres::exception::suppose::Stopped;
use infra::postgres::flow::FlowVersion;
use infra::trial::{Sides, TrialError, tables};
use uuid::Uuid;

use super::act::{ExceptionSelectionInput, select};
use crate::graphql::error::{Code, fail, internal, scope, state};
use crate::graphql::flow::told;
use crate::graphql::page::AGGREGATE_COST;
use crate::graphql::personal::not_hidden;

/// Exceptions of one what-if, and of one page of it.
const TRIED_MAX: usize = 10_000;
const PAGE: i64 = 500;
const VALUES_MAX: usize = 100;
const REASONS_MAX: usize = 20;
const TEXT_BYTES_MAX: usize = 2_000;

/// An entry that a lookup table is supposed to have.
#[derive(InputObject)]
struct SupposedEntryInput {
    /// The name that the mapping calls the table by.
    lookup_table: String,
    from: String,
    to: String,
}

/// What would become of a group.
#[derive(SimpleObject, Default)]
struct ExceptionWhatIf {
    /// How many were tried: those that are about a delivery.
    tried: i32,
    /// For these the request could be made. What the destination says to it nobody knows before.
    passes: i32,
    /// These the filter of the flow would leave out.
    left: i32,
    /// Why the others would stop again, the most frequent first; at most 20.
    reasons: Vec<WhatIfReason>,
    /// More of the cause are open than are tried at once.
    has_more: bool,
}

#[derive(SimpleObject, Clone)]
struct WhatIfReason {
    code: String,
    cause: String,
    next_step: String,
    count: i32,
    /// The number of one of them, or what its source calls it.
    example: String,
}

#[derive(Default)]
pub struct ExceptionWhatIfQuery;

#[Object]
impl ExceptionWhatIfQuery {
    /// What would become of these exceptions, at most 10,000, if they were retried now: with at most 100 entries that are not there yet, and with
    /// a version of their flow by its number, draft or not; with what is published where none is said.
    #[graphql(complexity = "AGGREGATE_COST * 10 + child_complexity")]
    async fn exception_what_if(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        #[graphql(default)] lookup_values: Vec<SupposedEntryInput>,
        flow_version: Option<i32>,
    ) -> Result<ExceptionWhatIf> {
        let scope = scope(ctx, Permission::ReadOperations)?;
        let store = state(ctx).store.within(&scope);
        let selection = select(ctx, &input).map_err(|error| fail(Code::BadRequest, &error.message))?;
        let is_long = |entry: &SupposedEntryInput| entry.from.len().max(entry.to.len()) > TEXT_BYTES_MAX;
        if lookup_values.len() > VALUES_MAX || lookup_values.iter().any(is_long) {
            return Err(fail(
                Code::BadRequest,
                &format!("at most {VALUES_MAX} entries of {TEXT_BYTES_MAX} bytes are supposed at once"),
            ));
        }
        let mut supposed = Supposed::default();
        for entry in lookup_values {
            not_hidden(ctx, "lookupValues", &entry.from).map_err(|error| fail(Code::BadRequest, &error.message))?;
            supposed.add(entry.lookup_table, entry.from, entry.to);
        }
        let supposed = Arc::new(supposed);
        let (mut found, mut last, mut tried) = (Found::default(), None, 0);
        let mut ways: HashMap<Uuid, Arc<Way>> = HashMap::new();
        loop {
            let page = store.exceptions_stopped(&selection, last, PAGE).await.map_err(|error| internal(ctx, &error))?;
            let (count, end) = (page.len(), page.last().map(|stopped| stopped.exception));
            let mut by_way: HashMap<Uuid, Vec<Stopped>> = HashMap::new();
            for stopped in page {
                let way = if stopped.is_undoing { stopped.version.0 } else { stopped.flow.0 };
                by_way.entry(way).or_default().push(stopped);
            }
            for (flow, rows) in by_way {
                let way = match ways.get(&flow) {
                    Some(way) => way.clone(),
                    None => {
                        let way =
                            Arc::new(Way::load(ctx, &store, &rows[0], flow_version.map_or(Which::Current, Which::Number)).await?);
                        ways.insert(flow, way.clone());
                        way
                    }
                };
                let supposed = supposed.clone();
                // Thousands take a moment, which is not an event loop's to spend.
                let ran = tokio::task::spawn_blocking(move || way.run(&rows, &supposed)).await;
                let ran = ran.map_err(|_| fail(Code::Internal, "the what-if broke off; tell Crossdock's support"))?;
                found.add(ran.map_err(|error| told(ctx, error))?);
            }
            tried += count;
            last = end;
            let is_full = i64::try_from(count).is_ok_and(|count| count >= PAGE);
            if !is_full || tried >= TRIED_MAX {
                let has_more = is_full
                    && !store.exceptions_stopped(&selection, last, 1).await.map_err(|error| internal(ctx, &error))?.is_empty();
                return Ok(found.told(tried, has_more));
            }
        }
    }
}

/// By which version of their flow.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// What is published now.
    Current,
    /// The one that was planned with.
    Same,
    Number(i32),
}

/// How the deliveries of a flow would be made.
pub struct Way {
    pub version: FlowVersion,
    pub sides: Sides,
    pub tables: Tables,
}

impl Way {
    pub async fn load(
        ctx: &Context<'_>,
        store: &infra::postgres::TenantStore<'_>,
        stopped: &Stopped,
        which: Which,
    ) -> Result<Self> {
        let version = match which {
            Which::Number(number) => store.flow_version(stopped.flow, number).await,
            Which::Current if stopped.is_undoing => Ok(None),
            // What goes elsewhere by now is no measure for what goes there.
            Which::Current => {
                let published = store.flow_published(stopped.flow).await;
                published.map(|published| published.filter(|version| version.destination == stopped.destination))
            }
            Which::Same => Ok(None),
        };
        let version = match version.map_err(|error| internal(ctx, &error))? {
            Some(version) => version,
            None if matches!(which, Which::Number(_)) => {
                return Err(fail(Code::BadRequest, "there is no such version of their flow"));
            }
            // A flow that was retired delivers what it had planned.
            None => {
                let own = store.flow_version_by_id(stopped.version).await.map_err(|error| internal(ctx, &error))?;
                own.ok_or_else(|| fail(Code::BadRequest, "their flow has no version any more"))?
            }
        };
        let load = async || -> Result<Self, TrialError> {
            let sides = Sides::load(store, state(ctx).catalog, &version).await?;
            let tables = tables(store, &sides.trial(&version.spec)?).await?;
            Ok(Self { version: version.clone(), sides, tables })
        };
        load().await.map_err(|error| told(ctx, error))
    }

    fn run(&self, rows: &[Stopped], supposed: &Supposed) -> Result<Found, TrialError> {
        let trial = self.sides.trial(&self.version.spec)?;
        let mut found = Found::default();
        for stopped in rows {
            let base = TenantLookups::new(&self.tables, self.sides.destination().connector.tables(), stopped.revision.origin_at);
            let inputs = Inputs::default().with_edits(stopped.edits.as_deref().map(Edits::from_json).unwrap_or_default());
            match trial.run(&stopped.revision.of(stopped.delivery), &inputs, &Supposing::new(base, supposed), Utc::now()) {
                Tried::Made(_) => found.passes += 1,
                Tried::Left => found.left += 1,
                Tried::Refused(reason) => {
                    let Reason { code, cause, next_step, .. } = *reason;
                    let example = || stopped.revision.number.clone().unwrap_or_else(|| stopped.revision.source_id.clone());
                    found.reasons.entry((code, cause)).or_insert_with(|| (0, next_step, example())).0 += 1;
                }
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Found {
    passes: i32,
    left: i32,
    /// By code and cause: how many, what to do, and one of them.
    reasons: HashMap<(String, String), (i32, String, String)>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.passes += other.passes;
        self.left += other.left;
        for (key, (count, next_step, example)) in other.reasons {
            self.reasons.entry(key).or_insert_with(|| (0, next_step, example)).0 += count;
        }
    }

    fn told(self, tried: usize, has_more: bool) -> ExceptionWhatIf {
        let mut reasons: Vec<WhatIfReason> = self
            .reasons
            .into_iter()
            .map(|((code, cause), (count, next_step, example))| WhatIfReason { code, cause, next_step, count, example })
            .collect();
        reasons.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
        reasons.truncate(REASONS_MAX);
        let tried = i32::try_from(tried).unwrap_or(i32::MAX);
        ExceptionWhatIf { tried, passes: self.passes, left: self.left, reasons, has_more }
    }
}
