//! Notices of an API version's end: one for each connection and reason, raised once and closed when the version is called no more.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::flow::FlowState;
use domain::id::{ConnectionId, SunsetId, TenantId};
use domain::sunset::{Sign, SunsetReason};
use sea_orm::sea_query::{Condition, NullOrdering, Query};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use sqlx::Row;
use uuid::Uuid;

use super::entity::{connection, flow, flow_version, sunset};
use super::receive::audit;
use super::{Store, StoreError, TenantStore};

/// Notices of one list.
const NOTICES_MAX: u64 = 200;
/// Flows of one list, over all its notices.
const FLOWS_MAX: u64 = 2_000;

/// An open notice with what it is about.
#[derive(Debug, Clone)]
pub struct Notice {
    pub row: sunset::Model,
    pub sign: Sign,
    pub connection: connection::Model,
    /// The published flows that the end touches, by name.
    pub flows: Vec<flow::Model>,
}

/// A connector of this build, as the daily check needs it.
#[derive(Debug, Clone)]
pub struct Pinned<'c> {
    pub connector: &'c str,
    pub version: &'c str,
    /// When the vendor's documentation says that this version ends.
    pub ends_at: Option<DateTime<Utc>>,
}

impl TenantStore<'_> {
    /// Raises a notice for each sign that has none yet, and moves on when the others were last seen: once an hour at most, however many
    /// processes say so. An end that is announced earlier counts at once, a later one when the earlier was not said for a day: resources of
    /// one version may end on different days. Returns how many were raised.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunsets_note(&self, signs: &[(ConnectionId, &Sign)]) -> Result<usize, StoreError> {
        // One statement touches a row once.
        let mut unique: HashMap<(ConnectionId, SunsetReason, &str), &Sign> = HashMap::new();
        for (connection, sign) in signs {
            let kept = unique.entry((*connection, sign.reason, sign.version.as_str())).or_insert(*sign);
            if kept.ends_at.is_none() || sign.ends_at.is_some_and(|at| kept.ends_at.is_some_and(|kept| at < kept)) {
                *kept = *sign;
            }
        }
        let signs: Vec<(ConnectionId, &Sign)> = unique.into_iter().map(|((connection, ..), sign)| (connection, sign)).collect();
        let mut tx = self.begin().await?;
        // The index sunsets_open is what makes it one notice. Joined, because a connection may be gone by now.
        let rows = sqlx::query(
            "INSERT INTO sunsets AS s (id, tenant_id, connection_id, version, reason, served_version, ends_at, deprecated_at, link)
             SELECT i.id, $1, c.id, i.version, i.reason, i.served_version, i.ends_at, i.deprecated_at, i.link
             FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[])
                  AS i (id, connection_id, version, reason, served_version, ends_at, deprecated_at, link)
             JOIN connections c ON c.id = i.connection_id
             ON CONFLICT (connection_id, reason, version) WHERE closed_at IS NULL DO UPDATE SET
                 last_seen_at = now(), served_version = excluded.served_version, deprecated_at = excluded.deprecated_at,
                 link = coalesce(excluded.link, s.link),
                 ends_at = CASE WHEN excluded.ends_at > s.ends_at AND s.dated_at > now() - interval '1 day' THEN s.ends_at ELSE excluded.ends_at END,
                 dated_at = CASE WHEN excluded.ends_at > s.ends_at AND s.dated_at > now() - interval '1 day' THEN s.dated_at ELSE now() END
             WHERE s.last_seen_at < now() - interval '1 hour' OR s.ends_at IS DISTINCT FROM excluded.ends_at
                OR s.served_version IS DISTINCT FROM excluded.served_version
             RETURNING s.id, (s.xmax = 0) AS raised",
        )
        .bind(self.scope().tenant.0)
        .bind(signs.iter().map(|_| SunsetId::generate().0).collect::<Vec<_>>())
        .bind(signs.iter().map(|(connection, _)| connection.0).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.version.as_str()).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.reason.as_str()).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.served_version.as_deref()).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.ends_at).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.deprecated_at).collect::<Vec<_>>())
        .bind(signs.iter().map(|(_, sign)| sign.link.as_deref()).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
        let mut raised = Vec::new();
        for row in rows {
            if row.try_get("raised")? {
                raised.push(row.try_get("id")?);
            }
        }
        audit(&mut tx, self.scope(), Action::SunsetRaised, "sunset", &raised).await?;
        tx.commit().await?;
        Ok(raised.len())
    }

    /// Closes notices that are over.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunsets_close(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let query =
            sqlx::query_scalar("UPDATE sunsets SET closed_at = now() WHERE id = ANY($1) AND closed_at IS NULL RETURNING id");
        let closed: Vec<Uuid> = query.bind(ids).fetch_all(&mut *tx).await?;
        audit(&mut tx, self.scope(), Action::SunsetClosed, "sunset", &closed).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The open notices of what ends until then, the soonest first, and of what names no day; at most 200.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunsets(&self, until: DateTime<Utc>) -> Result<Vec<Notice>, StoreError> {
        let tx = self.begin_orm().await?;
        let rows = sunset::Entity::find()
            .filter(sunset::Column::TenantId.eq(self.scope().tenant.0))
            .filter(sunset::Column::ClosedAt.is_null())
            .filter(Condition::any().add(sunset::Column::EndsAt.is_null()).add(sunset::Column::EndsAt.lte(until)))
            // What has no day comes first where the end is there already, and last where it is not.
            .order_by_asc(sunset::Column::Reason.ne(SunsetReason::EchoedOtherVersion.as_str()))
            .order_by_with_nulls(sunset::Column::EndsAt, Order::Asc, NullOrdering::Last)
            .order_by_asc(sunset::Column::Id)
            .limit(NOTICES_MAX)
            .all(&tx)
            .await?;
        let notices = notices(&tx, rows).await?;
        tx.commit().await?;
        Ok(notices)
    }

    /// One notice, open or closed; another tenant's is not found.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunset(&self, id: Uuid) -> Result<Option<Notice>, StoreError> {
        let Some(row) = self.find::<sunset::Entity>(id).await? else { return Ok(None) };
        let tx = self.begin_orm().await?;
        let notice = notices(&tx, vec![row]).await?.pop();
        tx.commit().await?;
        Ok(notice)
    }
}

/// The connections and flows of all notices, each from one query.
async fn notices(tx: &DatabaseTransaction, rows: Vec<sunset::Model>) -> Result<Vec<Notice>, StoreError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.connection_id).collect();
    let connections = connection::Entity::find().filter(connection::Column::Id.is_in(ids.clone())).all(tx).await?;
    let connections: HashMap<Uuid, connection::Model> = connections.into_iter().map(|row| (row.id, row)).collect();
    let published = Query::select()
        .column(flow_version::Column::FlowId)
        .from(flow_version::Entity)
        .and_where(flow_version::Column::State.eq(FlowState::Published.as_str()))
        .to_owned();
    let touches = Condition::any()
        .add(flow::Column::SourceConnectionId.is_in(ids.clone()))
        .add(flow::Column::DestinationConnectionId.is_in(ids));
    let flows = flow::Entity::find()
        .filter(touches)
        .filter(flow::Column::Id.in_subquery(published))
        .order_by_asc(flow::Column::Name)
        .limit(FLOWS_MAX)
        .all(tx)
        .await?;
    let notice = |row: sunset::Model| {
        let connection = connections.get(&row.connection_id)?.clone();
        let sign = sign(&row)?;
        // A webhook's version touches what comes from there only.
        let is_touched = |flow: &&flow::Model| {
            flow.source_connection_id == connection.id
                || (sign.reason != SunsetReason::SentOtherVersion && flow.destination_connection_id == connection.id)
        };
        let flows = flows.iter().filter(is_touched).cloned().collect();
        Some(Notice { sign, flows, connection, row })
    };
    Ok(rows.into_iter().filter_map(notice).collect())
}

fn sign(row: &sunset::Model) -> Option<Sign> {
    Some(Sign {
        reason: SunsetReason::parse(&row.reason)?,
        version: row.version.clone(),
        served_version: row.served_version.clone(),
        ends_at: row.ends_at,
        deprecated_at: row.deprecated_at,
        link: row.link.clone(),
    })
}

impl Store {
    /// The names of the connectors that any tenant uses.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connectors_in_use(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT connectors_in_use()").fetch_all(self.pool()).await?)
    }

    /// The connections of all tenants, after this one, whose connector has a date and that have no notice of it yet; `rows_max` at most.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunsets_missing(
        &self,
        pinned: &[Pinned<'_>],
        after: ConnectionId,
        rows_max: i32,
    ) -> Result<Vec<(TenantId, ConnectionId, String)>, StoreError> {
        let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as("SELECT * FROM sunsets_missing($1, $2, $3, $4, $5)")
            .bind(pinned.iter().map(|pinned| pinned.connector).collect::<Vec<_>>())
            .bind(pinned.iter().map(|pinned| pinned.version).collect::<Vec<_>>())
            .bind(pinned.iter().map(|pinned| pinned.ends_at).collect::<Vec<_>>())
            .bind(after.0)
            .bind(rows_max)
            .fetch_all(self.pool())
            .await?;
        Ok(rows.into_iter().map(|(tenant, id, connector)| (TenantId(tenant), ConnectionId(id), connector)).collect())
    }

    /// The open notices of all tenants, after this one, that are over: another version is called by now, the date is none any more, or no
    /// answer has said so for `unseen_s`; `rows_max` at most.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sunsets_over(
        &self,
        pinned: &[Pinned<'_>],
        unseen_s: f64,
        after: SunsetId,
        rows_max: i32,
    ) -> Result<Vec<(TenantId, SunsetId)>, StoreError> {
        let over = "SELECT * FROM sunsets_over($1, $2, $3, make_interval(secs => $4), $5, $6)";
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(over)
            .bind(pinned.iter().map(|pinned| pinned.connector).collect::<Vec<_>>())
            .bind(pinned.iter().map(|pinned| pinned.version).collect::<Vec<_>>())
            .bind(pinned.iter().map(|pinned| pinned.ends_at).collect::<Vec<_>>())
            .bind(unseen_s)
            .bind(after.0)
            .bind(rows_max)
            .fetch_all(self.pool())
            .await?;
        Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), SunsetId(id))).collect())
    }
}
