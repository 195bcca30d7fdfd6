-- Keys of accounts become keys by themselves, with what they may now: none gets back what its account lost, and those of accounts that have ended are over.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
ALTER TABLE service_accounts NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys k SET permissions = permissions_within(k.permissions, a.permissions), revoked_at = coalesce(k.revoked_at, a.ended_at)
FROM service_accounts a WHERE a.tenant_id = k.tenant_id AND a.id = k.service_account_id;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
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
DROP TRIGGER api_keys_keep_account ON api_keys;
DROP FUNCTION api_key_keeps_account();
ALTER TABLE api_keys DROP COLUMN service_account_id;
DROP TABLE service_accounts;
