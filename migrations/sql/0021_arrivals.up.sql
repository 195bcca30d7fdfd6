-- Arrivals: how often things come from each source, learned from what is counted, and the alarms of silence and surge.

-- On which clock a tenant's week is read, how sure its alarms are, and when nobody is told of them. Without a row: UTC, normal, never quiet.
CREATE TABLE alarm_policies (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    policy      jsonb NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- How far a tenant's messages are counted. Each message is read once, by the time within its id, some seconds after it came.
CREATE TABLE arrival_watches (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    counted_until  timestamptz NOT NULL,
    look_at        timestamptz NOT NULL DEFAULT now(),
    lease_until    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX arrival_watches_due ON arrival_watches (look_at);
-- What there is already begins to be counted now: history is not read.
INSERT INTO arrival_watches (tenant_id, counted_until) SELECT id, now() FROM tenants;

-- What comes of a kind of record from a connection, or by one topic of its webhooks. Times stand in columns, all else in `memory`.
CREATE TABLE arrival_series (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    kind           text NOT NULL,
    topic          text NOT NULL DEFAULT '' CHECK (length(topic) <= 200),  -- Empty: all of the kind.
    begun_at       timestamptz NOT NULL,
    until_at       timestamptz NOT NULL,                                   -- What is before is in `memory`.
    last_at        timestamptz,                                            -- The last arrival.
    memory         bytea NOT NULL CHECK (length(memory) <= 4096),
    alarm          text CHECK (alarm IN ('silence', 'surge')),
    muted_until    timestamptz,
    UNIQUE (connection_id, kind, topic),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX arrival_series_list ON arrival_series (tenant_id, id);

-- An alarm is an incident, too.
ALTER TABLE incidents ADD COLUMN series_id uuid REFERENCES arrival_series ON DELETE CASCADE;
ALTER TABLE incidents DROP CONSTRAINT incidents_of;
ALTER TABLE incidents ADD CONSTRAINT incidents_of CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id, series_id) <= 1);
CREATE UNIQUE INDEX incidents_series ON incidents (series_id) WHERE closed_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['alarm_policies', 'arrival_watches', 'arrival_series'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    CREATE POLICY system ON arrival_watches TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, INSERT, UPDATE ON alarm_policies, arrival_series TO crossdock_app;
GRANT SELECT, UPDATE ON arrival_watches TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON arrival_watches TO crossdock_system;

-- A tenant is watched from its first day on.
CREATE FUNCTION arrival_watch_begin() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO arrival_watches (tenant_id, counted_until) VALUES (NEW.id, now());
    RETURN NULL;
END $$;
CREATE TRIGGER tenants_arrivals AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION arrival_watch_begin();

-- Workers: tenants whose arrivals are to be counted; each is leased to one worker.
CREATE FUNCTION arrival_watches_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT w.tenant_id FROM arrival_watches w WHERE w.look_at <= now() AND w.lease_until <= now()
        ORDER BY w.look_at LIMIT count_max FOR UPDATE SKIP LOCKED
    )
    UPDATE arrival_watches w SET lease_until = now() + lease FROM due WHERE w.tenant_id = due.tenant_id RETURNING w.tenant_id, w.tenant_id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION arrival_watches_take(integer, interval) FROM PUBLIC;
    REVOKE ALL ON FUNCTION arrival_watch_begin() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION arrival_watches_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION arrival_watches_take(integer, interval) OWNER TO crossdock_system;
    ALTER FUNCTION arrival_watch_begin() OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
