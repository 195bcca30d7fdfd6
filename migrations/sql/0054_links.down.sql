CREATE OR REPLACE FUNCTION user_password_set(person uuid, hash text, but uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET password_hash = hash, failures = 0, locked_until = NULL WHERE id = person;
    UPDATE sessions SET revoked_at = now() WHERE user_id = person AND revoked_at IS NULL AND id IS DISTINCT FROM but;
$$;
CREATE OR REPLACE FUNCTION invitation_accept(token bytea, person uuid, full_name text, hash text) RETURNS TABLE (invitation_id uuid, tenant_id uuid, user_id uuid, role text)
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
CREATE OR REPLACE FUNCTION invitation_find(token bytea) RETURNS TABLE (tenant_id uuid, tenant_name text, email text, role text, user_id uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.tenant_id, t.name, i.email, i.role, u.id, u.password_hash FROM invitations i JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN users u ON lower(u.email) = lower(i.email)
    WHERE i.token_hash = token AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > now()
$$;
DROP FUNCTION mailed_token_is_good(bytea, text);
DROP FUNCTION may_invite(uuid, uuid, text);
