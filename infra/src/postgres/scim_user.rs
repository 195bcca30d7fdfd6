//! The people of a tenant's directory: kept as it says, and made members as what their groups give. One change of a tenant's directory at a time, and each
//! in one transaction with what follows from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ScimUserId, UserId};
use domain::scim::{Refused, User, UserQuery};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::invitation::withdraw_of;
use super::receive::{audit_each, audit_told};
use super::{StoreError, TenantStore};

/// People of one directory.
pub const SCIM_USERS_MAX: i64 = 20_000;

/// A person that is kept.
#[derive(Debug, Clone)]
pub struct KeptUser {
    pub id: ScimUserId,
    pub user: User,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    account: UserId,
}

/// Why what the directory says is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKept {
    Missing,
    /// The name, or the account of the address, is another user's of this directory.
    Taken,
    /// The tenant has not proven the domain of this address.
    DomainNotProven(String),
    /// Neither an address nor a user name that is one.
    NoAddress,
    /// An owner, and the provider's table makes none.
    Owner,
    LastOwner,
    TooMany,
    Refused(Refused),
}

impl NotKept {
    /// What the tenant is told: not what only a program needs to know.
    fn word(&self) -> Option<&'static str> {
        match self {
            Self::DomainNotProven(_) => Some("domain_not_proven"),
            Self::Owner => Some("owner"),
            Self::LastOwner => Some("last_owner"),
            Self::TooMany => Some("too_many"),
            Self::Missing | Self::Taken | Self::NoAddress | Self::Refused(_) => None,
        }
    }
}

/// Some of a list, and how many there are in all.
#[derive(Debug)]
pub struct Found<T> {
    pub total: i64,
    pub some: Vec<T>,
}

/// Where in a list, from 0 on, and how many of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slice {
    pub offset: i64,
    pub count: i64,
}

const COLUMNS: &str =
    "id, user_id, user_name, external_id, display_name, given_name, family_name, email, is_active, created_at, changed_at";

fn kept(row: &PgRow) -> Result<KeptUser, StoreError> {
    Ok(KeptUser {
        id: ScimUserId(row.try_get("id")?),
        user: User {
            user_name: row.try_get("user_name")?,
            external_id: row.try_get("external_id")?,
            display_name: row.try_get("display_name")?,
            given_name: row.try_get("given_name")?,
            family_name: row.try_get("family_name")?,
            email: row.try_get("email")?,
            is_active: row.try_get("is_active")?,
        },
        created_at: row.try_get("created_at")?,
        changed_at: row.try_get("changed_at")?,
        account: UserId(row.try_get("user_id")?),
    })
}

impl TenantStore<'_> {
    /// People of the directory that fit, by age.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_users(&self, query: &UserQuery, slice: Slice) -> Result<Found<KeptUser>, StoreError> {
        let id: Option<Option<ScimUserId>> = query.id.as_ref().map(|id| id.parse().ok());
        if id == Some(None) {
            return Ok(Found { total: 0, some: vec![] });
        }
        let fits = "tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::text IS NULL OR lower(user_name) = lower($3))
             AND ($4::text IS NULL OR external_id = $4) AND ($5::text IS NULL OR lower(email) = lower($5)) AND ($6::boolean IS NULL OR is_active = $6)";
        let (count, page) = (
            format!("SELECT count(*) FROM scim_users WHERE {fits}"),
            format!("SELECT {COLUMNS} FROM scim_users WHERE {fits} ORDER BY id OFFSET $7 LIMIT $8"),
        );
        let (tenant, id) = (self.scope().tenant.0, id.flatten().map(|id| id.0));
        let mut tx = self.begin().await?;
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).bind(tenant).bind(id).bind(&query.user_name);
        let count = count.bind(&query.external_id).bind(&query.email).bind(query.is_active);
        let total: i64 = count.fetch_one(&mut *tx).await?;
        let page = sqlx::query(sqlx::AssertSqlSafe(page)).bind(tenant).bind(id).bind(&query.user_name);
        let page = page.bind(&query.external_id).bind(&query.email).bind(query.is_active).bind(slice.offset).bind(slice.count);
        let rows = page.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(Found { total, some: rows.iter().map(kept).collect::<Result<_, _>>()? })
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_user(&self, id: ScimUserId) -> Result<Option<KeptUser>, StoreError> {
        let mut tx = self.begin().await?;
        let found = self.scim_user_find(&mut tx, id).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Takes somebody in. `nobodys` is the hash of a password that nobody knows, for an account that is new.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_user_create(&self, user: &User, nobodys: &str) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let mut tx = self.scim_begin().await?;
        let made = self.scim_user_insert(&mut tx, user, nobodys).await?;
        self.scim_end(tx, made, user).await
    }

    /// Changes somebody to what `change` makes of them. What is as it was writes nothing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_user_change(
        &self,
        id: ScimUserId,
        change: impl FnOnce(&User) -> Result<User, Refused>,
    ) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let mut tx = self.scim_begin().await?;
        let Some(before) = self.scim_user_find(&mut tx, id).await? else { return Ok(Err(NotKept::Missing)) };
        let user = match change(&before.user) {
            Ok(user) if user == before.user => return Ok(Ok(before)),
            Ok(user) => user,
            Err(refused) => return Ok(Err(NotKept::Refused(refused))),
        };
        let changed = self.scim_user_update(&mut tx, &before, &user).await?;
        self.scim_end(tx, changed, &user).await
    }

    /// Takes somebody out of the directory, and so out of the tenant. Their account stays: it is theirs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_user_remove(&self, id: ScimUserId) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let mut tx = self.scim_begin().await?;
        let Some(before) = self.scim_user_find(&mut tx, id).await? else { return Ok(Err(NotKept::Missing)) };
        let user = User { is_active: false, ..before.user.clone() };
        let removed = self.scim_user_delete(&mut tx, &before).await?;
        self.scim_end(tx, removed, &user).await
    }

    async fn scim_user_find(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimUserId,
    ) -> Result<Option<KeptUser>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM scim_users WHERE tenant_id = $1 AND id = $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).bind(id.0);
        query.fetch_optional(&mut **tx).await?.as_ref().map(kept).transpose()
    }

    async fn scim_user_insert(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        user: &User,
        nobodys: &str,
    ) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let Some(address) = user.address() else { return Ok(Err(NotKept::NoAddress)) };
        let count =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM scim_users WHERE tenant_id = $1").bind(self.scope().tenant.0);
        if count.fetch_one(&mut **tx).await? >= SCIM_USERS_MAX {
            return Ok(Err(NotKept::TooMany));
        }
        let account = sqlx::query_scalar("SELECT scim_account($1, $2, $3, $4)").bind(address).bind(user.full_name());
        let account: Option<Uuid> = account.bind(UserId::generate().0).bind(nobodys).fetch_one(&mut **tx).await?;
        let Some(account) = account else { return Ok(Err(NotKept::DomainNotProven(address.to_owned()))) };
        let insert = format!(
            "INSERT INTO scim_users (tenant_id, id, user_id, user_name, external_id, display_name, given_name, family_name, email, is_active)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(self.scope().tenant.0).bind(ScimUserId::generate().0);
        let insert = insert.bind(account).bind(&user.user_name).bind(&user.external_id).bind(&user.display_name);
        let insert = insert.bind(&user.given_name).bind(&user.family_name).bind(&user.email).bind(user.is_active);
        let Some(row) = insert.fetch_optional(&mut **tx).await? else { return Ok(Err(NotKept::Taken)) };
        let made = kept(&row)?;
        self.scim_user_tell(tx, Action::ScimUserCreated, &made, &[]).await?;
        Ok(self.scim_apply_one(tx, made.id).await?.map(|()| made))
    }

    async fn scim_user_update(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        before: &KeptUser,
        user: &User,
    ) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let Some(address) = user.address() else { return Ok(Err(NotKept::NoAddress)) };
        // The account stays whose it is: another address is only what the directory says. It says that of its own domains.
        if before.user.address() != Some(address) {
            let may_say = sqlx::query_scalar::<_, bool>("SELECT scim_may_say($1)").bind(address);
            if !may_say.fetch_one(&mut **tx).await? {
                return Ok(Err(NotKept::DomainNotProven(address.to_owned())));
            }
        }
        let taken = "SELECT EXISTS (SELECT FROM scim_users WHERE tenant_id = $1 AND id <> $2 AND lower(user_name) = lower($3))";
        let taken = sqlx::query_scalar::<_, bool>(taken).bind(self.scope().tenant.0).bind(before.id.0).bind(&user.user_name);
        if taken.fetch_one(&mut **tx).await? {
            return Ok(Err(NotKept::Taken));
        }
        let update = format!(
            "UPDATE scim_users SET user_name = $3, external_id = $4, display_name = $5, given_name = $6, family_name = $7, email = $8,
                 is_active = $9, changed_at = now() WHERE tenant_id = $1 AND id = $2 RETURNING {COLUMNS}"
        );
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(self.scope().tenant.0).bind(before.id.0).bind(&user.user_name);
        let update = update.bind(&user.external_id).bind(&user.display_name).bind(&user.given_name).bind(&user.family_name);
        let row = update.bind(&user.email).bind(user.is_active).fetch_one(&mut **tx).await?;
        let changed = kept(&row)?;
        self.scim_user_tell(tx, Action::ScimUserChanged, &changed, &differing(&before.user, user)).await?;
        Ok(self.scim_apply_one(tx, changed.id).await?.map(|()| changed))
    }

    async fn scim_user_delete(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        before: &KeptUser,
    ) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let tenant = self.scope().tenant.0;
        let leave = sqlx::query("UPDATE scim_users SET is_active = false WHERE tenant_id = $1 AND id = $2");
        leave.bind(tenant).bind(before.id.0).execute(&mut **tx).await?;
        if let Err(refusal) = self.scim_apply_one(tx, before.id).await? {
            return Ok(Err(refusal));
        }
        let delete = sqlx::query("DELETE FROM scim_users WHERE tenant_id = $1 AND id = $2");
        delete.bind(tenant).bind(before.id.0).execute(&mut **tx).await?;
        self.scim_user_tell(tx, Action::ScimUserRemoved, before, &[]).await?;
        Ok(Ok(before.clone()))
    }

    async fn scim_user_tell(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        action: Action,
        kept: &KeptUser,
        changed: &[&str],
    ) -> Result<(), StoreError> {
        let KeptUser { user, account, .. } = kept;
        let mut detail = serde_json::json!({"user": account, "user_name": user.user_name, "external_id": user.external_id, "active": user.is_active});
        if !changed.is_empty() {
            detail["changed"] = serde_json::json!(changed);
        }
        audit_each(tx, self.scope(), action, "scim_user", &[kept.id.0], &[Some(&detail.to_string())]).await
    }

    /// A transaction for a change of the directory: one of a tenant at a time, and none beside a change of its members or its provider.
    pub(super) async fn scim_begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(self.scope().tenant.0).execute(&mut *tx).await?;
        Ok(tx)
    }

    /// Keeps what was done; of what was refused nothing but that it was, where the tenant has to know.
    async fn scim_end(
        &self,
        tx: Transaction<'static, Postgres>,
        done: Result<KeptUser, NotKept>,
        user: &User,
    ) -> Result<Result<KeptUser, NotKept>, StoreError> {
        let Err(refusal) = &done else {
            tx.commit().await?;
            return Ok(done);
        };
        tx.rollback().await?;
        if let Some(word) = refusal.word() {
            let tenant = self.scope().tenant.0;
            let detail = serde_json::json!({"reason": word, "user_name": user.user_name, "email": user.address(), "active": user.is_active});
            let mut tx = self.begin().await?;
            audit_each(&mut tx, self.scope(), Action::ScimRefused, "tenant", &[tenant], &[Some(&detail.to_string())]).await?;
            tx.commit().await?;
        }
        Ok(done)
    }

    /// What follows for one person, who may be an owner that stays.
    async fn scim_apply_one(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ScimUserId,
    ) -> Result<Result<(), NotKept>, StoreError> {
        Ok(match self.scim_apply(tx, Some(&[id.0])).await?.as_deref() {
            Some("owner") => Err(NotKept::Owner),
            Some("last_owner") => Err(NotKept::LastOwner),
            _ => Ok(()),
        })
    }

    /// Makes these people of the directory, or all, members as what their groups give, and tells it. Gives why the last of those who stay owners does.
    pub(super) async fn scim_apply(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        whom: Option<&[Uuid]>,
    ) -> Result<Option<String>, StoreError> {
        let query = sqlx::query("SELECT user_id, was, role, outcome FROM scim_apply($1)").bind(whom);
        let rows = query.fetch_all(&mut **tx).await?;
        let mut kept_owner = None;
        let mut told: BTreeMap<&str, Told> = BTreeMap::new();
        for row in &rows {
            let (user, outcome): (Uuid, String) = (row.try_get("user_id")?, row.try_get("outcome")?);
            let (was, role): (Option<String>, Option<String>) = (row.try_get("was")?, row.try_get("role")?);
            let (action, detail) = match outcome.as_str() {
                "joined" => (Action::MemberJoined, serde_json::json!({"by": "scim", "role": role})),
                "changed" => (Action::MemberRoleSet, serde_json::json!({"by": "scim", "from": was, "to": role})),
                "removed" => (Action::MemberRemoved, serde_json::json!({"by": "scim", "role": was})),
                _ => {
                    let detail = serde_json::json!({"by": "scim", "reason": outcome, "role": was, "to": role});
                    kept_owner = Some(outcome);
                    (Action::ScimRefused, detail)
                }
            };
            let told = told.entry(action.as_str()).or_insert_with(|| Told { action, users: vec![], details: vec![] });
            told.users.push(user);
            told.details.push(detail.to_string());
        }
        for Told { action, users, details } in told.into_values() {
            audit_told(tx, self.scope(), action, "user", &users, &details).await?;
            if matches!(action, Action::MemberRoleSet | Action::MemberRemoved) {
                withdraw_of(tx, self.scope(), &users).await?;
            }
        }
        Ok(kept_owner)
    }
}

/// What happened to some people in the same way, told at once: a group may have thousands.
struct Told {
    action: Action,
    users: Vec<Uuid>,
    details: Vec<String>,
}

/// The names of what is another now.
fn differing(before: &User, after: &User) -> Vec<&'static str> {
    let compared = [
        ("userName", before.user_name == after.user_name),
        ("externalId", before.external_id == after.external_id),
        ("displayName", before.display_name == after.display_name),
        ("name.givenName", before.given_name == after.given_name),
        ("name.familyName", before.family_name == after.family_name),
        ("emails", before.email == after.email),
        ("active", before.is_active == after.is_active),
    ];
    compared.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}
