-- Keys of accounts become keys by themselves, with what they were given.
CREATE OR REPLACE FUNCTION api_key_find(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text, persisted_only boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.key_hash, k.name, k.permissions, k.calls_per_minute, k.created_by,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes', t.id, t.slug, t.name, k.persisted_only
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE k.prefix = its_prefix AND k.revoked_at IS NULL AND k.expires_at > now()
$$;
DROP FUNCTION api_key_live(text);
DROP FUNCTION permissions_within(text[], text[]);
ALTER TABLE api_keys DROP COLUMN service_account_id;
DROP TABLE service_accounts;
