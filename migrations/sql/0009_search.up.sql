-- Search by any id, and the timeline of a record.

-- What records are known by: one row for each id of each record. Written in the transaction that stores a revision and never taken back: a
-- record is found by what any of its revisions said. Texts compare by their bytes, so that a beginning is a range.
CREATE TABLE search_keys (
    tenant_id   uuid NOT NULL,
    kind        text NOT NULL,
    value       text COLLATE "C" NOT NULL CHECK (length(value) <= 128),  -- Normalised; of an address its keyed hash.
    record_id   uuid NOT NULL,
    PRIMARY KEY (tenant_id, kind, value, record_id)
);
ALTER TABLE search_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE search_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON search_keys USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
GRANT SELECT, INSERT ON search_keys TO crossdock_app;

-- What a record's timeline begins with.
CREATE INDEX messages_record ON messages (record_id, id) WHERE record_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS exceptions_record ON exceptions (record_id) WHERE record_id IS NOT NULL;
CREATE INDEX exceptions_of_message ON exceptions (message_id) WHERE message_id IS NOT NULL;
