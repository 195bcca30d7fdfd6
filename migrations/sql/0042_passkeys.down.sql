CREATE OR REPLACE FUNCTION user_enforcing_tenants(person uuid) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.tenant_id FROM users u JOIN email_domains d ON d.domain = lower(substring(u.email FROM '[^@]*$')) AND d.enforced_at IS NOT NULL
    WHERE u.id = person AND NOT EXISTS (SELECT FROM members m JOIN second_factors f ON f.user_id = m.user_id AND f.confirmed_at IS NOT NULL
        WHERE m.tenant_id = d.tenant_id AND m.user_id = person AND m.role = 'owner')
$$;
CREATE OR REPLACE FUNCTION email_domain_enforce(its_domain text, is_wanted boolean) RETURNS TABLE (refusal text, id uuid)
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
CREATE OR REPLACE FUNCTION tenant_has_break_glass(tenant uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM members m JOIN second_factors f ON f.user_id = m.user_id AND f.confirmed_at IS NOT NULL
        WHERE m.tenant_id = tenant AND m.role = 'owner')
$$;
CREATE OR REPLACE FUNCTION support_refusal(person uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM staff s WHERE s.user_id = person) THEN 'staff'
        WHEN NOT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL) THEN 'second_factor'
    END
$$;
CREATE OR REPLACE FUNCTION impersonation_is_live(i impersonations) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.ended_at IS NULL AND i.ends_at > now()
       AND EXISTS (SELECT FROM staff s WHERE s.user_id = i.user_id AND s.granted_at <= i.began_at)
       AND EXISTS (SELECT FROM second_factors f WHERE f.user_id = i.user_id AND f.confirmed_at <= i.began_at)
       AND EXISTS (SELECT FROM sessions s WHERE s.id = i.session_id AND s.user_id = i.user_id AND s.revoked_at IS NULL)
       AND EXISTS (SELECT FROM support_consents c WHERE c.id = i.consent_id AND c.ended_at IS NULL)
$$;
CREATE OR REPLACE FUNCTION recovery_codes_set(person uuid, codes bytea[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    INSERT INTO recovery_codes (user_id, hash) SELECT person, unnest(codes);
    RETURN true;
END $$;
CREATE OR REPLACE FUNCTION second_factor_remove(person uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE was_used boolean;
BEGIN
    DELETE FROM second_factors f WHERE f.user_id = person RETURNING f.confirmed_at IS NOT NULL INTO was_used;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    RETURN coalesce(was_used, false);
END $$;
CREATE OR REPLACE FUNCTION user_has_second_factor(person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL)
$$;
DROP FUNCTION recovery_codes_left(uuid), passkeys_remove(uuid), passkey_remove(uuid, uuid), passkey_rename(uuid, uuid, text),
    passkey_use(uuid, bytea, text, bigint), passkey_add(uuid, uuid, text, bytea, text, bigint, bytea[], uuid), passkey_challenge_take(uuid, uuid, text),
    passkey_challenge_make(uuid, uuid, text, text), passkey_list(uuid), user_had_second_factor(uuid, timestamptz);
DROP TABLE passkey_challenges, passkeys;
