-- A tenant may demand a second factor of its people: who has none reaches nothing of it, in sessions too that were opened before.
CREATE TABLE sign_in_policies (
    tenant_id                  uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    second_factor_demanded_at  timestamptz,          -- NULL: a password alone is enough.
    set_by                     uuid NOT NULL,
    set_at                     timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE sign_in_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sign_in_policies USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON sign_in_policies TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON sign_in_policies TO crossdock_app;
GRANT SELECT ON sign_in_policies TO crossdock_system;

-- Whether something is asked for beside the person's password. Each session by password of who has one has shown it: setting it up ends the others.
CREATE FUNCTION user_has_second_factor(person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL)
$$;

-- As `session_memberships` was, with those that a demand keeps the person out of. A session that the tenant's own provider vouched for is by the
-- provider's policy: it asks for what it asks for, and ours is not asked for there.
CREATE FUNCTION session_places(session uuid, person uuid)
    RETURNS TABLE (tenant_id uuid, slug text, name text, role text, lacks_second_factor boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, t.slug, t.name, m.role,
           s.tenant_id IS NULL AND p.second_factor_demanded_at IS NOT NULL AND NOT user_has_second_factor(person)
    FROM sessions s JOIN members m ON m.user_id = s.user_id JOIN tenants t ON t.id = m.tenant_id
    LEFT JOIN sign_in_policies p ON p.tenant_id = m.tenant_id
    WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > now())
      AND CASE WHEN s.tenant_id IS NOT NULL THEN m.tenant_id = s.tenant_id
               ELSE m.tenant_id NOT IN (SELECT e.tenant_id FROM user_enforcing_tenants(person) e) END
    ORDER BY t.slug
$$;
-- What a session reaches. Processes of the release before ask this, and keep to the demand without knowing of it.
CREATE OR REPLACE FUNCTION session_memberships(session uuid, person uuid) RETURNS TABLE (tenant_id uuid, slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.tenant_id, p.slug, p.name, p.role FROM session_places(session, person) p WHERE NOT p.lacks_second_factor
$$;

-- Members of the tenant whom a demand keeps out until they have set one up; those whom its provider has brought come in by that.
CREATE FUNCTION members_without_second_factor() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.user_id FROM members m
    WHERE m.tenant_id = current_tenant() AND NOT user_has_second_factor(m.user_id)
      AND NOT EXISTS (SELECT FROM sso_identities i JOIN identity_providers p ON p.tenant_id = i.tenant_id AND p.issuer = i.issuer
          WHERE i.tenant_id = m.tenant_id AND i.user_id = m.user_id)
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'user_has_second_factor(uuid)', 'session_places(uuid, uuid)', 'session_memberships(uuid, uuid)', 'members_without_second_factor()'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
