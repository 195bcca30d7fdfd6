-- What a breaker holds would wait for ever without it.
ALTER TABLE deliveries NO FORCE ROW LEVEL SECURITY;
UPDATE deliveries SET state = 'planned', due_at = now(), sweep_at = now() WHERE state = 'held';
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
DROP TRIGGER deliveries_guard ON deliveries;
DROP FUNCTION delivery_guard();
DROP FUNCTION breakers_take(integer, interval);
DROP INDEX deliveries_held;
ALTER TABLE deliveries DROP COLUMN held_by;
DROP TABLE incidents, breakers;
