//! What a tenant has, as the API tells it.

use domain::flow::{FlowSpec, FlowState, Gates};
use domain::lookup_table::TableKind;
use domain::record::RecordKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ApiError, read};

/// A connection, by what tells it apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connection {
    pub id: String,
    pub name: String,
    pub connector: String,
}

/// A flow as it is there.
#[derive(Debug, Clone)]
pub struct FlowThere {
    pub id: String,
    pub name: String,
    pub kind: RecordKind,
    pub gates: Gates,
    pub source: Connection,
    pub destination: Connection,
    pub newest: Option<VersionThere>,
    pub published: Option<VersionThere>,
}

#[derive(Debug, Clone)]
pub struct VersionThere {
    pub id: String,
    pub version: i32,
    pub state: FlowState,
    pub note: String,
    pub is_approved: bool,
    pub spec: FlowSpec,
}

/// A lookup table without its entries.
#[derive(Debug, Clone)]
pub struct TableThere {
    pub id: String,
    pub name: String,
    pub kind: TableKind,
    pub inverts: bool,
    pub version: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlowNode {
    id: String,
    name: String,
    record_kind: RecordKind,
    needs_approval: bool,
    needs_replay: bool,
    source: Connection,
    destination: Connection,
    newest: Option<VersionNode>,
    published: Option<VersionNode>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionNode {
    id: String,
    version: i32,
    state: FlowState,
    note: String,
    approved_at: Option<String>,
    filter: Option<String>,
    source_mapping: Value,
    mapping: Value,
    policy: Value,
    trigger: Value,
}

#[derive(Deserialize)]
pub(super) struct TableNode {
    id: String,
    name: String,
    kind: String,
    inverts: bool,
    version: i64,
}

/// What is asked of a flow.
pub(super) const FLOW: &str =
    "fragment v on FlowVersion { id version state note approvedAt filter sourceMapping mapping policy trigger }
fragment f on Flow { id name recordKind needsApproval needsReplay source { id name connector } destination { id name connector }
 newest { ...v } published { ...v } }";

impl TryFrom<VersionNode> for VersionThere {
    type Error = ApiError;

    fn try_from(node: VersionNode) -> Result<Self, ApiError> {
        let spec = json!({"filter": node.filter, "source_mapping": node.source_mapping, "mapping": node.mapping, "policy": node.policy,
            "trigger": node.trigger});
        Ok(Self {
            id: node.id,
            version: node.version,
            state: node.state,
            note: node.note,
            is_approved: node.approved_at.is_some(),
            spec: read(spec)?,
        })
    }
}

impl TryFrom<FlowNode> for FlowThere {
    type Error = ApiError;

    fn try_from(node: FlowNode) -> Result<Self, ApiError> {
        Ok(Self {
            id: node.id,
            name: node.name,
            kind: node.record_kind,
            gates: Gates { needs_approval: node.needs_approval, needs_replay: node.needs_replay },
            source: node.source,
            destination: node.destination,
            newest: node.newest.map(VersionThere::try_from).transpose()?,
            published: node.published.map(VersionThere::try_from).transpose()?,
        })
    }
}

impl TryFrom<TableNode> for TableThere {
    type Error = ApiError;

    fn try_from(node: TableNode) -> Result<Self, ApiError> {
        let TableNode { id, name, kind, inverts, version } = node;
        let kind = TableKind::parse(&kind.to_lowercase()).ok_or_else(|| ApiError::Shape(format!("the kind {kind}")))?;
        Ok(Self { id, name, kind, inverts, version })
    }
}
