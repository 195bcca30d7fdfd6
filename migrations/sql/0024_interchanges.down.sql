DELETE FROM incidents WHERE sequence_id IS NOT NULL;
ALTER TABLE incidents DROP CONSTRAINT incidents_of, DROP COLUMN sequence_id;
ALTER TABLE incidents ADD CONSTRAINT incidents_of CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id, series_id) <= 1);
DROP TABLE sent_groups, interchanges, interchange_sequences;
