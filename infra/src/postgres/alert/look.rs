//! The look at a tenant's groups: what its rules say is done in one transaction, by one worker at a time.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use domain::alert::{self, Before, Content, Deeds, Group, Line, LineMoney, Mark, Rule, SHOWN_MAX};
use domain::audit::Action;
use domain::id::{AlertId, AlertReceiverId, AlertRuleId, ExceptionGroupId, TenantId};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use crate::postgres::exception::group::{ExceptionGroup, GroupFilter, groups};
use crate::postgres::receive::audit_told;
use crate::postgres::{Store, StoreError, TenantStore};

/// Groups of one look, the largest first: who has more is told of these.
const GROUPS_MAX: u64 = 1_000;
/// Until the next look, where nothing new came: ages pass.
const LOOK_S: f64 = 30.0;
/// And where it does not stop coming.
const REST_S: f64 = 2.0;
const DAYS_KEPT: f64 = 30.0;

/// What rules are looked at for, and how it is told: groups of exceptions, or incidents. Each is at the same place in all three.
pub(super) struct Told {
    pub noun: &'static str,
    pub groups: Vec<Group>,
    pub lines: Vec<Line>,
    pub ids: Vec<Uuid>,
}

impl Store {
    /// Tenants whose groups are to be looked at, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_watches_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, TenantId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM alert_watches_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// Does what the tenant's rules say of its groups as they stand; returns how many alerts were raised.
    ///
    /// # Errors
    /// Where the transaction did not commit: then nothing was done, and the next look does it.
    pub async fn alert_look(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        // Whoever looks besides, because a lease was over too early, waits here and then finds what was done.
        sqlx::query("SELECT FROM alert_watches WHERE tenant_id = $1 FOR UPDATE").bind(tenant.0).execute(&mut *tx).await?;
        let seen: Option<Uuid> = sqlx::query_scalar("SELECT id FROM exceptions WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1")
            .bind(tenant.0)
            .fetch_optional(&mut *tx)
            .await?;
        let rules = rules(&mut tx, tenant).await?;
        let mut raised = 0;
        if !rules.is_empty() {
            let filter = GroupFilter { is_snoozed: Some(false), ..GroupFilter::default() };
            let (found, _) = groups(&mut tx, self, &filter, GROUPS_MAX).await?;
            let every = every(&mut tx, tenant).await?;
            let keys: Vec<&str> = found.iter().map(|group| group.cause_key.as_str()).collect();
            let before = before(&mut tx, &keys).await?;
            let known: Vec<Group> = found.iter().map(group).collect();
            let deeds = alert::decide(&rules, &every, &known, &before, now);
            raised = deeds.alerts.len();
            self.assign(&mut tx, &deeds, &found).await?;
            let told = Told {
                noun: "exception_group",
                groups: known,
                lines: found.iter().map(line).collect(),
                ids: found.iter().map(|group| group.id.0).collect(),
            };
            self.escalate(&mut tx, &deeds, &told, now).await?;
            self.raise(&mut tx, &deeds, &told, now).await?;
            raised += self.incident_look(&mut tx, &rules, &every, now).await?;
        }
        sqlx::query(
            "UPDATE alert_watches SET seen_id = greatest(seen_id, coalesce($2, seen_id)), look_at = now() + make_interval(secs => $3),
                 lease_until = now() + make_interval(secs => $4) WHERE tenant_id = $1",
        )
        .bind(tenant.0)
        .bind(seen)
        .bind(LOOK_S)
        .bind(REST_S)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM alerts WHERE tenant_id = $1 AND id < uuid7_floor(now() - make_interval(secs => $2))")
            .bind(tenant.0)
            .bind(DAYS_KEPT * 86_400.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(raised)
    }

    async fn assign(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        deeds: &Deeds,
        groups: &[ExceptionGroup],
    ) -> Result<(), StoreError> {
        if deeds.assigned.is_empty() {
            return Ok(());
        }
        // A rule may name somebody who has left: then it assigns to nobody.
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "INSERT INTO exception_groups (id, tenant_id, cause_key, assignee_id)
             SELECT i.id, $1, i.cause_key, m.user_id
             FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS i (id, cause_key, user_id)
             JOIN members m ON m.tenant_id = $1 AND m.user_id = i.user_id
             ON CONFLICT (tenant_id, cause_key) DO UPDATE SET assignee_id = excluded.assignee_id
             RETURNING id, assignee_id",
        )
        .bind(self.scope().tenant.0)
        .bind(deeds.assigned.iter().map(|(at, _)| groups[*at].id.0).collect::<Vec<_>>())
        .bind(deeds.assigned.iter().map(|(at, _)| groups[*at].cause_key.as_str()).collect::<Vec<_>>())
        .bind(deeds.assigned.iter().map(|(_, user)| user.0).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
        let (ids, users): (Vec<Uuid>, Vec<Uuid>) = rows.into_iter().unzip();
        let details: Vec<String> = users
            .into_iter()
            .map(|user| serde_json::json!({"to": domain::id::UserId(user), "by": "alert rule"}).to_string())
            .collect();
        audit_told(tx, self.scope(), Action::ExceptionAssigned, "exception_group", &ids, &details).await
    }

    pub(super) async fn escalate(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        deeds: &Deeds,
        told: &Told,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if deeds.escalated.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO alert_escalations (rule_id, cause_key, tenant_id, at)
             SELECT rule_id, cause_key, $1, $2 FROM unnest($3::uuid[], $4::text[]) AS i (rule_id, cause_key)
             ON CONFLICT (rule_id, cause_key) DO UPDATE SET at = excluded.at",
        )
        .bind(self.scope().tenant.0)
        .bind(now)
        .bind(deeds.escalated.iter().map(|(rule, _)| rule.0).collect::<Vec<_>>())
        .bind(deeds.escalated.iter().map(|(_, at)| told.groups[*at].cause_key.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        let ids: Vec<Uuid> = deeds.escalated.iter().map(|(_, at)| told.ids[*at]).collect();
        let details: Vec<String> =
            deeds.escalated.iter().map(|(rule, _)| serde_json::json!({"rule": rule}).to_string()).collect();
        audit_told(tx, self.scope(), Action::ExceptionEscalated, told.noun, &ids, &details).await
    }

    pub(super) async fn raise(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        deeds: &Deeds,
        told: &Told,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if deeds.alerts.is_empty() {
            return Ok(());
        }
        let tenant = self.scope().tenant;
        let slug: String =
            sqlx::query_scalar("SELECT slug FROM tenants WHERE id = $1").bind(tenant.0).fetch_one(&mut **tx).await?;
        let content = |alert: &alert::Alert| Content {
            tenant: slug.clone(),
            is_test: false,
            is_escalated: alert.is_escalated,
            groups: alert.groups.iter().take(SHOWN_MAX).map(|at| told.lines[*at].clone()).collect(),
            more: alert.groups.len().saturating_sub(SHOWN_MAX),
        };
        let contents = deeds.alerts.iter().map(|alert| (alert.receiver, content(alert))).collect::<Vec<_>>();
        self.alerts_insert(tx, &contents).await?;
        let marks: Vec<(Uuid, &Group)> =
            deeds.alerts.iter().flat_map(|alert| alert.groups.iter().map(|at| (alert.receiver.0, &told.groups[*at]))).collect();
        sqlx::query(
            "INSERT INTO alert_marks (receiver_id, cause_key, tenant_id, at, count, last_at)
             SELECT DISTINCT ON (receiver_id, cause_key) receiver_id, cause_key, $1, $2, count, last_at
             FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[]) AS i (receiver_id, cause_key, count, last_at)
             ON CONFLICT (receiver_id, cause_key) DO UPDATE SET at = excluded.at, count = excluded.count, last_at = excluded.last_at",
        )
        .bind(tenant.0)
        .bind(now)
        .bind(marks.iter().map(|(receiver, _)| *receiver).collect::<Vec<_>>())
        .bind(marks.iter().map(|(_, group)| group.cause_key.as_str()).collect::<Vec<_>>())
        .bind(marks.iter().map(|(_, group)| group.count).collect::<Vec<_>>())
        .bind(marks.iter().map(|(_, group)| group.last_at).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    pub(in crate::postgres) async fn alerts_insert(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        contents: &[(AlertReceiverId, Content)],
    ) -> Result<Vec<AlertId>, StoreError> {
        let ids: Vec<AlertId> = contents.iter().map(|_| AlertId::generate()).collect();
        let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        sqlx::query(
            "INSERT INTO alerts (id, tenant_id, receiver_id, content)
             SELECT id, $1, receiver_id, content FROM unnest($2::uuid[], $3::uuid[], $4::jsonb[]) AS i (id, receiver_id, content)",
        )
        .bind(self.scope().tenant.0)
        .bind(&uuids)
        .bind(contents.iter().map(|(receiver, _)| receiver.0).collect::<Vec<_>>())
        .bind(contents.iter().map(|(_, content)| serde_json::to_value(content).expect("an alert is plain data")).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        let details: Vec<String> = contents
            .iter()
            .map(|(receiver, content)| {
                let groups = content.groups.len() + content.more;
                serde_json::json!({"receiver": receiver, "groups": groups, "escalated": content.is_escalated}).to_string()
            })
            .collect();
        audit_told(tx, self.scope(), Action::AlertRaised, "alert", &uuids, &details).await?;
        Ok(ids)
    }
}

async fn rules(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<Vec<Rule>, StoreError> {
    let rows = sqlx::query("SELECT id, matches, then_does FROM alert_rules WHERE tenant_id = $1 AND NOT is_paused ORDER BY id");
    let mut rules = Vec::new();
    for row in rows.bind(tenant.0).fetch_all(&mut **tx).await? {
        let id = AlertRuleId(row.try_get("id")?);
        let corrupt =
            |error: serde_json::Error| StoreError::Corrupt { what: "the rule", id: id.to_string(), why: error.to_string() };
        let when = serde_json::from_value(row.try_get("matches")?).map_err(corrupt)?;
        rules.push(Rule { id, when, then: serde_json::from_value(row.try_get("then_does")?).map_err(corrupt)? });
    }
    Ok(rules)
}

/// How often each receiver wants to hear of a group; those that are paused hear nothing.
async fn every(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
) -> Result<HashMap<AlertReceiverId, Duration>, StoreError> {
    let rows: Vec<(Uuid, i32)> =
        sqlx::query_as("SELECT id, every_minutes FROM alert_receivers WHERE tenant_id = $1 AND NOT is_paused")
            .bind(tenant.0)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|(id, minutes)| (AlertReceiverId(id), Duration::minutes(i64::from(minutes)))).collect())
}

/// What was told before of the groups with these causes.
pub(super) async fn before(tx: &mut Transaction<'static, Postgres>, keys: &[&str]) -> Result<Before, StoreError> {
    let mut before = Before::default();
    type MarkRow = (Uuid, String, DateTime<Utc>, i64, DateTime<Utc>);
    let rows: Vec<MarkRow> =
        sqlx::query_as("SELECT receiver_id, cause_key, at, count, last_at FROM alert_marks WHERE cause_key = ANY($1)")
            .bind(keys)
            .fetch_all(&mut **tx)
            .await?;
    before.marks.extend(
        rows.into_iter()
            .map(|(receiver, key, at, count, last_at)| ((AlertReceiverId(receiver), key), Mark { at, count, last_at })),
    );
    let rows: Vec<(Uuid, String, DateTime<Utc>)> =
        sqlx::query_as("SELECT rule_id, cause_key, at FROM alert_escalations WHERE cause_key = ANY($1)")
            .bind(keys)
            .fetch_all(&mut **tx)
            .await?;
    before.escalated.extend(rows.into_iter().map(|(rule, key, at)| ((AlertRuleId(rule), key), at)));
    Ok(before)
}

fn group(group: &ExceptionGroup) -> Group {
    let sum = |money: &crate::postgres::exception::group::Money| Some((money.currency.clone(), money.amount.parse().ok()?));
    Group {
        cause_key: group.cause_key.clone(),
        owner: group.owner.clone(),
        code: group.code.clone(),
        connection: group.connection,
        flow: group.flow,
        tags: group.tags.clone(),
        count: group.count,
        money: group.money.iter().filter_map(sum).collect::<BTreeMap<_, _>>(),
        first_at: group.first_at,
        last_at: group.last_at,
        assignee: group.assignee,
        is_snoozed: group.is_snoozed,
    }
}

fn line(group: &ExceptionGroup) -> Line {
    Line {
        id: ExceptionGroupId(group.id.0).to_string(),
        cause_key: group.cause_key.clone(),
        code: group.code.clone(),
        cause: group.cause.clone(),
        owner: group.owner.clone(),
        next_step: group.next_step.clone(),
        count: group.count,
        first_at: group.first_at,
        last_at: group.last_at,
        money: group
            .money
            .iter()
            .map(|money| LineMoney { currency: money.currency.clone(), amount: money.amount.clone() })
            .collect(),
        is_incident: false,
    }
}
