//! The sweeper's look over all tenants: what is due and not under way.

use std::collections::HashMap;

use domain::id::{ConnectionId, TenantId};
use domain::lane::Lane;
use domain::task::Nudge;
use sqlx::Row;

use super::{Store, StoreError};

/// How long the direct nudge of a new row may take before the sweeper nudges again, s.
pub(super) const NUDGE_GRACE_S: f64 = 10.0;

/// How much one look of the sweeper brings.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Rows of all tenants, who share them.
    pub rows_max: i32,
    /// Rows of one lane of a connection that are under way at a time.
    pub window_max: i32,
    /// How long whoever is nudged may take before a row is nudged again, s.
    pub lease_s: f64,
}

impl Store {
    /// Messages of any tenant whose nudge was lost or whose wait is over; each is leased.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep_messages(&self, sweep: Sweep) -> Result<Vec<Nudge>, StoreError> {
        self.sweep("SELECT tenant_id, connection_id, lane, id FROM sweep_messages($1, $2, make_interval(secs => $3))", sweep)
            .await
    }

    /// Deliveries of any tenant that are due. A wait that is over becomes planned; an attempt that never closed becomes unknown.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep_deliveries(&self, sweep: Sweep) -> Result<Vec<Nudge>, StoreError> {
        self.sweep("SELECT tenant_id, connection_id, lane, id FROM sweep_deliveries($1, $2, make_interval(secs => $3))", sweep)
            .await
    }

    async fn sweep(&self, sql: &'static str, sweep: Sweep) -> Result<Vec<Nudge>, StoreError> {
        let rows =
            sqlx::query(sql).bind(sweep.rows_max).bind(sweep.window_max).bind(sweep.lease_s).fetch_all(self.pool()).await?;
        let nudge = |row: sqlx::postgres::PgRow| -> Result<Nudge, StoreError> {
            let (tenant, connection) = (TenantId(row.try_get("tenant_id")?), ConnectionId(row.try_get("connection_id")?));
            Ok(Nudge::new(tenant, connection, Lane::of_rank(row.try_get("lane")?).unwrap_or_default(), row.try_get("id")?))
        };
        rows.into_iter().map(nudge).collect()
    }

    /// The tenants whose share of the workers' time is not 1.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_weights(&self) -> Result<HashMap<TenantId, u16>, StoreError> {
        let rows: Vec<(uuid::Uuid, i16)> =
            sqlx::query_as("SELECT tenant_id, weight FROM tenant_weights()").fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, weight)| (TenantId(tenant), weight.unsigned_abs())).collect())
    }
}
