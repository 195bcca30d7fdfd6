DROP FUNCTION sso_sign_in(uuid, text, text, text, text, text, uuid, text, uuid, bytea, text, text), sso_take(bytea, bytea),
    sso_begin(bytea, uuid, bytea, text, text, timestamptz), sso_tenant(text, text), sso_sessions_revoke(), session_revoke(uuid, uuid, uuid, uuid),
    session_list(uuid, uuid), session_refresh(bytea, bytea, timestamptz, text), session_tenant(uuid), user_must_use_sso(uuid),
    email_domain_enforce(text, boolean), email_domain_prove(text, bytea), email_domain_code(text, bytea, timestamptz), tenant_has_break_glass(uuid),
    provider_makes_owners(uuid);

CREATE OR REPLACE FUNCTION session_memberships(session uuid, person uuid) RETURNS TABLE (tenant_id uuid, slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, t.slug, t.name, m.role FROM members m JOIN tenants t ON t.id = m.tenant_id
    WHERE m.user_id = person
      AND EXISTS (SELECT FROM sessions s WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL)
    ORDER BY t.slug
$$;
CREATE OR REPLACE FUNCTION session_is_open(session uuid, person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM sessions s WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL)
$$;
DROP FUNCTION user_enforcing_tenants(uuid);
-- Of a tenant's provider: without what bounds them, they would reach every tenant of their person.
DELETE FROM sessions WHERE tenant_id IS NOT NULL;
ALTER TABLE sessions DROP COLUMN tenant_id, DROP COLUMN ends_at;
REVOKE UPDATE (role), DELETE ON members FROM crossdock_system;
REVOKE UPDATE (name) ON tenants FROM crossdock_system;
DROP TABLE sso_sign_ins, sso_identities, email_domains, identity_provider_roles, identity_providers;

CREATE FUNCTION session_refresh(old_token bytea, new_token bytea, expires timestamptz, from_address text)
    RETURNS TABLE (session_id uuid, user_id uuid, is_reused boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE t record;
BEGIN
    SELECT r.session_id, r.used_at, r.expires_at, s.revoked_at, s.user_id INTO t
        FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.token_hash = old_token FOR UPDATE OF r, s;
    IF NOT FOUND OR t.revoked_at IS NOT NULL OR t.expires_at <= now() THEN RETURN; END IF;
    IF t.used_at IS NOT NULL THEN
        UPDATE sessions s SET revoked_at = now() WHERE s.id = t.session_id;
        RETURN QUERY SELECT t.session_id, t.user_id, true;
        RETURN;
    END IF;
    UPDATE refresh_tokens r SET used_at = now() WHERE r.token_hash = old_token;
    UPDATE sessions s SET last_used_at = now(), address = from_address WHERE s.id = t.session_id;
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (new_token, t.session_id, expires);
    RETURN QUERY SELECT t.session_id, t.user_id, false;
END $$;
DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['session_refresh(bytea, bytea, timestamptz, text)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
