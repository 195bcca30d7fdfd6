-- Seals: audit events are closed in batches, each a Merkle tree that is signed and names the batch before.

-- The events that no seal holds yet. Written by a trigger in the transaction of the event, taken by the one that seals it: whatever an id says of
-- its time and however late its transaction commits, an event is in here or in one seal.
CREATE TABLE audit_unsealed (
    tenant_id  uuid NOT NULL,
    id         uuid NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE audit_seals (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    number     bigint NOT NULL CHECK (number > 0),  -- 1, 2, 3 … without a gap.
    sealed_at  timestamptz NOT NULL DEFAULT now(),
    first_id   uuid NOT NULL,                       -- The smallest and the largest of its events' ids.
    last_id    uuid NOT NULL,
    event_ids  uuid[] NOT NULL,
    digests    bytea NOT NULL,                      -- Of the events, 32 bytes each, in the same order.
    statement  text NOT NULL,                       -- JSON, to the letter what is signed.
    signature  bytea NOT NULL CHECK (length(signature) = 64),
    PRIMARY KEY (tenant_id, number),
    CHECK (cardinality(event_ids) > 0 AND length(digests) = 32 * cardinality(event_ids))
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_unsealed', 'audit_seals'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
        -- The application reads both and writes neither: the functions below do.
        EXECUTE format('GRANT SELECT ON %I TO crossdock_app', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO crossdock_system;
GRANT SELECT, INSERT ON audit_seals TO crossdock_system;

CREATE FUNCTION audit_event_is_unsealed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_unsealed (tenant_id, id) SELECT tenant_id, id FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_event_is_unsealed AFTER INSERT ON audit_events
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_unsealed();

-- Workers: tenants that have events to seal, found by skipping through the index, whatever their backlogs.
CREATE FUNCTION audit_unsealed_tenants(after uuid, count_max integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE found AS (
        (SELECT u.tenant_id FROM audit_unsealed u WHERE u.tenant_id > after ORDER BY u.tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT u.tenant_id FROM audit_unsealed u WHERE u.tenant_id > f.tenant_id ORDER BY u.tenant_id LIMIT 1)
        FROM found f WHERE f.tenant_id IS NOT NULL
    )
    SELECT f.tenant_id FROM found f WHERE f.tenant_id IS NOT NULL LIMIT count_max
$$;

-- The only way to a seal: it takes exactly its events out of those that no seal holds, and comes next after the seal before.
CREATE FUNCTION audit_seal_put(seal bigint, ids uuid[], hashes bytea, said text, signed bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := current_tenant();
    taken bigint;
BEGIN
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

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['audit_event_is_unsealed()', 'audit_unsealed_tenants(uuid, integer)',
        'audit_seal_put(bigint, uuid[], bytea, text, bytea)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;

-- What was done before there were seals is sealed, too.
DO $$
BEGIN
    ALTER TABLE audit_events NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE audit_unsealed NO FORCE ROW LEVEL SECURITY;
    INSERT INTO audit_unsealed (tenant_id, id) SELECT tenant_id, id FROM audit_events;
    ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
    ALTER TABLE audit_unsealed FORCE ROW LEVEL SECURITY;
END $$;
