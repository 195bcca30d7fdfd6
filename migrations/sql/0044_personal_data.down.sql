DROP FUNCTION impersonation_find(uuid, uuid, uuid);
CREATE FUNCTION impersonation_find(impersonation uuid, person uuid, its_session uuid) RETURNS TABLE (
    id uuid, tenant_id uuid, tenant_slug text, tenant_name text, staff_name text, staff_email text, reason text, ticket text, may_write boolean,
    ends_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, t.id, t.slug, t.name, i.staff_name, i.staff_email, i.reason, i.ticket, i.may_write, i.ends_at
    FROM impersonations i JOIN tenants t ON t.id = i.tenant_id
    WHERE i.user_id = person AND i.ended_at IS NULL AND (i.id = impersonation OR impersonation IS NULL)
      AND (i.session_id = its_session OR its_session IS NULL) AND impersonation_is_live(i)
$$;
DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION impersonation_find(uuid, uuid, uuid) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION impersonation_find(uuid, uuid, uuid) TO crossdock_app;
    ALTER FUNCTION impersonation_find(uuid, uuid, uuid) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
ALTER TABLE tenants DROP COLUMN support_sees_personal;
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET permissions = array_remove(array_remove(permissions, 'read_personal_data'), 'read_schema');
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
