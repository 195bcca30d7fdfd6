-- SCIM: a tenant's directory says who its people are and which groups they are in, and takes them away. By the table of its identity provider the groups give roles.

-- What the directory tells us with. Only a hash is kept: what the token is was shown once.
CREATE TABLE scim_tokens (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    prefix        text NOT NULL UNIQUE,             -- The part that is no secret: by it the token is found and told apart.
    token_hash    bytea NOT NULL CHECK (length(token_hash) = 32),
    created_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    last_used_at  timestamptz,                      -- To five minutes.
    revoked_at    timestamptz
);
CREATE INDEX scim_tokens_list ON scim_tokens (tenant_id, id);

-- A person, as the directory knows them, and whose account that is. An id is of one tenant and of nobody else.
CREATE TABLE scim_users (
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id            uuid NOT NULL,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    user_name     text NOT NULL CHECK (length(user_name) BETWEEN 1 AND 320),
    external_id   text CHECK (length(external_id) <= 500),
    display_name  text CHECK (length(display_name) <= 200),
    given_name    text CHECK (length(given_name) <= 200),
    family_name   text CHECK (length(family_name) <= 200),
    email         text CHECK (length(email) <= 320),
    is_active     boolean NOT NULL,
    is_by_scim    boolean NOT NULL DEFAULT false,   -- The directory has given them their place, and takes it away when no group gives it any more.
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, user_id)
);
CREATE UNIQUE INDEX scim_users_name ON scim_users (tenant_id, lower(user_name));
CREATE INDEX scim_users_external ON scim_users (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX scim_users_user ON scim_users (user_id);

CREATE TABLE scim_groups (
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id            uuid NOT NULL,
    display_name  text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 200),
    external_id   text CHECK (length(external_id) <= 500),
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX scim_groups_name ON scim_groups (tenant_id, lower(display_name));

CREATE TABLE scim_group_members (
    tenant_id     uuid NOT NULL,
    group_id      uuid NOT NULL,
    scim_user_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, group_id, scim_user_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES scim_groups (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, scim_user_id) REFERENCES scim_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX scim_group_members_user ON scim_group_members (tenant_id, scim_user_id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['scim_tokens', 'scim_users', 'scim_groups', 'scim_group_members'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;
-- The application writes a hash and never reads one.
GRANT INSERT ON scim_tokens TO crossdock_app;
GRANT SELECT (id, tenant_id, prefix, created_by, created_at, expires_at, last_used_at, revoked_at), UPDATE (expires_at, revoked_at) ON scim_tokens TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON scim_users, scim_groups, scim_group_members TO crossdock_app;
GRANT SELECT, UPDATE (last_used_at) ON scim_tokens TO crossdock_system;
GRANT SELECT, UPDATE (is_by_scim) ON scim_users TO crossdock_system;
GRANT SELECT ON scim_groups, scim_group_members TO crossdock_system;

-- A request with a token, before any tenant is known. One that was revoked or has expired is not there.
CREATE FUNCTION scim_token_find(its_prefix text) RETURNS TABLE (id uuid, token_hash bytea, tenant_id uuid, is_use_old boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.token_hash, t.tenant_id, t.last_used_at IS NULL OR t.last_used_at < now() - interval '5 minutes'
    FROM scim_tokens t WHERE t.prefix = its_prefix AND t.revoked_at IS NULL AND t.expires_at > now()
$$;
CREATE FUNCTION scim_token_used(token uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE scim_tokens SET last_used_at = now() WHERE id = token AND (last_used_at IS NULL OR last_used_at < now() - interval '5 minutes')
$$;

-- True where the address is of a domain that the tenant has proven: of no other does its directory say who somebody is.
CREATE FUNCTION scim_may_say(address text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM email_domains d
        WHERE d.tenant_id = current_tenant() AND d.proven_at IS NOT NULL AND d.domain = lower(substring(address FROM '[^@]*$')))
$$;

-- Whose account an address is: one is made where there is none, with a password that nobody knows. NULL where the tenant has not proven its domain.
CREATE FUNCTION scim_account(address text, full_name text, fresh uuid, hash text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT scim_may_say(address) THEN RETURN NULL; END IF;
    INSERT INTO users (id, email, name, password_hash) VALUES (fresh, address, full_name, hash) ON CONFLICT (lower(email)) DO NOTHING;
    RETURN (SELECT u.id FROM users u WHERE lower(u.email) = lower(address));
END $$;

-- The role that somebody's groups in the directory give: of several the most powerful one. A group is meant by its name or by the directory's own id of it.
CREATE FUNCTION scim_role(tenant uuid, who uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(
        (SELECT r.role FROM scim_group_members m JOIN scim_groups g ON g.tenant_id = m.tenant_id AND g.id = m.group_id
         JOIN identity_provider_roles r ON r.tenant_id = m.tenant_id AND r.group_name IN (g.display_name, g.external_id)
         WHERE m.tenant_id = tenant AND m.scim_user_id = who
         ORDER BY array_position(ARRAY['owner', 'admin', 'operator', 'developer', 'auditor', 'billing'], r.role) LIMIT 1),
        (SELECT p.default_role FROM identity_providers p WHERE p.tenant_id = tenant))
$$;

-- Nobody is left of the sessions that reach nothing any more: those that this tenant's provider vouched for and, where the person is a member nowhere, all.
CREATE FUNCTION scim_sessions_end(person uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions s SET revoked_at = now()
    WHERE s.user_id = person AND s.revoked_at IS NULL
      AND (s.tenant_id = current_tenant() OR NOT EXISTS (SELECT FROM members m WHERE m.user_id = person))
      AND EXISTS (SELECT FROM scim_users u WHERE u.tenant_id = current_tenant() AND u.user_id = person)
$$;

-- Makes these people (NULL: all of the directory) members as what their groups give, or none, and says whose place is another now. Owners are the
-- directory's only where the provider's table makes owners, which only an owner can say; the last one stays. Where the directory has told of no group,
-- it gives the default role to who has no place, and the groups that a sign-in names decide about the rest.
CREATE FUNCTION scim_apply(whom uuid[]) RETURNS TABLE (user_id uuid, scim_user_id uuid, was text, role text, outcome text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    u record; tenant uuid := current_tenant(); makes_owners boolean := provider_makes_owners(tenant); gives text;
    has_groups boolean := EXISTS (SELECT FROM scim_groups g WHERE g.tenant_id = tenant);
BEGIN
    FOR u IN SELECT s.id, s.user_id, s.is_active, s.is_by_scim, m.role AS role_was
             FROM scim_users s LEFT JOIN members m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
             WHERE s.tenant_id = tenant AND (whom IS NULL OR s.id = ANY (whom)) ORDER BY s.id
    LOOP
        gives := CASE WHEN NOT u.is_active THEN NULL WHEN has_groups THEN scim_role(tenant, u.id) ELSE coalesce(u.role_was, scim_role(tenant, u.id)) END;
        IF gives IS NOT DISTINCT FROM u.role_was THEN
            UPDATE scim_users s SET is_by_scim = true WHERE s.tenant_id = tenant AND s.id = u.id AND NOT s.is_by_scim AND has_groups AND gives IS NOT NULL;
            CONTINUE;
        END IF;
        -- A member by another way, whom the directory has put into no group yet.
        CONTINUE WHEN gives IS NULL AND u.is_active AND NOT u.is_by_scim;
        outcome := CASE
            WHEN u.role_was = 'owner' AND NOT makes_owners THEN 'owner'
            WHEN u.role_was = 'owner' AND (SELECT count(*) FROM members m WHERE m.tenant_id = tenant AND m.role = 'owner') = 1 THEN 'last_owner'
            WHEN gives IS NULL THEN 'removed' WHEN u.role_was IS NULL THEN 'joined' ELSE 'changed' END;
        IF outcome = 'removed' THEN
            DELETE FROM members m WHERE m.tenant_id = tenant AND m.user_id = u.user_id;
            PERFORM scim_sessions_end(u.user_id);
        ELSIF outcome IN ('joined', 'changed') THEN
            INSERT INTO members AS m (tenant_id, user_id, role) VALUES (tenant, u.user_id, gives)
                ON CONFLICT ON CONSTRAINT members_pkey DO UPDATE SET role = gives;
        END IF;
        IF outcome IN ('removed', 'joined', 'changed') THEN
            UPDATE scim_users s SET is_by_scim = outcome <> 'removed' WHERE s.tenant_id = tenant AND s.id = u.id;
        END IF;
        user_id := u.user_id; scim_user_id := u.id; was := u.role_was; role := gives;
        RETURN NEXT;
    END LOOP;
END $$;

-- As before; who the directory says is gone does not come in by its provider, and whose groups it tells of has the role that those give.
CREATE OR REPLACE FUNCTION sso_sign_in(
    tenant uuid, its_issuer text, its_subject text, its_address text, full_name text, gives text, fresh uuid, hash text,
    session uuid, token bytea, from_device text, from_address text)
    RETURNS TABLE (outcome text, user_id uuid, was text, is_linked boolean, is_new boolean, ends_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p identity_providers; who uuid; is_known boolean; is_proven boolean; makes_owners boolean; owners bigint; role_was text; its_end timestamptz;
    is_made boolean := false; kept scim_users;
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
    SELECT s.* INTO kept FROM scim_users s WHERE s.tenant_id = tenant AND s.user_id = who;
    IF kept.id IS NOT NULL AND NOT kept.is_active THEN
        RETURN QUERY SELECT 'inactive', who, role_was, is_known, false, NULL::timestamptz; RETURN;
    END IF;
    IF kept.id IS NOT NULL AND EXISTS (SELECT FROM scim_groups g WHERE g.tenant_id = tenant) THEN gives := scim_role(tenant, kept.id); END IF;
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
        'scim_token_find(text)', 'scim_token_used(uuid)', 'scim_may_say(text)', 'scim_account(text, text, uuid, text)', 'scim_role(uuid, uuid)',
        'scim_sessions_end(uuid)', 'scim_apply(uuid[])', 'sso_sign_in(uuid, text, text, text, text, text, uuid, text, uuid, bytea, text, text)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
