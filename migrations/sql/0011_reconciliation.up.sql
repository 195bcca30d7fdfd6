-- Reconciliations: what a source has of a time against what came from it, and what was delivered against what the destination has.

CREATE TABLE reconciliations (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    flow_id       uuid NOT NULL,
    state         text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    from_at       timestamptz NOT NULL,
    until_at      timestamptz NOT NULL,
    report        jsonb NOT NULL DEFAULT '{}',
    is_proof      boolean NOT NULL DEFAULT false,    -- Both sides were read to their ends and agree, and nothing of the time is owed.
    failure       text,
    started_by    jsonb NOT NULL,                    -- An actor, as audit events have it.
    tries         integer NOT NULL DEFAULT 0,
    lease_until   timestamptz NOT NULL DEFAULT now(),
    created_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    CHECK (from_at < until_at),
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX reconciliations_list ON reconciliations (tenant_id, id);
CREATE INDEX reconciliations_flow ON reconciliations (flow_id, id);
CREATE INDEX reconciliations_due ON reconciliations (lease_until) WHERE state IN ('queued', 'running');

-- One mismatch. It stays until both sides agree again, or a person decides.
CREATE TABLE differences (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL,
    reconciliation_id  uuid NOT NULL,                -- That found it last.
    flow_id            uuid NOT NULL,
    kind               text NOT NULL CHECK (kind IN ('never_came', 'outdated', 'not_planned', 'gone', 'different', 'extra')),
    thing              text NOT NULL,                -- What two findings of the same mismatch have in common: an id at a side.
    source_id          text,
    destination_id     text,
    record_id          uuid,
    delivery_id        uuid,
    fields             jsonb NOT NULL DEFAULT '[]',
    state              text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'mended', 'closed', 'resent', 'accepted')),
    opened_at          timestamptz NOT NULL DEFAULT now(),
    closed_at          timestamptz,
    closed_by          jsonb,
    note               text CHECK (length(note) <= 500),
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX differences_list ON differences (tenant_id, id);
CREATE INDEX differences_found ON differences (reconciliation_id, id);
CREATE UNIQUE INDEX differences_open ON differences (flow_id, kind, thing) WHERE state = 'open';
CREATE INDEX differences_delivery ON differences (delivery_id) WHERE state IN ('open', 'accepted');

-- How often a flow is reconciled by itself.
CREATE TABLE reconciliation_schedules (
    flow_id         uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    every_hours     integer NOT NULL CHECK (every_hours BETWEEN 1 AND 744),
    -- So much of the past, again and again: what came late or was changed late is seen.
    back_hours      integer NOT NULL CHECK (back_hours BETWEEN 1 AND 2232 AND back_hours >= every_hours),
    ignored_fields  text[] NOT NULL DEFAULT '{}',    -- Fields of the payload that the destination changes on purpose.
    next_at         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX reconciliation_schedules_due ON reconciliation_schedules (next_at);
CREATE INDEX reconciliation_schedules_tenant ON reconciliation_schedules (tenant_id);

-- How often ours was sent anew, because it was gone or changed there: a part of the idempotency key, by which a vendor would repeat its old answer.
ALTER TABLE deliveries ADD COLUMN resends smallint NOT NULL DEFAULT 0;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['reconciliations', 'differences', 'reconciliation_schedules'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    CREATE POLICY system ON reconciliations TO crossdock_system USING (true) WITH CHECK (true);
    CREATE POLICY system ON reconciliation_schedules TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, INSERT, UPDATE ON reconciliations, differences TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliation_schedules TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON reconciliations TO crossdock_system;
GRANT SELECT, UPDATE ON reconciliation_schedules TO crossdock_system;
CREATE POLICY system ON flow_versions FOR SELECT TO crossdock_system USING (true);
GRANT SELECT (flow_id, state) ON flow_versions TO crossdock_system;

-- Workers: the next reconciliations of any tenant that nobody works on, one of each tenant at a time. Those that a schedule asks for are queued
-- first. One whose worker died is taken again, and fails for good where it has ended three workers.
CREATE FUNCTION reconciliations_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
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
        SELECT r.id FROM reconciliations r JOIN due ON due.id = r.id ORDER BY r.lease_until LIMIT count_max FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE reconciliations r SET state = 'running', tries = r.tries + 1, lease_until = now() + lease
    FROM taken WHERE r.id = taken.id RETURNING r.tenant_id, r.id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION reconciliations_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION reconciliations_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION reconciliations_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
