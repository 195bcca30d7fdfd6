//! The rows that lists show, as sea-orm sees them. Hand-written and compact: only what a list or a filter needs. Bodies, requests and
//! documents are left out, because a hundred rows of them may be 200 MB; `page.rs` loads one by its id.

macro_rules! entity {
    ($module:ident, $table:literal, { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: Uuid,
                $($(#[$attribute])* pub $field: $type),*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl crate::postgres::page::Listed for Entity {
                const ID: Column = Column::Id;
                const TENANT: Column = Column::TenantId;
            }
        }
    };
}

entity!(connection, "connections", {
    tenant_id: Uuid, connector: String, name: String, settings: Json, hook_token: String, state: String, reserve_pct: Option<i32>,
    created_at: DateTimeUtc
});
entity!(lookup_table, "lookup_tables", {
    tenant_id: Uuid, name: String, kind: String, inverts: bool, version: i64, created_at: DateTimeUtc, deleted_at: Option<DateTimeUtc>
});
entity!(flow, "flows", {
    tenant_id: Uuid, name: String, record_kind: String, source_connection_id: Uuid, destination_connection_id: Uuid, needs_approval: bool,
    needs_replay: bool, created_at: DateTimeUtc
});
entity!(flow_version, "flow_versions", {
    tenant_id: Uuid, flow_id: Uuid, version: i32, state: String, policy: Json, filter: Option<String>, source_mapping: Json, mapping: Json,
    trigger: Json, note: String, drafted_by: Option<Json>, submitted_at: Option<DateTimeUtc>, approved_by: Option<Json>,
    approved_at: Option<DateTimeUtc>, as_version: Option<i32>, created_at: DateTimeUtc, published_at: Option<DateTimeUtc>
});
entity!(run, "runs", {
    tenant_id: Uuid, flow_id: Uuid, flow_version_id: Uuid, kind: String, state: String, over: Json, report: Option<Json>,
    is_clean: Option<bool>, failure: Option<String>, started_by: Json, created_at: DateTimeUtc, ended_at: Option<DateTimeUtc>,
    accepted_by: Option<Json>, accepted_at: Option<DateTimeUtc>, accepted_why: Option<String>
});
entity!(swap, "swaps", {
    tenant_id: Uuid, flow_id: Uuid, connection_id: Uuid, before_connection_id: Uuid, mapping: Json, mapped_by: Json, state: String,
    percent: i32, moves_known: bool, report: Json, failure: Option<String>, created_at: DateTimeUtc, shadow_since: Option<DateTimeUtc>,
    closed_at: Option<DateTimeUtc>
});
entity!(undo, "undos", {
    tenant_id: Uuid, flow_id: Uuid, flow_version_id: Uuid, version: i32, goal: String, good_version_id: Option<Uuid>, leaves_created: bool,
    since: Option<DateTimeUtc>, state: String, report: Json, failure: Option<String>, started_by: Json, approved_by: Option<Json>,
    approved_at: Option<DateTimeUtc>, why: Option<String>, created_at: DateTimeUtc, ended_at: Option<DateTimeUtc>
});
entity!(message, "messages", {
    tenant_id: Uuid, connection_id: Uuid, origin: String, topic: String, record_kind: Option<String>, source_id: Option<String>,
    received_at: DateTimeUtc, state: String, record_id: Option<Uuid>
});
entity!(record, "records", {
    tenant_id: Uuid, kind: String, connection_id: Uuid, source_id: String, number: Option<String>, search: String, revision: i32,
    revision_id: Uuid, created_at: DateTimeUtc, updated_at: DateTimeUtc, deleted_at: Option<DateTimeUtc>
});
entity!(record_revision, "record_revisions", {
    tenant_id: Uuid, record_id: Uuid, revision: i32, message_id: Uuid, created_at: DateTimeUtc
});
entity!(delivery, "deliveries", {
    tenant_id: Uuid, flow_id: Uuid, flow_version_id: Uuid, record_id: Uuid, revision: i32, connection_id: Uuid, state: String, attempts: i32,
    due_at: DateTimeUtc, receipt_id: Option<String>, origin_at: DateTimeUtc, planned_at: DateTimeUtc, settled_at: Option<DateTimeUtc>,
    undoes: Option<Uuid>, undo_id: Option<Uuid>
});
entity!(attempt, "attempts", {
    tenant_id: Uuid, delivery_id: Option<Uuid>, number: i32, kind: String, method: String, url: String, started_at: DateTimeUtc,
    ended_at: Option<DateTimeUtc>, outcome: Option<String>, status: Option<i32>, answer: Option<String>, fault: Option<Json>
});
entity!(exception, "exceptions", {
    tenant_id: Uuid, cause_key: String, state: String, code: String, sentence: String, cause: String, owner: String, next_step: String,
    path: Option<String>, value: Option<String>, lookup_table: Option<String>, missing: Option<Json>, delivery_id: Option<Uuid>, message_id: Option<Uuid>,
    record_id: Option<Uuid>, flow_id: Option<Uuid>, connection_id: Uuid, amount: Option<Decimal>, currency: Option<String>, fix_kind: Option<String>,
    assignee_id: Option<Uuid>, tags: Vec<String>, snoozed_until: Option<DateTimeUtc>, resolution: Option<String>, opened_at: DateTimeUtc,
    closed_at: Option<DateTimeUtc>
});
entity!(alert_receiver, "alert_receivers", {
    tenant_id: Uuid, name: String, kind: String, address: String, every_minutes: i32, is_paused: bool, sent_at: Option<DateTimeUtc>,
    failed_at: Option<DateTimeUtc>, failure: Option<String>, created_at: DateTimeUtc
});
entity!(alert_rule, "alert_rules", {
    tenant_id: Uuid, name: String, matches: Json, then_does: Json, is_paused: bool, created_at: DateTimeUtc
});
entity!(alert, "alerts", {
    tenant_id: Uuid, receiver_id: Uuid, content: Json, state: String, tries: i32, due_at: DateTimeUtc, failure: Option<String>,
    created_at: DateTimeUtc, sent_at: Option<DateTimeUtc>
});
entity!(audit_event, "audit_events", {
    tenant_id: Uuid, at: DateTimeUtc, actor: Json, action: String, subject_kind: String, subject_id: Uuid, request_id: Uuid, detail: Option<String>
});
entity!(incident, "incidents", {
    tenant_id: Uuid, connection_id: Uuid, breaker_id: Option<Uuid>, poll_id: Option<Uuid>, subscription_check_id: Option<Uuid>, series_id: Option<Uuid>, sequence_id: Option<Uuid>, upkeep: Option<String>, ends_at: Option<DateTimeUtc>, operation: String, code: String, sentence: String, owner: String, next_step: String,
    opened_at: DateTimeUtc, probes: i32, closed_at: Option<DateTimeUtc>
});
entity!(poll, "polls", {
    tenant_id: Uuid, connection_id: Uuid, kind: String, lookup_table_id: Option<Uuid>, every_s: i32, state: String, position: Json, due_at: DateTimeUtc,
    begun_at: Option<DateTimeUtc>, ended_at: Option<DateTimeUtc>, read_at: Option<DateTimeUtc>, listed: i64, brought: i64, gaps: i64,
    failures: i32, failure: Option<String>, is_own: bool, created_at: DateTimeUtc
});
entity!(subscription, "subscriptions", {
    tenant_id: Uuid, connection_id: Uuid, topic: String, state: String, vendor_id: Option<String>, is_rotating: bool, expires_at: Option<DateTimeUtc>,
    seen_at: Option<DateTimeUtc>, lost_at: Option<DateTimeUtc>, restored: i32, restored_at: Option<DateTimeUtc>, failure: Option<String>,
    created_at: DateTimeUtc
});
entity!(subscription_check, "subscription_checks", {
    tenant_id: Uuid, connection_id: Uuid, due_at: DateTimeUtc, checked_at: Option<DateTimeUtc>, failures: i32, failure: Option<String>
});
entity!(file, "files", {
    tenant_id: Uuid, connection_id: Uuid, poll_id: Uuid, name: String, size: i64, modified_at: DateTimeUtc, state: String, noticed_at: DateTimeUtc,
    repeats: Option<Uuid>, position: i64, brought: i64, refused: i64, failure: Option<String>, begun_at: Option<DateTimeUtc>,
    read_at: Option<DateTimeUtc>, ended_at: Option<DateTimeUtc>
});
entity!(interchange, "interchanges", {
    tenant_id: Uuid, connection_id: Uuid, sequence_id: Option<Uuid>, file_id: Option<Uuid>, control_number: Option<i32>, state: String, position: i64,
    refused: i64, missing: i64, repeats: i32, note: Option<String>, failure: Option<String>, received_at: DateTimeUtc, ended_at: Option<DateTimeUtc>
});
entity!(sent_group, "sent_groups", {
    tenant_id: Uuid, connection_id: Uuid, sequence_id: Uuid, control_number: i32, functional_id: String, set_id: String, delivery_id: Option<Uuid>,
    answers: Option<Uuid>, state: String, made_at: DateTimeUtc, sent_at: Option<DateTimeUtc>, late_at: Option<DateTimeUtc>,
    answered_at: Option<DateTimeUtc>, failure: Option<String>
});
entity!(backfill, "backfills", {
    tenant_id: Uuid, connection_id: Uuid, kind: String, since_at: Option<DateTimeUtc>, until_at: Option<DateTimeUtc>, state: String,
    estimate: Option<i64>, is_exact: bool, listed: i64, brought: i64, missing: i64, failures: i32, failure: Option<String>, started_by: Json,
    created_at: DateTimeUtc, ended_at: Option<DateTimeUtc>
});
entity!(arrival_series, "arrival_series", {
    tenant_id: Uuid, connection_id: Uuid, kind: String, topic: String, flow_id: Option<Uuid>, begun_at: DateTimeUtc,
    until_at: DateTimeUtc, last_at: Option<DateTimeUtc>, memory: Vec<u8>, alarm: Option<String>, muted_until: Option<DateTimeUtc>
});
entity!(sunset, "sunsets", {
    tenant_id: Uuid, connection_id: Uuid, version: String, reason: String, served_version: Option<String>, ends_at: Option<DateTimeUtc>,
    deprecated_at: Option<DateTimeUtc>, link: Option<String>, raised_at: DateTimeUtc, last_seen_at: DateTimeUtc, closed_at: Option<DateTimeUtc>
});
entity!(drift, "drifts", {
    tenant_id: Uuid, connection_id: Uuid, record_kind: String, side: String, path: String, what: String, value: String, has_value: bool,
    before: String, after: String, risk: String, flows: Json, example_id: Option<Uuid>, state: String, raised_at: DateTimeUtc,
    last_seen_at: DateTimeUtc, closed_at: Option<DateTimeUtc>
});
entity!(reconciliation, "reconciliations", {
    tenant_id: Uuid, flow_id: Uuid, state: String, from_at: DateTimeUtc, until_at: DateTimeUtc, report: Json, is_proof: bool,
    failure: Option<String>, started_by: Json, created_at: DateTimeUtc, ended_at: Option<DateTimeUtc>
});
entity!(difference, "differences", {
    tenant_id: Uuid, reconciliation_id: Uuid, flow_id: Uuid, kind: String, source_id: Option<String>, destination_id: Option<String>,
    record_id: Option<Uuid>, delivery_id: Option<Uuid>, fields: Json, state: String, opened_at: DateTimeUtc,
    closed_at: Option<DateTimeUtc>, closed_by: Option<Json>, note: Option<String>
});
