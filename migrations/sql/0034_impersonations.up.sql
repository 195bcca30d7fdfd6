-- Support: people of the installation's staff who look at a tenant in its place, with its consent, for a reason and for an hour at most. The application
-- reads these tables within a tenant and writes them by the functions below only, so that nothing of them can be made longer, or more than was allowed.

-- Who is staff is said beside the database. It gives nothing by itself.
CREATE TABLE staff (
    user_id     uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    granted_at  timestamptz NOT NULL DEFAULT now()
);

-- What somebody of the staff has asked of a tenant. Who that is stands here as it was then: a tenant sees no account of who is no member.
CREATE TABLE support_requests (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id      uuid NOT NULL,
    staff_name   text NOT NULL,
    staff_email  text NOT NULL,
    reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    ticket       text NOT NULL CHECK (length(ticket) BETWEEN 1 AND 100),
    wants_write  boolean NOT NULL,
    asked_at     timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL DEFAULT now() + interval '24 hours',     -- What is not answered until then is over.
    answered_at  timestamptz,
    answered_by  uuid,
    is_allowed   boolean,
    CHECK ((answered_at IS NULL) = (is_allowed IS NULL) AND (answered_at IS NULL) = (answered_by IS NULL))
);
CREATE INDEX support_requests_list ON support_requests (tenant_id, id);
CREATE INDEX support_requests_staff ON support_requests (user_id, id);

-- That a tenant lets support in: all of the staff until it says otherwise, or one of them once, by what they asked.
CREATE TABLE support_consents (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    request_id  uuid UNIQUE REFERENCES support_requests ON DELETE CASCADE,     -- NULL: it stands for all of the staff.
    user_id     uuid,                                  -- Of a request: for whom it is.
    may_write   boolean NOT NULL,
    given_by    uuid NOT NULL,
    given_at    timestamptz NOT NULL DEFAULT now(),
    until       timestamptz,                           -- NULL: until it is withdrawn. Of a request: when it must have been used.
    used_at     timestamptz,                           -- Of a request: it is good once.
    ended_at    timestamptz,
    ended_by    uuid,
    CHECK ((request_id IS NULL) = (user_id IS NULL) AND (request_id IS NULL OR until IS NOT NULL))
);
CREATE INDEX support_consents_list ON support_consents (tenant_id, id);
CREATE UNIQUE INDEX support_consents_standing ON support_consents (tenant_id) WHERE request_id IS NULL AND ended_at IS NULL;

CREATE TABLE impersonations (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    consent_id   uuid NOT NULL REFERENCES support_consents ON DELETE CASCADE,
    user_id      uuid NOT NULL,
    session_id   uuid NOT NULL,                        -- The session that it hangs on: who signs out there leaves.
    staff_name   text NOT NULL,
    staff_email  text NOT NULL,
    reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    ticket       text NOT NULL CHECK (length(ticket) BETWEEN 1 AND 100),
    may_write    boolean NOT NULL,
    began_at     timestamptz NOT NULL DEFAULT now(),
    ends_at      timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_why    text CHECK (ended_why IN ('left', 'tenant', 'consent', 'staff', 'time', 'session')),
    ended_by     uuid,
    CHECK (ends_at <= began_at + interval '60 minutes')
);
CREATE INDEX impersonations_list ON impersonations (tenant_id, id);
CREATE INDEX impersonations_running ON impersonations (user_id) WHERE ended_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['staff', 'support_requests', 'support_consents', 'impersonations'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_system', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['support_requests', 'support_consents', 'impersonations'] LOOP
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT USING (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('GRANT SELECT ON %I TO crossdock_app', t);
    END LOOP;
END $$;

CREATE FUNCTION staff_is(person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM staff s WHERE s.user_id = person)
$$;
CREATE FUNCTION staff_grant(person uuid) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH made AS (INSERT INTO staff (user_id) VALUES (person) ON CONFLICT DO NOTHING RETURNING 1) SELECT EXISTS (SELECT FROM made)
$$;

-- Nobody's staff any more: what runs ends, what was asked or allowed is over. Says what ended.
CREATE FUNCTION staff_revoke(person uuid) RETURNS TABLE (impersonation_id uuid, tenant_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM staff s WHERE s.user_id = person;
    UPDATE support_requests r SET expires_at = now() WHERE r.user_id = person AND r.answered_at IS NULL AND r.expires_at > now();
    UPDATE support_consents c SET ended_at = now() WHERE c.user_id = person AND c.used_at IS NULL AND c.ended_at IS NULL;
    RETURN QUERY UPDATE impersonations i SET ended_at = now(), ended_why = 'staff'
        WHERE i.user_id = person AND i.ended_at IS NULL AND i.ends_at > now() RETURNING i.id, i.tenant_id;
END $$;

-- Whether an impersonation is good at this moment: asked for each of its requests. What it hangs on must have been there when it began, so that nothing
-- that was taken away and given again wakes it.
CREATE FUNCTION impersonation_is_live(i impersonations) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.ended_at IS NULL AND i.ends_at > now()
       AND EXISTS (SELECT FROM staff s WHERE s.user_id = i.user_id AND s.granted_at <= i.began_at)
       AND EXISTS (SELECT FROM second_factors f WHERE f.user_id = i.user_id AND f.confirmed_at <= i.began_at)
       AND EXISTS (SELECT FROM sessions s WHERE s.id = i.session_id AND s.user_id = i.user_id AND s.revoked_at IS NULL)
       AND EXISTS (SELECT FROM support_consents c WHERE c.id = i.consent_id AND c.ended_at IS NULL)
$$;

-- What is wrong with somebody who asks or begins; NULL where nothing is.
CREATE FUNCTION support_refusal(person uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM staff s WHERE s.user_id = person) THEN 'staff'
        WHEN NOT EXISTS (SELECT FROM second_factors f WHERE f.user_id = person AND f.confirmed_at IS NOT NULL) THEN 'second_factor'
    END
$$;

-- Asks a tenant, named by id or slug. One of each of the staff waits at a tenant at a time.
CREATE FUNCTION support_request_create(request uuid, person uuid, whom_id uuid, whom_slug text, why text, its_ticket text, writes boolean)
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
    END IF;
    IF refusal IS NULL THEN
        INSERT INTO support_requests (id, tenant_id, user_id, staff_name, staff_email, reason, ticket, wants_write)
            VALUES (request, whom.id, person, coalesce(nullif(who.name, ''), who.email), who.email, why, its_ticket, writes);
    END IF;
    RETURN QUERY SELECT refusal, whom.id, whom.name, coalesce(nullif(who.name, ''), who.email);
END $$;

-- The second wall behind the permission: who consents is an owner or admin of the tenant, whatever the application thinks.
CREATE FUNCTION support_consenter(person uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM members m WHERE m.tenant_id = current_tenant() AND m.user_id = person AND m.role IN ('owner', 'admin')) THEN
        RAISE EXCEPTION 'only an owner or admin of a tenant says what support may do there';
    END IF;
    RETURN person;
END $$;

-- Answers what was asked; false where it was answered, is over or was never asked. A yes is a consent of its own, to be used within 24 hours.
CREATE FUNCTION support_request_answer(request uuid, consent uuid, person uuid, allows boolean, writes boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE who uuid := support_consenter(person); whose uuid;
BEGIN
    UPDATE support_requests r SET answered_at = now(), answered_by = who, is_allowed = allows
        WHERE r.id = request AND r.tenant_id = current_tenant() AND r.answered_at IS NULL AND r.expires_at > now() RETURNING r.user_id INTO whose;
    IF NOT FOUND THEN RETURN false; END IF;
    IF allows THEN
        INSERT INTO support_consents (id, tenant_id, request_id, user_id, may_write, given_by, until)
            VALUES (consent, current_tenant(), request, whose, writes, who, now() + interval '24 hours');
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION support_consent_give(consent uuid, person uuid, writes boolean, its_end timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    -- One whose time is over makes room.
    UPDATE support_consents c SET ended_at = c.until
        WHERE c.tenant_id = current_tenant() AND c.request_id IS NULL AND c.ended_at IS NULL AND c.until <= now();
    INSERT INTO support_consents (id, tenant_id, may_write, given_by, until)
        VALUES (consent, current_tenant(), writes, support_consenter(person), its_end)
$$;

-- Withdraws a consent, and ends what runs by it: those. NULL where it is over or was never given.
CREATE FUNCTION support_consent_end(consent uuid, person uuid) RETURNS uuid[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE who uuid := support_consenter(person); ended uuid[];
BEGIN
    UPDATE support_consents c SET ended_at = now(), ended_by = who
        WHERE c.id = consent AND c.tenant_id = current_tenant() AND c.ended_at IS NULL
          -- One that was used holds what began by it, as long as that may run.
          AND (c.until IS NULL OR c.until > now() OR c.used_at > now() - interval '60 minutes');
    IF NOT FOUND THEN RETURN NULL; END IF;
    WITH gone AS (
        UPDATE impersonations i SET ended_at = now(), ended_why = 'consent', ended_by = who
        WHERE i.consent_id = consent AND i.ended_at IS NULL AND i.ends_at > now() RETURNING i.id
    ) SELECT coalesce(array_agg(g.id), '{}') INTO ended FROM gone g;
    RETURN ended;
END $$;

-- Begins, by the least consent that is enough: a standing one before one that is good once, reading before writing. Its end is said now and never moved.
CREATE FUNCTION impersonation_begin(
    impersonation uuid, person uuid, its_session uuid, whom_id uuid, whom_slug text, why text, its_ticket text, minutes integer, writes boolean)
    RETURNS TABLE (refusal text, tenant_id uuid, tenant_name text, staff_name text, consent_id uuid, ends_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE whom tenants; who users; consent support_consents; its_end timestamptz;
BEGIN
    PERFORM 1 FROM staff s WHERE s.user_id = person FOR UPDATE;
    refusal := support_refusal(person);
    SELECT t.* INTO whom FROM tenants t WHERE t.id = whom_id OR t.slug = whom_slug;
    SELECT u.* INTO who FROM users u WHERE u.id = person;
    IF refusal IS NULL AND whom.id IS NULL THEN
        refusal := 'tenant';
    ELSIF refusal IS NULL AND EXISTS (SELECT FROM impersonations i WHERE i.user_id = person AND impersonation_is_live(i)) THEN
        refusal := 'runs';
    END IF;
    IF refusal IS NULL THEN
        SELECT c.* INTO consent FROM support_consents c
            WHERE c.tenant_id = whom.id AND c.ended_at IS NULL AND (c.until IS NULL OR c.until > now()) AND (c.may_write OR NOT writes)
              AND (c.request_id IS NULL OR (c.user_id = person AND c.used_at IS NULL))
            ORDER BY c.request_id IS NOT NULL, c.may_write, c.id LIMIT 1 FOR UPDATE;
        IF NOT FOUND THEN
            refusal := CASE WHEN EXISTS (SELECT FROM support_consents c
                WHERE c.tenant_id = whom.id AND c.ended_at IS NULL AND (c.until IS NULL OR c.until > now())
                  AND (c.request_id IS NULL OR (c.user_id = person AND c.used_at IS NULL))) THEN 'read_only' ELSE 'consent' END;
        END IF;
    END IF;
    IF refusal IS NULL THEN
        UPDATE support_consents c SET used_at = now() WHERE c.id = consent.id AND c.request_id IS NOT NULL;
        its_end := least(now() + make_interval(mins => minutes), CASE WHEN consent.request_id IS NULL THEN consent.until END);
        INSERT INTO impersonations (id, tenant_id, consent_id, user_id, session_id, staff_name, staff_email, reason, ticket, may_write, ends_at)
            VALUES (impersonation, whom.id, consent.id, person, its_session, coalesce(nullif(who.name, ''), who.email), who.email, why, its_ticket, writes, its_end);
    END IF;
    RETURN QUERY SELECT refusal, whom.id, whom.name, coalesce(nullif(who.name, ''), who.email), consent.id, its_end;
END $$;

-- The person's impersonation that is good now: this one of this session, or, where neither is said, whichever it is.
CREATE FUNCTION impersonation_find(impersonation uuid, person uuid, its_session uuid) RETURNS TABLE (
    id uuid, tenant_id uuid, tenant_slug text, tenant_name text, staff_name text, staff_email text, reason text, ticket text, may_write boolean,
    ends_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, t.id, t.slug, t.name, i.staff_name, i.staff_email, i.reason, i.ticket, i.may_write, i.ends_at
    FROM impersonations i JOIN tenants t ON t.id = i.tenant_id
    WHERE i.user_id = person AND i.ended_at IS NULL AND (i.id = impersonation OR impersonation IS NULL)
      AND (i.session_id = its_session OR its_session IS NULL) AND impersonation_is_live(i)
$$;

-- From now on it hangs on this session: tokens that hang on another one are no good any more.
CREATE FUNCTION impersonation_move(impersonation uuid, person uuid, its_session uuid) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH moved AS (
        UPDATE impersonations i SET session_id = its_session WHERE i.id = impersonation AND i.user_id = person AND impersonation_is_live(i) RETURNING 1)
    SELECT EXISTS (SELECT FROM moved)
$$;

CREATE FUNCTION impersonation_leave(person uuid) RETURNS TABLE (impersonation_id uuid, tenant_id uuid, staff_name text, ticket text)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE impersonations i SET ended_at = now(), ended_why = 'left', ended_by = person
    WHERE i.user_id = person AND i.ended_at IS NULL AND i.ends_at > now() RETURNING i.id, i.tenant_id, i.staff_name, i.ticket
$$;

-- The tenant ends one; false where it is over, or none of its own.
CREATE FUNCTION impersonation_end(impersonation uuid, person uuid) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ended AS (
        UPDATE impersonations i SET ended_at = now(), ended_why = 'tenant', ended_by = support_consenter(person)
        WHERE i.id = impersonation AND i.tenant_id = current_tenant() AND i.ended_at IS NULL AND i.ends_at > now() RETURNING 1)
    SELECT EXISTS (SELECT FROM ended)
$$;

-- Workers: what nobody ended and is not good any more, by time or because the session, the second factor or the staff is gone.
CREATE FUNCTION impersonations_over(count_max integer) RETURNS TABLE (impersonation_id uuid, tenant_id uuid, why text)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE impersonations i SET ended_at = least(now(), i.ends_at), ended_why = CASE WHEN i.ends_at <= now() THEN 'time' ELSE 'session' END
    FROM (SELECT o.id FROM impersonations o WHERE o.ended_at IS NULL AND NOT impersonation_is_live(o) LIMIT count_max FOR UPDATE SKIP LOCKED) gone
    WHERE i.id = gone.id RETURNING i.id, i.tenant_id, i.ended_why
$$;

-- What one of the staff has asked, of whichever tenant, the newest first.
CREATE FUNCTION support_requests_of(person uuid) RETURNS TABLE (
    id uuid, tenant_slug text, tenant_name text, staff_name text, staff_email text, reason text, ticket text, wants_write boolean, asked_at timestamptz,
    expires_at timestamptz, answered_at timestamptz, answered_by uuid, is_allowed boolean, consent_id uuid, request_id uuid, may_write boolean,
    given_by uuid, given_at timestamptz, until timestamptz, used_at timestamptz, ended_at timestamptz, ended_by uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.id, t.slug, t.name, r.staff_name, r.staff_email, r.reason, r.ticket, r.wants_write, r.asked_at, r.expires_at, r.answered_at, r.answered_by,
           r.is_allowed, c.id, c.request_id, c.may_write, c.given_by, c.given_at, c.until, c.used_at, c.ended_at, c.ended_by
    FROM support_requests r JOIN tenants t ON t.id = r.tenant_id LEFT JOIN support_consents c ON c.request_id = r.id
    WHERE r.user_id = person ORDER BY r.id DESC LIMIT 100
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'staff_is(uuid)', 'staff_grant(uuid)', 'staff_revoke(uuid)', 'impersonation_is_live(impersonations)', 'support_refusal(uuid)',
        'support_request_create(uuid, uuid, uuid, text, text, text, boolean)', 'support_consenter(uuid)',
        'support_request_answer(uuid, uuid, uuid, boolean, boolean)', 'support_consent_give(uuid, uuid, boolean, timestamptz)',
        'support_consent_end(uuid, uuid)', 'impersonation_begin(uuid, uuid, uuid, uuid, text, text, text, integer, boolean)',
        'impersonation_find(uuid, uuid, uuid)', 'impersonation_move(uuid, uuid, uuid)', 'impersonation_leave(uuid)', 'impersonation_end(uuid, uuid)',
        'impersonations_over(integer)', 'support_requests_of(uuid)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
