-- Notices of an API version's end, one for each connection and reason for as long as it is open. A notice is closed when the connection's
-- connector calls another version, or when no answer has said so for long; a later one is a row of its own.
CREATE TABLE sunsets (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    connection_id   uuid NOT NULL,
    version         text NOT NULL,                      -- The one that the connector calls; empty where it names none.
    reason          text NOT NULL
                    CHECK (reason IN ('announced_by_header', 'echoed_other_version', 'sent_other_version', 'connectors_date', 'deprecated')),
    served_version  text CHECK (length(served_version) <= 100),
    ends_at         timestamptz,
    dated_at        timestamptz NOT NULL DEFAULT now(), -- When ends_at was last said.
    deprecated_at   timestamptz,
    link            text CHECK (length(link) <= 500),   -- Where the vendor says more.
    raised_at       timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(), -- Moves on at most once an hour.
    closed_at       timestamptz,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sunsets_open ON sunsets (connection_id, reason, version) WHERE closed_at IS NULL;
CREATE INDEX sunsets_list ON sunsets (tenant_id, ends_at) WHERE closed_at IS NULL;

ALTER TABLE sunsets ENABLE ROW LEVEL SECURITY;
ALTER TABLE sunsets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sunsets USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON sunsets FOR SELECT TO crossdock_system USING (true);
GRANT SELECT, INSERT, UPDATE ON sunsets TO crossdock_app;
GRANT SELECT ON sunsets TO crossdock_system;

-- Daily check: the connectors that any tenant uses. A large catalog is not read for those that nobody does.
CREATE FUNCTION connectors_in_use() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT c.connector FROM connections c
$$;

-- Daily check: the connections whose connector has a date for the end of the version it calls, and that have no open notice of it.
-- The arrays are the connectors of the build that asks, their versions and the dates (null: none).
CREATE FUNCTION sunsets_missing(connectors text[], versions text[], ends timestamptz[], after uuid, count_max integer)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, connector text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.tenant_id, c.id, c.connector
    FROM connections c JOIN unnest(connectors, versions, ends) AS i (connector, version, ends_at) ON i.connector = c.connector
    WHERE c.id > after AND i.ends_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM sunsets s WHERE s.connection_id = c.id AND s.reason = 'connectors_date' AND s.version = i.version
                      AND s.closed_at IS NULL AND s.ends_at = i.ends_at)
    ORDER BY c.id LIMIT count_max
$$;

-- Daily check: the open notices that are over: the connector calls another version by now, has no such date any more, or no answer has
-- said so for `unseen`.
CREATE FUNCTION sunsets_over(connectors text[], versions text[], ends timestamptz[], unseen interval, after uuid, count_max integer)
    RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.tenant_id, s.id
    FROM sunsets s JOIN connections c ON c.id = s.connection_id
    JOIN unnest(connectors, versions, ends) AS i (connector, version, ends_at) ON i.connector = c.connector
    WHERE s.id > after AND s.closed_at IS NULL
      AND (s.version <> i.version OR CASE s.reason WHEN 'connectors_date' THEN i.ends_at IS NULL ELSE s.last_seen_at < now() - unseen END)
    ORDER BY s.id LIMIT count_max
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'connectors_in_use()',
        'sunsets_missing(text[], text[], timestamptz[], uuid, integer)',
        'sunsets_over(text[], text[], timestamptz[], interval, uuid, integer)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
