DROP FUNCTION rotations_take(integer, interval);
DROP FUNCTION rotation_connectors();
DROP FUNCTION rotation_advice_follow(text[], integer[], boolean[]);
DELETE FROM incidents WHERE upkeep IN ('scopes', 'rotation', 'rotation_halted');
ALTER TABLE incidents DROP CONSTRAINT incidents_upkeep_check;
ALTER TABLE incidents ADD CONSTRAINT incidents_upkeep_check CHECK (upkeep IN ('consent', 'secret', 'certificate', 'probe'));
CREATE OR REPLACE FUNCTION upkeep_moved(within interval, rows_max integer)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, kind text, ends_at timestamptz, incident_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH ends AS (
        SELECT c.tenant_id, c.connection_id, 'consent' AS kind, t.ends_at
        FROM credentials c JOIN tokens t ON t.credential_id = c.id WHERE c.state = 'active' AND t.ends_at < now() + within
        UNION ALL
        SELECT c.tenant_id, c.connection_id, c.ends_kind, c.ends_at FROM credentials c WHERE c.state = 'active' AND c.ends_at < now() + within
    ), told AS (
        SELECT i.id, i.tenant_id, i.connection_id, i.upkeep, i.ends_at FROM incidents i
        WHERE i.closed_at IS NULL AND i.upkeep IS NOT NULL AND i.upkeep <> 'probe'
    )
    SELECT coalesce(e.tenant_id, i.tenant_id), coalesce(e.connection_id, i.connection_id), coalesce(e.kind, i.upkeep), e.ends_at, i.id
    FROM ends e FULL JOIN told i ON i.connection_id = e.connection_id AND i.upkeep = e.kind
    WHERE e.ends_at IS DISTINCT FROM i.ends_at
    ORDER BY e.ends_at LIMIT rows_max
$$;
DROP TABLE rotations;
DROP TABLE rotation_schedules;
-- Secrets that were kept beside those that are used have nobody who knows of them any more.
UPDATE credentials SET state = 'retired' WHERE state IN ('draft', 'retiring');
ALTER TABLE credentials DROP COLUMN key_id;
