-- Operations of GraphQL that a tenant has registered for its partners' programs, by the hash of their text. A key can be kept to them.
CREATE TABLE persisted_operations (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    hash        bytea NOT NULL CHECK (length(hash) = 32),       -- SHA-256 of the document, byte for byte.
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    document    text NOT NULL CHECK (octet_length(document) BETWEEN 1 AND 32768),
    created_by  uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, hash)
);
ALTER TABLE persisted_operations ENABLE ROW LEVEL SECURITY;
ALTER TABLE persisted_operations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON persisted_operations USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON persisted_operations TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON persisted_operations TO crossdock_app;

ALTER TABLE api_keys ADD COLUMN persisted_only boolean NOT NULL DEFAULT false;
GRANT SELECT (persisted_only) ON api_keys TO crossdock_app;

-- As before, and whether the key is kept to registered operations. The columns are read by their names, so that the version before reads it, too.
DROP FUNCTION api_key_find(text);
CREATE FUNCTION api_key_find(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text, persisted_only boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.key_hash, k.name, k.permissions, k.calls_per_minute, k.created_by,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes', t.id, t.slug, t.name, k.persisted_only
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE k.prefix = its_prefix AND k.revoked_at IS NULL AND k.expires_at > now()
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION api_key_find(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION api_key_find(text) TO crossdock_app;
    ALTER FUNCTION api_key_find(text) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
