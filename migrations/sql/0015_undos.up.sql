-- Undo: what a bad version of a flow did at its destinations is planned back from what the ledger says stood there before.

CREATE TABLE undos (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    flow_id           uuid NOT NULL,
    flow_version_id   uuid NOT NULL,                     -- The version that is undone,
    version           integer NOT NULL,                  -- and its number.
    goal              text NOT NULL CHECK (goal IN ('previous', 'published')),
    good_version_id   uuid,                              -- By whose rules a record is sent that has no value of before.
    leaves_created    boolean NOT NULL,                  -- What the version created is told, and not corrected.
    since             timestamptz,                       -- Only what was confirmed from then on.
    state             text NOT NULL DEFAULT 'queued'
                      CHECK (state IN ('queued', 'preparing', 'prepared', 'approved', 'delivering', 'done', 'failed', 'cancelled')),
    cursor            uuid,                              -- The last delivery that was looked at.
    report            jsonb NOT NULL DEFAULT '{}',
    tables            jsonb,                             -- Lookup tables that the preview was made with, with their versions.
    failure           text,
    started_by        jsonb NOT NULL,                    -- An actor, as audit events have it.
    approved_by       jsonb,
    approved_at       timestamptz,
    why               text CHECK (length(why) <= 2000),
    tries             integer NOT NULL DEFAULT 0,
    lease_until       timestamptz NOT NULL DEFAULT now(),
    created_at        timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX undos_list ON undos (tenant_id, id);
CREATE INDEX undos_due ON undos (lease_until) WHERE state IN ('queued', 'preparing', 'approved', 'delivering');
-- Two at once would each take the other's writes for newer ones.
CREATE UNIQUE INDEX undos_open ON undos (flow_id) WHERE state IN ('queued', 'preparing', 'prepared', 'approved', 'delivering');

-- One delivery of the version that is undone, and what is to become of it.
CREATE TABLE undo_items (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL,
    undo_id          uuid NOT NULL REFERENCES undos ON DELETE CASCADE,
    delivery_id      uuid NOT NULL,
    record_id        uuid NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('restore', 'correct', 'created', 'same', 'covered', 'open', 'cannot', 'left')),
    code             text NOT NULL,
    sentence         text NOT NULL,
    owner            text NOT NULL,
    next_step        text,
    previous_id      uuid,                               -- The delivery that stood there before.
    is_exact         boolean,                            -- What is made again of that one is what was sent then, to the letter.
    is_behind        boolean NOT NULL DEFAULT false,     -- What is restored is of an earlier revision than the version sent.
    changes          jsonb NOT NULL DEFAULT '[]',
    changes_untold   integer NOT NULL DEFAULT 0,
    -- What is sent: a revision, by a version, as of a time, with a person's edits.
    flow_version_id  uuid,
    revision_id      uuid,
    origin_at        timestamptz,
    payload_edits    text,
    undoing_id       uuid,                               -- The delivery that undoes it.
    UNIQUE (undo_id, delivery_id)
);
CREATE INDEX undo_items_list ON undo_items (undo_id, id);
CREATE INDEX undo_items_due ON undo_items (undo_id, id) WHERE kind IN ('restore', 'correct') AND undoing_id IS NULL;

ALTER TABLE deliveries
    ADD COLUMN undoes   uuid,                            -- The delivery that this one undoes: it carries its revision's number, and goes after it.
    ADD COLUMN undo_id  uuid;
-- A revision is planned once; what undoes it comes beside.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_flow_id_record_id_revision_key;
CREATE UNIQUE INDEX deliveries_revision ON deliveries (flow_id, record_id, revision) WHERE undoes IS NULL;
-- One undo plans one write back, however often it is approved or begun again.
CREATE UNIQUE INDEX deliveries_undoes ON deliveries (undoes, undo_id) WHERE undoes IS NOT NULL;
CREATE INDEX deliveries_undo ON deliveries (undo_id) WHERE undo_id IS NOT NULL;
CREATE INDEX deliveries_version ON deliveries (flow_version_id, id);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['undos', 'undo_items'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    CREATE POLICY system ON undos TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT, INSERT, UPDATE ON undos, undo_items TO crossdock_app;
GRANT SELECT, UPDATE ON undos TO crossdock_system;

-- Workers: the next undos of any tenant that nobody works on, one of each tenant at a time. A preview whose worker died goes on where that one
-- stopped, and fails for good where three in a row came no page further; what was approved is gone on with for as long as it takes.
CREATE FUNCTION undos_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
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
        SELECT u.id FROM undos u JOIN due ON due.id = u.id ORDER BY u.lease_until LIMIT count_max FOR UPDATE OF u SKIP LOCKED
    )
    UPDATE undos u SET state = CASE u.state WHEN 'queued' THEN 'preparing' ELSE u.state END, tries = u.tries + 1, lease_until = now() + lease
    FROM taken WHERE u.id = taken.id RETURNING u.tenant_id, u.id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION undos_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION undos_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION undos_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
