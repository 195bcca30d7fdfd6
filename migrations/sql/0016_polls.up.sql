-- Polls: a kind of record of a connection that is listed again and again. The row is the cursor, and who leads it leases it.
CREATE TABLE polls (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    kind           text NOT NULL,                       -- Of record; or rates, which feed a lookup table.
    lookup_table_id uuid,
    every_s        integer NOT NULL CHECK (every_s BETWEEN 30 AND 604800),
    state          text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    position       jsonb NOT NULL DEFAULT '{}',         -- Of the connector: the newest change that was seen, and what was seen around it.
    due_at         timestamptz NOT NULL DEFAULT now(),
    lease_id       uuid,                                -- Of who reads now: a page of anybody else is not written.
    lease_until    timestamptz,
    begun_at       timestamptz,                         -- The last read.
    ended_at       timestamptz,
    read_at        timestamptz,                         -- The last one that came to its end.
    listed         bigint NOT NULL DEFAULT 0,           -- Records of that read, or of the one under way.
    brought        bigint NOT NULL DEFAULT 0,           -- Of them those that were new or had changed.
    gaps           bigint NOT NULL DEFAULT 0,           -- Of them those that a webhook should have brought.
    failures       integer NOT NULL DEFAULT 0,          -- Since the last one that came to its end.
    failure        text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (connection_id, kind, lookup_table_id),
    CHECK ((kind = 'rates') = (lookup_table_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX polls_list ON polls (tenant_id, id);
CREATE INDEX polls_due ON polls (due_at) WHERE state = 'active';

-- What each thing said when it was last listed: only what says something else becomes a message, however often a page comes again.
CREATE TABLE poll_seen (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    poll_id    uuid NOT NULL REFERENCES polls ON DELETE CASCADE,
    source_id  text NOT NULL COLLATE "C",
    hash       bytea NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (poll_id, source_id)
);

-- A source that cannot be listed is an incident, too.
ALTER TABLE incidents ALTER COLUMN breaker_id DROP NOT NULL;
ALTER TABLE incidents ADD COLUMN poll_id uuid REFERENCES polls ON DELETE CASCADE;
ALTER TABLE incidents ADD CONSTRAINT incidents_of CHECK ((breaker_id IS NULL) <> (poll_id IS NULL));
CREATE UNIQUE INDEX incidents_poll ON incidents (poll_id) WHERE closed_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['polls', 'poll_seen'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_app', t);
    END LOOP;
    CREATE POLICY system ON polls TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, UPDATE ON polls TO crossdock_system;

-- Workers: polls of any tenant that are due, shared between the tenants, each leased to one worker.
CREATE FUNCTION polls_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT p.id, row_number() OVER (PARTITION BY p.tenant_id ORDER BY p.due_at) AS turn, p.due_at
        FROM polls p WHERE p.state = 'active' AND p.due_at <= now() AND (p.lease_until IS NULL OR p.lease_until <= now())
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.due_at LIMIT count_max
    ), taken AS (
        SELECT p.id FROM polls p WHERE p.id IN (SELECT first.id FROM first)
          AND (p.lease_until IS NULL OR p.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE polls p SET lease_id = gen_random_uuid(), lease_until = now() + lease, begun_at = now(), listed = 0, brought = 0, gaps = 0
    FROM taken WHERE p.id = taken.id RETURNING p.tenant_id, p.id, p.lease_id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION polls_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION polls_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION polls_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
