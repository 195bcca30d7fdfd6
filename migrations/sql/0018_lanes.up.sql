-- Lanes: what has just happened goes before what comes again, and that before what fills up a history. 0 live, 1 retry, 2 backfill.
ALTER TABLE messages ADD COLUMN lane smallint NOT NULL DEFAULT 0 CHECK (lane IN (0, 1, 2));
ALTER TABLE deliveries ADD COLUMN lane smallint NOT NULL DEFAULT 0 CHECK (lane IN (0, 1, 2));
-- When it must have been done for the business: the day an order is to be shipped by. A backlog is drained by it.
ALTER TABLE deliveries ADD COLUMN due_by timestamptz;
-- What a person decided about its place in a backlog: -1 first, 0 as it comes, 1 last.
ALTER TABLE deliveries ADD COLUMN rank smallint NOT NULL DEFAULT 0 CHECK (rank IN (-1, 0, 1));

CREATE INDEX messages_lanes ON messages (connection_id, lane, sweep_at) WHERE state IN ('received', 'fetching');
DROP INDEX messages_sweep;
ALTER INDEX messages_lanes RENAME TO messages_sweep;
CREATE INDEX deliveries_lanes ON deliveries (connection_id, lane, sweep_at) WHERE state IN ('planned', 'sending', 'waiting', 'unknown');
DROP INDEX deliveries_sweep;
ALTER INDEX deliveries_lanes RENAME TO deliveries_sweep;
-- What a breaker holds is let go in the order of a backlog.
CREATE INDEX deliveries_held_rank ON deliveries (held_by, rank, lane, due_by, id) WHERE state = 'held';
DROP INDEX deliveries_held;
ALTER INDEX deliveries_held_rank RENAME TO deliveries_held;

-- A tenant's share of the workers' time beside a tenant of weight 1.
ALTER TABLE tenants ADD COLUMN weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);

-- Sweeper: messages whose task was lost or whose wait is over. Each is leased, so that two sweepers do not nudge twice; one that was being read
-- back waits anew. Every tenant with something due gets the same share of `count_max`, whatever its backlog, and divides it between its
-- connections, which are found by skipping through the index. Of each lane of a connection no more than `window_max` are under way: the backlog waits
-- here. The functions of the same names with two arguments stay for workers of the version before.
CREATE FUNCTION sweep_messages(count_max integer, window_max integer, lease interval)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, lane smallint, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE places AS (
        (SELECT s.connection_id FROM messages s WHERE s.state IN ('received', 'fetching') ORDER BY s.connection_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.connection_id FROM messages s WHERE s.state IN ('received', 'fetching') AND s.connection_id > p.connection_id
                ORDER BY s.connection_id LIMIT 1)
        FROM places p WHERE p.connection_id IS NOT NULL
    ), owned AS (
        SELECT p.connection_id, c.tenant_id FROM places p JOIN connections c ON c.id = p.connection_id
    ), shares AS (
        SELECT o.connection_id,
               greatest(count_max / (SELECT count(DISTINCT t.tenant_id) FROM owned t) / count(*) OVER (PARTITION BY o.tenant_id), 10) AS rows_max
        FROM owned o
    ), due AS (
        SELECT t.tenant_id, t.id FROM shares s CROSS JOIN (VALUES (0::smallint, 1), (1::smallint, 2), (2::smallint, 4)) AS l (lane, part)
        CROSS JOIN LATERAL (
            SELECT count(*) AS count FROM (
                SELECT FROM messages w WHERE w.connection_id = s.connection_id AND w.lane = l.lane AND w.state IN ('received', 'fetching')
                  AND w.sweep_at > now() AND w.sweep_at <= now() + lease LIMIT window_max) w) AS under_way
        CROSS JOIN LATERAL (
            SELECT m.tenant_id, m.id FROM messages m
            WHERE m.connection_id = s.connection_id AND m.lane = l.lane AND m.state IN ('received', 'fetching') AND m.sweep_at <= now()
            ORDER BY m.sweep_at LIMIT greatest(least(s.rows_max / l.part, window_max - under_way.count), 0) FOR UPDATE SKIP LOCKED) t
    )
    UPDATE messages m SET sweep_at = now() + lease, state = 'received'
    FROM due WHERE m.tenant_id = due.tenant_id AND m.id = due.id
    RETURNING m.tenant_id, m.connection_id, m.lane, m.id
$$;

-- Sweeper: deliveries that are due, shared as above; those to a paused connection stay where they are. A wait that is over becomes planned; an attempt that never closed becomes unknown.
CREATE FUNCTION sweep_deliveries(count_max integer, window_max integer, lease interval)
    RETURNS TABLE (tenant_id uuid, connection_id uuid, lane smallint, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE places AS (
        (SELECT s.connection_id FROM deliveries s WHERE s.state IN ('planned', 'sending', 'waiting', 'unknown') ORDER BY s.connection_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.connection_id FROM deliveries s
                WHERE s.state IN ('planned', 'sending', 'waiting', 'unknown') AND s.connection_id > p.connection_id
                ORDER BY s.connection_id LIMIT 1)
        FROM places p WHERE p.connection_id IS NOT NULL
    ), owned AS (
        SELECT p.connection_id, c.tenant_id FROM places p JOIN connections c ON c.id = p.connection_id AND c.state = 'active'
    ), shares AS (
        SELECT o.connection_id,
               greatest(count_max / (SELECT count(DISTINCT t.tenant_id) FROM owned t) / count(*) OVER (PARTITION BY o.tenant_id), 10) AS rows_max
        FROM owned o
    ), due AS (
        SELECT t.id, t.sweep_at FROM shares s CROSS JOIN (VALUES (0::smallint, 1), (1::smallint, 2), (2::smallint, 4)) AS l (lane, part)
        CROSS JOIN LATERAL (
            SELECT count(*) AS count FROM (
                SELECT FROM deliveries w
                WHERE w.connection_id = s.connection_id AND w.lane = l.lane AND w.state IN ('planned', 'sending', 'waiting', 'unknown')
                  AND w.sweep_at > now() AND w.sweep_at <= now() + lease LIMIT window_max) w) AS under_way
        CROSS JOIN LATERAL (
            SELECT d.id, d.sweep_at FROM deliveries d
            WHERE d.connection_id = s.connection_id AND d.lane = l.lane AND d.state IN ('planned', 'sending', 'waiting', 'unknown') AND d.sweep_at <= now()
            ORDER BY d.sweep_at LIMIT greatest(least(s.rows_max / l.part, window_max - under_way.count), 0) FOR UPDATE SKIP LOCKED) t
    ), moved AS (
        UPDATE deliveries d SET
            sweep_at = now() + lease,
            due_at = CASE WHEN d.state = 'sending' THEN now() ELSE d.due_at END,
            unproven = d.unproven OR d.state = 'sending',
            state = CASE d.state WHEN 'waiting' THEN 'planned' WHEN 'sending' THEN 'unknown' ELSE d.state END
        FROM due WHERE d.id = due.id
        RETURNING d.tenant_id, d.connection_id, d.lane, d.id, due.sweep_at AS was_due
    )
    SELECT m.tenant_id, m.connection_id, m.lane, m.id FROM moved m ORDER BY m.was_due
$$;

-- Workers: the tenants whose share is not 1.
CREATE FUNCTION tenant_weights() RETURNS TABLE (tenant_id uuid, weight smallint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.id, t.weight FROM tenants t WHERE t.weight <> 1
$$;

DO $$
DECLARE f text;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['sweep_messages(integer, integer, interval)', 'sweep_deliveries(integer, integer, interval)', 'tenant_weights()'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
