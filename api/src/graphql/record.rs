//! Records: the canonical documents, their revisions and where they went.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, MessageId, RecordId};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::entity::{delivery, record, record_revision};
use infra::postgres::filter::{DeliveryFilter, RecordFilter, revisions_of};
use uuid::Uuid;

use super::content::RecordContent;
use super::delivery::{DeliveryNode, with_waiting};
use super::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, within};
use super::flow::{ProvenanceNode, provenance};
use super::page::{LARGE_COST, cost, id, page, uuid};
use super::personal::{Personal, seen_record};
use super::timeline::{TimelineConnection, timeline};

#[derive(SimpleObject)]
#[graphql(name = "Record", complex)]
pub struct RecordNode {
    id: ID,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    kind: String,
    /// Where it comes from.
    connection_id: ID,
    /// Its id there.
    source_id: String,
    /// What people call it: #1042.
    number: Option<String>,
    revision: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When it was told that it is deleted where it comes from; what was sent of it stays where it is.
    deleted_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: Uuid,
    #[graphql(skip)]
    revision_id: Uuid,
}

impl From<record::Model> for RecordNode {
    fn from(row: record::Model) -> Self {
        Self {
            id: id::<RecordId>(row.id),
            kind: row.kind,
            connection_id: id::<ConnectionId>(row.connection_id),
            source_id: row.source_id,
            number: row.number,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            row: row.id,
            revision_id: row.revision_id,
        }
    }
}

/// The record as it was at one time.
#[derive(SimpleObject)]
#[graphql(name = "RecordRevision", complex)]
struct RevisionNode {
    revision: i32,
    message_id: ID,
    created_at: DateTime<Utc>,
    #[graphql(skip)]
    row: Uuid,
    #[graphql(skip)]
    kind: String,
}

#[ComplexObject]
impl RevisionNode {
    /// Canonical JSON, as text: numbers keep their digits. What tells of a person is hidden from who lacks READ_PERSONAL_DATA. At most a few MiB.
    #[graphql(complexity = "LARGE_COST")]
    async fn document(&self, ctx: &Context<'_>) -> Result<Personal> {
        let document = within(ctx, Permission::ReadOperations, async |store| store.revision_document(self.row).await).await?;
        Ok(Personal::record(&self.kind, document.unwrap_or_default()))
    }
}

impl RevisionNode {
    fn new(kind: &str, row: record_revision::Model) -> Self {
        let message_id = id::<MessageId>(row.message_id);
        Self { revision: row.revision, message_id, created_at: row.created_at, row: row.id, kind: kind.to_owned() }
    }
}

#[ComplexObject]
impl RecordNode {
    /// The current document: canonical JSON, as text of at most a few MiB. What tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    #[graphql(complexity = "LARGE_COST")]
    async fn document(&self, ctx: &Context<'_>) -> Result<Option<Personal>> {
        Ok(self.current(ctx).await?.map(|document| Personal::record(&self.kind, document)))
    }

    /// What the current document says, typed by its kind; hidden as in `document`. At most 5,000 entries a list.
    #[graphql(complexity = "LARGE_COST + child_complexity")]
    async fn content(&self, ctx: &Context<'_>) -> Result<Option<RecordContent>> {
        let Some((document, kind)) = self.current(ctx).await?.zip(RecordKind::parse(&self.kind)) else { return Ok(None) };
        Ok(RecordContent::read(kind, &seen_record(ctx, kind, document)))
    }

    /// Which fields of the source's message each field of the current revision is made of. Empty for one from before that was kept.
    #[graphql(complexity = "LARGE_COST * 2 + child_complexity")]
    async fn provenance(&self, ctx: &Context<'_>) -> Result<Vec<ProvenanceNode>> {
        provenance(ctx, self.row, self.revision).await
    }

    /// Newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn revisions(&self, ctx: &Context<'_>) -> Result<Vec<RevisionNode>> {
        let revisions = revisions_of(self.row);
        let page = within(ctx, Permission::ReadOperations, async |store| {
            store.page::<record_revision::Entity>(revisions, None, 100).await
        })
        .await?;
        Ok(page.rows.into_iter().map(|row| RevisionNode::new(&self.kind, row)).collect())
    }

    /// Everything that happened to it, over all flows and systems. Oldest first, at most 100 a page.
    #[graphql(complexity = "LARGE_COST + cost(first, child_complexity)")]
    async fn timeline(&self, ctx: &Context<'_>, first: Option<i32>, after: Option<String>) -> Result<TimelineConnection> {
        timeline(ctx, self.row, first, after).await
    }

    /// The order that it belongs to, or an order's shipments, invoices, returns, payments and refunds. Newest first, at most 200.
    #[graphql(complexity = "LARGE_COST + cost(Some(10), child_complexity)")]
    async fn related(&self, ctx: &Context<'_>) -> Result<Vec<RelatedRecord>> {
        let related = within(ctx, Permission::ReadOperations, async |store| store.related(self.row).await).await?;
        Ok(related
            .into_iter()
            .map(|one| RelatedRecord { is_referred_to: one.is_referred_to, record: one.record.into() })
            .collect())
    }

    /// Where it went. Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, DeliveryNode, EmptyFields, EmptyFields>> {
        let filter = DeliveryFilter { record: Some(self.row), ..DeliveryFilter::default() };
        let page = page::<delivery::Entity, _>(
            ctx,
            Permission::ReadOperations,
            first,
            after,
            |s| filter.apply(s),
            |row| (row.id, row.into()),
        )
        .await?;
        with_waiting(ctx, page).await
    }
}

impl RecordNode {
    async fn current(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        within(ctx, Permission::ReadOperations, async |store| store.revision_document(self.revision_id).await).await
    }
}

/// A record that belongs to another one.
#[derive(SimpleObject)]
struct RelatedRecord {
    /// True of the order that this record refers to; false of what refers to this order.
    is_referred_to: bool,
    record: RecordNode,
}

#[derive(InputObject, Default)]
struct RecordFilterInput {
    kind: Option<String>,
    /// The number, exactly.
    number: Option<String>,
    /// Words that the number, the id at the source or the customer's address contain; at most eight.
    search: Option<String>,
    connection_id: Option<ID>,
}

#[derive(Default)]
pub struct RecordQuery;

#[Object]
impl RecordQuery {
    async fn record(&self, ctx: &Context<'_>, id: ID) -> Result<Option<RecordNode>> {
        let Some(id) = uuid::<RecordId>(&id) else { return Ok(None) };
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<record::Entity>(id).await).await?;
        Ok(row.map(RecordNode::from))
    }

    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn records(
        &self,
        ctx: &Context<'_>,
        filter: Option<RecordFilterInput>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, RecordNode, EmptyFields, EmptyFields>> {
        let filter = filter.unwrap_or_default();
        // An id of no connection narrows to nothing, not to everything.
        let connection = filter.connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = RecordFilter { kind: filter.kind, number: filter.number, search: filter.search, connection };
        page::<record::Entity, _>(ctx, Permission::ReadOperations, first, after, |s| filter.apply(s), |row| (row.id, row.into()))
            .await
    }
}

#[derive(SimpleObject)]
struct RecordDetailsErasePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct RecordMutation;

#[Object]
impl RecordMutation {
    /// Erases what the audit log tells of a record's own values: what people corrected in it and in what was sent. That it was done, by whom and when stays, and every
    /// proof over the log holds. It cannot be undone. The record, its revisions and what was sent are not touched. `reason`: 1 to 500 characters.
    async fn record_details_erase(&self, ctx: &Context<'_>, id: ID, reason: String) -> Result<RecordDetailsErasePayload> {
        let refuse = |field: &str, code: UserErrorCode, message: String| {
            Ok(RecordDetailsErasePayload { done: false, user_errors: vec![UserError::new(field, code, message)] })
        };
        let reason = match said("reason", &reason, WHY_CHARS_MAX) {
            Ok(reason) => reason,
            Err(error) => return Ok(RecordDetailsErasePayload { done: false, user_errors: vec![error] }),
        };
        let done = match uuid::<RecordId>(&id).map(RecordId) {
            Some(id) => {
                within(ctx, Permission::ManageMembers, async |store| store.record_details_erase(id, reason).await).await?
            }
            None => false,
        };
        if done {
            return Ok(RecordDetailsErasePayload { done, user_errors: vec![] });
        }
        refuse("id", UserErrorCode::NotFound, "the audit log tells nothing of this record's values, or not any more".to_owned())
    }
}
