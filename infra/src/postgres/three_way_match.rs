//! Three-way matches: which records changed, the documents of an order, and the exceptions that say what disagrees. The order's documents are
//! read and what was found of them is written in one transaction that no other comparison of that order runs beside.

use std::collections::HashSet;

use domain::audit::Action;
use domain::exception::Reason;
use domain::id::{ConnectionId, RecordId, TenantId};
use domain::record::RecordKind;
use domain::search_key;
use domain::three_way_match::{Compared, MatchPolicy, Mismatch};
use domain::value::{Limits, Value};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::exception::{self, Subject};
use super::receive::audit;
use super::related::{KnownAs, RELATED_MAX, order_of, referring};
use super::{Store, StoreError, TenantStore};

/// What exceptions of this check are told apart from others by.
const CHECK: &str = "three_way_match";
/// How long a shipment or an invoice waits for its order, which may come later: twice as long each time, up to a day, and this often.
const TRIES_MAX: i32 = 20;
const WAIT_MIN_S: f64 = 30.0;
const WAIT_MAX_S: f64 = 24.0 * 60.0 * 60.0;
/// Records that are compared anew when a policy is set: those of the last days.
const AGAIN_DAYS: i32 = 30;
const AGAIN_MAX: i64 = 10_000;

/// A record that changed, leased to whoever took it.
#[derive(Debug, Clone, Copy)]
pub struct MatchDue {
    pub record: RecordId,
    /// How often it was asked for: what was asked again meanwhile stays due.
    pub asked: i64,
}

/// An order with its documents as they are now; nobody else compares it until this ends.
pub struct Matching<'a> {
    tx: Transaction<'static, Postgres>,
    store: TenantStore<'a>,
    due: MatchDue,
    order: RecordId,
    connection: ConnectionId,
    pub policy: MatchPolicy,
    pub document: Value,
    pub shipments: Vec<Value>,
    pub invoices: Vec<Value>,
}

impl Store {
    /// Records of any tenant whose order is to be compared, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn match_dues_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, MatchDue)>, StoreError> {
        let rows = sqlx::query("SELECT tenant_id, record_id, asked FROM match_dues_take($1, make_interval(secs => $2))");
        let rows = rows.bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        rows.into_iter()
            .map(|row| {
                let due = MatchDue { record: RecordId(row.try_get("record_id")?), asked: row.try_get("asked")? };
                Ok((TenantId(row.try_get("tenant_id")?), due))
            })
            .collect()
    }
}

impl<'a> TenantStore<'a> {
    /// The order of a record that is due, with all that belongs to it. `None` where there is nothing to compare: no policy, or no order yet,
    /// which is then waited for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn match_begin(&self, due: MatchDue) -> Result<Option<Matching<'a>>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        // Held until this comparison is written: who takes the policy away waits for it, and closes what it finds.
        sqlx::query("SELECT FROM match_policies WHERE tenant_id = $1 FOR KEY SHARE").bind(tenant).execute(&mut *tx).await?;
        let Some(policy) = policy(&mut tx, tenant).await? else {
            done(&mut tx, due).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let Some(order) = order(&mut tx, tenant, due.record).await? else {
            // It may come later than what belongs to it. Of what nobody asked again meanwhile.
            sqlx::query(
                "UPDATE match_dues SET due_at = now() + make_interval(secs => least($3 * 2 ^ least(tries, 30), $4))
                 WHERE record_id = $1 AND asked = $2",
            )
            .bind(due.record.0)
            .bind(due.asked)
            .bind(WAIT_MIN_S)
            .bind(WAIT_MAX_S)
            .execute(&mut *tx)
            .await?;
            sqlx::query("DELETE FROM match_dues WHERE record_id = $1 AND asked = $2 AND tries >= $3")
                .bind(due.record.0)
                .bind(due.asked)
                .bind(TRIES_MAX)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(None);
        };
        // One comparison of an order at a time: of two that read at different moments, the later reader must be the later writer.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('crossdock.match.' || $1::text, 0))")
            .bind(order)
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(
            "SELECT r.connection_id, r.number, v.document FROM records r
             JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id WHERE r.id = $1",
        );
        let Some(row) = row.bind(order).fetch_optional(&mut *tx).await? else {
            done(&mut tx, due).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let number: Option<String> = row.try_get("number")?;
        let mut matching = Matching {
            store: *self,
            due,
            order: RecordId(order),
            connection: ConnectionId(row.try_get("connection_id")?),
            policy,
            document: parsed(row.try_get("document")?),
            shipments: vec![],
            invoices: vec![],
            tx,
        };
        let related = referring(&mut matching.tx, tenant, order, number.as_deref()).await?;
        if i64::try_from(related.len()).unwrap_or(i64::MAX) >= RELATED_MAX {
            // Of more documents than are read nobody can say that something is missing.
            done(&mut matching.tx, due).await?;
            matching.tx.commit().await?;
            return Ok(None);
        }
        let known = KnownAs::load(&mut matching.tx, order, number.as_deref()).await?;
        matching.read(&known, &related.into_iter().map(|(id, _)| id).collect::<Vec<_>>()).await?;
        Ok(Some(matching))
    }

    /// The tenant's policy; `None` where nothing is compared.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn match_policy(&self) -> Result<Option<MatchPolicy>, StoreError> {
        let mut tx = self.begin().await?;
        let policy = policy(&mut tx, self.scope().tenant.0).await?;
        tx.commit().await?;
        Ok(policy)
    }

    /// Sets what is compared and what is let pass, and compares what came in the last 30 days anew, at most 10,000 shipments and invoices.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn match_policy_set(&self, policy: &MatchPolicy) -> Result<(), StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO match_policies (tenant_id, policy) VALUES ($1, $2)
             ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy, changed_at = now()",
        )
        .bind(tenant)
        .bind(serde_json::to_value(policy).expect("a policy is plain data"))
        .execute(&mut *tx)
        .await?;
        // Leans on records_list, by the time within the ids.
        sqlx::query(
            "INSERT INTO match_dues AS d (tenant_id, record_id)
             SELECT $1, r.id FROM records r
             WHERE r.tenant_id = $1 AND r.id >= uuid7_floor(now() - make_interval(days => $2)) AND r.kind IN ('shipment', 'invoice')
             ORDER BY r.id DESC LIMIT $3
             ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, tries = 0, due_at = now()",
        )
        .bind(tenant)
        .bind(AGAIN_DAYS)
        .bind(AGAIN_MAX)
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::MatchPolicySet, "tenant", &[tenant]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Compares nothing any more, and closes what was found and is open, because nobody else would. Returns how many; `None` where nothing is compared.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn match_policy_remove(&self) -> Result<Option<usize>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let removed = sqlx::query("DELETE FROM match_policies WHERE tenant_id = $1").bind(tenant).execute(&mut *tx).await?;
        if removed.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("DELETE FROM match_dues WHERE tenant_id = $1").bind(tenant).execute(&mut *tx).await?;
        let open = "SELECT id FROM exceptions WHERE tenant_id = $1 AND check_kind = $2 AND state = 'open'";
        let open: Vec<Uuid> = sqlx::query_scalar(open).bind(tenant).bind(CHECK).fetch_all(&mut *tx).await?;
        exception::resolve(&mut tx, self.scope(), &open, "Orders are not compared any more").await?;
        audit(&mut tx, self.scope(), Action::MatchPolicyRemoved, "tenant", &[tenant]).await?;
        tx.commit().await?;
        Ok(Some(open.len()))
    }
}

impl Matching<'_> {
    /// The shipments and invoices among these records. What came back from where we had sent it is the same thing once more: it is known there
    /// by the id of ours. So is a second document of the same number from elsewhere.
    async fn read(&mut self, known: &KnownAs, related: &[Uuid]) -> Result<(), StoreError> {
        // Leans on the primary keys of all three.
        let rows = sqlx::query(
            "SELECT r.kind, r.number, r.connection_id, v.document FROM records r
             JOIN external_ids e ON e.connection_id = r.connection_id AND e.kind = r.kind AND e.value = r.source_id AND e.record_id = r.id
             JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id
             WHERE r.id = ANY($1) AND r.kind IN ('shipment', 'invoice') ORDER BY r.id",
        );
        let mut seen: HashSet<(RecordKind, String)> = HashSet::new();
        for row in rows.bind(related).fetch_all(&mut *self.tx).await? {
            let Some(kind) = RecordKind::parse(row.try_get("kind")?) else { continue };
            let document = parsed(row.try_get("document")?);
            if !known.is_meant_by(ConnectionId(row.try_get("connection_id")?), &search_key::of(kind, &document)) {
                continue;
            }
            let number: Option<String> = row.try_get("number")?;
            if number.is_some_and(|number| !seen.insert((kind, number.to_lowercase()))) {
                continue;
            }
            let documents = if kind == RecordKind::Shipment { &mut self.shipments } else { &mut self.invoices };
            documents.push(document);
        }
        Ok(())
    }

    /// Opens an exception for each mismatch that is new, and closes those of the order that are not found any more. One that a person decided to
    /// leave stays so, as long as it says the same.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the record stays due.
    pub async fn finish(mut self, compared: &Compared) -> Result<(), StoreError> {
        let (scope, found) = (self.store.scope(), &compared.mismatches);
        let rows = sqlx::query(
            "SELECT id, state, sentence FROM exceptions WHERE record_id = $1 AND check_kind = $2 AND state IN ('open', 'ignored')",
        );
        let (mut told, mut over) = (HashSet::new(), Vec::new());
        for row in rows.bind(self.order.0).bind(CHECK).fetch_all(&mut *self.tx).await? {
            let (state, sentence): (String, String) = (row.try_get("state")?, row.try_get("sentence")?);
            let is_found = found.iter().any(|mismatch| mismatch.sentence == sentence);
            if is_found {
                told.insert(sentence);
            } else if state == "open" {
                over.push(row.try_get::<Uuid, _>("id")?);
            }
        }
        let reasons: Vec<Reason> =
            found.iter().filter(|mismatch| !told.contains(&mismatch.sentence)).map(Mismatch::reason).collect();
        let subject = Subject::Record { record: self.order, connection: self.connection, check: CHECK };
        exception::open(&mut self.tx, scope, &reasons.iter().map(|reason| (subject, reason)).collect::<Vec<_>>()).await?;
        exception::resolve(&mut self.tx, scope, &over, "The documents do not say that any more").await?;
        match compared.again_at {
            // Of what nobody asked again meanwhile.
            Some(at) => {
                let later = sqlx::query("UPDATE match_dues SET due_at = $3, tries = 0 WHERE record_id = $1 AND asked = $2");
                later.bind(self.due.record.0).bind(self.due.asked).bind(at).execute(&mut *self.tx).await?;
            }
            None => done(&mut self.tx, self.due).await?,
        }
        self.tx.commit().await?;
        Ok(())
    }
}

/// Asks for the comparison of the orders that these exceptions are about, once more.
pub(super) async fn again(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    exceptions: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO match_dues AS d (tenant_id, record_id)
         SELECT DISTINCT $1::uuid, e.record_id FROM exceptions e WHERE e.id = ANY($2) AND e.check_kind = $3
         ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, tries = 0, due_at = now()",
    )
    .bind(tenant.0)
    .bind(exceptions)
    .bind(CHECK)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn done(tx: &mut Transaction<'static, Postgres>, due: MatchDue) -> Result<(), StoreError> {
    let done = sqlx::query("DELETE FROM match_dues WHERE record_id = $1 AND asked = $2");
    done.bind(due.record.0).bind(due.asked).execute(&mut **tx).await?;
    Ok(())
}

async fn policy(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<Option<MatchPolicy>, StoreError> {
    let policy: Option<serde_json::Value> = sqlx::query_scalar("SELECT policy FROM match_policies WHERE tenant_id = $1")
        .bind(tenant)
        .fetch_optional(&mut **tx)
        .await?;
    let corrupt = |error: serde_json::Error| StoreError::Corrupt {
        what: "the match policy",
        id: TenantId(tenant).to_string(),
        why: error.to_string(),
    };
    policy.map(|json| serde_json::from_value(json).map_err(corrupt)).transpose()
}

/// The order that a record is, or belongs to.
async fn order(tx: &mut Transaction<'static, Postgres>, tenant: Uuid, record: RecordId) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query(
        "SELECT r.kind, r.connection_id, v.document FROM records r
         JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id WHERE r.id = $1",
    );
    let Some(row) = row.bind(record.0).fetch_optional(&mut **tx).await? else { return Ok(None) };
    match RecordKind::parse(row.try_get("kind")?) {
        Some(RecordKind::Order | RecordKind::PurchaseOrder) => Ok(Some(record.0)),
        Some(kind) => {
            let keys = search_key::of(kind, &parsed(row.try_get("document")?));
            order_of(tx, tenant, ConnectionId(row.try_get("connection_id")?), &keys).await
        }
        None => Ok(None),
    }
}

/// A stored document; one that cannot be read says nothing.
fn parsed(document: String) -> Value {
    Value::parse(document.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null)
}
