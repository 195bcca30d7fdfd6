-- Breakers and incidents; and a guard on the moves of deliveries.

-- How calls to one operation of a connection fare. A row is made by the first failure; a connection that never failed has none.
CREATE TABLE breakers (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    operation      text NOT NULL CHECK (length(operation) <= 200), -- order.write; empty: all of the connection, whose credential is refused.
    state          text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open', 'recovering')),
    calls          integer NOT NULL DEFAULT 0,
    faults         integer NOT NULL DEFAULT 0,
    run            integer NOT NULL DEFAULT 0,          -- Failures since the last answer.
    window_at      timestamptz NOT NULL DEFAULT now(),
    opens          integer NOT NULL DEFAULT 0,          -- How often it was opened since it was closed last.
    batch          integer NOT NULL DEFAULT 0,          -- How many deliveries were let go last.
    next_at        timestamptz,                         -- When it is looked at again; it is leased by moving this.
    UNIQUE (connection_id, operation),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX breakers_due ON breakers (next_at) WHERE next_at IS NOT NULL;

-- What people are told: one for each time that a breaker opened, however many deliveries wait for it.
CREATE TABLE incidents (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    breaker_id     uuid NOT NULL REFERENCES breakers ON DELETE CASCADE,
    operation      text NOT NULL,
    code           text NOT NULL,
    sentence       text NOT NULL,
    owner          text NOT NULL,
    next_step      text NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    probes         integer NOT NULL DEFAULT 0,          -- Tries since then that failed.
    closed_at      timestamptz,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX incidents_open ON incidents (breaker_id) WHERE closed_at IS NULL;
CREATE INDEX incidents_list ON incidents (tenant_id, id);
CREATE INDEX incidents_connection ON incidents (connection_id) WHERE closed_at IS NULL;

-- The breaker that holds a delivery, or let it go. Of all that wait only what is held is in the index, and no look-up by record leans on it.
ALTER TABLE deliveries ADD COLUMN held_by uuid;
CREATE INDEX deliveries_held ON deliveries (held_by, id) WHERE state = 'held';

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['breakers', 'incidents'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
CREATE POLICY system ON breakers TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON breakers, incidents TO crossdock_app;
GRANT SELECT, UPDATE ON breakers TO crossdock_system;

-- Workers: breakers of any tenant whose time has come; each is leased to one worker.
CREATE FUNCTION breakers_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT b.id FROM breakers b WHERE b.next_at <= now() ORDER BY b.next_at LIMIT count_max FOR UPDATE SKIP LOCKED
    )
    UPDATE breakers b SET next_at = now() + lease FROM due WHERE b.id = due.id RETURNING b.tenant_id, b.id
$$;

-- The moves of a delivery are those of the protocol's table (docs/delivery.md), whoever makes them. The condition costs no call where a move is
-- one of them.
CREATE FUNCTION delivery_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'delivery % cannot become % from %', OLD.id, NEW.state, OLD.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER deliveries_guard BEFORE UPDATE OF state ON deliveries FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state = ANY (ARRAY[
        'planned>sending', 'planned>waiting', 'planned>exception', 'planned>held', 'planned>confirmed', 'planned>superseded', 'planned>cancelled',
        'sending>confirmed', 'sending>planned', 'sending>waiting', 'sending>exception', 'sending>held', 'sending>unknown',
        'unknown>confirmed', 'unknown>planned', 'unknown>exception', 'unknown>waiting', 'unknown>held',
        'waiting>planned', 'waiting>held', 'waiting>superseded', 'waiting>cancelled',
        'held>planned', 'held>superseded', 'held>cancelled',
        'exception>planned', 'exception>unknown', 'exception>confirmed', 'exception>superseded', 'exception>cancelled',
        'confirmed>reconciled', 'confirmed>planned', 'reconciled>planned'])))
    EXECUTE FUNCTION delivery_guard();

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION breakers_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION breakers_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION breakers_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
