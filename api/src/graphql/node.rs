//! One thing by its id, whatever it is. The prefix says which kind; another tenant's is not found.

use async_graphql::{Context, ID, Object, Result, Union};
use domain::id::{
    ConnectionId, DeliveryId, DriftId, ExceptionId, FlowId, IncidentId, LookupTableId, MessageId, RecordId, SunsetId, SwapId,
    UndoId,
};
use domain::scope::Permission;
use infra::postgres::entity::{
    connection, delivery, drift, exception, flow, incident, lookup_table, message, record, swap, undo,
};
use infra::postgres::page::Listed;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::delivery::DeliveryNode;
use super::drift::DriftNode;
use super::error::{state, within};
use super::exception::ExceptionNode;
use super::flow::FlowNode;
use super::incident::IncidentNode;
use super::lookup_table::LookupTableNode;
use super::message::MessageNode;
use super::page::uuid;
use super::record::RecordNode;
use super::sunset::SunsetNode;
use super::swap::SwapNode;
use super::tenant::reads;
use super::undo::UndoNode;

/// Anything that has an id.
#[derive(Union)]
enum Node {
    Connection(ConnectionNode),
    Delivery(DeliveryNode),
    Drift(DriftNode),
    Exception(ExceptionNode),
    Flow(FlowNode),
    FlowUndo(UndoNode),
    Incident(IncidentNode),
    LookupTable(LookupTableNode),
    Message(MessageNode),
    Record(RecordNode),
    Sunset(SunsetNode),
    Swap(SwapNode),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>> {
        reads(ctx)?;
        Ok(match id.split('_').next().unwrap_or_default() {
            ConnectionId::PREFIX => {
                find::<connection::Entity>(ctx, uuid::<ConnectionId>(&id)).await?.map(|row| Node::Connection(row.into()))
            }
            DeliveryId::PREFIX => {
                find::<delivery::Entity>(ctx, uuid::<DeliveryId>(&id)).await?.map(|row| Node::Delivery(row.into()))
            }
            DriftId::PREFIX => match find::<drift::Entity>(ctx, uuid::<DriftId>(&id)).await? {
                Some(row) => within(ctx, Permission::ReadOperations, async |store| store.drift_details(vec![row]).await)
                    .await?
                    .pop()
                    .map(|detail| Node::Drift(detail.into())),
                None => None,
            },
            ExceptionId::PREFIX => {
                find::<exception::Entity>(ctx, uuid::<ExceptionId>(&id)).await?.map(|row| Node::Exception(row.into()))
            }
            FlowId::PREFIX => find::<flow::Entity>(ctx, uuid::<FlowId>(&id)).await?.map(|row| Node::Flow(row.into())),
            IncidentId::PREFIX => {
                find::<incident::Entity>(ctx, uuid::<IncidentId>(&id)).await?.map(|row| Node::Incident(row.into()))
            }
            LookupTableId::PREFIX => {
                let row = find::<lookup_table::Entity>(ctx, uuid::<LookupTableId>(&id)).await?;
                row.filter(|row| row.deleted_at.is_none()).map(|row| Node::LookupTable(row.into()))
            }
            MessageId::PREFIX => find::<message::Entity>(ctx, uuid::<MessageId>(&id)).await?.map(|row| Node::Message(row.into())),
            RecordId::PREFIX => find::<record::Entity>(ctx, uuid::<RecordId>(&id)).await?.map(|row| Node::Record(row.into())),
            SunsetId::PREFIX => match uuid::<SunsetId>(&id) {
                Some(id) => within(ctx, Permission::ReadOperations, async |store| store.sunset(id).await)
                    .await?
                    .map(|notice| Node::Sunset(SunsetNode::new(state(ctx).catalog, notice, chrono::Utc::now()))),
                None => None,
            },
            SwapId::PREFIX => find::<swap::Entity>(ctx, uuid::<SwapId>(&id)).await?.map(|row| Node::Swap(row.into())),
            UndoId::PREFIX => find::<undo::Entity>(ctx, uuid::<UndoId>(&id)).await?.map(|row| Node::FlowUndo(row.into())),
            _ => None,
        })
    }
}

async fn find<E>(ctx: &Context<'_>, id: Option<Uuid>) -> Result<Option<E::Model>>
where
    E: Listed,
    E::Model: Send + Sync,
{
    let Some(id) = id else { return Ok(None) };
    within(ctx, Permission::ReadOperations, async |store| store.find::<E>(id).await).await
}
