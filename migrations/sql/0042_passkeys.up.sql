-- Passkeys and security keys (WebAuthn) as a second factor beside the app: one of them is enough, and codes on paper are there for the day all are lost.

CREATE TABLE passkeys (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    credential_id  bytea NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),   -- One key is one person's.
    credential     text NOT NULL CHECK (length(credential) <= 20000),                        -- Its public key and what it said of itself: no secret.
    sign_count     bigint NOT NULL,                                                          -- What it counted last; one that counts back was copied.
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_used_at   timestamptz
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- What a key was asked to sign: good once, for five minutes, for this person and this purpose.
CREATE TABLE passkey_challenges (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose     text NOT NULL CHECK (purpose IN ('register', 'show')),
    state       text NOT NULL CHECK (length(state) <= 200000),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX passkey_challenges_user ON passkey_challenges (user_id, expires_at);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['passkeys', 'passkey_challenges'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_system', t);
    END LOOP;
END $$;

-- Whether something is asked for beside the person's password, and since when.
CREATE OR REPLACE FUNCTION user_has_second_factor(person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL)
        OR EXISTS (SELECT FROM passkeys k WHERE k.user_id = person)
$$;
CREATE FUNCTION user_had_second_factor(person uuid, moment timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at <= moment)
        OR EXISTS (SELECT FROM passkeys k WHERE k.user_id = person AND k.created_at <= moment)
$$;

CREATE FUNCTION passkey_list(person uuid)
    RETURNS TABLE (id uuid, name text, credential text, created_at timestamptz, last_used_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, k.name, k.credential, k.created_at, k.last_used_at FROM passkeys k WHERE k.user_id = person ORDER BY k.id LIMIT 20
$$;

-- Keeps what a key is about to be asked; false where twenty wait for an answer already.
CREATE FUNCTION passkey_challenge_make(challenge uuid, person uuid, what_for text, its_state text) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM passkey_challenges c WHERE c.user_id = person AND c.expires_at <= now();
    WITH made AS (
        INSERT INTO passkey_challenges (id, user_id, purpose, state, expires_at)
        SELECT challenge, person, what_for, its_state, now() + interval '5 minutes'
        WHERE (SELECT count(*) FROM passkey_challenges c WHERE c.user_id = person) < 20
        RETURNING 1)
    SELECT EXISTS (SELECT FROM made)
$$;
-- Takes it, once.
CREATE FUNCTION passkey_challenge_take(challenge uuid, person uuid, what_for text) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM passkey_challenges c WHERE c.id = challenge AND c.user_id = person AND c.purpose = what_for AND c.expires_at > now() RETURNING c.state
$$;

-- A key is the person's from now on: 'first' where nothing was asked for beside their password before, so that they get codes on paper, and whoever is
-- signed in elsewhere, and has not shown it, is signed out.
CREATE FUNCTION passkey_add(key uuid, person uuid, its_name text, its_id bytea, its_credential text, counted bigint, codes bytea[], but uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE had_one boolean;
BEGIN
    PERFORM 1 FROM users u WHERE u.id = person FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM passkeys k WHERE k.user_id = person) >= 20 THEN RETURN 'too_many'; END IF;
    had_one := user_has_second_factor(person);
    INSERT INTO passkeys (id, user_id, name, credential_id, credential, sign_count) VALUES (key, person, its_name, its_id, its_credential, counted)
        ON CONFLICT (credential_id) DO NOTHING;
    IF NOT FOUND THEN RETURN 'taken'; END IF;
    IF had_one THEN RETURN 'added'; END IF;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    INSERT INTO recovery_codes (user_id, hash) SELECT person, unnest(codes);
    UPDATE sessions s SET revoked_at = now() WHERE s.user_id = person AND s.revoked_at IS NULL AND s.id IS DISTINCT FROM but;
    RETURN 'first';
END $$;

-- A key has signed; false where it counts back, or not on: then there are two of it.
CREATE FUNCTION passkey_use(person uuid, its_id bytea, its_credential text, counted bigint) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH used AS (
        UPDATE passkeys k SET credential = its_credential, sign_count = counted, last_used_at = now()
        WHERE k.user_id = person AND k.credential_id = its_id AND (k.sign_count < counted OR (k.sign_count = 0 AND counted = 0)) RETURNING 1)
    SELECT EXISTS (SELECT FROM used)
$$;

CREATE FUNCTION passkey_rename(key uuid, person uuid, its_name text) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH renamed AS (UPDATE passkeys k SET name = its_name WHERE k.id = key AND k.user_id = person RETURNING 1) SELECT EXISTS (SELECT FROM renamed)
$$;

-- Takes a key away, and with the last thing that is asked for the codes on paper; its name, or NULL where it is none of theirs.
CREATE FUNCTION passkey_remove(key uuid, person uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE its_name text;
BEGIN
    PERFORM 1 FROM users u WHERE u.id = person FOR NO KEY UPDATE;
    DELETE FROM passkeys k WHERE k.id = key AND k.user_id = person RETURNING k.name INTO its_name;
    IF NOT user_has_second_factor(person) THEN DELETE FROM recovery_codes c WHERE c.user_id = person; END IF;
    RETURN its_name;
END $$;
-- All of a person's, beside the database: for the day when everything is lost.
CREATE FUNCTION passkeys_remove(person uuid) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM passkeys k WHERE k.user_id = person RETURNING 1) SELECT count(*) FROM gone
$$;

-- As before; the codes on paper stay as long as a passkey is asked for.
CREATE OR REPLACE FUNCTION second_factor_remove(person uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE was_used boolean;
BEGIN
    PERFORM 1 FROM users u WHERE u.id = person FOR NO KEY UPDATE;
    DELETE FROM second_factors f WHERE f.user_id = person RETURNING f.confirmed_at IS NOT NULL INTO was_used;
    IF NOT user_has_second_factor(person) THEN DELETE FROM recovery_codes c WHERE c.user_id = person; END IF;
    RETURN coalesce(was_used, false);
END $$;
CREATE OR REPLACE FUNCTION recovery_codes_set(person uuid, codes bytea[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM users u WHERE u.id = person FOR NO KEY UPDATE;
    IF NOT user_has_second_factor(person) THEN RETURN false; END IF;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    INSERT INTO recovery_codes (user_id, hash) SELECT person, unnest(codes);
    RETURN true;
END $$;
CREATE FUNCTION recovery_codes_left(person uuid) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM recovery_codes c WHERE c.user_id = person AND c.used_at IS NULL
$$;

-- As before; a passkey is a second factor, too.
CREATE OR REPLACE FUNCTION impersonation_is_live(i impersonations) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.ended_at IS NULL AND i.ends_at > now()
       AND EXISTS (SELECT FROM staff s WHERE s.user_id = i.user_id AND s.granted_at <= i.began_at)
       AND user_had_second_factor(i.user_id, i.began_at)
       AND EXISTS (SELECT FROM sessions s WHERE s.id = i.session_id AND s.user_id = i.user_id AND s.revoked_at IS NULL)
       AND EXISTS (SELECT FROM support_consents c WHERE c.id = i.consent_id AND c.ended_at IS NULL)
$$;
CREATE OR REPLACE FUNCTION support_refusal(person uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM staff s WHERE s.user_id = person) THEN 'staff'
        WHEN NOT user_has_second_factor(person) THEN 'second_factor'
    END
$$;
CREATE OR REPLACE FUNCTION tenant_has_break_glass(tenant uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM members m WHERE m.tenant_id = tenant AND m.role = 'owner' AND user_has_second_factor(m.user_id))
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
              AND NOT user_has_second_factor(m.user_id)) THEN 'owners_left_out'
    END;
    IF refusal IS NULL THEN
        UPDATE email_domains e SET enforced_at = CASE WHEN is_wanted THEN coalesce(e.enforced_at, now()) END WHERE e.id = d.id;
    END IF;
    RETURN NEXT;
END $$;
CREATE OR REPLACE FUNCTION user_enforcing_tenants(person uuid) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.tenant_id FROM users u JOIN email_domains d ON d.domain = lower(substring(u.email FROM '[^@]*$')) AND d.enforced_at IS NOT NULL
    WHERE u.id = person AND NOT EXISTS (SELECT FROM members m
        WHERE m.tenant_id = d.tenant_id AND m.user_id = person AND m.role = 'owner' AND user_has_second_factor(person))
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'user_has_second_factor(uuid)', 'user_had_second_factor(uuid, timestamptz)', 'passkey_list(uuid)', 'passkey_challenge_make(uuid, uuid, text, text)',
        'passkey_challenge_take(uuid, uuid, text)', 'passkey_add(uuid, uuid, text, bytea, text, bigint, bytea[], uuid)', 'passkey_use(uuid, bytea, text, bigint)',
        'passkey_rename(uuid, uuid, text)', 'passkey_remove(uuid, uuid)', 'passkeys_remove(uuid)', 'second_factor_remove(uuid)', 'recovery_codes_set(uuid, bytea[])',
        'recovery_codes_left(uuid)', 'impersonation_is_live(impersonations)', 'support_refusal(uuid)', 'tenant_has_break_glass(uuid)',
        'email_domain_enforce(text, boolean)', 'user_enforcing_tenants(uuid)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
