-- Lookup tables keep their history: every change makes a version, and the table as of any version can be read again. Entries have dates of
-- their own besides: which of them stands is asked for a moment, that of the message.

ALTER TABLE lookup_tables
    ADD COLUMN kind text NOT NULL DEFAULT 'codes' CHECK (kind IN ('codes', 'rates', 'units')),
    ADD COLUMN inverts boolean NOT NULL DEFAULT false,  -- Of rates: EUR/USD also says USD/EUR.
    ADD COLUMN deleted_at timestamptz,                  -- Its history stays, its name is free again.
    DROP CONSTRAINT lookup_tables_tenant_id_name_key,
    ADD CHECK (kind = 'rates' OR NOT inverts);
CREATE UNIQUE INDEX lookup_tables_name ON lookup_tables (tenant_id, name) WHERE deleted_at IS NULL;

-- What was before is unknown: what stands now stands since the version that the table has now. The owner is bound by forced row-level
-- security as everybody is, so it is lifted for as long as this transaction holds the tables alone.
ALTER TABLE lookup_tables NO FORCE ROW LEVEL SECURITY;
ALTER TABLE lookup_entries NO FORCE ROW LEVEL SECURITY;
ALTER TABLE lookup_entries
    DROP CONSTRAINT lookup_entries_pkey,
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    ADD COLUMN since_version bigint NOT NULL DEFAULT 1,
    ADD COLUMN until_version bigint CHECK (until_version > since_version),     -- NULL: it stands now.
    ADD COLUMN effective_from timestamptz,                                     -- NULL: since ever.
    ADD COLUMN effective_until timestamptz CHECK (effective_until > effective_from); -- NULL: until the next of its value begins.
UPDATE lookup_entries e SET since_version = t.version FROM lookup_tables t WHERE t.id = e.table_id;
ALTER TABLE lookup_entries ALTER COLUMN id DROP DEFAULT, ALTER COLUMN since_version DROP DEFAULT;
-- At any moment the entry of a value is the one that began last, if it has not ended: so this alone keeps two from standing for one moment.
CREATE UNIQUE INDEX lookup_entries_stand ON lookup_entries (table_id, from_value, (coalesce(effective_from, '-infinity'::timestamptz)))
    WHERE until_version IS NULL;
CREATE INDEX lookup_entries_history ON lookup_entries (table_id, since_version);

-- Each version of a table, and what made it.
CREATE TABLE lookup_versions (
    tenant_id  uuid NOT NULL,
    table_id   uuid NOT NULL,
    version    bigint NOT NULL,
    name       text NOT NULL,                           -- What mappings called it then.
    cause      text NOT NULL
               CHECK (cause IN ('created', 'kept', 'set', 'removed', 'imported', 'rolled_back', 'resolved', 'fed', 'renamed', 'deleted')),
    added      integer NOT NULL DEFAULT 0,
    changed    integer NOT NULL DEFAULT 0,
    removed    integer NOT NULL DEFAULT 0,
    made_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_id, version),
    FOREIGN KEY (tenant_id, table_id) REFERENCES lookup_tables (tenant_id, id) ON DELETE CASCADE
);
INSERT INTO lookup_versions (tenant_id, table_id, version, name, cause, made_at)
SELECT tenant_id, id, version, name, 'kept', now() FROM lookup_tables;
ALTER TABLE lookup_tables FORCE ROW LEVEL SECURITY;
ALTER TABLE lookup_entries FORCE ROW LEVEL SECURITY;

ALTER TABLE lookup_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE lookup_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lookup_versions USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
GRANT SELECT, INSERT ON lookup_versions TO crossdock_app;

-- History is only added to: an entry may be ended once, and nothing else of it changes. Tables are marked as deleted.
REVOKE UPDATE, DELETE ON lookup_entries FROM crossdock_app;
GRANT UPDATE (until_version) ON lookup_entries TO crossdock_app;
REVOKE DELETE ON lookup_tables FROM crossdock_app;

-- All values that had no entry, as [{"table": …, "value": …}], at most fifty. The first is lookup_table and value.
ALTER TABLE exceptions ADD COLUMN missing jsonb;
CREATE INDEX exceptions_missing ON exceptions (tenant_id, id) WHERE state = 'open' AND missing IS NOT NULL;
ALTER TABLE exceptions NO FORCE ROW LEVEL SECURITY;
UPDATE exceptions SET missing = jsonb_build_array(jsonb_build_object('table', lookup_table, 'value', value))
    WHERE state = 'open' AND code = 'no_entry' AND delivery_id IS NOT NULL AND lookup_table IS NOT NULL AND value IS NOT NULL;
ALTER TABLE exceptions FORCE ROW LEVEL SECURITY;
