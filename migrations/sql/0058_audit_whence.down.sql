CREATE OR REPLACE FUNCTION audit_event_has_actors() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_actors (tenant_id, actor_id, event_id)
    SELECT DISTINCT f.tenant_id, v.value, f.id FROM fresh f CROSS JOIN LATERAL jsonb_each_text(f.actor) v
    WHERE f.actor ->> 'kind' NOT IN ('system', 'vendor') AND v.value ~ '^[a-z]{3}_[0-9a-f]{32}$';
    RETURN NULL;
END $$;

SET LOCAL ROLE crossdock_system;
DELETE FROM audit_actors WHERE actor_id !~ '^[a-z]{3}_[0-9a-f]{32}$';
RESET ROLE;
