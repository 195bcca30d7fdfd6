-- What is kept of calls that are told after they were made (polls, listings, probes, registrations of webhooks, the asking for tokens), beside their audit
-- events. The events hold the digests, and the seals over them hold those. It goes with its event, and by no other way: what tells of a person was hidden before it was kept.
CREATE TABLE call_payloads (
    event_id   uuid NOT NULL,
    tenant_id  uuid NOT NULL,
    request    text CHECK (length(request) <= 20000),
    answer     text CHECK (length(answer) <= 20000),
    PRIMARY KEY (event_id, tenant_id)
) PARTITION BY RANGE (event_id);
ALTER TABLE call_payloads ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_payloads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON call_payloads USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON call_payloads TO crossdock_system USING (true) WITH CHECK (false);
GRANT SELECT, INSERT ON call_payloads TO crossdock_app;
GRANT SELECT, DELETE ON call_payloads TO crossdock_system;

-- As before, and for these, too.
CREATE OR REPLACE FUNCTION ensure_partitions(months_ahead integer DEFAULT 2) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month timestamptz;
    child text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crossdock.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['messages', 'record_revisions', 'attempts', 'audit_events', 'usage_events', 'call_payloads'] LOOP
        -- A step back to an older schema takes tables away.
        CONTINUE WHEN to_regclass(parent) IS NULL;
        IF to_regclass(parent || '_default') IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_default', parent);
            PERFORM guard_partition(parent || '_default');
            made := made + 1;
        END IF;
        FOR ahead IN 0..months_ahead LOOP
            month := date_trunc('month', (now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
            child := parent || to_char(month AT TIME ZONE 'UTC', '"_"YYYYMM');
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, uuid7_floor(month),
                    uuid7_floor(date_trunc('month', (month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
                PERFORM guard_partition(child);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions();

-- As before; what is kept beside an event goes with it.
CREATE OR REPLACE FUNCTION audit_remove(since bigint, until bigint) RETURNS bigint
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
    ), payloads AS (
        DELETE FROM call_payloads p USING gone g WHERE p.tenant_id = tenant AND p.event_id = g.id
    )
    DELETE FROM audit_events e USING gone g WHERE e.tenant_id = tenant AND e.id = g.id;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
