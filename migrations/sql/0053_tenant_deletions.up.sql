-- A tenant can be deleted. An owner asks for it and has a week to take it back. Then one transaction destroys its keys and shuts every door; after it the rest
-- is purged in small batches, table by table as the catalog lists them, so that a table of tomorrow is purged, too. Seals and invoices stay.

-- Tenants that are to be deleted. The row goes with the wish.
CREATE TABLE tenant_deletions (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    asked_by    uuid NOT NULL,
    why         text NOT NULL CHECK (length(why) BETWEEN 1 AND 500),
    deletes_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL            -- When a worker looks; later while one is at it.
);
CREATE INDEX tenant_deletions_due ON tenant_deletions (due_at);

-- Tenants that were. Its first columns are all that is kept, the others say how far the purge came.
CREATE TABLE deleted_tenants (
    id           uuid PRIMARY KEY,
    slug         text NOT NULL,                 -- What it was called: another tenant may be called so since.
    asked_at     timestamptz NOT NULL,
    asked_by     uuid NOT NULL,
    why          text NOT NULL,
    deleted_at   timestamptz NOT NULL DEFAULT now(),
    purged_at    timestamptz,                   -- From then on nothing is looked for any more.
    seal_number  bigint,                        -- The last seal of its audit log: what an export from before leads to.
    seal_hash    text,
    place        text,                          -- The table that is purged now; NULL between two looks.
    block        bigint NOT NULL DEFAULT 0,     -- How far it was read, where no index finds the tenant's rows.
    due_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deleted_tenants_due ON deleted_tenants (due_at) WHERE purged_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['tenant_deletions', 'deleted_tenants'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;
CREATE POLICY tenant ON tenant_deletions FOR SELECT USING (tenant_id IS NOT DISTINCT FROM current_tenant());
-- The application reads whether its tenant is to be deleted; what it does about that goes by the functions below.
GRANT SELECT ON tenant_deletions TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_deletions TO crossdock_system;
GRANT SELECT, INSERT, UPDATE ON deleted_tenants TO crossdock_system;

-- What outlasts a tenant refers to it by its id alone: seals, so that an export from before can still be checked, and invoices, because most laws want them kept.
ALTER TABLE audit_seals DROP CONSTRAINT audit_seals_tenant_id_fkey;
ALTER TABLE invoices DROP CONSTRAINT invoices_tenant_id_fkey;

-- Every table that has a tenant's rows, those that are referred to after those that refer. A partition is a table of its own here: rows are named by their place
-- in it. What stays of a tenant is not among them. Without an index that begins with the tenant, the rows are found by reading on from block to block.
CREATE FUNCTION tenant_tables() RETURNS TABLE (nr bigint, place text, is_indexed boolean)
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH RECURSIVE leaves AS (
        SELECT c.oid, c.relname::text AS name, a.attnum, coalesce(i.inhparent, c.oid) AS root
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT IN ('audit_seals', 'invoices')
    ), refers AS (
        SELECT DISTINCT k.conrelid AS child, k.confrelid AS parent FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
    ), depths AS (
        SELECT l.root AS oid, 0 AS depth FROM leaves l
        UNION
        -- Bounded, so that tables that refer to each other in a circle are an order that is wrong and no query without end.
        SELECT r.parent, d.depth + 1 FROM depths d JOIN refers r ON r.child = d.oid WHERE d.depth < 30
    )
    SELECT row_number() OVER (ORDER BY max(d.depth), l.name), l.name,
           EXISTS (SELECT FROM pg_index x WHERE x.indrelid = l.oid AND x.indkey[0] = l.attnum AND x.indpred IS NULL AND x.indisvalid)
    FROM leaves l JOIN depths d ON d.oid = l.root
    GROUP BY l.oid, l.name, l.attnum
$$;

-- Purging is the one thing that the functions of crossdock_system do to all of them. A test fails where a table of tomorrow does not let them.
DO $$
DECLARE t text;
BEGIN
    FOR t IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND c.relname NOT IN ('audit_seals', 'invoices') LOOP
        EXECUTE format('GRANT SELECT, DELETE ON %I TO crossdock_system', t);
    END LOOP;
END $$;
GRANT UPDATE (slug, name), DELETE ON tenants TO crossdock_system;
GRANT UPDATE (hook_token) ON connections TO crossdock_system;

-- As before; and the purge reaches a partition by its own name.
CREATE OR REPLACE FUNCTION guard_partition(child text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', child);
    EXECUTE format('GRANT SELECT, DELETE ON %I TO crossdock_system', child);
END $$;

-- False of a tenant that is being purged, or that never was.
CREATE FUNCTION tenant_stands(whom uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM tenants t WHERE t.id = whom) AND NOT EXISTS (SELECT FROM deleted_tenants d WHERE d.id = whom)
$$;

-- How long everything goes on after an owner has asked.
CREATE FUNCTION tenant_deletion_wait() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '7 days' $$;

-- An owner asks that the tenant of the transaction be deleted. Refused for 'slug' where that is not its name, 'owner' where the person is none, 'hold' with what it
-- says, 'stands' with the time where it was asked already.
CREATE FUNCTION tenant_delete(person uuid, its_slug text, reason text) RETURNS TABLE (refusal text, detail text, deletes_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := current_tenant();
    held text;
    until timestamptz;
BEGIN
    PERFORM 1 FROM tenants t WHERE t.id = tenant AND t.slug = its_slug FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'slug', NULL::text, NULL::timestamptz;
        RETURN;
    END IF;
    PERFORM 1 FROM members m WHERE m.tenant_id = tenant AND m.user_id = person AND m.role = 'owner';
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'owner', NULL::text, NULL::timestamptz;
        RETURN;
    END IF;
    SELECT p.hold INTO held FROM audit_policies p WHERE p.tenant_id = tenant FOR SHARE;
    IF held IS NOT NULL THEN
        RETURN QUERY SELECT 'hold', held, NULL::timestamptz;
        RETURN;
    END IF;
    SELECT d.deletes_at INTO until FROM tenant_deletions d WHERE d.tenant_id = tenant;
    IF FOUND THEN
        RETURN QUERY SELECT 'stands', NULL::text, until;
        RETURN;
    END IF;
    until := now() + tenant_deletion_wait();
    INSERT INTO tenant_deletions (tenant_id, asked_by, why, deletes_at, due_at) VALUES (tenant, person, reason, until, until);
    RETURN QUERY SELECT NULL::text, NULL::text, until;
END $$;

-- An owner takes it back; false where nothing stands, or the person is no owner.
CREATE FUNCTION tenant_delete_cancel(person uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE tenant uuid := current_tenant();
BEGIN
    PERFORM 1 FROM tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    DELETE FROM tenant_deletions d WHERE d.tenant_id = tenant
        AND EXISTS (SELECT FROM members m WHERE m.tenant_id = tenant AND m.user_id = person AND m.role = 'owner');
    RETURN FOUND;
END $$;

-- Workers: tenants whose time has come and that no legal hold keeps, and those of which something may be left. Each is leased to one worker.
CREATE FUNCTION tenant_deletions_take(count_max integer, lease interval) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH asked AS (
        SELECT d.tenant_id FROM tenant_deletions d
        WHERE d.due_at <= now() AND NOT EXISTS (SELECT FROM audit_policies p WHERE p.tenant_id = d.tenant_id AND p.hold IS NOT NULL)
        ORDER BY d.due_at LIMIT count_max FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        SELECT d.id FROM deleted_tenants d WHERE d.purged_at IS NULL AND d.due_at <= now()
        ORDER BY d.due_at LIMIT count_max - (SELECT count(*) FROM asked) FOR UPDATE OF d SKIP LOCKED
    ), taken AS (
        UPDATE tenant_deletions d SET due_at = now() + lease FROM asked WHERE d.tenant_id = asked.tenant_id AND d.due_at <= now() RETURNING d.tenant_id
    ), again AS (
        UPDATE deleted_tenants d SET due_at = now() + lease FROM gone WHERE d.id = gone.id AND d.due_at <= now() RETURNING d.id
    )
    SELECT t.tenant_id FROM taken t UNION ALL SELECT a.id FROM again a
$$;

-- Ends a tenant whose time has come, at once and for good: its keys, so that nothing that is sealed is ever opened again; whatever lets anybody in; the addresses of
-- its hooks; what works by itself. Of these there are few rows. Its name is free from then on. False where it was taken back, is kept, or is gone.
CREATE FUNCTION tenant_destroy(whom uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    its_slug text;
    held text;
    asked tenant_deletions;
    t text;
BEGIN
    -- Against whoever takes it back now, and whoever writes something that refers to it.
    SELECT n.slug INTO its_slug FROM tenants n WHERE n.id = whom FOR UPDATE;
    SELECT d.* INTO asked FROM tenant_deletions d WHERE d.tenant_id = whom AND d.deletes_at <= now() FOR UPDATE;
    IF its_slug IS NULL OR asked.tenant_id IS NULL THEN
        RETURN false;
    END IF;
    SELECT p.hold INTO held FROM audit_policies p WHERE p.tenant_id = whom FOR SHARE;
    IF held IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM set_config('crossdock.tenant_id', whom::text, true);
    -- What a seal's statement is hashed with begins as it is signed (domain/src/seal).
    INSERT INTO deleted_tenants (id, slug, asked_at, asked_by, why, seal_number, seal_hash)
        SELECT whom, its_slug, asked.asked_at, asked.asked_by, asked.why, s.number,
               encode(sha256(convert_to(E'crossdock/audit-seal/1\n' || s.statement, 'UTF8')), 'hex')
        FROM (SELECT) one LEFT JOIN LATERAL (
            SELECT a.number, a.statement FROM audit_seals a WHERE a.tenant_id = whom ORDER BY a.number DESC LIMIT 1) s ON true;
    UPDATE tenants n SET slug = 'deleted-' || replace(whom::text, '-', ''), name = 'deleted' WHERE n.id = whom;
    UPDATE connections c SET hook_token = 'deleted-' || gen_random_uuid() WHERE c.tenant_id = whom;
    -- What refers goes before what it refers to.
    FOREACH t IN ARRAY ARRAY[
        'tenant_deletions', 'members', 'invitations', 'sessions', 'sign_in_policies', 'api_keys', 'persisted_operations',
        'sso_sign_ins', 'sso_identities', 'identity_provider_roles', 'identity_providers', 'email_domains',
        'scim_tokens', 'scim_group_members', 'scim_groups', 'scim_users', 'impersonations', 'support_consents', 'support_requests',
        'flow_versions', 'subscription_checks', 'connection_probes', 'connection_consents', 'reconciliation_schedules', 'rotation_schedules',
        'audit_streams', 'alert_receivers', 'mails', 'billing_accounts', 'plan_agreements', 'audit_unsealed',
        'audit_detail_keys', 'certificate_keys', 'hook_secrets', 'tokens', 'credentials', 'data_keys'] LOOP
        EXECUTE format('DELETE FROM %I WHERE tenant_id = $1', t) USING whom;
    END LOOP;
    RETURN true;
END $$;

-- The next batch of what is left of a tenant that was destroyed: at most so many rows, or so many blocks of a table that no index leads into. How far it came
-- is kept with it, so whoever comes next goes on there. `is_over` says that all tables were gone through; the row says when they are looked at again, until a day
-- after the end: what was under way then may have written something since.
CREATE FUNCTION tenant_purge(whom uuid, rows_max integer, blocks_max integer, lease interval) RETURNS TABLE (removed bigint, is_over boolean)
    -- A tenant that has much of a table would have it read from its beginning for each batch, past all that was deleted before.
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
    -- Blocks of one statement.
    stride CONSTANT bigint := 256;
    it deleted_tenants;
    one record;
    at_block bigint;
    blocks bigint;
    looked bigint := 0;
    gone bigint := 0;
BEGIN
    SELECT d.* INTO it FROM deleted_tenants d WHERE d.id = whom AND d.purged_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 0::bigint, true;
        RETURN;
    END IF;
    -- Row-level security shows this transaction the tenant's rows, whatever other policies a table has.
    PERFORM set_config('crossdock.tenant_id', whom::text, true);
    FOR one IN
        WITH listed AS MATERIALIZED (SELECT t.nr, t.place, t.is_indexed FROM tenant_tables() t)
        SELECT l.place, l.is_indexed FROM listed l
        WHERE l.nr >= coalesce((SELECT h.nr FROM listed h WHERE h.place = it.place), 0) ORDER BY l.nr
    LOOP
        IF one.is_indexed THEN
            EXECUTE format('DELETE FROM %1$I WHERE ctid = ANY (ARRAY(SELECT g.ctid FROM %1$I g WHERE g.tenant_id = $1 LIMIT $2))', one.place)
                USING whom, rows_max;
            GET DIAGNOSTICS gone = ROW_COUNT;
            at_block := 0;
        ELSE
            at_block := CASE WHEN one.place = it.place THEN it.block ELSE 0 END;
            blocks := pg_relation_size(one.place::regclass) / current_setting('block_size')::bigint;
            WHILE at_block < blocks AND gone = 0 AND looked < blocks_max LOOP
                -- IS NOT DISTINCT FROM says the same as = here and keeps the planner from an index that has the tenant as its second column.
                EXECUTE format('DELETE FROM %I WHERE ctid >= $2 AND ctid < $3 AND tenant_id IS NOT DISTINCT FROM $1', one.place)
                    USING whom, format('(%s,0)', at_block)::tid, format('(%s,0)', at_block + stride)::tid;
                GET DIAGNOSTICS gone = ROW_COUNT;
                at_block := at_block + stride;
                looked := looked + stride;
            END LOOP;
        END IF;
        IF gone > 0 OR looked >= blocks_max THEN
            UPDATE deleted_tenants d SET place = one.place, block = at_block, due_at = now() + lease WHERE d.id = whom;
            RETURN QUERY SELECT gone, false;
            RETURN;
        END IF;
    END LOOP;
    DELETE FROM tenants n WHERE n.id = whom;
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE deleted_tenants d SET place = NULL, block = 0,
        purged_at = CASE WHEN d.deleted_at <= now() - interval '1 day' THEN now() END,
        -- At once when it is the first time, because until now something could be written that refers to the tenant; then ever later: what is late is mostly late by
        -- seconds. The last look is when the day is over.
        due_at = CASE WHEN gone > 0 THEN now()
                 ELSE least(now() + greatest(3 * (now() - d.deleted_at), interval '1 minute'), greatest(d.deleted_at + interval '1 day', now())) END
        WHERE d.id = whom;
    RETURN QUERY SELECT 0::bigint, true;
END $$;

-- As before; and a tenant that is gone has no next seal. The lock is that of a reference, which seals have none of any more.
CREATE OR REPLACE FUNCTION audit_seal_put(seal bigint, ids uuid[], hashes bytea, said text, signed bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := current_tenant();
    taken bigint;
BEGIN
    PERFORM 1 FROM tenants t WHERE t.id = tenant FOR KEY SHARE;
    IF NOT tenant_stands(tenant) THEN
        RAISE EXCEPTION 'the tenant is deleted: its last seal stays the last' USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF seal IS DISTINCT FROM (SELECT coalesce(max(s.number), 0) + 1 FROM audit_seals s WHERE s.tenant_id = tenant) THEN
        RAISE EXCEPTION 'seal % is not the next one', seal USING ERRCODE = 'serialization_failure';
    END IF;
    DELETE FROM audit_unsealed u WHERE u.tenant_id = tenant AND u.id = ANY(ids);
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken <> cardinality(ids) THEN
        RAISE EXCEPTION 'some events of seal % are sealed already', seal USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO audit_seals (tenant_id, number, first_id, last_id, event_ids, digests, statement, signature)
    VALUES (tenant, seal, ids[1], ids[cardinality(ids)], ids, hashes, said, signed);
END $$;

-- As before; and of a tenant that is gone, too: its invoice says whom it was for. Two credits of one invoice go one after the other by the lock of its number.
CREATE OR REPLACE FUNCTION invoice_credit(note uuid, its_number bigint, amount text, its_lines jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE of_it record; taken bigint;
BEGIN
    taken := invoice_number();
    SELECT f.* INTO of_it FROM invoice_find(its_number) f;
    IF of_it.id IS NULL OR of_it.is_credit_note OR amount::numeric <= 0 OR amount::numeric > of_it.total::numeric - of_it.credited::numeric THEN
        RAISE EXCEPTION 'of invoice % no % can be given back', its_number, amount;
    END IF;
    INSERT INTO invoices (tenant_id, id, number, month, corrects, currency, total, lines, tenant_name)
        SELECT i.tenant_id, note, taken, i.month, i.id, i.currency, -(amount::numeric), its_lines, coalesce(t.name, i.tenant_name)
        FROM invoices i LEFT JOIN tenants t ON t.id = i.tenant_id AND tenant_stands(t.id) WHERE i.id = of_it.id;
    RETURN taken;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'tenant_stands(uuid)', 'tenant_delete(uuid, text, text)', 'tenant_delete_cancel(uuid)', 'tenant_deletions_take(integer, interval)',
        'tenant_destroy(uuid)', 'tenant_purge(uuid, integer, integer, interval)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    FOREACH f IN ARRAY ARRAY['tenant_tables()', 'tenant_deletion_wait()']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
