-- Where a tenant's audit log is sent as it grows: a syslog server or an address of HTTP. What is sent is what is sealed, a seal after the other, so that a
-- number says how far it came.
CREATE TABLE audit_streams (
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id                uuid NOT NULL UNIQUE,
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind              text NOT NULL CHECK (kind IN ('syslog', 'http')),
    address           text NOT NULL CHECK (length(address) BETWEEN 1 AND 2000),
    ca_pem            text CHECK (octet_length(ca_pem) <= 65536),   -- Who vouches for the server, where no public authority does.
    data_key_version  integer,
    sealed            bytea,                                        -- What batches are signed with.
    is_paused         boolean NOT NULL DEFAULT false,
    cursor            bigint NOT NULL CHECK (cursor >= 0),          -- The last seal that arrived whole.
    due_at            timestamptz NOT NULL DEFAULT now(),
    tries             integer NOT NULL DEFAULT 0,                   -- Since something arrived.
    sent_at           timestamptz,
    failed_at         timestamptz,
    failure           text CHECK (length(failure) <= 500),          -- Why the last try failed; NULL where it did not.
    lag_told_at       timestamptz,                                  -- That it lags was told; until it has caught up it is not told again.
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CREATE INDEX audit_streams_due ON audit_streams (due_at) WHERE NOT is_paused;

ALTER TABLE audit_streams ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_streams FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_streams USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON audit_streams TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON audit_streams TO crossdock_app;
GRANT SELECT, UPDATE ON audit_streams TO crossdock_system;

-- Workers: streams of any tenant that are due, each leased to one worker.
CREATE FUNCTION audit_streams_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT s.id FROM audit_streams s WHERE NOT s.is_paused AND s.due_at <= now() ORDER BY s.due_at LIMIT count_max FOR UPDATE SKIP LOCKED
    )
    UPDATE audit_streams s SET due_at = now() + lease FROM due WHERE s.id = due.id RETURNING s.tenant_id, s.id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION audit_streams_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION audit_streams_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION audit_streams_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
