DROP FUNCTION tenant_weights(), sweep_deliveries(integer, integer, interval), sweep_messages(integer, integer, interval);
ALTER TABLE tenants DROP COLUMN weight;
DROP INDEX deliveries_held, deliveries_sweep, messages_sweep;
ALTER TABLE deliveries DROP COLUMN rank, DROP COLUMN due_by, DROP COLUMN lane;
ALTER TABLE messages DROP COLUMN lane;
CREATE INDEX messages_sweep ON messages (connection_id, sweep_at) WHERE state IN ('received', 'fetching');
CREATE INDEX deliveries_sweep ON deliveries (connection_id, sweep_at) WHERE state IN ('planned', 'sending', 'waiting', 'unknown');
CREATE INDEX deliveries_held ON deliveries (held_by, id) WHERE state = 'held';
