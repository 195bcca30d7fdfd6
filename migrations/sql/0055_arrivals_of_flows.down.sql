-- Only a tenant's own transaction sees rows where row-level security is forced; an owner that is no superuser would delete none.
ALTER TABLE arrival_series NO FORCE ROW LEVEL SECURITY;
DELETE FROM arrival_series WHERE flow_id IS NOT NULL;
ALTER TABLE arrival_series FORCE ROW LEVEL SECURITY;
ALTER TABLE arrival_series DROP COLUMN flow_id;
