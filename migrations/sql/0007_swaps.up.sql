-- Swaps: a flow's destination is replaced by another connection, first as a shadow, then for a growing part of the new records, then for all.

-- A version says where it writes. NULL: where its flow does. The versions of a destination that a flow has left keep it, and so does a
-- candidate: a version beside the published one, for the records that a swap has chosen.
ALTER TABLE flow_versions
    ADD COLUMN destination_connection_id uuid,
    DROP CONSTRAINT flow_versions_state_check,
    ADD CONSTRAINT flow_versions_state_check CHECK (state IN ('draft', 'review', 'published', 'retired', 'candidate')),
    ADD CONSTRAINT flow_versions_candidate_check CHECK (state <> 'candidate' OR destination_connection_id IS NOT NULL),
    ADD FOREIGN KEY (tenant_id, destination_connection_id) REFERENCES connections (tenant_id, id);
CREATE UNIQUE INDEX flow_versions_candidate ON flow_versions (flow_id) WHERE state = 'candidate';
ALTER TABLE flows ADD COLUMN was_swapped boolean NOT NULL DEFAULT false;   -- Some of its records may have gone elsewhere. Never taken back.

-- A candidate runs, so it never changes either. It ends retired; what follows it is a version of its own.
DROP TRIGGER flow_versions_guard ON flow_versions;
CREATE OR REPLACE FUNCTION flow_version_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.filter, OLD.source_mapping, OLD.mapping, OLD.policy, OLD.trigger, OLD.version, OLD.flow_id)
       IS DISTINCT FROM (NEW.filter, NEW.source_mapping, NEW.mapping, NEW.policy, NEW.trigger, NEW.version, NEW.flow_id)
       OR OLD.destination_connection_id IS NOT NULL AND NEW.destination_connection_id IS DISTINCT FROM OLD.destination_connection_id
       OR OLD.state = 'retired' AND NEW.state <> 'retired' OR OLD.state = 'candidate' AND NEW.state NOT IN ('candidate', 'retired')
       OR OLD.state = 'published' AND NEW.state NOT IN ('published', 'retired') THEN
        RAISE EXCEPTION 'version % of flow % was published and cannot change', OLD.version, OLD.flow_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER flow_versions_guard BEFORE UPDATE ON flow_versions FOR EACH ROW WHEN (OLD.state IN ('published', 'retired', 'candidate'))
    EXECUTE FUNCTION flow_version_guard();

CREATE TABLE swaps (
    id                    uuid PRIMARY KEY,
    tenant_id             uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    flow_id               uuid NOT NULL,
    connection_id         uuid NOT NULL,                    -- The candidate.
    before_connection_id  uuid NOT NULL,                    -- The flow's destination when it began.
    mapping               jsonb NOT NULL DEFAULT '[]',      -- The tenant's rules, laid over the candidate connector's.
    mapped_by             jsonb NOT NULL,                   -- Who said so last: an actor, as audit events have it.
    state                 text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'shadow', 'cutting', 'done', 'back')),
    percent               integer NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    moves_known           boolean NOT NULL DEFAULT false,   -- What the old destination knows goes to the new one from its next revision on.
    report                jsonb NOT NULL DEFAULT '{}',      -- Of the shadow run.
    cursor_id             uuid,                             -- The shadow has seen every delivery of the flow up to this one.
    failure               text,                             -- Why the shadow cannot go on.
    lease_until           timestamptz NOT NULL DEFAULT now(),
    created_at            timestamptz NOT NULL DEFAULT now(),
    shadow_since          timestamptz,                      -- The shadow sees deliveries planned from then on.
    closed_at             timestamptz,
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id),
    FOREIGN KEY (tenant_id, before_connection_id) REFERENCES connections (tenant_id, id)
);
CREATE UNIQUE INDEX swaps_open ON swaps (flow_id) WHERE state IN ('draft', 'shadow', 'cutting');
CREATE INDEX swaps_flow ON swaps (flow_id);
CREATE INDEX swaps_list ON swaps (tenant_id, id);
CREATE INDEX swaps_shadow ON swaps (lease_until) WHERE state = 'shadow';

ALTER TABLE swaps ENABLE ROW LEVEL SECURITY;
ALTER TABLE swaps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON swaps USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON swaps TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON swaps TO crossdock_app;
GRANT SELECT, UPDATE ON swaps TO crossdock_system;

-- Workers: shadows of any tenant whose next look is due; each is leased to one worker.
CREATE FUNCTION swaps_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT s.id FROM swaps s WHERE s.state = 'shadow' AND s.lease_until <= now()
        ORDER BY s.lease_until LIMIT count_max FOR UPDATE SKIP LOCKED
    )
    UPDATE swaps s SET lease_until = now() + lease FROM due WHERE s.id = due.id RETURNING s.tenant_id, s.id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION swaps_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION swaps_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION swaps_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
