-- Work that is leased is taken once. Each of these looked for what is due, and then locked it by its id alone: where somebody else took it, and perhaps
-- ended it, between the look and the lock, it was taken a second time. Whoever waits for no lock sees the row as it is now, so the condition is asked
-- of it again there (PostgreSQL, "Read Committed Isolation Level").
CREATE OR REPLACE FUNCTION runs_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE runs SET state = 'failed', ended_at = now(), failure = 'it was begun three times and never came to an end; run it over fewer records'
    WHERE state = 'running' AND lease_until <= now() AND tries >= 3;
    WITH due AS (
        SELECT DISTINCT ON (r.tenant_id) r.id FROM runs r
        WHERE r.state IN ('queued', 'running') AND r.lease_until <= now()
          AND NOT EXISTS (SELECT FROM runs o WHERE o.tenant_id = r.tenant_id AND o.state = 'running' AND o.lease_until > now())
        ORDER BY r.tenant_id, r.id
    ), taken AS (
        SELECT r.id FROM runs r JOIN due ON due.id = r.id WHERE r.state IN ('queued', 'running') AND r.lease_until <= now()
        ORDER BY r.lease_until LIMIT count_max FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE runs r SET state = 'running', tries = r.tries + 1, lease_until = now() + lease
    FROM taken WHERE r.id = taken.id RETURNING r.tenant_id, r.id
$$;

CREATE OR REPLACE FUNCTION reconciliations_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT s.flow_id FROM reconciliation_schedules s WHERE s.next_at <= now() ORDER BY s.next_at LIMIT 100 FOR UPDATE SKIP LOCKED
    ), asked AS (
        UPDATE reconciliation_schedules s SET next_at = now() + make_interval(hours => s.every_hours)
        FROM due WHERE s.flow_id = due.flow_id RETURNING s.*
    )
    INSERT INTO reconciliations (id, tenant_id, flow_id, from_at, until_at, started_by)
    SELECT (left(uuid7_floor(now())::text, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid, a.tenant_id, a.flow_id,
           now() - interval '6 minutes' - make_interval(hours => a.back_hours), now() - interval '6 minutes',
           '{"kind": "system", "stage": "schedule"}'
    FROM asked a
    WHERE EXISTS (SELECT FROM flow_versions v WHERE v.flow_id = a.flow_id AND v.state = 'published')
      AND NOT EXISTS (SELECT FROM reconciliations r WHERE r.flow_id = a.flow_id AND r.state IN ('queued', 'running'));
    UPDATE reconciliations SET state = 'failed', ended_at = now(),
           failure = 'it was begun three times and never came to an end; reconcile a shorter time'
    WHERE state = 'running' AND lease_until <= now() AND tries >= 3;
    WITH due AS (
        SELECT DISTINCT ON (r.tenant_id) r.id FROM reconciliations r
        WHERE r.state IN ('queued', 'running') AND r.lease_until <= now()
          AND NOT EXISTS (SELECT FROM reconciliations o WHERE o.tenant_id = r.tenant_id AND o.state = 'running' AND o.lease_until > now())
        ORDER BY r.tenant_id, r.id
    ), taken AS (
        SELECT r.id FROM reconciliations r JOIN due ON due.id = r.id WHERE r.state IN ('queued', 'running') AND r.lease_until <= now()
        ORDER BY r.lease_until LIMIT count_max FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE reconciliations r SET state = 'running', tries = r.tries + 1, lease_until = now() + lease
    FROM taken WHERE r.id = taken.id RETURNING r.tenant_id, r.id
$$;

CREATE OR REPLACE FUNCTION match_dues_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, record_id uuid, asked bigint)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE places AS (
        (SELECT d.tenant_id FROM match_dues d ORDER BY d.tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.tenant_id FROM match_dues d WHERE d.tenant_id > p.tenant_id ORDER BY d.tenant_id LIMIT 1)
        FROM places p WHERE p.tenant_id IS NOT NULL
    ), due AS (
        SELECT t.record_id, t.due_at, t.turn FROM places p CROSS JOIN LATERAL (
            SELECT d.record_id, d.due_at, row_number() OVER (ORDER BY d.due_at) AS turn FROM (
                SELECT m.record_id, m.due_at FROM match_dues m WHERE m.tenant_id = p.tenant_id AND m.due_at <= now()
                ORDER BY m.due_at LIMIT count_max) d) t
    ), taken AS (
        SELECT m.record_id FROM match_dues m
        WHERE m.record_id IN (SELECT due.record_id FROM due ORDER BY due.turn, due.due_at LIMIT count_max) AND m.due_at <= now()
        FOR UPDATE SKIP LOCKED
    )
    UPDATE match_dues m SET due_at = now() + lease, tries = m.tries + 1
    FROM taken WHERE m.record_id = taken.record_id RETURNING m.tenant_id, m.record_id, m.asked
$$;

CREATE OR REPLACE FUNCTION undos_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE undos SET state = 'failed', ended_at = now(), failure = 'it was begun three times and came no further; prepare it for a shorter time'
    WHERE state = 'preparing' AND lease_until <= now() AND tries >= 3;
    WITH due AS (
        SELECT DISTINCT ON (u.tenant_id) u.id FROM undos u
        WHERE u.state IN ('queued', 'preparing', 'approved', 'delivering') AND u.lease_until <= now()
          AND (u.state IN ('approved', 'delivering')
            OR NOT EXISTS (SELECT FROM undos o WHERE o.tenant_id = u.tenant_id AND o.state = 'preparing' AND o.lease_until > now()))
        ORDER BY u.tenant_id, u.lease_until
    ), taken AS (
        SELECT u.id FROM undos u JOIN due ON due.id = u.id
        WHERE u.state IN ('queued', 'preparing', 'approved', 'delivering') AND u.lease_until <= now()
        ORDER BY u.lease_until LIMIT count_max FOR UPDATE OF u SKIP LOCKED
    )
    UPDATE undos u SET state = CASE u.state WHEN 'queued' THEN 'preparing' ELSE u.state END, tries = u.tries + 1, lease_until = now() + lease
    FROM taken WHERE u.id = taken.id RETURNING u.tenant_id, u.id
$$;

CREATE OR REPLACE FUNCTION polls_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT p.id, row_number() OVER (PARTITION BY p.tenant_id ORDER BY p.due_at) AS turn, p.due_at
        FROM polls p WHERE p.state = 'active' AND p.due_at <= now() AND (p.lease_until IS NULL OR p.lease_until <= now())
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.due_at LIMIT count_max
    ), taken AS (
        SELECT p.id FROM polls p WHERE p.id IN (SELECT first.id FROM first)
          AND p.state = 'active' AND p.due_at <= now() AND (p.lease_until IS NULL OR p.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE polls p SET lease_id = gen_random_uuid(), lease_until = now() + lease, begun_at = now(), listed = 0, brought = 0, gaps = 0
    FROM taken WHERE p.id = taken.id RETURNING p.tenant_id, p.id, p.lease_id
$$;

CREATE OR REPLACE FUNCTION backfills_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT DISTINCT ON (b.tenant_id) b.id, b.due_at FROM backfills b
        WHERE b.state IN ('preparing', 'running') AND b.due_at <= now() AND (b.lease_until IS NULL OR b.lease_until <= now())
          AND NOT EXISTS (SELECT FROM backfills o WHERE o.tenant_id = b.tenant_id AND o.lease_until > now())
        ORDER BY b.tenant_id, b.due_at
    ), taken AS (
        SELECT b.id FROM backfills b JOIN due ON due.id = b.id
        WHERE b.state IN ('preparing', 'running') AND b.due_at <= now() AND (b.lease_until IS NULL OR b.lease_until <= now())
        ORDER BY due.due_at LIMIT count_max FOR UPDATE OF b SKIP LOCKED
    )
    UPDATE backfills b SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE b.id = taken.id RETURNING b.tenant_id, b.id, b.lease_id
$$;

CREATE OR REPLACE FUNCTION subscription_checks_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT c.id, row_number() OVER (PARTITION BY c.tenant_id ORDER BY c.due_at) AS turn, c.due_at
        FROM subscription_checks c WHERE c.due_at <= now() AND (c.lease_until IS NULL OR c.lease_until <= now())
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.due_at LIMIT count_max
    ), taken AS (
        SELECT c.id FROM subscription_checks c WHERE c.id IN (SELECT first.id FROM first)
          AND c.due_at <= now() AND (c.lease_until IS NULL OR c.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE subscription_checks c SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE c.id = taken.id RETURNING c.tenant_id, c.id, c.lease_id
$$;
