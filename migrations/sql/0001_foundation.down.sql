-- The shared roles crossdock_app and crossdock_system stay: other databases of the server use them.
DROP TABLE usage_events, audit_events, exceptions, attempts, deliveries, external_ids, record_revisions, records, message_keys, messages,
    flow_versions, flows, lookup_entries, lookup_tables, credentials, data_keys, connections, refresh_tokens, sessions, members, users, tenants CASCADE;
DROP FUNCTION hook_find(text), sweep_messages(integer, interval), sweep_deliveries(integer, interval), user_find(text),
    user_sign_in_failed(uuid), session_open(uuid, uuid, bytea, timestamptz), session_refresh(bytea, bytea, timestamptz),
    session_close(uuid, uuid), session_memberships(uuid, uuid), session_is_open(uuid, uuid), user_create(uuid, text, text, text),
    ensure_partitions(integer), guard_partition(text), uuid7_floor(timestamptz), current_tenant();
