DROP TRIGGER audit_event_has_actors ON audit_events;
DROP FUNCTION audit_event_has_actors(), audit_policies_take(integer), audit_remove(bigint, bigint);
DROP INDEX audit_events_request, audit_events_action;
DROP POLICY system ON audit_events;
REVOKE SELECT, DELETE ON audit_events FROM crossdock_system;
DROP TABLE audit_actors, audit_policies;
