DROP TRIGGER tenants_arrivals ON tenants;
DROP FUNCTION arrival_watch_begin();
DROP FUNCTION arrival_watches_take(integer, interval);
DELETE FROM incidents WHERE series_id IS NOT NULL;
ALTER TABLE incidents DROP CONSTRAINT incidents_of, DROP COLUMN series_id;
ALTER TABLE incidents ADD CONSTRAINT incidents_of CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id) <= 1);
DROP TABLE arrival_series, arrival_watches, alarm_policies;
