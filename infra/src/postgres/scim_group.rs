//! The groups of a tenant's directory, and what they make of their members.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ScimGroupId, ScimUserId};
use domain::scim::group::nobody;
use domain::scim::{Group, GroupQuery, Step};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_each;
use super::scim_user::{Found, NotKept, Slice};
use super::{StoreError, TenantStore};

/// Groups of one directory.
pub const SCIM_GROUPS_MAX: i64 = 1_000;
/// Members of one group.
pub const SCIM_MEMBERS_MAX: i64 = 5_000;

/// A group that is kept.
#[derive(Debug, Clone)]
pub struct KeptGroup {
    pub id: ScimGroupId,
    pub display_name: String,
    pub external_id: Option<String>,
    /// Their ids and user names; none where they were not asked for.
    pub members: Option<Vec<(ScimUserId, String)>>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

const COLUMNS: &str = "g.id, g.display_name, g.external_id, g.created_at, g.changed_at";

fn kept(row: &PgRow) -> Result<KeptGroup, StoreError> {
    Ok(KeptGroup {
        id: ScimGroupId(row.try_get("id")?),
        display_name: row.try_get("display_name")?,
        external_id: row.try_get("external_id")?,
        members: None,
        created_at: row.try_get("created_at")?,
        changed_at: row.try_get("changed_at")?,
    })
}

impl TenantStore<'_> {
    /// Groups of the directory that fit, by age; without their members.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_groups(&self, query: &GroupQuery, slice: Slice) -> Result<Found<KeptGroup>, StoreError> {
        let id: Option<Option<ScimGroupId>> = query.id.as_ref().map(|id| id.parse().ok());
        let member: Option<Option<ScimUserId>> = query.member.as_ref().map(|id| id.parse().ok());
        if id == Some(None) || member == Some(None) {
            return Ok(Found { total: 0, some: vec![] });
        }
        let fits = "g.tenant_id = $1 AND ($2::uuid IS NULL OR g.id = $2) AND ($3::text IS NULL OR lower(g.display_name) = lower($3))
             AND ($4::text IS NULL OR g.external_id = $4)
             AND ($5::uuid IS NULL OR EXISTS (SELECT FROM scim_group_members m WHERE m.tenant_id = g.tenant_id AND m.group_id = g.id AND m.scim_user_id = $5))";
        let (count, page) = (
            format!("SELECT count(*) FROM scim_groups g WHERE {fits}"),
            format!("SELECT {COLUMNS} FROM scim_groups g WHERE {fits} ORDER BY g.id OFFSET $6 LIMIT $7"),
        );
        let (tenant, id, member) = (self.scope().tenant.0, id.flatten().map(|id| id.0), member.flatten().map(|id| id.0));
        let mut tx = self.begin().await?;
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(tenant).bind(id).bind(&query.display_name);
        let total: i64 = count.bind(&query.external_id).bind(member).fetch_one(&mut *tx).await?;
        let page = sqlx::query(sqlx::AssertSqlSafe(page)).bind(tenant).bind(id).bind(&query.display_name);
        let page = page.bind(&query.external_id).bind(member).bind(slice.offset).bind(slice.count);
        let rows = page.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(Found { total, some: rows.iter().map(kept).collect::<Result<_, _>>()? })
    }

    /// A group, with its members where they are wanted.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_group(&self, id: ScimGroupId, wants_members: bool) -> Result<Option<KeptGroup>, StoreError> {
        let mut tx = self.begin().await?;
        let mut found = self.scim_group_find(&mut tx, id).await?;
        if let Some(group) = found.as_mut().filter(|_| wants_members) {
            group.members = Some(self.scim_group_members(&mut tx, id).await?);
        }
        tx.commit().await?;
        Ok(found)
    }

    /// Takes a group in, and its members for what it gives.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_group_create(&self, group: Group) -> Result<Result<KeptGroup, NotKept>, StoreError> {
        let (tenant, id) = (self.scope().tenant.0, ScimGroupId::generate());
        let mut tx = self.scim_begin().await?;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM scim_groups WHERE tenant_id = $1").bind(tenant).fetch_one(&mut *tx).await?;
        if count >= SCIM_GROUPS_MAX {
            return Ok(Err(NotKept::TooMany));
        }
        let insert = "INSERT INTO scim_groups (tenant_id, id, display_name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert).bind(tenant).bind(id.0).bind(&group.display_name);
        if insert.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Err(NotKept::Taken));
        }
        // With the first group the directory begins to decide about all of its people.
        self.scim_group_end(tx, id, group.steps(), Action::ScimGroupCreated, count == 0).await
    }

    /// Changes a group step by step. What is as it was writes nothing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_group_change(&self, id: ScimGroupId, steps: Vec<Step>) -> Result<Result<KeptGroup, NotKept>, StoreError> {
        let mut tx = self.scim_begin().await?;
        if self.scim_group_find(&mut tx, id).await?.is_none() {
            return Ok(Err(NotKept::Missing));
        }
        self.scim_group_end(tx, id, steps, Action::ScimGroupChanged, false).await
    }

    /// Takes a group away, and what it gave.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_group_remove(&self, id: ScimGroupId) -> Result<Result<(), NotKept>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.scim_begin().await?;
        let Some(group) = self.scim_group_find(&mut tx, id).await? else { return Ok(Err(NotKept::Missing)) };
        let delete =
            sqlx::query_scalar("DELETE FROM scim_group_members WHERE tenant_id = $1 AND group_id = $2 RETURNING scim_user_id");
        let members: Vec<Uuid> = delete.bind(tenant).bind(id.0).fetch_all(&mut *tx).await?;
        // Before the group itself: while it is there the directory decides, so that the last group takes away what it gave, too.
        self.scim_apply(&mut tx, Some(&members)).await?;
        sqlx::query("DELETE FROM scim_groups WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id.0).execute(&mut *tx).await?;
        let detail = serde_json::json!({"display_name": group.display_name, "members": members.len()}).to_string();
        audit_each(&mut tx, self.scope(), Action::ScimGroupRemoved, "scim_group", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    async fn scim_group_find(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimGroupId,
    ) -> Result<Option<KeptGroup>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM scim_groups g WHERE g.tenant_id = $1 AND g.id = $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).bind(id.0);
        query.fetch_optional(&mut **tx).await?.as_ref().map(kept).transpose()
    }

    async fn scim_group_members(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimGroupId,
    ) -> Result<Vec<(ScimUserId, String)>, StoreError> {
        let query = "SELECT u.id, u.user_name FROM scim_group_members m JOIN scim_users u ON u.tenant_id = m.tenant_id AND u.id = m.scim_user_id
             WHERE m.tenant_id = $1 AND m.group_id = $2 ORDER BY u.id";
        let rows: Vec<(Uuid, String)> = sqlx::query_as(query).bind(self.scope().tenant.0).bind(id.0).fetch_all(&mut **tx).await?;
        Ok(rows.into_iter().map(|(id, name)| (ScimUserId(id), name)).collect())
    }

    /// Does the steps, and what follows for whoever is in the group now or was before; all or nothing. `all`: for everybody of the directory.
    async fn scim_group_end(
        &self,
        mut tx: Transaction<'static, Postgres>,
        id: ScimGroupId,
        steps: Vec<Step>,
        action: Action,
        all: bool,
    ) -> Result<Result<KeptGroup, NotKept>, StoreError> {
        let mut done = Done::default();
        for step in steps {
            if let Err(refusal) = self.scim_group_step(&mut tx, id, step, &mut done).await? {
                return Ok(Err(refusal));
            }
        }
        let members: i64 = sqlx::query_scalar("SELECT count(*) FROM scim_group_members WHERE tenant_id = $1 AND group_id = $2")
            .bind(self.scope().tenant.0)
            .bind(id.0)
            .fetch_one(&mut *tx)
            .await?;
        if members > SCIM_MEMBERS_MAX {
            return Ok(Err(NotKept::TooMany));
        }
        if done.is_any() || action == Action::ScimGroupCreated {
            let touch = sqlx::query("UPDATE scim_groups SET changed_at = now() WHERE tenant_id = $1 AND id = $2");
            touch.bind(self.scope().tenant.0).bind(id.0).execute(&mut *tx).await?;
            let Done { is_renamed, added, removed, names } = &done;
            let detail = serde_json::json!({"names": names, "added": added.len(), "removed": removed.len(), "members": members});
            audit_each(&mut tx, self.scope(), action, "scim_group", &[id.0], &[Some(&detail.to_string())]).await?;
            let mut whom: Vec<Uuid> = added.iter().chain(removed).copied().collect();
            if *is_renamed {
                whom.extend(self.scim_group_members(&mut tx, id).await?.into_iter().map(|(member, _)| member.0));
            }
            self.scim_apply(&mut tx, (!all).then_some(whom.as_slice())).await?;
        }
        let Some(group) = self.scim_group_find(&mut tx, id).await? else { return Ok(Err(NotKept::Missing)) };
        tx.commit().await?;
        Ok(Ok(group))
    }

    async fn scim_group_step(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimGroupId,
        step: Step,
        done: &mut Done,
    ) -> Result<Result<(), NotKept>, StoreError> {
        let tenant = self.scope().tenant.0;
        match step {
            Step::DisplayName(name) => {
                let taken = "SELECT EXISTS (SELECT FROM scim_groups WHERE tenant_id = $1 AND id <> $2 AND lower(display_name) = lower($3))";
                if sqlx::query_scalar::<_, bool>(taken).bind(tenant).bind(id.0).bind(&name).fetch_one(&mut **tx).await? {
                    return Ok(Err(NotKept::Taken));
                }
                let set = "UPDATE scim_groups SET display_name = $3 WHERE tenant_id = $1 AND id = $2 AND display_name <> $3";
                let set = sqlx::query(set).bind(tenant).bind(id.0).bind(&name).execute(&mut **tx).await?;
                done.renamed(set.rows_affected(), Some(name));
            }
            Step::ExternalId(external) => {
                let set = "UPDATE scim_groups SET external_id = $3 WHERE tenant_id = $1 AND id = $2 AND external_id IS DISTINCT FROM $3";
                let set = sqlx::query(set).bind(tenant).bind(id.0).bind(&external).execute(&mut **tx).await?;
                done.renamed(set.rows_affected(), external);
            }
            Step::Add(members) => return self.scim_group_add(tx, id, &members, done).await,
            Step::Remove(members) => {
                let remove = "DELETE FROM scim_group_members WHERE tenant_id = $1 AND group_id = $2 AND scim_user_id = ANY ($3) RETURNING scim_user_id";
                let remove = sqlx::query_scalar::<_, Uuid>(remove).bind(tenant).bind(id.0).bind(uuids(&members));
                done.removed.extend(remove.fetch_all(&mut **tx).await?);
            }
            Step::Members(members) => {
                let remove = "DELETE FROM scim_group_members WHERE tenant_id = $1 AND group_id = $2 AND scim_user_id <> ALL ($3) RETURNING scim_user_id";
                let remove = sqlx::query_scalar::<_, Uuid>(remove).bind(tenant).bind(id.0).bind(uuids(&members));
                done.removed.extend(remove.fetch_all(&mut **tx).await?);
                return self.scim_group_add(tx, id, &members, done).await;
            }
        }
        Ok(Ok(()))
    }

    async fn scim_group_add(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimGroupId,
        members: &[ScimUserId],
        done: &mut Done,
    ) -> Result<Result<(), NotKept>, StoreError> {
        let tenant = self.scope().tenant.0;
        let unknown = "SELECT w.id FROM unnest($2::uuid[]) AS w (id) WHERE NOT EXISTS (SELECT FROM scim_users u WHERE u.tenant_id = $1 AND u.id = w.id) LIMIT 1";
        let unknown: Option<Uuid> =
            sqlx::query_scalar(unknown).bind(tenant).bind(uuids(members)).fetch_optional(&mut **tx).await?;
        if let Some(unknown) = unknown {
            return Ok(Err(NotKept::Refused(nobody(&ScimUserId(unknown).to_string()))));
        }
        let add = "INSERT INTO scim_group_members (tenant_id, group_id, scim_user_id) SELECT $1, $2, * FROM unnest($3::uuid[])
             ON CONFLICT DO NOTHING RETURNING scim_user_id";
        let add = sqlx::query_scalar::<_, Uuid>(add).bind(tenant).bind(id.0).bind(uuids(members));
        done.added.extend(add.fetch_all(&mut **tx).await?);
        Ok(Ok(()))
    }
}

fn uuids(members: &[ScimUserId]) -> Vec<Uuid> {
    members.iter().map(|member| member.0).collect()
}

/// What the steps have changed.
#[derive(Debug, Default)]
struct Done {
    is_renamed: bool,
    names: Vec<Option<String>>,
    added: Vec<Uuid>,
    removed: Vec<Uuid>,
}

impl Done {
    fn renamed(&mut self, rows: u64, name: Option<String>) {
        if rows > 0 {
            self.is_renamed = true;
            self.names.push(name);
        }
    }

    fn is_any(&self) -> bool {
        self.is_renamed || !self.added.is_empty() || !self.removed.is_empty()
    }
}
