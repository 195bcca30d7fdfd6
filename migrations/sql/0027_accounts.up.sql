-- How people come in, and back in: invitations, what is sent to an address to prove it or to set a new password, and who is let in after wrong tries.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;   -- The person has read a mail that went there.

-- A place in a tenant that was offered to an address.
CREATE TABLE invitations (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    email         text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    role          text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'developer', 'auditor', 'billing')),
    token_hash    bytea NOT NULL UNIQUE,
    is_mailed     boolean NOT NULL,                -- Else whoever invited was shown it, and it proves no address.
    invited_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    accepted_at   timestamptz,
    withdrawn_at  timestamptz
);
CREATE INDEX invitations_list ON invitations (tenant_id, id);
CREATE UNIQUE INDEX invitations_open ON invitations (tenant_id, lower(email)) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

-- What was mailed to a person. It works once.
CREATE TABLE mailed_tokens (
    token_hash  bytea PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose     text NOT NULL CHECK (purpose IN ('reset', 'verify')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id, created_at);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON invitations TO crossdock_system USING (true) WITH CHECK (true);
GRANT INSERT ON invitations TO crossdock_app;
GRANT SELECT (id, tenant_id, email, role, is_mailed, invited_by, created_at, expires_at, accepted_at, withdrawn_at), UPDATE (withdrawn_at)
    ON invitations TO crossdock_app;
GRANT SELECT, UPDATE (accepted_at) ON invitations TO crossdock_system;
ALTER TABLE mailed_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE mailed_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON mailed_tokens TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON mailed_tokens TO crossdock_system;

-- Sign-in knows an address, and whence somebody tries it. An account that rests after wrong tries rests for strange addresses first: whoever signed in
-- from one within thirty days is let in from there, so that nobody is kept out by somebody else's tries. Not for ever: behind a proxy all come from
-- one address, so from the thirtieth wrong try in a row on it rests for everybody.
CREATE FUNCTION user_find(address text, from_address text)
    RETURNS TABLE (id uuid, name text, password_hash text, is_resting boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.id, u.name, u.password_hash, coalesce(u.locked_until > now(), false) AND (u.failures >= 30 OR NOT EXISTS (SELECT FROM sessions s
        WHERE s.user_id = u.id AND s.address = from_address AND s.last_used_at > now() - interval '30 days'))
    FROM users u
    WHERE lower(u.email) = lower(address)
$$;

-- A password as it is kept now, where the one that was read is still the person's.
CREATE FUNCTION user_rehash(person uuid, was text, hash text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET password_hash = hash WHERE id = person AND password_hash = was
$$;

-- Another password, set by whoever knew the one before: every other session ends.
CREATE FUNCTION user_password_set(person uuid, hash text, but uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET password_hash = hash, failures = 0, locked_until = NULL WHERE id = person;
    UPDATE sessions SET revoked_at = now() WHERE user_id = person AND revoked_at IS NULL AND id IS DISTINCT FROM but;
$$;
CREATE FUNCTION user_address(person uuid) RETURNS TABLE (email text, password_hash text, email_verified_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.email, u.password_hash, u.email_verified_at FROM users u WHERE u.id = person
$$;

-- A token that is about to be mailed; false where the person was sent enough of them: three within an hour.
CREATE FUNCTION mailed_token_make(person uuid, token bytea, its_purpose text, expires timestamptz) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    -- One at a time for a person: those that are asked for together do not each see the others missing.
    SELECT FROM users WHERE id = person FOR NO KEY UPDATE;
    WITH made AS (INSERT INTO mailed_tokens (token_hash, user_id, purpose, expires_at)
        SELECT token, person, its_purpose, expires
        WHERE (SELECT count(*) FROM mailed_tokens t WHERE t.user_id = person AND t.purpose = its_purpose AND t.created_at > now() - interval '1 hour') < 3
        RETURNING 1)
    SELECT EXISTS (SELECT FROM made)
$$;

-- Uses a token: whose it was. A mail that came proves the address.
CREATE FUNCTION mailed_token_use(token bytea, its_purpose text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE person uuid;
BEGIN
    UPDATE mailed_tokens SET used_at = now() WHERE token_hash = token AND purpose = its_purpose AND used_at IS NULL AND expires_at > now()
        RETURNING user_id INTO person;
    UPDATE users SET email_verified_at = coalesce(email_verified_at, now()) WHERE id = person;
    RETURN person;
END $$;

-- What somebody was invited to, for whoever holds the token.
CREATE FUNCTION invitation_find(token bytea) RETURNS TABLE (tenant_id uuid, tenant_name text, email text, role text, user_id uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.tenant_id, t.name, i.email, i.role, u.id, u.password_hash FROM invitations i JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN users u ON lower(u.email) = lower(i.email)
    WHERE i.token_hash = token AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > now()
$$;

-- Takes an invitation: makes the person where there is none of its address (`person`, `hash`), and the member. NULL where it is over meanwhile.
CREATE FUNCTION invitation_accept(token bytea, person uuid, full_name text, hash text) RETURNS TABLE (invitation_id uuid, tenant_id uuid, user_id uuid, role text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE i invitations; who uuid;
BEGIN
    UPDATE invitations v SET accepted_at = now()
        WHERE v.token_hash = token AND v.accepted_at IS NULL AND v.withdrawn_at IS NULL AND v.expires_at > now() RETURNING v.* INTO i;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO users (id, email, name, password_hash) VALUES (person, i.email, full_name, hash) ON CONFLICT (lower(email)) DO NOTHING;
    SELECT u.id INTO who FROM users u WHERE lower(u.email) = lower(i.email);
    UPDATE users u SET email_verified_at = coalesce(u.email_verified_at, now()) WHERE u.id = who AND i.is_mailed;
    INSERT INTO members AS m (tenant_id, user_id, role) VALUES (i.tenant_id, who, i.role) ON CONFLICT ON CONSTRAINT members_pkey DO NOTHING;
    RETURN QUERY SELECT i.id, i.tenant_id, who, i.role;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'user_find(text, text)', 'user_rehash(uuid, text, text)', 'user_password_set(uuid, text, uuid)', 'user_address(uuid)',
        'mailed_token_make(uuid, bytea, text, timestamptz)', 'mailed_token_use(bytea, text)', 'invitation_find(bytea)',
        'invitation_accept(bytea, uuid, text, text)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
