DROP TRIGGER audit_event_is_unsealed ON audit_events;
DROP FUNCTION audit_event_is_unsealed(), audit_unsealed_tenants(uuid, integer), audit_seal_put(bigint, uuid[], bytea, text, bytea);
DROP TABLE audit_seals, audit_unsealed;
