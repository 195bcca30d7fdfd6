//! Impersonations: begun, moved and left by the staff through named functions, because they are no member anywhere; listed and ended within the tenant.
//! Whether one is good is asked with each request that comes with it, so that whatever ends it ends it at once.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ImpersonationId, SessionId, SupportConsentId, TenantId, UserId};
use domain::permission::Permission;
use domain::scope::{Actor, Request, Scope};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::mail;
use super::receive::audit_each;
use super::support::{Errand, SupportRefusal, Told, Writer, received};
use super::{Store, StoreError, TenantStore, enter};

/// Of one look of a worker.
const OVER_MAX: i32 = 100;

/// What ended one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Whoever began it.
    Left,
    Tenant,
    /// What it rested on was withdrawn.
    Consent,
    /// Whoever began it is no staff any more.
    Staff,
    Time,
    /// Whoever began it signed out, or gave their second factor up.
    Session,
}

impl Ended {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Tenant => "tenant",
            Self::Consent => "consent",
            Self::Staff => "staff",
            Self::Time => "time",
            Self::Session => "session",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Left, Self::Tenant, Self::Consent, Self::Staff, Self::Time, Self::Session];
        all.into_iter().find(|ended| ended.as_str() == text)
    }
}

/// One that is good now, as the request that comes with it needs it.
#[derive(Debug, Clone)]
pub struct LiveImpersonation {
    pub id: ImpersonationId,
    pub user: UserId,
    pub tenant: TenantId,
    pub tenant_slug: String,
    pub tenant_name: String,
    pub staff_name: String,
    pub staff_email: String,
    pub reason: String,
    pub ticket: String,
    pub may_write: bool,
    /// The tenant shows support what tells of a person.
    pub sees_personal: bool,
    pub ends_at: DateTime<Utc>,
}

impl LiveImpersonation {
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        domain::impersonation::may(permission, self.may_write, self.sees_personal)
    }

    /// Who acts: the person, in the place of the tenant.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::staff(self.user, &self.staff_name, self.tenant, &self.ticket, Some(self.id))
    }
}

/// One, as the tenant sees it.
#[derive(Debug, Clone)]
pub struct Impersonation {
    pub id: ImpersonationId,
    pub consent: SupportConsentId,
    pub staff_name: String,
    pub staff_email: String,
    pub reason: String,
    pub ticket: String,
    pub may_write: bool,
    pub began_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub is_live: bool,
    pub ended_at: Option<DateTime<Utc>>,
    pub ended_why: Option<Ended>,
    pub ended_by: Option<UserId>,
    /// Events of the audit log that are by it.
    pub events: i64,
    /// Those of them that are more than a look.
    pub changes: i64,
}

fn impersonation(row: &PgRow) -> Result<Impersonation, StoreError> {
    Ok(Impersonation {
        id: ImpersonationId(row.try_get("id")?),
        consent: SupportConsentId(row.try_get("consent_id")?),
        staff_name: row.try_get("staff_name")?,
        staff_email: row.try_get("staff_email")?,
        reason: row.try_get("reason")?,
        ticket: row.try_get("ticket")?,
        may_write: row.try_get("may_write")?,
        began_at: row.try_get("began_at")?,
        ends_at: row.try_get("ends_at")?,
        is_live: row.try_get("is_live")?,
        ended_at: row.try_get("ended_at")?,
        ended_why: row.try_get::<Option<&str>, _>("ended_why")?.and_then(Ended::parse),
        ended_by: row.try_get::<Option<Uuid>, _>("ended_by")?.map(UserId),
        events: row.try_get("events")?,
        changes: row.try_get("changes")?,
    })
}

/// Says in the tenant's audit log that these are over.
pub(super) async fn tell_ended(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    ended: &[Uuid],
    why: Ended,
) -> Result<(), StoreError> {
    let detail = json!({"why": why.as_str()}).to_string();
    let details = vec![Some(detail.as_str()); ended.len()];
    audit_each(tx, scope, Action::ImpersonationEnded, "impersonation", ended, &details).await
}

impl Store {
    /// Begins one, for so many minutes at most, and mails it to whom it concerns; or why it does not begin.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_begin(
        &self,
        errand: &Errand<'_>,
        session: SessionId,
        minutes: i32,
        request: Request,
        write: Writer<'_>,
    ) -> Result<Result<ImpersonationId, SupportRefusal>, StoreError> {
        let id = ImpersonationId::generate();
        let mut tx = self.pool().begin().await?;
        let (tenant, slug) = errand.whom();
        let query = sqlx::query(
            "SELECT refusal, tenant_id, tenant_name, staff_name, consent_id, ends_at FROM impersonation_begin($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let query = query.bind(id.0).bind(errand.user.0).bind(session.0).bind(tenant).bind(slug).bind(errand.reason);
        let row = query.bind(errand.ticket).bind(minutes).bind(errand.may_write).fetch_one(&mut *tx).await?;
        let (scope, told) = match received(&mut tx, &row, errand, Some(id), request).await? {
            Ok(received) => received,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let ends_at: DateTime<Utc> = row.try_get("ends_at")?;
        let detail = json!({
            "reason": errand.reason,
            "ticket": errand.ticket,
            "may_write": errand.may_write,
            "consent": SupportConsentId(row.try_get("consent_id")?),
            "ends_at": ends_at,
        });
        let detail = detail.to_string();
        audit_each(&mut tx, &scope, Action::ImpersonationBegun, "impersonation", &[id.0], &[Some(&detail)]).await?;
        mail::put(&mut tx, None, &write(&Told { ends_at: Some(ends_at), ..told })?).await?;
        tx.commit().await?;
        Ok(Ok(id))
    }

    /// What an impersonation is worth now, to the person and session that it is of; `None` where it is over.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_live(
        &self,
        id: ImpersonationId,
        user: UserId,
        session: SessionId,
    ) -> Result<Option<LiveImpersonation>, StoreError> {
        self.impersonation_find(user, Some((id, session))).await
    }

    /// The one that a person of the staff has begun and that runs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_running(&self, user: UserId) -> Result<Option<LiveImpersonation>, StoreError> {
        self.impersonation_find(user, None).await
    }

    async fn impersonation_find(
        &self,
        user: UserId,
        of: Option<(ImpersonationId, SessionId)>,
    ) -> Result<Option<LiveImpersonation>, StoreError> {
        let query = sqlx::query("SELECT * FROM impersonation_find($1, $2, $3)").bind(of.map(|(id, _)| id.0)).bind(user.0);
        let row = query.bind(of.map(|(_, session)| session.0)).fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(LiveImpersonation {
                id: ImpersonationId(row.try_get("id")?),
                user,
                tenant: TenantId(row.try_get("tenant_id")?),
                tenant_slug: row.try_get("tenant_slug")?,
                tenant_name: row.try_get("tenant_name")?,
                staff_name: row.try_get("staff_name")?,
                staff_email: row.try_get("staff_email")?,
                reason: row.try_get("reason")?,
                ticket: row.try_get("ticket")?,
                may_write: row.try_get("may_write")?,
                sees_personal: row.try_get("sees_personal")?,
                ends_at: row.try_get("ends_at")?,
            })
        })
        .transpose()
    }

    /// Hangs one that runs on this session of the same person; false where it is over meanwhile. Its end stays.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_move(&self, id: ImpersonationId, user: UserId, session: SessionId) -> Result<bool, StoreError> {
        let moved = sqlx::query_scalar("SELECT impersonation_move($1, $2, $3)").bind(id.0).bind(user.0).bind(session.0);
        Ok(moved.fetch_one(self.pool()).await?)
    }

    /// Ends what a person of the staff has begun; false where nothing runs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_leave(&self, user: UserId, request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT impersonation_id, tenant_id, staff_name, ticket FROM impersonation_leave($1)");
        let rows = query.bind(user.0).fetch_all(&mut *tx).await?;
        for row in &rows {
            let (id, tenant) = (ImpersonationId(row.try_get("impersonation_id")?), TenantId(row.try_get("tenant_id")?));
            let actor = Actor::staff(user, row.try_get("staff_name")?, tenant, row.try_get("ticket")?, Some(id));
            enter(&mut tx, tenant).await?;
            tell_ended(&mut tx, &Scope { tenant, actor, request }, &[id.0], Ended::Left).await?;
        }
        tx.commit().await?;
        Ok(!rows.is_empty())
    }

    /// Closes what is over by itself, and says so to its tenants; says how many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonations_close(&self) -> Result<usize, StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT impersonation_id, tenant_id, why FROM impersonations_over($1)").bind(OVER_MAX);
        let rows = query.fetch_all(&mut *tx).await?;
        for row in &rows {
            let scope = Scope::system(TenantId(row.try_get("tenant_id")?), "impersonation");
            enter(&mut tx, scope.tenant).await?;
            let why = Ended::parse(row.try_get("why")?).unwrap_or(Ended::Time);
            tell_ended(&mut tx, &scope, &[row.try_get("impersonation_id")?], why).await?;
        }
        tx.commit().await?;
        Ok(rows.len())
    }
}

impl TenantStore<'_> {
    /// The tenant's impersonations, or one of them: the newest first, those that are over too; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonations(&self, one: Option<ImpersonationId>) -> Result<Vec<Impersonation>, StoreError> {
        let mut tx = self.begin().await?;
        // What was done by one is found through audit_actors, as a search by its id finds it. The events are named by tenant and id, as their key
        // begins: what row-level security asks is no condition that an index answers.
        let sql = "SELECT i.id, i.consent_id, i.staff_name, i.staff_email, i.reason, i.ticket, i.may_write, i.began_at, i.ends_at, i.ended_at,
                          i.ended_why, i.ended_by, impersonation_is_live(i) AS is_live, acts.events, acts.changes
             FROM impersonations i CROSS JOIN LATERAL (
                 SELECT count(*) AS events, count(*) FILTER (WHERE e.action NOT LIKE 'impersonation.%') AS changes
                 FROM audit_actors a JOIN audit_events e ON e.tenant_id = a.tenant_id AND e.id = a.event_id
                 WHERE a.tenant_id = i.tenant_id AND a.actor_id = 'imp_' || replace(i.id::text, '-', '')) acts
             WHERE i.tenant_id = $1 AND ($2::uuid IS NULL OR i.id = $2) ORDER BY i.id DESC LIMIT 500";
        let rows = sqlx::query(sql).bind(self.scope().tenant.0).bind(one.map(|id| id.0)).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(impersonation).collect()
    }

    /// Ends one at once; false where it is over or was never begun here.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_end(&self, id: ImpersonationId, by: UserId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let ended: bool =
            sqlx::query_scalar("SELECT impersonation_end($1, $2)").bind(id.0).bind(by.0).fetch_one(&mut *tx).await?;
        if ended {
            tell_ended(&mut tx, self.scope(), &[id.0], Ended::Tenant).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Notes what one is about to ask. It is asked only once that stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn impersonation_used(&self, id: ImpersonationId, detail: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_each(&mut tx, self.scope(), Action::ImpersonationUsed, "impersonation", &[id.0], &[Some(detail)]).await?;
        tx.commit().await?;
        Ok(())
    }
}
