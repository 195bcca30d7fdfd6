//! Tenants: the customer organisations.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::TenantId;
use domain::scope::{Actor, Permission, Role, Scope};

use super::error::{UserError, UserErrorCode, internal, scope, state, viewer, within};
use super::page::AGGREGATE_COST;
use super::tenant_deletion::TenantDeletionNode;
use crate::auth::Identity;

#[derive(SimpleObject, Clone)]
#[graphql(name = "Tenant", complex)]
pub struct TenantNode {
    pub id: ID,
    /// Short and unique: lower-case letters, digits and dashes, at most 63.
    pub slug: String,
    /// At most 200 characters.
    pub name: String,
}

#[ComplexObject]
impl TenantNode {
    /// That it is to be deleted, and when; null where it is not. Of the tenant that the request is about only.
    async fn deletion(&self, ctx: &Context<'_>) -> Result<Option<TenantDeletionNode>> {
        let Some(scope) = viewer(ctx)?.scope().filter(|scope| scope.tenant.to_string() == self.id.0) else { return Ok(None) };
        let deletion = state(ctx).store.within(&scope).tenant_deletion().await.map_err(|error| internal(ctx, &error))?;
        Ok(deletion.map(Into::into))
    }
}

#[derive(InputObject)]
struct TenantCreateInput {
    /// Lower-case letters, digits and dashes, at most 63.
    slug: String,
    /// At most 200 characters.
    name: String,
}

#[derive(SimpleObject)]
struct TenantCreatePayload {
    tenant: Option<TenantNode>,
    user_errors: Vec<UserError>,
}

/// What was counted of one meter.
#[derive(SimpleObject)]
struct UsageLine {
    meter: Meter,
    quantity: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::usage::Meter")]
pub enum Meter {
    /// Messages accepted; duplicates are not counted.
    MessageAccepted,
    /// Deliveries confirmed by their destination.
    DeliveryConfirmed,
    /// Calls to vendors.
    VendorCall,
}

#[derive(Default)]
pub struct TenantQuery;

#[Object]
impl TenantQuery {
    /// The tenant this request is about.
    async fn tenant(&self, ctx: &Context<'_>) -> Result<Option<TenantNode>> {
        let viewer = viewer(ctx)?;
        let Some(tenant) = viewer.tenant else { return Ok(None) };
        let id = ID(tenant.to_string());
        if let Identity::ApiKey(key) = &viewer.identity {
            return Ok(Some(TenantNode { id, slug: key.tenant_slug.clone(), name: key.tenant_name.clone() }));
        }
        if let Identity::Impersonation(live) = &viewer.identity {
            return Ok(Some(TenantNode { id, slug: live.tenant_slug.clone(), name: live.tenant_name.clone() }));
        }
        Ok(viewer.membership().map(|m| TenantNode { id, slug: m.slug.clone(), name: m.name.clone() }))
    }

    /// What is billed, summed by meter, from (inclusive) and to (exclusive).
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn usage(&self, ctx: &Context<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<UsageLine>> {
        let lines = within(ctx, Permission::ReadUsage, async |store| store.usage(from, to).await).await?;
        let meter = |name: &str| domain::usage::Meter::parse(name).map(Meter::from);
        Ok(lines.into_iter().filter_map(|(name, quantity)| Some(UsageLine { meter: meter(&name)?, quantity })).collect())
    }
}

#[derive(Default)]
pub struct TenantMutation;

#[Object]
impl TenantMutation {
    /// A new tenant, with the caller as its owner.
    async fn tenant_create(&self, ctx: &Context<'_>, input: TenantCreateInput) -> Result<TenantCreatePayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        let slug_fits = input.slug.len() <= 63
            && input.slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && input.slug.bytes().next().is_some_and(|b| b != b'-');
        let mut user_errors = Vec::new();
        if !slug_fits {
            user_errors.push(UserError::new(
                "slug",
                UserErrorCode::Invalid,
                "a slug has lower-case letters, digits and dashes, 63 at most",
            ));
        }
        if !(1..=200).contains(&input.name.chars().count()) {
            user_errors.push(UserError::new("name", UserErrorCode::Invalid, "a name has 1 to 200 characters"));
        }
        if !user_errors.is_empty() {
            return Ok(TenantCreatePayload { tenant: None, user_errors });
        }
        let actor = Actor::Member { user, role: Role::Owner };
        let scope = Scope { tenant: TenantId::generate(), actor, request: viewer.request };
        let made = state(ctx)
            .store
            .tenant_create(&scope, user, &input.slug, &input.name)
            .await
            .map_err(|error| internal(ctx, &error))?;
        Ok(match made {
            Some(id) => {
                let tenant = TenantNode { id: ID(id.to_string()), slug: input.slug, name: input.name };
                TenantCreatePayload { tenant: Some(tenant), user_errors }
            }
            None => {
                let taken = UserError::new("slug", UserErrorCode::Taken, format!("the slug \"{}\" is taken", input.slug));
                TenantCreatePayload { tenant: None, user_errors: vec![taken] }
            }
        })
    }
}

/// For queries that only need to know that the caller may read.
pub fn reads(ctx: &Context<'_>) -> Result<()> {
    scope(ctx, Permission::ReadOperations).map(|_| ())
}
