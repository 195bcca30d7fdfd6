-- How a connection is kept: whether it answers to its credential (probes), and what of it ends, told before it does (incidents).

-- The newest probe of each connection: once a day by itself, and at once when somebody asks.
CREATE TABLE connection_probes (
    connection_id  uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL,
    due_at         timestamptz NOT NULL,
    lease_id       uuid,
    lease_until    timestamptz,
    asked_at       timestamptz,       -- Somebody waits for it since then.
    probed_at      timestamptz,
    outcome        text CHECK (outcome IN ('works', 'fails', 'untold')),
    code           text,
    sentence       text,
    owner          text,
    next_step      text,
    took_ms        integer,
    failures       integer NOT NULL DEFAULT 0,   -- In a row.
    CHECK ((probed_at IS NULL) = (outcome IS NULL)),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX connection_probes_due ON connection_probes (due_at);

-- When a secret ends, as a person or its certificate says, or the connector knows.
ALTER TABLE credentials
    ADD COLUMN ends_kind  text CHECK (ends_kind IN ('secret', 'certificate')),
    ADD COLUMN ends_at    timestamptz,
    ADD CHECK ((ends_kind IS NULL) = (ends_at IS NULL));

CREATE INDEX credentials_ends ON credentials (ends_at) WHERE state = 'active' AND ends_at IS NOT NULL;
CREATE INDEX tokens_ends ON tokens (ends_at) WHERE ends_at IS NOT NULL;

-- What ends, or does not answer to its credential, is an incident: one for each of these of a connection.
ALTER TABLE incidents
    ADD COLUMN upkeep   text CHECK (upkeep IN ('consent', 'secret', 'certificate', 'probe')),
    ADD COLUMN ends_at  timestamptz,
    ADD CHECK (upkeep IS NOT NULL OR ends_at IS NULL);
ALTER TABLE incidents DROP CONSTRAINT incidents_of;
ALTER TABLE incidents ADD CONSTRAINT incidents_of
    CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id, series_id, sequence_id, upkeep) <= 1);
CREATE UNIQUE INDEX incidents_upkeep ON incidents (connection_id, upkeep) WHERE closed_at IS NULL AND upkeep IS NOT NULL;

ALTER TABLE connection_probes ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_probes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON connection_probes USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON connection_probes TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON connection_probes TO crossdock_app;
GRANT SELECT, UPDATE ON connection_probes TO crossdock_system;

-- Each connection has one: the first an hour or more after it was made, so that those of one day do not come at one moment.
CREATE FUNCTION connection_probe_of_connection() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO connection_probes (connection_id, tenant_id, due_at) VALUES (NEW.id, NEW.tenant_id, now() + interval '1 hour' + random() * interval '23 hours');
    RETURN NULL;
END $$;
CREATE TRIGGER connections_probe AFTER INSERT ON connections FOR EACH ROW EXECUTE FUNCTION connection_probe_of_connection();

-- Workers: probes of any tenant that are due, those that somebody waits for first, shared between the tenants, each leased to one worker. What is paused is
-- asked only where somebody says so.
CREATE FUNCTION connection_probes_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT p.connection_id AS id, row_number() OVER (PARTITION BY p.tenant_id ORDER BY p.asked_at, p.due_at) AS turn, p.due_at
        FROM connection_probes p
        WHERE p.due_at <= now() AND (p.lease_until IS NULL OR p.lease_until <= now())
          AND (p.asked_at IS NOT NULL OR EXISTS (SELECT FROM connections c WHERE c.id = p.connection_id AND c.state = 'active'))
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.due_at LIMIT count_max
    ), taken AS (
        SELECT p.connection_id FROM connection_probes p WHERE p.connection_id IN (SELECT first.id FROM first)
          AND (p.lease_until IS NULL OR p.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE connection_probes p SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE p.connection_id = taken.connection_id RETURNING p.tenant_id, p.connection_id, p.lease_id
$$;

-- Workers: what of any tenant ends soon and is told by no incident yet, or is told and does not end so any more; what ends first before the rest.
CREATE FUNCTION upkeep_moved(within interval, rows_max integer)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, kind text, ends_at timestamptz, incident_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ends AS (
        SELECT c.tenant_id, c.connection_id, 'consent' AS kind, t.ends_at
        FROM credentials c JOIN tokens t ON t.credential_id = c.id WHERE c.state = 'active' AND t.ends_at < now() + within
        UNION ALL
        SELECT c.tenant_id, c.connection_id, c.ends_kind, c.ends_at FROM credentials c WHERE c.state = 'active' AND c.ends_at < now() + within
    ), told AS (
        SELECT i.id, i.tenant_id, i.connection_id, i.upkeep, i.ends_at FROM incidents i
        WHERE i.closed_at IS NULL AND i.upkeep IS NOT NULL AND i.upkeep <> 'probe'
    )
    SELECT coalesce(e.tenant_id, i.tenant_id), coalesce(e.connection_id, i.connection_id), coalesce(e.kind, i.upkeep), e.ends_at, i.id
    FROM ends e FULL JOIN told i ON i.connection_id = e.connection_id AND i.upkeep = e.kind
    WHERE e.ends_at IS DISTINCT FROM i.ends_at
    ORDER BY e.ends_at LIMIT rows_max
$$;

CREATE POLICY system ON tokens FOR SELECT TO crossdock_system USING (true);
CREATE POLICY system ON incidents FOR SELECT TO crossdock_system USING (true);
DO $$
BEGIN
    GRANT SELECT (id, tenant_id, connection_id, state, ends_kind, ends_at) ON credentials TO crossdock_system;
    GRANT SELECT (credential_id, tenant_id, ends_at) ON tokens TO crossdock_system;
    GRANT SELECT (id, tenant_id, connection_id, upkeep, ends_at, closed_at) ON incidents TO crossdock_system;
    GRANT SELECT (id, state) ON connections TO crossdock_system;
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION connection_probe_of_connection() FROM PUBLIC;
    REVOKE ALL ON FUNCTION connection_probes_take(integer, interval) FROM PUBLIC;
    REVOKE ALL ON FUNCTION upkeep_moved(interval, integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION connection_probes_take(integer, interval), upkeep_moved(interval, integer) TO crossdock_app;
    ALTER FUNCTION connection_probes_take(integer, interval) OWNER TO crossdock_system;
    ALTER FUNCTION upkeep_moved(interval, integer) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';

    -- Connections that were there before are probed, too.
    ALTER TABLE connections NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE connection_probes NO FORCE ROW LEVEL SECURITY;
    INSERT INTO connection_probes (connection_id, tenant_id, due_at) SELECT c.id, c.tenant_id, now() + random() * interval '1 day' FROM connections c;
    ALTER TABLE connections FORCE ROW LEVEL SECURITY;
    ALTER TABLE connection_probes FORCE ROW LEVEL SECURITY;
END $$;
