-- A session says where it was opened and when it was last used, so that a person can tell which of them are theirs, and end the others.
ALTER TABLE sessions
    ADD COLUMN device       text NOT NULL DEFAULT '',        -- What the program that signed in calls itself.
    ADD COLUMN address      text,                            -- Whence it was last used.
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX sessions_open ON sessions (user_id, last_used_at DESC) WHERE revoked_at IS NULL;

-- As before, and says whence.
CREATE FUNCTION session_open(person uuid, session uuid, token bytea, expires timestamptz, from_device text, from_address text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET failures = 0, locked_until = NULL WHERE id = person;
    INSERT INTO sessions (id, user_id, device, address) VALUES (session, person, from_device, from_address);
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (token, session, expires);
$$;

-- As before, and says of a token that came twice whose it was: that is told to their tenants.
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

-- The session of a refresh token ends, whichever of its tokens that is: who holds an old one may sign out, too.
CREATE FUNCTION session_close_by_token(token bytea) RETURNS TABLE (session_id uuid, user_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions s SET revoked_at = now() FROM refresh_tokens r
    WHERE r.token_hash = token AND s.id = r.session_id AND s.revoked_at IS NULL
    RETURNING s.id, s.user_id
$$;

-- A person's sessions that can still be used.
CREATE FUNCTION session_list(person uuid) RETURNS TABLE (id uuid, opened_at timestamptz, last_used_at timestamptz, device text, address text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.id, s.created_at, s.last_used_at, s.device, s.address FROM sessions s
    WHERE s.user_id = person AND s.revoked_at IS NULL
      AND EXISTS (SELECT FROM refresh_tokens r WHERE r.session_id = s.id AND r.used_at IS NULL AND r.expires_at > now())
    ORDER BY s.last_used_at DESC LIMIT 100
$$;

-- One of a person's sessions ends, or all but one; says which did.
CREATE FUNCTION session_revoke(person uuid, one uuid, but uuid) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions s SET revoked_at = now()
    WHERE s.user_id = person AND s.revoked_at IS NULL AND (s.id = one OR s.id <> but)
    RETURNING s.id
$$;

-- Where a person is a member, whether or not a session is open: what they did and what was tried as them is told there.
CREATE FUNCTION user_tenants(person uuid) RETURNS TABLE (tenant_id uuid, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, m.role FROM members m WHERE m.user_id = person
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'session_open(uuid, uuid, bytea, timestamptz, text, text)', 'session_refresh(bytea, bytea, timestamptz, text)',
        'session_close_by_token(bytea)', 'session_list(uuid)', 'session_revoke(uuid, uuid, uuid)', 'user_tenants(uuid)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
