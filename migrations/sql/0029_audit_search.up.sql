-- The audit log is searched by who, what and which request, and kept as long as a tenant says.

-- Who did what people and their keys did: a row for each id within an event's actor. Machines and vendors are in it by their thousands and are
-- found by what they did. A table and not an index of the JSON: under row-level security only a plain column is looked up by.
CREATE TABLE audit_actors (
    tenant_id  uuid NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    event_id   uuid NOT NULL,
    PRIMARY KEY (tenant_id, actor_id, event_id)
);

-- How long a tenant's events are kept.
CREATE TABLE audit_policies (
    tenant_id  uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    keep_days  integer CHECK (keep_days BETWEEN 30 AND 36500),      -- NULL: for ever.
    hold       text CHECK (length(hold) BETWEEN 1 AND 500),         -- Why nothing may be removed, however old; NULL: nothing holds it.
    look_at    timestamptz NOT NULL DEFAULT now()                   -- When what is older is looked for; leased by moving this.
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_actors', 'audit_policies'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;
GRANT SELECT ON audit_actors TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON audit_policies TO crossdock_app;
GRANT SELECT, INSERT, DELETE ON audit_actors TO crossdock_system;
GRANT SELECT, UPDATE ON audit_policies TO crossdock_system;
CREATE POLICY system ON audit_events TO crossdock_system USING (true) WITH CHECK (false);
GRANT SELECT, DELETE ON audit_events TO crossdock_system;

CREATE INDEX audit_events_request ON audit_events (request_id);
-- What is seldom done. What the way of orders does is everywhere, so that a page of it is found by age.
CREATE INDEX audit_events_action ON audit_events (tenant_id, action, id)
    WHERE action NOT LIKE 'message.%' AND action NOT LIKE 'delivery.%' AND action NOT LIKE 'attempt.%';

CREATE FUNCTION audit_event_has_actors() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_actors (tenant_id, actor_id, event_id)
    SELECT DISTINCT f.tenant_id, v.value, f.id FROM fresh f CROSS JOIN LATERAL jsonb_each_text(f.actor) v
    WHERE f.actor ->> 'kind' NOT IN ('system', 'vendor') AND v.value ~ '^[a-z]{3}_[0-9a-f]{32}$';
    RETURN NULL;
END $$;
CREATE TRIGGER audit_event_has_actors AFTER INSERT ON audit_events
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit_event_has_actors();

-- Workers: tenants that keep their events for a time only; each is looked at once a day.
CREATE FUNCTION audit_policies_take(count_max integer) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE audit_policies p SET look_at = now() + interval '1 day'
    FROM (SELECT d.tenant_id FROM audit_policies d WHERE d.look_at <= now() AND d.keep_days IS NOT NULL AND d.hold IS NULL
          ORDER BY d.look_at LIMIT count_max FOR UPDATE SKIP LOCKED) due
    WHERE p.tenant_id = due.tenant_id RETURNING p.tenant_id
$$;

-- The only way to remove events: those of whole seals, from the oldest on, older than the tenant keeps them, while nothing holds them, and only
-- after the last seal has said so. The seals stay.
CREATE FUNCTION audit_remove(since bigint, until bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := current_tenant();
    removed bigint;
BEGIN
    PERFORM 1 FROM audit_policies p WHERE p.tenant_id = tenant FOR SHARE;
    IF NOT EXISTS (SELECT FROM audit_policies p JOIN audit_seals s ON s.tenant_id = p.tenant_id AND s.number = until
                   WHERE p.tenant_id = tenant AND p.hold IS NULL AND s.sealed_at < now() - make_interval(days => p.keep_days)) THEN
        RAISE EXCEPTION 'the events up to seal % are to be kept', until;
    END IF;
    IF until IS DISTINCT FROM (SELECT (s.statement::jsonb ->> 'removed')::bigint FROM audit_seals s
                               WHERE s.tenant_id = tenant ORDER BY s.number DESC LIMIT 1) THEN
        RAISE EXCEPTION 'no seal says that the events up to seal % are removed', until;
    END IF;
    WITH gone AS (
        SELECT unnest(s.event_ids) AS id FROM audit_seals s WHERE s.tenant_id = tenant AND s.number > since AND s.number <= until
    ), actors AS (
        DELETE FROM audit_actors a USING gone g WHERE a.tenant_id = tenant AND a.event_id = g.id
    )
    DELETE FROM audit_events e USING gone g WHERE e.tenant_id = tenant AND e.id = g.id;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
CREATE INDEX audit_actors_event ON audit_actors (event_id);

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['audit_event_has_actors()', 'audit_policies_take(integer)', 'audit_remove(bigint, bigint)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;

-- What people did before is found, too.
DO $$
BEGIN
    ALTER TABLE audit_events NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE audit_actors NO FORCE ROW LEVEL SECURITY;
    INSERT INTO audit_actors (tenant_id, actor_id, event_id)
    SELECT DISTINCT e.tenant_id, v.value, e.id FROM audit_events e CROSS JOIN LATERAL jsonb_each_text(e.actor) v
    WHERE e.actor ->> 'kind' NOT IN ('system', 'vendor') AND v.value ~ '^[a-z]{3}_[0-9a-f]{32}$';
    ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
    ALTER TABLE audit_actors FORCE ROW LEVEL SECURITY;
END $$;
