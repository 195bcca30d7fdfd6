-- Flows whose change can be known before it happens: drafts that are reviewed, replayed and rolled back; and what each document and request
-- was made with, so that any of them can be made again.

ALTER TABLE flows
    ADD COLUMN needs_approval boolean NOT NULL DEFAULT false,   -- A second person approves a draft before it is published.
    ADD COLUMN needs_replay   boolean NOT NULL DEFAULT false;   -- A draft is published once its replay changed nothing, or a person accepted what it changed.

ALTER TABLE flow_versions
    ADD COLUMN source_mapping jsonb NOT NULL DEFAULT '[]',      -- The tenant's rules, laid over the source connector's.
    ADD COLUMN trigger        jsonb NOT NULL DEFAULT '"live"',
    ADD COLUMN note           text NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
    ADD COLUMN drafted_by     jsonb,                            -- An actor, as audit events have it.
    ADD COLUMN submitted_at   timestamptz,
    ADD COLUMN approved_by    jsonb,
    ADD COLUMN approved_at    timestamptz,
    ADD COLUMN as_version     integer,                          -- Of a version that was rolled back to: the one it says the same as.
    DROP CONSTRAINT flow_versions_state_check,
    ADD CONSTRAINT flow_versions_state_check CHECK (state IN ('draft', 'review', 'published', 'retired'));
CREATE UNIQUE INDEX flow_versions_draft ON flow_versions (flow_id) WHERE state IN ('draft', 'review');

-- What was published never changes, whatever the code above it tries.
CREATE FUNCTION flow_version_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.filter, OLD.source_mapping, OLD.mapping, OLD.policy, OLD.trigger, OLD.version, OLD.flow_id)
       IS DISTINCT FROM (NEW.filter, NEW.source_mapping, NEW.mapping, NEW.policy, NEW.trigger, NEW.version, NEW.flow_id)
       OR OLD.state = 'retired' AND NEW.state <> 'retired' OR NEW.state NOT IN ('published', 'retired') THEN
        RAISE EXCEPTION 'version % of flow % was published and cannot change', OLD.version, OLD.flow_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER flow_versions_guard BEFORE UPDATE ON flow_versions FOR EACH ROW WHEN (OLD.state IN ('published', 'retired'))
    EXECUTE FUNCTION flow_version_guard();

-- The files of connectors as they were when something was made with them. They are the installation's and no tenant's.
CREATE TABLE connector_versions (
    name           text NOT NULL,
    hash           bytea NOT NULL CHECK (length(hash) = 32),
    files          bytea NOT NULL,                              -- JSON, deflated.
    first_used_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, hash)
);

-- What documents and requests are made with, beside what they are made of: the versions of connector, flow and lookup tables, and settings.
CREATE TABLE recipes (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id          uuid NOT NULL,                                  -- From the content: the same recipe is one row.
    content     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE record_revisions
    ADD COLUMN recipe_id   uuid,
    ADD COLUMN unbalanced  text;                                -- Why its parts do not add up to its total.
ALTER TABLE attempts
    ADD COLUMN recipe_id  uuid,
    ADD COLUMN inputs     text;                                 -- What was known of the destination, as JSON: look-ups, and the record there. NULL: nothing.

-- One bounded execution of a flow.
CREATE TABLE runs (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    flow_id          uuid NOT NULL,
    flow_version_id  uuid NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('replay')),
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    over             jsonb NOT NULL,                            -- What it runs over.
    report           jsonb,
    is_clean         boolean,                                   -- It changed nothing.
    failure          text,
    started_by       jsonb NOT NULL,
    tries            integer NOT NULL DEFAULT 0,
    lease_until      timestamptz NOT NULL DEFAULT now(),
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    accepted_by      jsonb,                                     -- Who decided that what it changes is wanted,
    accepted_at      timestamptz,
    accepted_why     text CHECK (length(accepted_why) <= 2000), -- and why.
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX runs_list ON runs (tenant_id, id);
CREATE INDEX runs_due ON runs (lease_until) WHERE state IN ('queued', 'running');

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['recipes', 'runs'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    ALTER TABLE connector_versions ENABLE ROW LEVEL SECURITY;
    ALTER TABLE connector_versions FORCE ROW LEVEL SECURITY;
    CREATE POLICY everyone ON connector_versions USING (true) WITH CHECK (true);
    CREATE POLICY system ON runs TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, INSERT ON connector_versions, recipes TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON runs TO crossdock_app;
GRANT SELECT, UPDATE ON runs TO crossdock_system;

-- Workers: the next runs of any tenant that nobody works on, one of each tenant at a time. One whose worker died is taken again, and fails
-- for good where it has ended three workers.
CREATE FUNCTION runs_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE runs SET state = 'failed', ended_at = now(), failure = 'it was begun three times and never came to an end; run it over fewer records'
    WHERE state = 'running' AND lease_until <= now() AND tries >= 3;
    WITH due AS (
        SELECT DISTINCT ON (r.tenant_id) r.id FROM runs r
        WHERE r.state IN ('queued', 'running') AND r.lease_until <= now()
          AND NOT EXISTS (SELECT FROM runs o WHERE o.tenant_id = r.tenant_id AND o.state = 'running' AND o.lease_until > now())
        ORDER BY r.tenant_id, r.id
    ), taken AS (
        SELECT r.id FROM runs r JOIN due ON due.id = r.id ORDER BY r.lease_until LIMIT count_max FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE runs r SET state = 'running', tries = r.tries + 1, lease_until = now() + lease
    FROM taken WHERE r.id = taken.id RETURNING r.tenant_id, r.id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION flow_version_guard() FROM PUBLIC;
    REVOKE ALL ON FUNCTION runs_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION runs_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION runs_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
