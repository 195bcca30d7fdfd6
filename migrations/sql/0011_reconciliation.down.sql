DROP FUNCTION reconciliations_take(integer, interval);
DROP TABLE reconciliation_schedules, differences, reconciliations;
DROP POLICY system ON flow_versions;
REVOKE SELECT (flow_id, state) ON flow_versions FROM crossdock_system;
ALTER TABLE deliveries DROP COLUMN resends;
