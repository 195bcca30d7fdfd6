CREATE OR REPLACE FUNCTION sso_sign_in(
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
DROP FUNCTION scim_apply(uuid[]), scim_sessions_end(uuid), scim_role(uuid, uuid), scim_account(text, text, uuid, text), scim_may_say(text),
    scim_token_used(uuid), scim_token_find(text);
DROP TABLE scim_group_members, scim_groups, scim_users, scim_tokens;
