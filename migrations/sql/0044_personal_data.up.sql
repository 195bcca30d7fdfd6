-- What tells of a person is hidden from those whose work needs it not. A key that read records until now goes on seeing them whole: whoever gave it out
-- knew that it would. Support sees it only where the tenant says so.
-- Forced row-level security would show their owner none of them.
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET permissions = array_append(permissions, 'read_personal_data')
WHERE 'read_operations' = ANY (permissions) AND NOT 'read_personal_data' = ANY (permissions) AND revoked_at IS NULL AND expires_at > now();
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

ALTER TABLE tenants ADD COLUMN support_sees_personal boolean NOT NULL DEFAULT false;

-- As before, and whether the tenant shows support what tells of a person. The columns are read by their names, so that the version before reads it, too.
DROP FUNCTION impersonation_find(uuid, uuid, uuid);
CREATE FUNCTION impersonation_find(impersonation uuid, person uuid, its_session uuid) RETURNS TABLE (
    id uuid, tenant_id uuid, tenant_slug text, tenant_name text, staff_name text, staff_email text, reason text, ticket text, may_write boolean,
    ends_at timestamptz, sees_personal boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, t.id, t.slug, t.name, i.staff_name, i.staff_email, i.reason, i.ticket, i.may_write, i.ends_at, t.support_sees_personal
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
