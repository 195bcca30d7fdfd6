//! What a trial of a flow needs, loaded: its sides and the tenant's lookup tables. Nothing is changed and no vendor is called.

use connectors::Catalog;
use connectors::Connector;
use connectors::flow::FlowError;
use connectors::trial::{Side, Trial};
use domain::flow::FlowSpec;
use domain::id::LookupTableId;
use domain::mapping::Rules;
use domain::record::RecordKind;

use crate::lookup::{self, Tables};
use crate::postgres::flow::FlowVersion;
use crate::postgres::ledger::{ConnectionRow, TableVersion};
use crate::postgres::{StoreError, TenantStore};

/// The sides of a flow, with their connectors.
pub struct Sides {
    pub kind: RecordKind,
    /// The rules by which other flows that run read the same records.
    beside: Vec<Rules>,
    source: (ConnectionRow, &'static Connector),
    destination: (ConnectionRow, &'static Connector),
}

/// Why a flow cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the connector \"{0}\" is not part of this installation, or its files are broken")]
    Connector(String),
    #[error("the flow's connections are not there any more")]
    Connection,
    #[error("the version does not fit its connectors: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Version(Vec<FlowError>),
}

impl Sides {
    /// # Errors
    /// Where the database does not answer, or a side of the flow is gone.
    pub async fn load(store: &TenantStore<'_>, catalog: &'static Catalog, version: &FlowVersion) -> Result<Self, TrialError> {
        let rows = store.connection_rows(&[version.source.0, version.destination.0]).await?;
        let side = |id| {
            let row = rows.iter().find(|row| row.id == id).cloned().ok_or(TrialError::Connection)?;
            let connector = catalog.get(&row.connector).ok_or_else(|| TrialError::Connector(row.connector.clone()))?;
            Ok::<_, TrialError>((row, connector))
        };
        let beside = store.rules_beside(version).await?.into_iter().map(|(_, rules)| rules).collect();
        Ok(Self { kind: version.kind, beside, source: side(version.source)?, destination: side(version.destination)? })
    }

    /// A version between them.
    ///
    /// # Errors
    /// Where it does not fit.
    pub fn trial(&self, spec: &FlowSpec) -> Result<Trial<'_>, TrialError> {
        Trial::new(spec, &self.beside, self.kind, self.source(), self.destination()).map_err(TrialError::Version)
    }

    #[must_use]
    pub fn source(&self) -> Side<'_> {
        side(&self.source)
    }

    #[must_use]
    pub fn destination(&self) -> Side<'_> {
        side(&self.destination)
    }
}

fn side<'a>((row, connector): &'a (ConnectionRow, &'static Connector)) -> Side<'a> {
    Side { connection: row.id, name: &row.name, settings: &row.settings, connector }
}

/// The tenant's tables that a trial looks into, as they are now.
///
/// # Errors
/// Where the database does not answer.
pub async fn tables(store: &TenantStore<'_>, trial: &Trial<'_>) -> Result<Tables, StoreError> {
    lookup::load(store, &tables_used(store, trial).await?).await
}

/// Which those are, with their versions.
///
/// # Errors
/// Where the database does not answer.
pub async fn tables_used(store: &TenantStore<'_>, trial: &Trial<'_>) -> Result<Vec<(LookupTableId, i64)>, StoreError> {
    let plans = [trial.read_plan(), trial.write_plan()];
    let is_used = |name: &String| plans.iter().flatten().any(|plan| plan.tables().contains(name));
    let versions: Vec<TableVersion> = store.lookup_table_versions().await?;
    Ok(versions.into_iter().filter(|(_, name, _)| is_used(name)).map(|(id, _, version)| (id, version)).collect())
}
