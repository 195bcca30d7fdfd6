-- Backfills: what a source has of a period, or of some ids, is brought once more, a page at a time and never before live work.
CREATE TABLE backfills (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    kind           text NOT NULL,
    since_at       timestamptz,                         -- The period, until the moment before `until_at`;
    until_at       timestamptz,
    ids            text[],                              -- or these.
    state          text NOT NULL DEFAULT 'preparing'
                   CHECK (state IN ('preparing', 'ready', 'running', 'paused', 'done', 'failed', 'cancelled')),
    estimate       bigint,                              -- Records, where that could be told beforehand.
    is_exact       boolean NOT NULL DEFAULT false,      -- The estimate is a count.
    position       jsonb NOT NULL DEFAULT '{}',         -- Of the connector: where the next page begins.
    next_id        integer NOT NULL DEFAULT 0,          -- Of `ids`: the next one.
    page           uuid[] NOT NULL DEFAULT '{}',        -- The messages of the last page: the next one is read when they are settled.
    listed         bigint NOT NULL DEFAULT 0,
    brought        bigint NOT NULL DEFAULT 0,
    missing        bigint NOT NULL DEFAULT 0,           -- Of `ids`: those that the source does not have.
    failures       integer NOT NULL DEFAULT 0,          -- In a row.
    failure        text,
    due_at         timestamptz NOT NULL DEFAULT now(),
    lease_id       uuid,
    lease_until    timestamptz,
    started_by     jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    ended_at       timestamptz,
    CHECK ((ids IS NULL) <> (since_at IS NULL)),
    CHECK ((since_at IS NULL) = (until_at IS NULL)),
    CHECK (since_at < until_at),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX backfills_list ON backfills (tenant_id, id);
CREATE INDEX backfills_due ON backfills (due_at) WHERE state IN ('preparing', 'running');

ALTER TABLE backfills ENABLE ROW LEVEL SECURITY;
ALTER TABLE backfills FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON backfills USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON backfills TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON backfills TO crossdock_app;
GRANT SELECT, UPDATE ON backfills TO crossdock_system;

-- Workers: the next backfills of any tenant, one of each tenant at a time, each leased to one worker.
CREATE FUNCTION backfills_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT DISTINCT ON (b.tenant_id) b.id, b.due_at FROM backfills b
        WHERE b.state IN ('preparing', 'running') AND b.due_at <= now() AND (b.lease_until IS NULL OR b.lease_until <= now())
          AND NOT EXISTS (SELECT FROM backfills o WHERE o.tenant_id = b.tenant_id AND o.lease_until > now())
        ORDER BY b.tenant_id, b.due_at
    ), taken AS (
        SELECT b.id FROM backfills b JOIN due ON due.id = b.id ORDER BY due.due_at LIMIT count_max FOR UPDATE OF b SKIP LOCKED
    )
    UPDATE backfills b SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE b.id = taken.id RETURNING b.tenant_id, b.id, b.lease_id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION backfills_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION backfills_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION backfills_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
