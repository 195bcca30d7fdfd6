DROP FUNCTION api_key_find(text);
CREATE FUNCTION api_key_find(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.key_hash, k.name, k.permissions, k.calls_per_minute, k.created_by,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes', t.id, t.slug, t.name
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
ALTER TABLE api_keys DROP COLUMN persisted_only;
DROP TABLE persisted_operations;
