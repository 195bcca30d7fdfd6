//! Alerts of incidents: they are told by the same rules as a group of exceptions is, and again after ever longer times as long as they stay. A
//! vendor's outage is told once it has lasted, for most of them are over before anybody has looked. In the tenant's quiet hours nothing is told of
//! alarms; what is still so afterwards is told then.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use domain::alert::{self, Group, Line, Rule};
use domain::arrival::reminders;
use domain::fault::Owner;
use domain::id::{AlertReceiverId, ConnectionId, IncidentId};
use domain::upkeep::{Ends, Upkeep};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::look::{Told, before};
use crate::postgres::arrival::policy;
use crate::postgres::{StoreError, TenantStore};

/// Incidents of one look, the oldest first.
const INCIDENTS_MAX: i64 = 200;
/// How long a vendor may be away before anybody is told, s.
const OUTAGE_S: f64 = 300.0;

impl TenantStore<'_> {
    /// Does what the rules say of the incidents that are open; returns how many alerts were raised.
    pub(super) async fn incident_look(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        rules: &[Rule],
        every: &HashMap<AlertReceiverId, Duration>,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let tenant = self.scope().tenant.0;
        let rows = sqlx::query(
            "SELECT id, connection_id, operation, code, sentence, owner, next_step, opened_at, ends_at, upkeep, is_alarm
             FROM (SELECT i.*, series_id IS NOT NULL OR sequence_id IS NOT NULL AS is_alarm FROM incidents i) i
             WHERE tenant_id = $1 AND closed_at IS NULL
               AND (is_alarm OR owner <> $3 OR opened_at < now() - make_interval(secs => $4)) ORDER BY id LIMIT $2",
        );
        let rows = rows.bind(tenant).bind(INCIDENTS_MAX).bind(Owner::Vendor.as_str()).bind(OUTAGE_S).fetch_all(&mut **tx).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let is_quiet = policy(tx, tenant).await?.is_quiet(now);
        let mut told = Told { noun: "incident", groups: vec![], lines: vec![], ids: vec![] };
        for row in rows {
            let (id, connection): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("connection_id")?);
            let (code, owner): (String, String) = (row.try_get("code")?, row.try_get("owner")?);
            let first_at = row.try_get("opened_at")?;
            let (_, mut last_at) = reminders(first_at, now);
            // One that closes and opens again is the same to whoever is told of it: it is not told more often than they want.
            let mut cause_key = format!("incident|{}|{}", ConnectionId(connection), row.try_get::<&str, _>("operation")?);
            let (mut count, mut cause): (i64, String) = (1, row.try_get("sentence")?);
            let what = row.try_get::<Option<&str>, _>("upkeep")?.and_then(Upkeep::parse);
            if let Some(ends) = what.zip(row.try_get("ends_at")?).map(|(what, at)| Ends { what, at }) {
                // Told at its distances and not in between, and each end for itself.
                (count, last_at) = ends.told(now).unwrap_or((0, first_at));
                cause_key = format!("{cause_key}|{}", ends.at.timestamp());
                cause = format!("{} ({})", cause.trim_end_matches('.'), ends.in_words(now)) + ".";
            }
            told.groups.push(Group {
                cause_key: cause_key.clone(),
                owner: owner.clone(),
                code: code.clone(),
                connection: ConnectionId(connection),
                flow: None,
                tags: vec![],
                count,
                money: BTreeMap::new(),
                first_at,
                last_at,
                assignee: None,
                is_snoozed: is_quiet && row.try_get("is_alarm")?,
            });
            told.lines.push(Line {
                id: IncidentId(id).to_string(),
                cause_key,
                code,
                cause,
                owner,
                next_step: row.try_get("next_step")?,
                count: 1,
                first_at,
                last_at,
                money: vec![],
                is_incident: true,
            });
            told.ids.push(id);
        }
        let keys: Vec<&str> = told.groups.iter().map(|group| group.cause_key.as_str()).collect();
        let before = before(tx, &keys).await?;
        let deeds = alert::decide(rules, every, &told.groups, &before, now);
        self.escalate(tx, &deeds, &told, now).await?;
        self.raise(tx, &deeds, &told, now).await?;
        Ok(deeds.alerts.len())
    }
}
