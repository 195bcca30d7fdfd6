//! Recipes: what documents and requests were made with, and the files of the connectors that made them.

use std::collections::HashMap;
use std::io::{Read, Write};

use connectors::Connector;
use domain::id::RecipeId;
use domain::recipe::Recipe;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

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

    /// # Errors
    /// Where the database does not answer.
    pub async fn recipe_find(&self, id: RecipeId) -> Result<Option<Recipe>, StoreError> {
        let mut tx = self.begin().await?;
        let content: Option<serde_json::Value> =
            sqlx::query_scalar("SELECT content FROM recipes WHERE tenant_id = $1 AND id = $2")
                .bind(self.scope().tenant.0)
                .bind(id.0)
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        let corrupt =
            |error: serde_json::Error| StoreError::Corrupt { what: "the recipe", id: id.to_string(), why: error.to_string() };
        content.map(serde_json::from_value).transpose().map_err(corrupt)
    }
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
