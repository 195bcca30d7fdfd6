-- Order to cash: what was ordered, shipped and billed is compared beside the way of orders.

-- Which comparisons a tenant wants, and what it lets pass; without a row nothing is compared.
CREATE TABLE match_policies (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    policy      jsonb NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- Records that changed and whose order is to be compared: shipments, invoices, orders. Written in the transaction that stores the revision.
CREATE TABLE match_dues (
    record_id   uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    asked       bigint NOT NULL DEFAULT 1,              -- Grows with each change: one that came while it was compared is not lost.
    tries       integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX match_dues_due ON match_dues (tenant_id, due_at);

-- An exception may be about a record by itself: what a check found between documents. One that says the same of it is open once.
ALTER TABLE exceptions ADD COLUMN check_kind text;
DO $$
DECLARE name text;
BEGIN
    SELECT c.conname INTO name FROM pg_constraint c
    WHERE c.conrelid = 'exceptions'::regclass AND c.contype = 'c' AND pg_get_constraintdef(c.oid) LIKE '%delivery_id IS NULL%<>%message_id IS NULL%';
    IF name IS NOT NULL THEN
        EXECUTE format('ALTER TABLE exceptions DROP CONSTRAINT %I', name);
    END IF;
END $$;
ALTER TABLE exceptions ADD CONSTRAINT exceptions_subject_check CHECK (
    CASE WHEN check_kind IS NULL THEN (delivery_id IS NULL) <> (message_id IS NULL)
         ELSE delivery_id IS NULL AND message_id IS NULL AND record_id IS NOT NULL END);
CREATE UNIQUE INDEX exceptions_check ON exceptions (record_id, check_kind, md5(sentence)) WHERE state = 'open' AND check_kind IS NOT NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['match_policies', 'match_dues'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    CREATE POLICY system ON match_dues TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, INSERT, UPDATE ON match_policies TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON match_dues TO crossdock_app;
GRANT SELECT, UPDATE ON match_dues TO crossdock_system;

-- Workers: what is due of any tenant, shared between the tenants so that one's backlog stands before nobody's single invoice. Each is leased.
CREATE FUNCTION match_dues_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, record_id uuid, asked bigint)
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
        WHERE m.record_id IN (SELECT due.record_id FROM due ORDER BY due.turn, due.due_at LIMIT count_max)
        FOR UPDATE SKIP LOCKED
    )
    UPDATE match_dues m SET due_at = now() + lease, tries = m.tries + 1
    FROM taken WHERE m.record_id = taken.record_id RETURNING m.tenant_id, m.record_id, m.asked
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION match_dues_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION match_dues_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION match_dues_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
