-- A program of a partner or of the tenant's own, that stays who it is when its keys are exchanged: its keys may no more than it may, share its limit, and end with it.
CREATE TABLE service_accounts (
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id                uuid NOT NULL,
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    purpose           text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 500),
    permissions       text[] NOT NULL,                -- What its keys may at most.
    calls_per_minute  integer NOT NULL CHECK (calls_per_minute BETWEEN 1 AND 60000),    -- Of all its keys together.
    created_by        uuid NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,                    -- It does not come back: what it did stays under its id.
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX service_accounts_name ON service_accounts (tenant_id, lower(name)) WHERE ended_at IS NULL;

ALTER TABLE service_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE service_accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON service_accounts USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON service_accounts TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (name, purpose, permissions, calls_per_minute, ended_at) ON service_accounts TO crossdock_app;
GRANT SELECT, DELETE ON service_accounts TO crossdock_system;

-- A key that acts as an account does so as long as it lives. One without is by itself, as all were before.
ALTER TABLE api_keys ADD COLUMN service_account_id uuid,
    ADD FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id);
GRANT SELECT (service_account_id) ON api_keys TO crossdock_app;

-- Processes of the release before rotate keys and know no account: the key that they put in the place of one acts as whom that one did.
CREATE FUNCTION api_key_keeps_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.service_account_id := (SELECT k.service_account_id FROM api_keys k WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.replaces);
    RETURN NEW;
END $$;
CREATE TRIGGER api_keys_keep_account BEFORE INSERT ON api_keys FOR EACH ROW
    WHEN (NEW.replaces IS NOT NULL AND NEW.service_account_id IS NULL) EXECUTE FUNCTION api_key_keeps_account();

-- What a key may: of what it was given, what its account has now; all of it where it acts as none.
CREATE FUNCTION permissions_within(given text[], most text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN most IS NULL THEN given
           ELSE ARRAY(SELECT g.word FROM unnest(given) WITH ORDINALITY g (word, nr) WHERE g.word = ANY (most) ORDER BY g.nr) END
$$;

-- A request with a key, before any tenant is known, and the account that it acts as. One that was revoked, has expired or whose account has ended is not there.
CREATE FUNCTION api_key_live(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text, persisted_only boolean,
    account_id uuid, account_name text, account_calls_per_minute integer)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.key_hash, k.name, permissions_within(k.permissions, a.permissions), k.calls_per_minute, k.created_by,
           k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes', t.id, t.slug, t.name, k.persisted_only,
           a.id, a.name, a.calls_per_minute
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    LEFT JOIN service_accounts a ON a.tenant_id = k.tenant_id AND a.id = k.service_account_id
    WHERE k.prefix = its_prefix AND k.revoked_at IS NULL AND k.expires_at > now() AND a.ended_at IS NULL
$$;

-- Asked by processes of the release before, whose prepared statements know its columns: they are narrowed and refused, too.
CREATE OR REPLACE FUNCTION api_key_find(its_prefix text) RETURNS TABLE (
    id uuid, key_hash bytea, name text, permissions text[], calls_per_minute integer, created_by uuid, is_use_old boolean,
    tenant_id uuid, tenant_slug text, tenant_name text, persisted_only boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.id, l.key_hash, l.name, l.permissions, l.calls_per_minute, l.created_by, l.is_use_old, l.tenant_id, l.tenant_slug, l.tenant_name, l.persisted_only
    FROM api_key_live(its_prefix) l
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['api_key_keeps_account()', 'permissions_within(text[], text[])', 'api_key_live(text)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
