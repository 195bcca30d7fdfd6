DELETE FROM arrival_series WHERE flow_id IS NOT NULL;
ALTER TABLE arrival_series DROP COLUMN flow_id;
