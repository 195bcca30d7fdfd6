//! What lists can be narrowed to. Each filter is data; how it becomes SQL stands beside it.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::{ColumnTrait, QueryFilter, Select};
use uuid::Uuid;

use super::entity::{
    alert, attempt, delivery, difference, drift, exception, lookup_table, message, reconciliation, record, record_revision,
};
use super::page::Listed;

#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    pub kind: Option<String>,
    pub number: Option<String>,
    /// Words that the number, the source's id or the customer's address contain.
    pub search: Option<String>,
    pub connection: Option<Uuid>,
}

impl RecordFilter {
    #[must_use]
    pub fn apply(self, mut select: Select<record::Entity>) -> Select<record::Entity> {
        if let Some(kind) = self.kind {
            select = select.filter(record::Column::Kind.eq(kind));
        }
        if let Some(number) = self.number {
            select = select.filter(record::Column::Number.eq(number));
        }
        if let Some(connection) = self.connection {
            select = select.filter(record::Column::ConnectionId.eq(connection));
        }
        for word in self.search.iter().flat_map(|text| text.split_whitespace()).take(8) {
            let escaped = word.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            select = select.filter(sea_orm::sea_query::Expr::col(record::Column::Search).ilike(format!("%{escaped}%")));
        }
        select
    }
}

#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub state: Option<String>,
    pub flow: Option<Uuid>,
    pub record: Option<Uuid>,
    /// The destination.
    pub connection: Option<Uuid>,
}

impl DeliveryFilter {
    #[must_use]
    pub fn apply(self, mut select: Select<delivery::Entity>) -> Select<delivery::Entity> {
        if let Some(state) = self.state {
            select = select.filter(delivery::Column::State.eq(state));
        }
        if let Some(flow) = self.flow {
            select = select.filter(delivery::Column::FlowId.eq(flow));
        }
        if let Some(record) = self.record {
            select = select.filter(delivery::Column::RecordId.eq(record));
        }
        if let Some(connection) = self.connection {
            select = select.filter(delivery::Column::ConnectionId.eq(connection));
        }
        select
    }
}

#[derive(Debug, Clone, Default)]
pub struct ExceptionFilter {
    pub state: Option<String>,
    pub cause_key: Option<String>,
    pub record: Option<Uuid>,
}

impl ExceptionFilter {
    #[must_use]
    pub fn apply(self, mut select: Select<exception::Entity>) -> Select<exception::Entity> {
        if let Some(state) = self.state {
            select = select.filter(exception::Column::State.eq(state));
        }
        if let Some(cause) = self.cause_key {
            select = select.filter(exception::Column::CauseKey.eq(cause));
        }
        if let Some(record) = self.record {
            select = select.filter(exception::Column::RecordId.eq(record));
        }
        select
    }
}

pub fn message_state(state: Option<String>) -> impl FnOnce(Select<message::Entity>) -> Select<message::Entity> {
    move |select| match state {
        Some(state) => select.filter(message::Column::State.eq(state)),
        None => select,
    }
}

pub fn alerts(state: Option<String>, receiver: Option<Uuid>) -> impl FnOnce(Select<alert::Entity>) -> Select<alert::Entity> {
    move |mut select| {
        if let Some(state) = state {
            select = select.filter(alert::Column::State.eq(state));
        }
        if let Some(receiver) = receiver {
            select = select.filter(alert::Column::ReceiverId.eq(receiver));
        }
        select
    }
}

pub fn drift_state(state: Option<String>) -> impl FnOnce(Select<drift::Entity>) -> Select<drift::Entity> {
    move |select| match state {
        Some(state) => select.filter(drift::Column::State.eq(state)),
        None => select,
    }
}

/// Incidents of a connection or of all, those that are open or all.
pub fn incidents_of(
    connection: Option<Uuid>,
    is_open: bool,
) -> impl FnOnce(Select<super::entity::incident::Entity>) -> Select<super::entity::incident::Entity> {
    use super::entity::incident::Column;
    move |mut select| {
        if let Some(connection) = connection {
            select = select.filter(Column::ConnectionId.eq(connection));
        }
        if is_open { select.filter(Column::ClosedAt.is_null()) } else { select }
    }
}

/// The open alarms of arrival series: one of each at most (`incidents_series`).
pub fn alarms_of(
    series: Vec<Uuid>,
) -> impl FnOnce(Select<super::entity::incident::Entity>) -> Select<super::entity::incident::Entity> {
    use super::entity::incident::Column;
    move |select| select.filter(Column::SeriesId.is_in(series)).filter(Column::ClosedAt.is_null())
}

/// Polls of a connection or of all.
pub fn polls_of(
    connection: Option<Uuid>,
) -> impl FnOnce(Select<super::entity::poll::Entity>) -> Select<super::entity::poll::Entity> {
    use super::entity::poll::Column;
    move |select| match connection {
        Some(connection) => select.filter(Column::ConnectionId.eq(connection)),
        None => select,
    }
}

/// What the platform keeps registered for a connection.
pub fn subscriptions_of(
    connection: Uuid,
) -> impl FnOnce(Select<super::entity::subscription::Entity>) -> Select<super::entity::subscription::Entity> {
    move |select| select.filter(super::entity::subscription::Column::ConnectionId.eq(connection))
}

/// When that is compared.
pub fn subscription_check_of(
    connection: Uuid,
) -> impl FnOnce(Select<super::entity::subscription_check::Entity>) -> Select<super::entity::subscription_check::Entity> {
    move |select| select.filter(super::entity::subscription_check::Column::ConnectionId.eq(connection))
}

/// The rows of these ids: a page has them all where they are no more than its rows.
pub fn of_ids<E: Listed>(ids: Vec<Uuid>) -> impl FnOnce(Select<E>) -> Select<E> {
    move |select| select.filter(E::ID.is_in(ids))
}

/// Arrival series of a connection, of a flow, or of all.
pub fn arrivals_of(
    connection: Option<Uuid>,
    flow: Option<Uuid>,
) -> impl FnOnce(Select<super::entity::arrival_series::Entity>) -> Select<super::entity::arrival_series::Entity> {
    use super::entity::arrival_series::Column;
    move |select| {
        let of = [(Column::ConnectionId, connection), (Column::FlowId, flow)];
        of.into_iter()
            .filter_map(|(column, id)| Some((column, id?)))
            .fold(select, |select, (column, id)| select.filter(column.eq(id)))
    }
}

/// Files of a connection or of all.
pub fn files_of(
    connection: Option<Uuid>,
) -> impl FnOnce(Select<super::entity::file::Entity>) -> Select<super::entity::file::Entity> {
    use super::entity::file::Column;
    move |select| match connection {
        Some(connection) => select.filter(Column::ConnectionId.eq(connection)),
        None => select,
    }
}

/// Interchanges of a connection or of all.
pub fn interchanges_of(
    connection: Option<Uuid>,
) -> impl FnOnce(Select<super::entity::interchange::Entity>) -> Select<super::entity::interchange::Entity> {
    use super::entity::interchange::Column;
    move |select| match connection {
        Some(connection) => select.filter(Column::ConnectionId.eq(connection)),
        None => select,
    }
}

/// Groups of ours to a connection or to all, in one state or in all.
pub fn sent_groups_of(
    connection: Option<Uuid>,
    state: Option<String>,
) -> impl FnOnce(Select<super::entity::sent_group::Entity>) -> Select<super::entity::sent_group::Entity> {
    use super::entity::sent_group::Column;
    move |select| {
        let select = match connection {
            Some(connection) => select.filter(Column::ConnectionId.eq(connection)),
            None => select,
        };
        match state {
            Some(state) => select.filter(Column::State.eq(state)),
            None => select,
        }
    }
}

/// Backfills of a connection or of all.
pub fn backfills_of(
    connection: Option<Uuid>,
) -> impl FnOnce(Select<super::entity::backfill::Entity>) -> Select<super::entity::backfill::Entity> {
    use super::entity::backfill::Column;
    move |select| match connection {
        Some(connection) => select.filter(Column::ConnectionId.eq(connection)),
        None => select,
    }
}

pub fn attempts_of(delivery: Uuid) -> impl FnOnce(Select<attempt::Entity>) -> Select<attempt::Entity> {
    move |select| select.filter(attempt::Column::DeliveryId.eq(delivery))
}

pub fn revisions_of(record: Uuid) -> impl FnOnce(Select<record_revision::Entity>) -> Select<record_revision::Entity> {
    move |select| select.filter(record_revision::Column::RecordId.eq(record))
}

pub fn versions_of(
    flow: Uuid,
) -> impl FnOnce(Select<super::entity::flow_version::Entity>) -> Select<super::entity::flow_version::Entity> {
    move |select| select.filter(super::entity::flow_version::Column::FlowId.eq(flow))
}

pub fn runs_of(flow: Uuid) -> impl FnOnce(Select<super::entity::run::Entity>) -> Select<super::entity::run::Entity> {
    move |select| select.filter(super::entity::run::Column::FlowId.eq(flow))
}

/// Those of a flow, or of all.
pub fn swaps_of(flow: Option<Uuid>) -> impl FnOnce(Select<super::entity::swap::Entity>) -> Select<super::entity::swap::Entity> {
    move |select| match flow {
        Some(flow) => select.filter(super::entity::swap::Column::FlowId.eq(flow)),
        None => select,
    }
}

/// Those of a flow, or of all.
pub fn undos_of(flow: Option<Uuid>) -> impl FnOnce(Select<super::entity::undo::Entity>) -> Select<super::entity::undo::Entity> {
    move |select| match flow {
        Some(flow) => select.filter(super::entity::undo::Column::FlowId.eq(flow)),
        None => select,
    }
}

/// Those that were not deleted; the others are kept for what was sent by them.
pub fn lookup_tables_kept(select: Select<lookup_table::Entity>) -> Select<lookup_table::Entity> {
    select.filter(lookup_table::Column::DeletedAt.is_null())
}

pub fn lookup_tables_named(names: Vec<String>) -> impl FnOnce(Select<lookup_table::Entity>) -> Select<lookup_table::Entity> {
    move |select| lookup_tables_kept(select).filter(lookup_table::Column::Name.is_in(names))
}

#[derive(Debug, Clone, Default)]
pub struct DifferenceFilter {
    pub state: Option<String>,
    pub kind: Option<String>,
    pub flow: Option<Uuid>,
    pub reconciliation: Option<Uuid>,
}

impl DifferenceFilter {
    #[must_use]
    pub fn apply(self, mut select: Select<difference::Entity>) -> Select<difference::Entity> {
        if let Some(state) = self.state {
            select = select.filter(difference::Column::State.eq(state));
        }
        if let Some(kind) = self.kind {
            select = select.filter(difference::Column::Kind.eq(kind));
        }
        if let Some(flow) = self.flow {
            select = select.filter(difference::Column::FlowId.eq(flow));
        }
        if let Some(reconciliation) = self.reconciliation {
            select = select.filter(difference::Column::ReconciliationId.eq(reconciliation));
        }
        select
    }
}

/// Reconciliations of a flow; all of them without one.
pub fn reconciliations_of(flow: Option<Uuid>) -> impl FnOnce(Select<reconciliation::Entity>) -> Select<reconciliation::Entity> {
    move |select| match flow {
        Some(flow) => select.filter(reconciliation::Column::FlowId.eq(flow)),
        None => select,
    }
}
