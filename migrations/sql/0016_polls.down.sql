DROP FUNCTION polls_take(integer, interval);
DELETE FROM incidents WHERE breaker_id IS NULL;
ALTER TABLE incidents DROP CONSTRAINT incidents_of, DROP COLUMN poll_id;
ALTER TABLE incidents ALTER COLUMN breaker_id SET NOT NULL;
DROP TABLE poll_seen, polls;
