//! The sums of the ledger: everything that was accepted stands in exactly one state.

use async_graphql::{Context, Object, Result, SimpleObject};
use domain::scope::Permission;
use infra::postgres::work::Ledger;

use super::error::within;
use super::page::AGGREGATE_COST;

/// How the ledger stands at one moment.
#[derive(SimpleObject)]
#[graphql(name = "Ledger")]
pub struct LedgerNode {
    /// How many messages stand in each state; they sum up to all that were accepted.
    messages: Vec<StateCount>,
    /// How many deliveries stand in each state.
    deliveries: Vec<StateCount>,
    /// Arrivals that were known already and had no second effect.
    duplicates: i64,
}

/// How many stand in a state.
#[derive(SimpleObject)]
pub struct StateCount {
    state: String,
    count: i64,
}

impl From<Ledger> for LedgerNode {
    fn from(ledger: Ledger) -> Self {
        let counts = |counts: Vec<(String, i64)>| counts.into_iter().map(|(state, count)| StateCount { state, count }).collect();
        Self { messages: counts(ledger.messages), deliveries: counts(ledger.deliveries), duplicates: ledger.duplicates }
    }
}

#[derive(Default)]
pub struct LedgerQuery;

#[Object]
impl LedgerQuery {
    /// How the ledger stands, all of it at the same moment.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn ledger(&self, ctx: &Context<'_>) -> Result<LedgerNode> {
        within(ctx, Permission::ReadOperations, async |store| store.ledger().await).await.map(Into::into)
    }
}
