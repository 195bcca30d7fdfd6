-- Single sign-on: a tenant's own identity provider (OpenID Connect), the mail domains that it has proven, and who is who at the provider.

CREATE TABLE identity_providers (
    tenant_id         uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    issuer            text NOT NULL CHECK (length(issuer) BETWEEN 8 AND 500),
    client_id         text NOT NULL CHECK (length(client_id) BETWEEN 1 AND 500),
    data_key_version  integer NOT NULL,
    sealed            bytea NOT NULL,                 -- The client's secret.
    scopes            text[] NOT NULL,                -- Beside openid.
    groups_claim      text NOT NULL CHECK (length(groups_claim) BETWEEN 1 AND 200),
    default_role      text CHECK (default_role IN ('owner', 'admin', 'operator', 'developer', 'auditor', 'billing')),   -- NULL: without a group nobody comes in.
    session_hours     integer NOT NULL CHECK (session_hours BETWEEN 1 AND 720),
    set_by            uuid NOT NULL,
    set_at            timestamptz NOT NULL DEFAULT now()
);

-- Which group of the provider gives which role.
CREATE TABLE identity_provider_roles (
    tenant_id   uuid NOT NULL REFERENCES identity_providers ON DELETE CASCADE,
    group_name  text NOT NULL CHECK (length(group_name) BETWEEN 1 AND 200),
    role        text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'developer', 'auditor', 'billing')),
    PRIMARY KEY (tenant_id, group_name)
);

-- A domain of mail addresses that a tenant says is its own, has proven to be, and enforces its provider for.
CREATE TABLE email_domains (
    tenant_id        uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id               uuid NOT NULL UNIQUE,
    domain           text NOT NULL CHECK (length(domain) <= 253 AND domain ~ '^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    code_hash        bytea CHECK (length(code_hash) = 32),   -- Of what was mailed to the domain's own postmaster or admin last.
    code_expires_at  timestamptz,
    mailed_at        timestamptz,
    added_at         timestamptz NOT NULL DEFAULT now(),
    proven_at        timestamptz,
    enforced_at      timestamptz,
    CHECK (enforced_at IS NULL OR proven_at IS NOT NULL),
    PRIMARY KEY (tenant_id, domain)
);
CREATE INDEX email_domains_enforced ON email_domains (domain) WHERE enforced_at IS NOT NULL;

-- Whom the provider means by a subject. An issuer says so for one tenant: at another, with another client, the same subject is a stranger.
CREATE TABLE sso_identities (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    issuer      text NOT NULL,
    subject     text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    linked_at   timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, issuer, subject)
);
CREATE INDEX sso_identities_user ON sso_identities (user_id);

-- A sign-in that was begun: good once, for ten minutes, in the browser that began it, with the provider that it was begun at. Both are hashes, and the
-- proof of the code (PKCE) and the nonce follow from what the browser alone has: who reads this table can end no sign-in.
CREATE TABLE sso_sign_ins (
    state_hash    bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    browser_hash  bytea NOT NULL CHECK (length(browser_hash) = 32),
    issuer        text NOT NULL,
    client_id     text NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
CREATE INDEX sso_sign_ins_expired ON sso_sign_ins (tenant_id, expires_at);

-- A session that a provider vouched for is of that provider's tenant, and has an end that no refresh moves.
ALTER TABLE sessions
    ADD COLUMN tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    ADD COLUMN ends_at   timestamptz,
    ADD CHECK ((tenant_id IS NULL) = (ends_at IS NULL));
CREATE INDEX sessions_of_tenant ON sessions (tenant_id, user_id) WHERE tenant_id IS NOT NULL AND revoked_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['identity_providers', 'identity_provider_roles', 'email_domains', 'sso_identities', 'sso_sign_ins'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['identity_providers', 'identity_provider_roles', 'email_domains'] LOOP
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity_providers, identity_provider_roles TO crossdock_app;
-- The application writes a hash and never reads one. A domain is proven and enforced by the functions below only.
GRANT INSERT (tenant_id, id, domain), DELETE ON email_domains TO crossdock_app;
GRANT SELECT (tenant_id, id, domain, code_expires_at, mailed_at, added_at, proven_at, enforced_at) ON email_domains TO crossdock_app;
GRANT SELECT ON identity_providers, identity_provider_roles TO crossdock_system;
GRANT SELECT, UPDATE ON email_domains TO crossdock_system;
GRANT SELECT, INSERT, UPDATE ON sso_identities TO crossdock_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON sso_sign_ins TO crossdock_system;
GRANT UPDATE (role), DELETE ON members TO crossdock_system;
-- To lock: one change of a tenant's members at a time.
GRANT UPDATE (name) ON tenants TO crossdock_system;

------------------------------------------------------------------------------------------------ domains

-- A code is about to be mailed; false where the tenant has sent enough of them: one to a domain in ten minutes, five in an hour.
CREATE FUNCTION email_domain_code(its_domain text, code bytea, expires timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM tenants t WHERE t.id = current_tenant() FOR NO KEY UPDATE;
    UPDATE email_domains d SET code_hash = code, code_expires_at = expires, mailed_at = now()
        WHERE d.tenant_id = current_tenant() AND d.domain = its_domain AND (d.mailed_at IS NULL OR d.mailed_at < now() - interval '10 minutes')
          AND (SELECT count(*) FROM email_domains o WHERE o.tenant_id = current_tenant() AND o.mailed_at > now() - interval '1 hour') < 5;
    RETURN FOUND;
END $$;

-- Proves a domain by what was mailed there; NULL where that is not it, or too old.
CREATE FUNCTION email_domain_prove(its_domain text, code bytea) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE email_domains d SET proven_at = coalesce(d.proven_at, now()), code_hash = NULL, code_expires_at = NULL
    WHERE d.tenant_id = current_tenant() AND d.domain = its_domain AND d.code_hash = code AND d.code_expires_at > now() RETURNING d.id
$$;

-- Somebody who gets in where the provider does not answer: an owner with a second factor.
CREATE FUNCTION tenant_has_break_glass(tenant uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM members m JOIN second_factors f ON f.user_id = m.user_id AND f.confirmed_at IS NOT NULL
        WHERE m.tenant_id = tenant AND m.role = 'owner')
$$;

-- Whether the provider's groups make owners. Only an owner can say so.
CREATE FUNCTION provider_makes_owners(tenant uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM identity_providers p WHERE p.tenant_id = tenant AND p.default_role = 'owner')
        OR EXISTS (SELECT FROM identity_provider_roles r WHERE r.tenant_id = tenant AND r.role = 'owner')
$$;

-- Enforces the provider for a domain, or lets go; says what was in the way.
CREATE FUNCTION email_domain_enforce(its_domain text, is_wanted boolean) RETURNS TABLE (refusal text, id uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE d email_domains;
BEGIN
    PERFORM 1 FROM tenants t WHERE t.id = current_tenant() FOR NO KEY UPDATE;
    SELECT e.* INTO d FROM email_domains e WHERE e.tenant_id = current_tenant() AND e.domain = its_domain;
    id := d.id;
    refusal := CASE
        WHEN d.id IS NULL THEN 'missing'
        WHEN NOT is_wanted THEN NULL
        WHEN d.proven_at IS NULL THEN 'not_proven'
        WHEN NOT EXISTS (SELECT FROM identity_providers p WHERE p.tenant_id = current_tenant()) THEN 'no_provider'
        WHEN NOT tenant_has_break_glass(current_tenant()) THEN 'no_break_glass'
        -- Neither the provider nor a password would let them in.
        WHEN NOT provider_makes_owners(current_tenant()) AND EXISTS (SELECT FROM members m JOIN users u ON u.id = m.user_id
            WHERE m.tenant_id = current_tenant() AND m.role = 'owner' AND lower(substring(u.email FROM '[^@]*$')) = its_domain
              AND NOT EXISTS (SELECT FROM second_factors f WHERE f.user_id = m.user_id AND f.confirmed_at IS NOT NULL)) THEN 'owners_left_out'
    END;
    IF refusal IS NULL THEN
        UPDATE email_domains e SET enforced_at = CASE WHEN is_wanted THEN coalesce(e.enforced_at, now()) END WHERE e.id = d.id;
    END IF;
    RETURN NEXT;
END $$;

-- Tenants that keep this person to their provider: not an owner with a second factor, who gets in where the provider is away.
CREATE FUNCTION user_enforcing_tenants(person uuid) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.tenant_id FROM users u JOIN email_domains d ON d.domain = lower(substring(u.email FROM '[^@]*$')) AND d.enforced_at IS NOT NULL
    WHERE u.id = person AND NOT EXISTS (SELECT FROM members m JOIN second_factors f ON f.user_id = m.user_id AND f.confirmed_at IS NOT NULL
        WHERE m.tenant_id = d.tenant_id AND m.user_id = person AND m.role = 'owner')
$$;

-- Where a person who gave a password has to sign in instead; NULL where the password is enough. A member of a tenant that does not enforce may come in
-- by password, to there and no further.
CREATE FUNCTION user_must_use_sso(person uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.slug FROM tenants t
    WHERE t.id IN (SELECT e.tenant_id FROM user_enforcing_tenants(person) e)
      AND NOT EXISTS (SELECT FROM members m WHERE m.user_id = person AND m.tenant_id NOT IN (SELECT e.tenant_id FROM user_enforcing_tenants(person) e))
    ORDER BY EXISTS (SELECT FROM members m WHERE m.user_id = person AND m.tenant_id = t.id) DESC, t.slug LIMIT 1
$$;

------------------------------------------------------------------------------------------------ sessions

-- As before; a session of a tenant's provider reaches that tenant, and a session by password none that enforces its provider.
CREATE OR REPLACE FUNCTION session_memberships(session uuid, person uuid) RETURNS TABLE (tenant_id uuid, slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, t.slug, t.name, m.role
    FROM sessions s JOIN members m ON m.user_id = s.user_id JOIN tenants t ON t.id = m.tenant_id
    WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > now())
      AND CASE WHEN s.tenant_id IS NOT NULL THEN m.tenant_id = s.tenant_id
               ELSE m.tenant_id NOT IN (SELECT e.tenant_id FROM user_enforcing_tenants(person) e) END
    ORDER BY t.slug
$$;
CREATE OR REPLACE FUNCTION session_is_open(session uuid, person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM sessions s WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL
        AND (s.ends_at IS NULL OR s.ends_at > now()))
$$;
-- The tenant whose provider vouched for a session; NULL where a password did.
CREATE FUNCTION session_tenant(session uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.tenant_id FROM sessions s WHERE s.id = session
$$;

-- As before; what it gives ends when the session does.
DROP FUNCTION session_refresh(bytea, bytea, timestamptz, text);
CREATE FUNCTION session_refresh(old_token bytea, new_token bytea, expires timestamptz, from_address text)
    RETURNS TABLE (session_id uuid, user_id uuid, is_reused boolean, expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE t record; its_end timestamptz;
BEGIN
    SELECT r.session_id, r.used_at, r.expires_at, s.revoked_at, s.user_id, s.ends_at INTO t
        FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.token_hash = old_token FOR UPDATE OF r, s;
    IF NOT FOUND OR t.revoked_at IS NOT NULL OR t.expires_at <= now() OR t.ends_at <= now() THEN RETURN; END IF;
    IF t.used_at IS NOT NULL THEN
        UPDATE sessions s SET revoked_at = now() WHERE s.id = t.session_id;
        RETURN QUERY SELECT t.session_id, t.user_id, true, t.expires_at;
        RETURN;
    END IF;
    its_end := least(expires, t.ends_at);
    UPDATE refresh_tokens r SET used_at = now() WHERE r.token_hash = old_token;
    UPDATE sessions s SET last_used_at = now(), address = from_address WHERE s.id = t.session_id;
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (new_token, t.session_id, its_end);
    RETURN QUERY SELECT t.session_id, t.user_id, false, its_end;
END $$;

-- As before, of those that a tenant's provider vouched for where the one that asks is such a session: a provider says nothing about the others. Those of
-- before, with fewer arguments, stay for processes of the release before.
CREATE FUNCTION session_list(person uuid, of_tenant uuid)
    RETURNS TABLE (id uuid, opened_at timestamptz, last_used_at timestamptz, device text, address text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.id, s.created_at, s.last_used_at, s.device, s.address FROM sessions s
    WHERE s.user_id = person AND s.revoked_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > now()) AND (of_tenant IS NULL OR s.tenant_id = of_tenant)
      AND EXISTS (SELECT FROM refresh_tokens r WHERE r.session_id = s.id AND r.used_at IS NULL AND r.expires_at > now())
    ORDER BY s.last_used_at DESC LIMIT 100
$$;
CREATE FUNCTION session_revoke(person uuid, one uuid, but uuid, of_tenant uuid) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions s SET revoked_at = now()
    WHERE s.user_id = person AND s.revoked_at IS NULL AND (s.id = one OR s.id <> but) AND (of_tenant IS NULL OR s.tenant_id = of_tenant)
    RETURNING s.id
$$;

-- The provider is gone, and so are those that it vouched for.
CREATE FUNCTION sso_sessions_revoke() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (UPDATE sessions s SET revoked_at = now() WHERE s.tenant_id = current_tenant() AND s.revoked_at IS NULL RETURNING 1)
    SELECT count(*) FROM gone
$$;

------------------------------------------------------------------------------------------------ sign-in

-- The tenant whose provider somebody wants: by its slug, or by the domain of an address that it enforces. More than one is none.
CREATE FUNCTION sso_tenant(its_slug text, its_domain text) RETURNS TABLE (tenant_id uuid, slug text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH found AS (
        SELECT t.id, t.slug FROM tenants t JOIN identity_providers p ON p.tenant_id = t.id
        WHERE t.slug = its_slug
           OR t.id IN (SELECT d.tenant_id FROM email_domains d WHERE d.domain = its_domain AND d.enforced_at IS NOT NULL)
        LIMIT 2)
    SELECT f.id, f.slug FROM found f WHERE (SELECT count(*) FROM found) = 1
$$;

CREATE FUNCTION sso_begin(state bytea, tenant uuid, browser bytea, its_issuer text, client text, expires timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM sso_sign_ins s WHERE s.tenant_id = tenant AND s.expires_at < now() - interval '1 hour';
    INSERT INTO sso_sign_ins (state_hash, tenant_id, browser_hash, issuer, client_id, expires_at) VALUES (state, tenant, browser, its_issuer, client, expires)
$$;

-- Takes a sign-in that was begun, once; another browser's is not there, and stays as it is.
CREATE FUNCTION sso_take(state bytea, browser bytea) RETURNS TABLE (tenant_id uuid, issuer text, client_id text)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sso_sign_ins s SET used_at = now()
    WHERE s.state_hash = state AND s.browser_hash = browser AND s.used_at IS NULL AND s.expires_at > now()
    RETURNING s.tenant_id, s.issuer, s.client_id
$$;

-- Who a subject of the tenant's provider is, what the groups make of them, and their session: all or nothing. `gives` is the role that the groups give, or NULL.
-- An owner is the provider's only where its table makes owners, which only an owner can say: else who sets the provider could come in as an owner.
CREATE FUNCTION sso_sign_in(
    tenant uuid, its_issuer text, its_subject text, its_address text, full_name text, gives text, fresh uuid, hash text,
    session uuid, token bytea, from_device text, from_address text)
    RETURNS TABLE (outcome text, user_id uuid, was text, is_linked boolean, is_new boolean, ends_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p identity_providers; who uuid; is_known boolean; is_proven boolean; makes_owners boolean; owners bigint; role_was text; its_end timestamptz;
    is_made boolean := false;
BEGIN
    -- One change of a tenant's members at a time.
    PERFORM 1 FROM tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    SELECT i.* INTO p FROM identity_providers i WHERE i.tenant_id = tenant AND i.issuer = its_issuer;
    IF NOT FOUND THEN RETURN QUERY SELECT 'changed', NULL::uuid, NULL::text, false, false, NULL::timestamptz; RETURN; END IF;
    makes_owners := provider_makes_owners(tenant);
    is_proven := EXISTS (SELECT FROM email_domains d
        WHERE d.tenant_id = tenant AND d.proven_at IS NOT NULL AND d.domain = lower(substring(its_address FROM '[^@]*$')));
    SELECT i.user_id INTO who FROM sso_identities i WHERE i.tenant_id = tenant AND i.issuer = its_issuer AND i.subject = its_subject;
    is_known := FOUND;
    IF NOT is_known THEN
        SELECT u.id INTO who FROM users u WHERE lower(u.email) = lower(its_address);
        -- What another provider says of an address proves nothing about whoever has it here.
        IF FOUND AND NOT is_proven THEN RETURN QUERY SELECT 'not_proven', NULL::uuid, NULL::text, false, false, NULL::timestamptz; RETURN; END IF;
    END IF;
    SELECT m.role INTO role_was FROM members m WHERE m.tenant_id = tenant AND m.user_id = who;
    SELECT count(*) INTO owners FROM members m WHERE m.tenant_id = tenant AND m.role = 'owner';
    IF role_was = 'owner' AND NOT makes_owners THEN
        RETURN QUERY SELECT 'owner', who, role_was, is_known, false, NULL::timestamptz; RETURN;
    END IF;
    IF role_was = 'owner' AND gives IS DISTINCT FROM 'owner' AND owners = 1 THEN
        RETURN QUERY SELECT 'last_owner', who, role_was, is_known, false, NULL::timestamptz; RETURN;
    END IF;
    IF gives IS NULL THEN
        -- Whom the provider brought, it takes away.
        IF is_known THEN
            DELETE FROM members m WHERE m.tenant_id = tenant AND m.user_id = who;
            UPDATE sessions s SET revoked_at = now() WHERE s.tenant_id = tenant AND s.user_id = who AND s.revoked_at IS NULL;
        END IF;
        RETURN QUERY SELECT 'no_role', who, role_was, is_known, false, NULL::timestamptz; RETURN;
    END IF;
    IF who IS NULL THEN
        INSERT INTO users AS u (id, email, name, password_hash, email_verified_at)
            VALUES (fresh, its_address, full_name, hash, CASE WHEN is_proven THEN now() END) ON CONFLICT (lower(email)) DO NOTHING RETURNING u.id INTO who;
        -- Made by somebody else this moment: the next try sees them.
        IF NOT FOUND THEN RETURN QUERY SELECT 'changed', NULL::uuid, NULL::text, false, false, NULL::timestamptz; RETURN; END IF;
        is_made := true;
    END IF;
    INSERT INTO sso_identities AS i (tenant_id, issuer, subject, user_id) VALUES (tenant, its_issuer, its_subject, who)
        ON CONFLICT ON CONSTRAINT sso_identities_pkey DO UPDATE SET used_at = now();
    INSERT INTO members AS m (tenant_id, user_id, role) VALUES (tenant, who, gives)
        ON CONFLICT ON CONSTRAINT members_pkey DO UPDATE SET role = gives WHERE m.role <> gives;
    its_end := now() + make_interval(hours => p.session_hours);
    INSERT INTO sessions (id, user_id, device, address, tenant_id, ends_at) VALUES (session, who, from_device, from_address, tenant, its_end);
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (token, session, its_end);
    RETURN QUERY SELECT 'opened', who, role_was, is_known, is_made, its_end;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'email_domain_code(text, bytea, timestamptz)', 'email_domain_prove(text, bytea)', 'tenant_has_break_glass(uuid)', 'provider_makes_owners(uuid)',
        'email_domain_enforce(text, boolean)', 'user_enforcing_tenants(uuid)', 'user_must_use_sso(uuid)', 'session_memberships(uuid, uuid)',
        'session_is_open(uuid, uuid)', 'session_tenant(uuid)', 'session_refresh(bytea, bytea, timestamptz, text)', 'session_list(uuid, uuid)',
        'session_revoke(uuid, uuid, uuid, uuid)', 'sso_sessions_revoke()', 'sso_tenant(text, text)',
        'sso_begin(bytea, uuid, bytea, text, text, timestamptz)', 'sso_take(bytea, bytea)',
        'sso_sign_in(uuid, text, text, text, text, text, uuid, text, uuid, bytea, text, text)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
