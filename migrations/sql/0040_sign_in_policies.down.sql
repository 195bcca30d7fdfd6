CREATE OR REPLACE FUNCTION session_memberships(session uuid, person uuid) RETURNS TABLE (tenant_id uuid, slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, t.slug, t.name, m.role
    FROM sessions s JOIN members m ON m.user_id = s.user_id JOIN tenants t ON t.id = m.tenant_id
    WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > now())
      AND CASE WHEN s.tenant_id IS NOT NULL THEN m.tenant_id = s.tenant_id
               ELSE m.tenant_id NOT IN (SELECT e.tenant_id FROM user_enforcing_tenants(person) e) END
    ORDER BY t.slug
$$;
DROP FUNCTION members_without_second_factor(), session_places(uuid, uuid), user_has_second_factor(uuid);
DROP TABLE sign_in_policies;
