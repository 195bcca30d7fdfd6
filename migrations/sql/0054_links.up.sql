-- A link that was mailed is worth no more than what it rests on: an invitation ends with the right of whoever invited, and one to set a password with the password.

-- True where somebody may give this role in the tenant, as they stand now: an owner any, an admin any but an owner's (`domain::permission`: who manages members,
-- and who owners).
CREATE FUNCTION may_invite(tenant uuid, person uuid, its_role text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM members m WHERE m.tenant_id = tenant AND m.user_id = person
        AND (m.role = 'owner' OR (m.role = 'admin' AND its_role <> 'owner')))
$$;

-- As before, and whoever invited may still give that role.
CREATE OR REPLACE FUNCTION invitation_find(token bytea) RETURNS TABLE (tenant_id uuid, tenant_name text, email text, role text, user_id uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.tenant_id, t.name, i.email, i.role, u.id, u.password_hash FROM invitations i JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN users u ON lower(u.email) = lower(i.email)
    WHERE i.token_hash = token AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > now()
      AND may_invite(i.tenant_id, i.invited_by, i.role)
$$;
CREATE OR REPLACE FUNCTION invitation_accept(token bytea, person uuid, full_name text, hash text) RETURNS TABLE (invitation_id uuid, tenant_id uuid, user_id uuid, role text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE i invitations; who uuid;
BEGIN
    -- One change of a tenant's members at a time: whoever invited is not removed between the look and the place.
    PERFORM 1 FROM tenants t WHERE t.id = (SELECT v.tenant_id FROM invitations v WHERE v.token_hash = token) FOR NO KEY UPDATE;
    UPDATE invitations v SET accepted_at = now()
        WHERE v.token_hash = token AND v.accepted_at IS NULL AND v.withdrawn_at IS NULL AND v.expires_at > now()
          AND may_invite(v.tenant_id, v.invited_by, v.role) RETURNING v.* INTO i;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO users (id, email, name, password_hash) VALUES (person, i.email, full_name, hash) ON CONFLICT (lower(email)) DO NOTHING;
    SELECT u.id INTO who FROM users u WHERE lower(u.email) = lower(i.email);
    UPDATE users u SET email_verified_at = coalesce(u.email_verified_at, now()) WHERE u.id = who AND i.is_mailed;
    INSERT INTO members AS m (tenant_id, user_id, role) VALUES (i.tenant_id, who, i.role) ON CONFLICT ON CONSTRAINT members_pkey DO NOTHING;
    RETURN QUERY SELECT i.id, i.tenant_id, who, i.role;
END $$;

-- True of a token that could be used now. It is not used up by the look.
CREATE FUNCTION mailed_token_is_good(token bytea, its_purpose text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM mailed_tokens t WHERE t.token_hash = token AND t.purpose = its_purpose AND t.used_at IS NULL AND t.expires_at > now())
$$;

-- As before; and what was mailed to set a password by sets none any more.
CREATE OR REPLACE FUNCTION user_password_set(person uuid, hash text, but uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET password_hash = hash, failures = 0, locked_until = NULL WHERE id = person;
    UPDATE sessions SET revoked_at = now() WHERE user_id = person AND revoked_at IS NULL AND id IS DISTINCT FROM but;
    UPDATE mailed_tokens SET used_at = now() WHERE user_id = person AND purpose = 'reset' AND used_at IS NULL;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['may_invite(uuid, uuid, text)', 'mailed_token_is_good(bytea, text)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
