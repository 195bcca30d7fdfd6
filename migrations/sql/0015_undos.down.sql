DROP FUNCTION undos_take(integer, interval);
-- What undoes a delivery has its revision's number, of which there is one again.
DELETE FROM deliveries WHERE undoes IS NOT NULL;
DROP INDEX deliveries_version, deliveries_undo, deliveries_undoes, deliveries_revision;
ALTER TABLE deliveries DROP COLUMN undoes, DROP COLUMN undo_id;
ALTER TABLE deliveries ADD CONSTRAINT deliveries_flow_id_record_id_revision_key UNIQUE (flow_id, record_id, revision);
DROP TABLE undo_items, undos;
