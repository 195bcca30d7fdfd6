//! Recipes: what documents and requests were made with, and the files of the connectors that made them.

use std::collections::HashMap;
use std::io::{Read, Write};

use chrono::{DateTime, Utc};
use connectors::Connector;
use domain::id::{AttemptId, ConnectionId, DeliveryId, FlowId, RecipeId, RecordId};
use domain::recipe::Recipe;
use domain::record::RecordKind;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::revision::RevisionRow;
use super::{Store, StoreError, TenantStore};

/// Of one connector's files; the largest has a tenth of it.
const FILES_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl TenantStore<'_> {
    /// Writes a recipe down, once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn recipe_keep(&self, recipe: &Recipe) -> Result<RecipeId, StoreError> {
        let id = recipe.id();
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO recipes (tenant_id, id, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(self.scope().tenant.0)
            .bind(id.0)
            .bind(serde_json::to_value(recipe).expect("a recipe is plain data"))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(id)
    }
}

/// What was sent, and all that it was made of.
#[derive(Debug, Clone)]
pub struct Sent {
    pub delivery: DeliveryId,
    pub kind: RecordKind,
    pub request: Vec<u8>,
    /// What was known of the destination, as JSON.
    pub inputs: Option<String>,
    pub recipe: Option<Recipe>,
    pub source: ConnectionId,
    pub source_connector: String,
    pub destination: ConnectionId,
    pub flow: FlowId,
    pub revision: RevisionRow,
    pub sent_at: DateTime<Utc>,
}

/// A revision of a record, and the message it was read from.
#[derive(Debug, Clone)]
pub struct ReadFrom {
    pub kind: RecordKind,
    pub document: String,
    pub recipe: Option<Recipe>,
    pub source: ConnectionId,
    pub body: Vec<u8>,
    pub received_at: DateTime<Utc>,
}

impl TenantStore<'_> {
    /// A write that was sent; `None` for any other attempt.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sent(&self, attempt: AttemptId) -> Result<Option<Sent>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT a.delivery_id, a.request, a.inputs, a.started_at, p.content, r.kind, r.connection_id AS source, c.connector, d.connection_id,
                    d.flow_id, d.record_id, r.source_id, r.number, d.revision, v.document, v.unbalanced, d.origin_at
             FROM attempts a
             JOIN deliveries d ON d.id = a.delivery_id
             JOIN records r ON r.id = d.record_id
             JOIN connections c ON c.id = r.connection_id
             JOIN record_revisions v ON v.tenant_id = a.tenant_id AND v.id = d.revision_id
             LEFT JOIN recipes p ON p.tenant_id = a.tenant_id AND p.id = a.recipe_id
             WHERE a.tenant_id = $1 AND a.id = $2 AND a.kind IN ('write', 'update', 'action')",
        )
        .bind(self.scope().tenant.0)
        .bind(attempt.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Sent {
            delivery: DeliveryId(row.try_get("delivery_id")?),
            kind: kind(&row)?,
            request: row.try_get("request")?,
            inputs: row.try_get("inputs")?,
            recipe: content(&row)?,
            source: ConnectionId(row.try_get("source")?),
            source_connector: row.try_get("connector")?,
            destination: ConnectionId(row.try_get("connection_id")?),
            flow: FlowId(row.try_get("flow_id")?),
            revision: RevisionRow::read(&row)?,
            sent_at: row.try_get("started_at")?,
        }))
    }

    /// A revision of a record, with the message it was read from.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn read_from(&self, record: RecordId, revision: i32) -> Result<Option<ReadFrom>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT r.kind, v.document, p.content, r.connection_id AS source, coalesce(m.fetched, m.body) AS body, m.received_at
             FROM records r
             JOIN record_revisions v ON v.record_id = r.id AND v.revision = $3
             JOIN messages m ON m.tenant_id = r.tenant_id AND m.id = v.message_id
             LEFT JOIN recipes p ON p.tenant_id = r.tenant_id AND p.id = v.recipe_id
             WHERE r.tenant_id = $1 AND r.id = $2",
        )
        .bind(self.scope().tenant.0)
        .bind(record.0)
        .bind(revision)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ReadFrom {
            kind: kind(&row)?,
            document: row.try_get("document")?,
            recipe: content(&row)?,
            source: ConnectionId(row.try_get("source")?),
            body: row.try_get("body")?,
            received_at: row.try_get("received_at")?,
        }))
    }
}

fn kind(row: &PgRow) -> Result<RecordKind, StoreError> {
    let kind: &str = row.try_get("kind")?;
    RecordKind::parse(kind).ok_or_else(|| StoreError::Corrupt {
        what: "the kind",
        id: kind.to_owned(),
        why: "there is no such kind".into(),
    })
}

fn content(row: &PgRow) -> Result<Option<Recipe>, StoreError> {
    let content: Option<serde_json::Value> = row.try_get("content")?;
    let corrupt =
        |error: serde_json::Error| StoreError::Corrupt { what: "the recipe", id: String::new(), why: error.to_string() };
    content.map(serde_json::from_value).transpose().map_err(corrupt)
}

impl Store {
    /// Keeps the files of a connector as they are now, once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connector_keep(&self, connector: &Connector) -> Result<(), StoreError> {
        let corrupt = |why: String| StoreError::Corrupt { what: "the connector", id: connector.name().to_owned(), why };
        let json = serde_json::to_vec(&connector.sources()).map_err(|error| corrupt(error.to_string()))?;
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&json).map_err(|error| corrupt(error.to_string()))?;
        let files = deflate.finish().map_err(|error| corrupt(error.to_string()))?;
        sqlx::query("INSERT INTO connector_versions (name, hash, files) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(connector.name())
            .bind(connector.hash().0.as_slice())
            .bind(files)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// A connector as it was, of a name and the hash in hexadecimal digits.
    ///
    /// # Errors
    /// Where the database does not answer, or the files cannot be read by this build.
    pub async fn connector_as_it_was(&self, name: &str, hash: &str) -> Result<Option<Connector>, StoreError> {
        let query = sqlx::query_scalar("SELECT files FROM connector_versions WHERE name = $1 AND encode(hash, 'hex') = $2");
        let Some(files): Option<Vec<u8>> = query.bind(name).bind(hash).fetch_optional(self.pool()).await? else {
            return Ok(None);
        };
        let corrupt = |why: String| StoreError::Corrupt { what: "the connector", id: format!("{name} {hash}"), why };
        let mut json = Vec::new();
        let mut inflate = DeflateDecoder::new(files.as_slice()).take(FILES_BYTES_MAX);
        inflate.read_to_end(&mut json).map_err(|error| corrupt(error.to_string()))?;
        let files: HashMap<String, String> = serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))?;
        Connector::from_files(name, files).map(Some).map_err(|errors| corrupt(errors.to_string()))
    }
}
