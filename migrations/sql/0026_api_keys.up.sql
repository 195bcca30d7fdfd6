-- Keys of partners and services. Only a hash is kept: what the key is was shown once.
CREATE TABLE api_keys (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    prefix            text NOT NULL UNIQUE,           -- The part that is no secret: by it the key is found and told apart.
    key_hash          bytea NOT NULL,                 -- SHA-256 of the whole; it has 256 random bits.
    permissions       text[] NOT NULL,
    calls_per_minute  integer NOT NULL CHECK (calls_per_minute BETWEEN 1 AND 60000),
    created_by        uuid NOT NULL,                  -- The person who answers for it.
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL,
    last_used_at      timestamptz,                    -- To five minutes: a request is no write.
    revoked_at        timestamptz,
    replaces          uuid REFERENCES api_keys ON DELETE SET NULL
);
CREATE INDEX api_keys_list ON api_keys (tenant_id, id);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON api_keys TO crossdock_system USING (true) WITH CHECK (true);
-- The application writes a hash and never reads one: it asks the function below.
GRANT INSERT ON api_keys TO crossdock_app;
GRANT SELECT (id, tenant_id, name, prefix, permissions, calls_per_minute, created_by, created_at, expires_at, last_used_at, revoked_at, replaces),
    UPDATE (expires_at, revoked_at) ON api_keys TO crossdock_app;
GRANT SELECT, UPDATE (last_used_at) ON api_keys TO crossdock_system;

-- A request with a key, before any tenant is known. One that was revoked or has expired is not there.
CREATE FUNCTION api_key_find(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.key_hash, k.name, k.permissions, k.calls_per_minute, k.created_by,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes', t.id, t.slug, t.name
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE k.prefix = its_prefix AND k.revoked_at IS NULL AND k.expires_at > now()
$$;

CREATE FUNCTION api_key_used(key uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE api_keys SET last_used_at = now()
    WHERE id = key AND (last_used_at IS NULL OR last_used_at < now() - interval '5 minutes')
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['api_key_find(text)', 'api_key_used(uuid)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
