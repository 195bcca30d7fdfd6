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
    )
    DELETE FROM audit_events e USING gone g WHERE e.tenant_id = tenant AND e.id = g.id;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
DROP TABLE call_payloads;
