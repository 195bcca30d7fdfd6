-- Secrets are exchanged on schedule: how often for each connection, and each exchange with how far it is.

-- What the vendor calls the key that a credential is of, where it made it for us.
ALTER TABLE credentials ADD COLUMN key_id text CHECK (length(key_id) BETWEEN 1 AND 200);

CREATE TABLE rotation_schedules (
    connection_id   uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    every_days      integer CHECK (every_days BETWEEN 1 AND 730),   -- Absent: only when somebody says so.
    follows_advice  boolean NOT NULL DEFAULT false,                 -- So often as its connector advises.
    is_automatic    boolean NOT NULL,
    due_at          timestamptz,            -- When the secret that is used is to be exchanged.
    wake_at         timestamptz,            -- When a worker has something to do; absent while nobody but a person has.
    lease_id        uuid,
    lease_until     timestamptz,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX rotation_schedules_wake ON rotation_schedules (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX rotation_schedules_due ON rotation_schedules (due_at) WHERE NOT is_automatic AND due_at IS NOT NULL;

CREATE TABLE rotations (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL,
    connection_id      uuid NOT NULL,
    way                text NOT NULL CHECK (way IN ('automatic', 'guided')),
    state              text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'making', 'checking', 'overlapping', 'removing', 'retired', 'failed')),
    old_credential_id  uuid NOT NULL,
    new_credential_id  uuid,
    label              text NOT NULL,              -- What the new key is called at the vendor.
    tries              integer NOT NULL DEFAULT 0, -- Of the step that it stands at.
    overlap_until      timestamptz,
    -- What stopped it last, or does now.
    code               text,
    sentence           text,
    owner              text,
    next_step          text,
    begun_at           timestamptz NOT NULL DEFAULT now(),
    moved_at           timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    CHECK (state NOT IN ('checking', 'overlapping', 'removing', 'retired') OR new_credential_id IS NOT NULL),
    CHECK (state NOT IN ('overlapping', 'removing') OR overlap_until IS NOT NULL)
);
-- One at a time, and the newest for its page.
CREATE UNIQUE INDEX rotations_open ON rotations (connection_id) WHERE state NOT IN ('retired', 'failed');
CREATE INDEX rotations_connection ON rotations (connection_id, id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['rotation_schedules', 'rotations'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
CREATE POLICY system ON rotation_schedules TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON rotation_schedules TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON rotations TO crossdock_app;
GRANT SELECT, UPDATE ON rotation_schedules TO crossdock_system;
CREATE POLICY system ON rotations FOR SELECT TO crossdock_system USING (true);
GRANT SELECT (connection_id, state) ON rotations TO crossdock_system;

ALTER TABLE incidents DROP CONSTRAINT incidents_upkeep_check;
ALTER TABLE incidents ADD CONSTRAINT incidents_upkeep_check
    CHECK (upkeep IN ('consent', 'secret', 'certificate', 'probe', 'scopes', 'rotation', 'rotation_halted'));

-- Workers: rotations of any tenant that have something to do, shared between the tenants, each leased to one worker. What is paused rests, but for a new
-- secret that is to be tried.
CREATE FUNCTION rotations_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT s.connection_id AS id, row_number() OVER (PARTITION BY s.tenant_id ORDER BY s.wake_at) AS turn, s.wake_at
        FROM rotation_schedules s
        WHERE s.wake_at <= now() AND (s.lease_until IS NULL OR s.lease_until <= now())
          AND (EXISTS (SELECT FROM connections c WHERE c.id = s.connection_id AND c.state = 'active')
               OR EXISTS (SELECT FROM rotations r WHERE r.connection_id = s.connection_id AND r.state = 'checking'))
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.wake_at LIMIT count_max
    ), taken AS (
        SELECT s.connection_id FROM rotation_schedules s WHERE s.connection_id IN (SELECT first.id FROM first)
          AND s.wake_at <= now() AND (s.lease_until IS NULL OR s.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE rotation_schedules s SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE s.connection_id = taken.connection_id RETURNING s.tenant_id, s.connection_id, s.lease_id
$$;

-- Workers: the connectors whose secrets are exchanged on schedule.
CREATE FUNCTION rotation_connectors() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT c.connector FROM rotation_schedules s JOIN connections c ON c.id = s.connection_id
$$;

-- Workers: what connectors advise now becomes so for whoever follows it; how many schedules that changed.
CREATE FUNCTION rotation_advice_follow(connectors text[], days integer[], automatic boolean[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH advice AS (
        SELECT * FROM unnest(connectors, days, automatic) AS a (connector, every_days, is_automatic)
    ), changed AS (
        UPDATE rotation_schedules s
        SET every_days = CASE WHEN s.follows_advice THEN a.every_days ELSE s.every_days END, is_automatic = a.is_automatic,
            -- Worked out by whoever takes it next.
            wake_at = coalesce(least(s.wake_at, now()), now())
        FROM connections c, advice a
        WHERE c.id = s.connection_id AND a.connector = c.connector
          AND ((s.follows_advice AND s.every_days IS DISTINCT FROM a.every_days) OR s.is_automatic <> a.is_automatic)
        RETURNING 1
    )
    SELECT count(*) FROM changed
$$;

-- As before, and secrets that people are to exchange.
CREATE OR REPLACE FUNCTION upkeep_moved(within interval, rows_max integer)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, kind text, ends_at timestamptz, incident_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ends AS (
        SELECT c.tenant_id, c.connection_id, 'consent' AS kind, t.ends_at
        FROM credentials c JOIN tokens t ON t.credential_id = c.id WHERE c.state = 'active' AND t.ends_at < now() + within
        UNION ALL
        SELECT c.tenant_id, c.connection_id, c.ends_kind, c.ends_at FROM credentials c WHERE c.state = 'active' AND c.ends_at < now() + within
        UNION ALL
        SELECT s.tenant_id, s.connection_id, 'rotation', s.due_at FROM rotation_schedules s WHERE NOT s.is_automatic AND s.due_at < now() + within
    ), told AS (
        SELECT i.id, i.tenant_id, i.connection_id, i.upkeep, i.ends_at FROM incidents i
        WHERE i.closed_at IS NULL AND i.upkeep IS NOT NULL AND i.upkeep IN ('consent', 'secret', 'certificate', 'rotation')
    )
    SELECT coalesce(e.tenant_id, i.tenant_id), coalesce(e.connection_id, i.connection_id), coalesce(e.kind, i.upkeep), e.ends_at, i.id
    FROM ends e FULL JOIN told i ON i.connection_id = e.connection_id AND i.upkeep = e.kind
    WHERE e.ends_at IS DISTINCT FROM i.ends_at
    ORDER BY e.ends_at LIMIT rows_max
$$;

DO $$
BEGIN
    GRANT SELECT (id, connector) ON connections TO crossdock_system;
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION rotations_take(integer, interval) FROM PUBLIC;
    REVOKE ALL ON FUNCTION rotation_connectors() FROM PUBLIC;
    REVOKE ALL ON FUNCTION rotation_advice_follow(text[], integer[], boolean[]) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION rotations_take(integer, interval), rotation_connectors(), rotation_advice_follow(text[], integer[], boolean[]) TO crossdock_app;
    ALTER FUNCTION rotations_take(integer, interval) OWNER TO crossdock_system;
    ALTER FUNCTION rotation_connectors() OWNER TO crossdock_system;
    ALTER FUNCTION rotation_advice_follow(text[], integer[], boolean[]) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
