-- The web app is told that something changed: everything that is done leaves an audit event, so the newest one says so. One look for all tenants that
-- somebody looks at; each is the end of one index.
CREATE FUNCTION audit_latest(tenants uuid[]) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, (SELECT e.id FROM audit_events e WHERE e.tenant_id = t.id ORDER BY e.id DESC LIMIT 1) FROM unnest(tenants) t (id)
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION audit_latest(uuid[]) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION audit_latest(uuid[]) TO crossdock_app;
    ALTER FUNCTION audit_latest(uuid[]) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
