//! Templates of flows between two connections: what others run between the same two, to begin with.

use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};
use connectors::FlowTemplate;
use domain::id::ConnectionId;
use domain::scope::Permission;

use super::check::{LookupTableNeed, needs};
use super::input::side;
use crate::graphql::error::{Code, fail, scope};
use crate::graphql::page::{LARGE_COST, cost, uuid};

/// A flow to begin with.
#[derive(SimpleObject)]
#[graphql(name = "FlowTemplate")]
struct FlowTemplateNode {
    /// `<source>--<destination>--<kind>`, by their connectors.
    name: String,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    record_kind: String,
    title: String,
    /// What it does, in a few sentences.
    about: String,
    /// False where nobody wrote it: it is what the two connectors do of themselves.
    is_curated: bool,
    needs: FlowTemplateNeeds,
    /// `filter`, `source_mapping`, `mapping`, `policy` and `trigger`, which `flowCreate` takes.
    spec: Json<serde_json::Value>,
}

/// What must be set up before a flow of a template is published.
#[derive(SimpleObject)]
struct FlowTemplateNeeds {
    /// At most 100.
    lookup_tables: Vec<LookupTableNeed>,
    settings: Vec<SettingNeed>,
}

/// A setting of a connection.
#[derive(SimpleObject)]
struct SettingNeed {
    /// source or destination.
    side: String,
    name: String,
    about: String,
}

#[derive(Default)]
pub struct FlowTemplateQuery;

#[Object]
impl FlowTemplateQuery {
    /// Flows to begin with between two connections, at most one for each kind of record: those that somebody wrote first.
    #[graphql(complexity = "cost(Some(10), child_complexity) + LARGE_COST")]
    async fn flow_templates(&self, ctx: &Context<'_>, source_id: ID, destination_id: ID) -> Result<Vec<FlowTemplateNode>> {
        scope(ctx, Permission::ReadOperations)?;
        let connector = async |field: &str, id: &ID| {
            let found = side(ctx, field, uuid::<ConnectionId>(id)).await?;
            found.map(|(_, connector)| connector).map_err(|error| fail(Code::BadRequest, &format!("{field}: {}", error.message)))
        };
        let source = connector("sourceId", &source_id).await?;
        let destination = connector("destinationId", &destination_id).await?;
        let mut nodes = Vec::new();
        for template in FlowTemplate::between(source, destination) {
            let tables = template.lookup_tables.iter().map(|need| (need.name.clone(), need.about.clone())).collect();
            let settings = template.settings.iter().map(|need| SettingNeed {
                side: need.side.as_str().to_owned(),
                name: need.name.clone(),
                about: need.about.clone(),
            });
            nodes.push(FlowTemplateNode {
                name: template.name(),
                record_kind: template.kind.to_string(),
                needs: FlowTemplateNeeds { lookup_tables: needs(ctx, tables).await?, settings: settings.collect() },
                spec: Json(serde_json::to_value(&template.flow).map_err(|error| fail(Code::Internal, &error.to_string()))?),
                title: template.title,
                about: template.about,
                is_curated: template.is_curated,
            });
        }
        Ok(nodes)
    }
}
