-- Mails to people, until the mail server has taken them: written with what they are about, so that none is lost with the process that wrote it. What they
-- say is sealed by the master key itself, because links that open an account are in them, and a person is of no tenant.

CREATE TABLE mails (
    id             uuid PRIMARY KEY,
    tenant_id      uuid REFERENCES tenants ON DELETE CASCADE,   -- Who may see what became of it; NULL where it concerns a person alone.
    about          uuid,                                        -- What of the tenant it is about: an invitation, a domain.
    master_key_id  text NOT NULL,
    sealed         bytea NOT NULL,                              -- To whom, and what; empty once it was given up.
    tries          integer NOT NULL DEFAULT 0,
    due_at         timestamptz NOT NULL DEFAULT now(),
    until          timestamptz NOT NULL,                        -- What it says is over then.
    failure        text,                                        -- Why the last try failed.
    given_up_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mails_due ON mails (due_at) WHERE given_up_at IS NULL;
CREATE INDEX mails_about ON mails (tenant_id, about) WHERE tenant_id IS NOT NULL;

ALTER TABLE mails ENABLE ROW LEVEL SECURITY;
ALTER TABLE mails FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mails FOR SELECT USING (tenant_id IS NOT DISTINCT FROM current_tenant() AND tenant_id IS NOT NULL);
CREATE POLICY system ON mails TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT (id, tenant_id, about, tries, due_at, failure, given_up_at) ON mails TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON mails TO crossdock_system;

CREATE FUNCTION mail_put(mail uuid, whose uuid, its_about uuid, key_id text, content bytea, good_until timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO mails (id, tenant_id, about, master_key_id, sealed, until) VALUES (mail, whose, its_about, key_id, content, good_until)
$$;

-- Those that are due; nobody else is given them for so long. Of what was given up a month ago nobody asks any more.
CREATE FUNCTION mails_take(count_max integer, lease interval) RETURNS TABLE (id uuid, master_key_id text, sealed bytea, tries integer, until timestamptz)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM mails m WHERE m.given_up_at < now() - interval '30 days';
    UPDATE mails m SET due_at = now() + lease, tries = m.tries + 1
    FROM (SELECT d.id FROM mails d WHERE d.given_up_at IS NULL AND d.due_at <= now() ORDER BY d.due_at LIMIT count_max FOR UPDATE SKIP LOCKED) due
    WHERE m.id = due.id AND m.given_up_at IS NULL AND m.due_at <= now()
    RETURNING m.id, m.master_key_id, m.sealed, m.tries, m.until
$$;

CREATE FUNCTION mail_sent(mail uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM mails m WHERE m.id = mail
$$;

-- Why a try failed, and when the next one is; NULL gives it up, and with it what it said.
CREATE FUNCTION mail_failed(mail uuid, why text, again timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE mails m SET failure = why, due_at = coalesce(again, m.due_at), given_up_at = CASE WHEN again IS NULL THEN now() END,
        sealed = CASE WHEN again IS NULL THEN ''::bytea ELSE m.sealed END
    WHERE m.id = mail AND m.given_up_at IS NULL
$$;

-- A mail about what is withdrawn is not sent any more.
CREATE FUNCTION mails_withdraw(its_about uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM mails m WHERE m.tenant_id = current_tenant() AND m.about = its_about
$$;

-- The master key is replaced: what waits is sealed anew.
CREATE FUNCTION mails_of_others(ours text, after_mail uuid, count_max integer) RETURNS TABLE (id uuid, master_key_id text, sealed bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.id, m.master_key_id, m.sealed FROM mails m
    WHERE m.master_key_id <> ours AND m.given_up_at IS NULL AND m.id > after_mail ORDER BY m.id LIMIT count_max
$$;
CREATE FUNCTION mails_reseal(ours text, ids uuid[], olds bytea[], news bytea[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH resealed AS (
        UPDATE mails m SET master_key_id = ours, sealed = i.new
        FROM unnest(ids, olds, news) AS i (id, old, new) WHERE m.id = i.id AND m.sealed = i.old RETURNING 1)
    SELECT count(*) FROM resealed
$$;
DROP FUNCTION master_keys();
CREATE FUNCTION master_keys() RETURNS TABLE (master_key_id text, data_keys bigint, second_factors bigint, mails bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, sum(k.data_key)::bigint, sum(k.second_factor)::bigint, sum(k.mail)::bigint
    FROM (SELECT d.master_key_id, 1, 0, 0 FROM data_keys d
          UNION ALL SELECT f.master_key_id, 0, 1, 0 FROM second_factors f
          UNION ALL SELECT m.master_key_id, 0, 0, 1 FROM mails m WHERE m.given_up_at IS NULL)
        AS k (id, data_key, second_factor, mail)
    GROUP BY k.id ORDER BY k.id
$$;

-- Staff whom a tenant has refused, or did not answer, ask three times a day at most.
CREATE OR REPLACE FUNCTION support_request_create(request uuid, person uuid, whom_id uuid, whom_slug text, why text, its_ticket text, writes boolean)
    RETURNS TABLE (refusal text, tenant_id uuid, tenant_name text, staff_name text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE whom tenants; who users;
BEGIN
    -- One act of each of the staff at a time.
    PERFORM 1 FROM staff s WHERE s.user_id = person FOR UPDATE;
    refusal := support_refusal(person);
    SELECT t.* INTO whom FROM tenants t WHERE t.id = whom_id OR t.slug = whom_slug;
    SELECT u.* INTO who FROM users u WHERE u.id = person;
    IF refusal IS NULL AND whom.id IS NULL THEN
        refusal := 'tenant';
    ELSIF refusal IS NULL AND EXISTS (SELECT FROM support_requests r
            WHERE r.tenant_id = whom.id AND r.user_id = person AND r.answered_at IS NULL AND r.expires_at > now()) THEN
        refusal := 'waits';
    ELSIF refusal IS NULL AND 3 <= (SELECT count(*) FROM support_requests r
            WHERE r.tenant_id = whom.id AND r.user_id = person AND r.is_allowed IS NOT TRUE AND r.asked_at > now() - interval '24 hours') THEN
        refusal := 'often';
    END IF;
    IF refusal IS NULL THEN
        INSERT INTO support_requests (id, tenant_id, user_id, staff_name, staff_email, reason, ticket, wants_write)
            VALUES (request, whom.id, person, coalesce(nullif(who.name, ''), who.email), who.email, why, its_ticket, writes);
    END IF;
    RETURN QUERY SELECT refusal, whom.id, whom.name, coalesce(nullif(who.name, ''), who.email);
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'mail_put(uuid, uuid, uuid, text, bytea, timestamptz)', 'mails_take(integer, interval)', 'mail_sent(uuid)',
        'mail_failed(uuid, text, timestamptz)', 'mails_withdraw(uuid)', 'mails_of_others(text, uuid, integer)',
        'mails_reseal(text, uuid[], bytea[], bytea[])', 'master_keys()'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
