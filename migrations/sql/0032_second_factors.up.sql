-- The second factor of a person: an app that shows another code each 30 seconds (RFC 6238), and codes on paper for the day it is lost.

CREATE TABLE second_factors (
    user_id        uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    master_key_id  text NOT NULL,
    sealed         bytea NOT NULL,                  -- What the app knows, by the master key itself: a person is of no tenant.
    begun_at       timestamptz NOT NULL DEFAULT now(),
    confirmed_at   timestamptz,                     -- NULL: nobody is asked for a code yet.
    last_step      bigint NOT NULL DEFAULT 0,       -- The newest code that was used: it and those before it are no good any more.
    failures       integer NOT NULL DEFAULT 0,      -- Tries since the last one that was right.
    rest_until     timestamptz                      -- Until then no code of the app is looked at.
);

CREATE TABLE recovery_codes (
    user_id  uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    used_at  timestamptz,
    PRIMARY KEY (user_id, hash)
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['second_factors', 'recovery_codes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_system', t);
    END LOOP;
END $$;

-- Begins anew where it was begun and never confirmed; false where there is one that is in use.
CREATE FUNCTION second_factor_begin(person uuid, key_id text, secret bytea) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH begun AS (
        INSERT INTO second_factors AS f (user_id, master_key_id, sealed) VALUES (person, key_id, secret)
        ON CONFLICT (user_id) DO UPDATE SET master_key_id = key_id, sealed = secret, begun_at = now() WHERE f.confirmed_at IS NULL
        RETURNING 1)
    SELECT EXISTS (SELECT FROM begun)
$$;

CREATE FUNCTION second_factor_find(person uuid)
    RETURNS TABLE (master_key_id text, sealed bytea, confirmed_at timestamptz, recovery_codes bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT f.master_key_id, f.sealed, f.confirmed_at,
        (SELECT count(*) FROM recovery_codes c WHERE c.user_id = f.user_id AND c.used_at IS NULL)
    FROM second_factors f WHERE f.user_id = person
$$;

-- From now on it is asked for. Whoever is signed in elsewhere has not shown it.
CREATE FUNCTION second_factor_confirm(person uuid, secret bytea, step bigint, codes bytea[], but uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE second_factors f SET confirmed_at = now(), last_step = step, failures = 0, rest_until = NULL
        WHERE f.user_id = person AND f.confirmed_at IS NULL AND f.sealed = secret;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    INSERT INTO recovery_codes (user_id, hash) SELECT person, unnest(codes);
    UPDATE sessions s SET revoked_at = now() WHERE s.user_id = person AND s.revoked_at IS NULL AND s.id IS DISTINCT FROM but;
    RETURN true;
END $$;

-- A code is about to be looked at: that counts before it is known whether it is right, so that many at once are not more than one after the other.
-- From the tenth in a row that was not right on, no code of the app is looked at for an hour. No row: no code is asked for.
CREATE FUNCTION second_factor_try(person uuid) RETURNS TABLE (master_key_id text, sealed bytea, is_resting boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY UPDATE second_factors f
        SET failures = f.failures + 1, rest_until = CASE WHEN f.failures >= 9 THEN now() + interval '1 hour' END
        WHERE f.user_id = person AND f.confirmed_at IS NOT NULL AND coalesce(f.rest_until <= now(), true)
        RETURNING f.master_key_id, f.sealed, false;
    IF NOT FOUND THEN
        RETURN QUERY SELECT f.master_key_id, f.sealed, true FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL;
    END IF;
END $$;

-- A code was right; false where it, or a later one, was used before (RFC 6238, 5.2).
CREATE FUNCTION second_factor_use(person uuid, step bigint) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH used AS (
        UPDATE second_factors f SET last_step = step, failures = 0, rest_until = NULL
        WHERE f.user_id = person AND f.confirmed_at IS NOT NULL AND f.last_step < step RETURNING 1)
    SELECT EXISTS (SELECT FROM used)
$$;

-- How many are left; NULL where this is none, or was used.
CREATE FUNCTION recovery_code_use(person uuid, code bytea) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE recovery_codes c SET used_at = now() WHERE c.user_id = person AND c.hash = code AND c.used_at IS NULL;
    IF NOT FOUND THEN RETURN NULL; END IF;
    RETURN (SELECT count(*) FROM recovery_codes c WHERE c.user_id = person AND c.used_at IS NULL);
END $$;

CREATE FUNCTION recovery_codes_set(person uuid, codes bytea[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    INSERT INTO recovery_codes (user_id, hash) SELECT person, unnest(codes);
    RETURN true;
END $$;

-- True where there was one that was in use.
CREATE FUNCTION second_factor_remove(person uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE was_used boolean;
BEGIN
    DELETE FROM second_factors f WHERE f.user_id = person RETURNING f.confirmed_at IS NOT NULL INTO was_used;
    DELETE FROM recovery_codes c WHERE c.user_id = person;
    RETURN coalesce(was_used, false);
END $$;

-- What the master key has sealed itself is sealed anew with the data keys.
DROP FUNCTION master_keys();
CREATE FUNCTION master_keys() RETURNS TABLE (master_key_id text, data_keys bigint, second_factors bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, sum(k.data_key)::bigint, sum(k.second_factor)::bigint
    FROM (SELECT d.master_key_id, 1, 0 FROM data_keys d UNION ALL SELECT f.master_key_id, 0, 1 FROM second_factors f)
        AS k (id, data_key, second_factor)
    GROUP BY k.id ORDER BY k.id
$$;
CREATE FUNCTION second_factors_of_others(ours text, after_user uuid, count_max integer)
    RETURNS TABLE (user_id uuid, master_key_id text, sealed bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT f.user_id, f.master_key_id, f.sealed FROM second_factors f
    WHERE f.master_key_id <> ours AND f.user_id > after_user ORDER BY f.user_id LIMIT count_max
$$;
CREATE FUNCTION second_factors_reseal(ours text, users uuid[], olds bytea[], news bytea[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH resealed AS (
        UPDATE second_factors f SET master_key_id = ours, sealed = i.new
        FROM unnest(users, olds, news) AS i (user_id, old, new) WHERE f.user_id = i.user_id AND f.sealed = i.old RETURNING 1)
    SELECT count(*) FROM resealed
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'second_factor_begin(uuid, text, bytea)', 'second_factor_find(uuid)', 'second_factor_confirm(uuid, bytea, bigint, bytea[], uuid)',
        'second_factor_try(uuid)', 'second_factor_use(uuid, bigint)', 'recovery_code_use(uuid, bytea)', 'recovery_codes_set(uuid, bytea[])',
        'second_factor_remove(uuid)', 'master_keys()', 'second_factors_of_others(text, uuid, integer)',
        'second_factors_reseal(text, uuid[], bytea[], bytea[])'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
