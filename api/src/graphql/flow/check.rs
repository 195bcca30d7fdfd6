//! What stands against a flow before it is made: what is wrong with it, and which lookup tables it needs. Nothing is written.

use async_graphql::{Context, Object, Result, SimpleObject};
use domain::flow::FlowSpec;
use domain::scope::Permission;
use infra::postgres::entity::lookup_table;
use infra::postgres::filter;

use super::input::{FlowCreateInput, Sides};
use crate::graphql::error::{UserError, scope, within};
use crate::graphql::page::AGGREGATE_COST;

/// A lookup table of the tenant's that a flow looks into.
#[derive(SimpleObject)]
pub struct LookupTableNeed {
    pub name: String,
    /// What belongs in it; empty where nobody said.
    pub about: String,
    /// False where the tenant has no table of the name: what is looked up there becomes an exception.
    pub exists: bool,
}

#[derive(SimpleObject)]
struct FlowCheck {
    /// The tenant's tables that it looks into, at most 100.
    lookup_tables: Vec<LookupTableNeed>,
    /// All that `flowCreate` would refuse, except a name that is taken.
    user_errors: Vec<UserError>,
}

/// More than a mapping has; the rest is not asked for.
pub(super) const NEEDS_MAX: usize = 100;

#[derive(Default)]
pub struct FlowCheckQuery;

#[Object]
impl FlowCheckQuery {
    /// What is wrong with a flow that is not made yet, and which lookup tables it needs, at most 100.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn flow_check(&self, ctx: &Context<'_>, input: FlowCreateInput) -> Result<FlowCheck> {
        scope(ctx, Permission::ReadOperations)?;
        let refused = |user_errors| Ok(FlowCheck { lookup_tables: vec![], user_errors });
        let sides = match Sides::of(ctx, &input).await? {
            Ok(sides) => sides,
            Err(errors) => return refused(errors),
        };
        let spec = match input.draft.over(FlowSpec::default()) {
            Ok(spec) => spec,
            Err(errors) => return refused(errors),
        };
        let tables = sides.tables(&spec).into_iter().map(|name| (name, String::new())).collect();
        Ok(FlowCheck { lookup_tables: needs(ctx, tables).await?, user_errors: sides.errors(&spec) })
    }
}

/// Names of tables, with what is said of them and whether the tenant has them.
pub(super) async fn needs(ctx: &Context<'_>, mut tables: Vec<(String, String)>) -> Result<Vec<LookupTableNeed>> {
    tables.truncate(NEEDS_MAX);
    if tables.is_empty() {
        return Ok(vec![]);
    }
    let named = filter::lookup_tables_named(tables.iter().map(|(name, _)| name.clone()).collect());
    let rows = within(ctx, Permission::ReadOperations, async |store| {
        store.page::<lookup_table::Entity>(named, None, NEEDS_MAX as u64).await
    });
    let rows = rows.await?.rows;
    let need = |(name, about): (String, String)| {
        let exists = rows.iter().any(|row| row.name == name);
        LookupTableNeed { name, about, exists }
    };
    Ok(tables.into_iter().map(need).collect())
}
