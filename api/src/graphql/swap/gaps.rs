//! What the report of gaps is made of: both sides as they are now, loaded.

use async_graphql::{Context, Result};
use connectors::swap::{Candidate, Gap, Severity, gaps, source_gaps};
use domain::flow::FlowSpec;
use domain::id::ConnectionId;
use domain::mapping::{Filter, Rules};
use infra::postgres::TenantStore;
use infra::postgres::entity::connection;
use infra::postgres::flow::FlowVersion;
use infra::trial::{Sides, TrialError};

use super::SwapSide;
use crate::graphql::error::{internal, state};
use crate::graphql::flow::told;

/// What would be given up where a side of the version is replaced by the candidate with these rules.
pub(super) async fn of(
    ctx: &Context<'_>,
    store: &TenantStore<'_>,
    version: &FlowVersion,
    side: SwapSide,
    candidate: ConnectionId,
    mapping: &Rules,
) -> Result<Vec<Gap>> {
    let other = match side {
        SwapSide::Destination => version.towards(candidate, mapping),
        SwapSide::Source => {
            let spec = FlowSpec { source_mapping: mapping.clone(), ..version.spec.clone() };
            FlowVersion { source: candidate, spec, ..version.clone() }
        }
    };
    let both = Both::load(ctx, store, version, &other, candidate).await?;
    let old = both.old.trial(&version.spec).map_err(|error| told(ctx, error))?;
    let new = match both.new.trial(&other.spec) {
        Ok(new) => new,
        Err(error) => return unfit(ctx, error),
    };
    if side == SwapSide::Destination {
        let candidate = both.candidate(both.new.destination(), new.write_plan());
        return Ok(gaps(version.kind, both.old.destination(), old.write_plan(), &candidate, &both.tables));
    }
    let filter = version.spec.filter.as_deref().and_then(|text| Filter::compile(text).ok());
    let written = old.write_plan().into_iter().flat_map(|plan| plan.reads());
    let needed: Vec<String> = written.chain(filter.iter().flat_map(|filter| filter.reads())).cloned().collect();
    let candidate = both.candidate(both.new.source(), new.read_plan());
    Ok(source_gaps(version.kind, both.old.source(), old.read_plan(), &candidate, &needed, &both.tables))
}

/// Rules that do not fit the candidate are the gap that blocks.
fn unfit(ctx: &Context<'_>, error: TrialError) -> Result<Vec<Gap>> {
    let TrialError::Version(errors) = error else { return Err(told(ctx, error)) };
    let gap = |error: connectors::flow::FlowError| Gap {
        severity: Severity::Blocks,
        topic: "mapping",
        subject: None,
        sentence: format!("The rules do not fit the candidate's: {}.", error.what.trim_end_matches('.')),
        next_step: "Mend the candidate's mapping.".into(),
    };
    Ok(errors.into_iter().map(gap).collect())
}

/// A flow with its own sides and with the candidate on one of them.
struct Both {
    old: Sides,
    new: Sides,
    row: connection::Model,
    has_credential: bool,
    /// The tenant's lookup tables by name.
    tables: Vec<String>,
}

impl Both {
    async fn load(
        ctx: &Context<'_>,
        store: &TenantStore<'_>,
        version: &FlowVersion,
        other: &FlowVersion,
        candidate: ConnectionId,
    ) -> Result<Self> {
        let catalog = state(ctx).catalog;
        let lost = |error| internal(ctx, &error);
        let row = store.find::<connection::Entity>(candidate.0).await.map_err(lost)?;
        let row = row.ok_or_else(|| told(ctx, TrialError::Connection))?;
        let credentials = store.connection_rows(&[candidate.0]).await.map_err(lost)?;
        let tables = store.lookup_table_versions().await.map_err(lost)?;
        Ok(Self {
            old: Sides::load(store, catalog, version).await.map_err(|error| told(ctx, error))?,
            new: Sides::load(store, catalog, other).await.map_err(|error| told(ctx, error))?,
            row,
            has_credential: credentials.iter().any(|row| row.credential.is_some()),
            tables: tables.into_iter().map(|(_, name, _)| name).collect(),
        })
    }

    fn candidate<'a>(&'a self, side: connectors::trial::Side<'a>, plan: Option<&'a domain::mapping::Plan>) -> Candidate<'a> {
        Candidate { side, plan, has_credential: self.has_credential, is_active: self.row.state == "active" }
    }
}
