-- Exceptions that people work: as groups of one cause, with what they come to, whose they are and what was said about them.

ALTER TABLE exceptions
    ADD COLUMN amount        numeric,                         -- What the record came to when it was opened; NULL where it has no total.
    ADD COLUMN currency      text CHECK (length(currency) = 3),
    ADD COLUMN fix_kind      text CHECK (fix_kind IN ('add_lookup_value', 'reconnect', 'raise_limit', 'edit_field', 'create_first', 'done_elsewhere')),
    ADD COLUMN assignee_id   uuid,
    ADD COLUMN tags          text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 20),
    ADD COLUMN snoozed_until timestamptz,
    ADD CHECK ((amount IS NULL) = (currency IS NULL)),
    ADD FOREIGN KEY (tenant_id, assignee_id) REFERENCES members (tenant_id, user_id) ON DELETE SET NULL (assignee_id);

-- For when a member leaves.
CREATE INDEX exceptions_assignee ON exceptions (assignee_id) WHERE assignee_id IS NOT NULL;

-- Messages that wait for a person, by what they are about: a later one of the same thing that is taken makes them stale.
CREATE INDEX messages_stopped ON messages (connection_id, source_id) WHERE state = 'exception' AND source_id IS NOT NULL;

-- What a person has changed of the payload of this one delivery, as JSON: [{"path": "lines[2].sku", "value": "HAT"}].
ALTER TABLE deliveries ADD COLUMN payload_edits text;

-- What was decided about a cause as a whole: it holds for those of the same cause that come later too. A cause about which nothing was decided
-- has no row. The id is made of the tenant and the cause, so that comments and the audit log name a group whether or not it has a row.
CREATE TABLE exception_groups (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    cause_key      text NOT NULL CHECK (length(cause_key) <= 500),
    assignee_id    uuid,
    tags           text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 20),
    snoozed_until  timestamptz,
    snoozed_above  integer CHECK (snoozed_above >= 0),       -- It is shown again with more open exceptions than these.
    UNIQUE (tenant_id, cause_key),
    FOREIGN KEY (tenant_id, assignee_id) REFERENCES members (tenant_id, user_id) ON DELETE SET NULL (assignee_id)
);

CREATE TABLE exception_comments (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    subject_id    uuid NOT NULL,                             -- An exception or a group.
    author        jsonb NOT NULL,                            -- An actor, as audit events have it.
    body          text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX exception_comments_subject ON exception_comments (subject_id, id);

-- Exceptions that wait for the delivery of what their record refers to.
CREATE TABLE exception_waits (
    exception_id  uuid NOT NULL REFERENCES exceptions ON DELETE CASCADE,
    delivery_id   uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    tenant_id     uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (exception_id, delivery_id)
);
CREATE INDEX exception_waits_delivery ON exception_waits (delivery_id);

-- Alerts: who is told of which groups. A receiver is where alerts go; its secret is sealed.
CREATE TABLE alert_receivers (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind              text NOT NULL CHECK (kind IN ('mail', 'webhook', 'slack')),
    address           text NOT NULL CHECK (length(address) <= 2000),   -- Of a chat the host alone: its whole address is the secret.
    data_key_version  integer,
    sealed            bytea,
    every_minutes     integer NOT NULL DEFAULT 60 CHECK (every_minutes BETWEEN 1 AND 10080),
    is_paused         boolean NOT NULL DEFAULT false,
    sent_at           timestamptz,
    failed_at         timestamptz,
    failure           text CHECK (length(failure) <= 500),              -- Why the last try failed; NULL where it did not.
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, data_key_version) REFERENCES data_keys (tenant_id, version),
    CHECK ((sealed IS NULL) = (data_key_version IS NULL))
);

CREATE TABLE alert_rules (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    matches     jsonb NOT NULL,
    then_does   jsonb NOT NULL,
    is_paused   boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);

-- One row for a tenant with rules: a worker at a time looks at its groups.
CREATE TABLE alert_watches (
    tenant_id    uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    seen_id      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- A younger exception is a reason to look at once.
    look_at      timestamptz NOT NULL DEFAULT now(),                           -- Ages pass without anything new.
    lease_until  timestamptz NOT NULL DEFAULT now()
);

-- What each receiver was told last of each group.
CREATE TABLE alert_marks (
    receiver_id  uuid NOT NULL,
    cause_key    text NOT NULL,
    tenant_id    uuid NOT NULL,
    at           timestamptz NOT NULL,
    count        bigint NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (receiver_id, cause_key),
    FOREIGN KEY (tenant_id, receiver_id) REFERENCES alert_receivers (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE alert_escalations (
    rule_id    uuid NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    cause_key  text NOT NULL,
    tenant_id  uuid NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (rule_id, cause_key)
);

-- The alerts, each leased to a worker for a try. They go after a month.
CREATE TABLE alerts (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    receiver_id  uuid NOT NULL,
    content      jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    tries        integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    failure      text CHECK (length(failure) <= 500),
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    FOREIGN KEY (tenant_id, receiver_id) REFERENCES alert_receivers (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX alerts_list ON alerts (tenant_id, id);
CREATE INDEX alerts_due ON alerts (due_at) WHERE state = 'pending';
CREATE INDEX alerts_receiver ON alerts (receiver_id) WHERE state = 'pending';

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['exception_groups', 'exception_comments', 'exception_waits', 'alert_receivers', 'alert_rules', 'alert_watches', 'alert_marks',
        'alert_escalations', 'alerts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['alert_watches', 'alerts', 'exception_waits'] LOOP
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
    EXECUTE 'CREATE POLICY system ON exceptions FOR SELECT TO crossdock_system USING (true)';
END $$;
GRANT SELECT, INSERT, UPDATE ON exception_groups, alert_watches, alert_marks, alert_escalations TO crossdock_app;
-- What was said stays said.
GRANT SELECT, INSERT ON exception_comments TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON exception_waits TO crossdock_app;
GRANT SELECT ON exception_waits TO crossdock_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_receivers, alert_rules, alerts TO crossdock_app;
GRANT SELECT, UPDATE ON alert_watches, alerts TO crossdock_system;
GRANT SELECT (id, tenant_id) ON exceptions TO crossdock_system;

-- Workers: tenants whose groups are to be looked at, because something is new or time has passed; each is leased to one worker.
CREATE FUNCTION alert_watches_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT w.tenant_id FROM alert_watches w
        WHERE w.lease_until <= now()
          AND (w.look_at <= now() OR EXISTS (SELECT FROM exceptions e WHERE e.tenant_id = w.tenant_id AND e.id > w.seen_id))
        ORDER BY w.look_at LIMIT count_max FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE alert_watches w SET lease_until = now() + lease FROM due WHERE w.tenant_id = due.tenant_id RETURNING w.tenant_id, w.tenant_id
$$;

-- Workers: tenants with exceptions whose wait is over, one way or the other.
CREATE FUNCTION exception_waits_over(count_max integer) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT w.tenant_id FROM (
        SELECT w.tenant_id, w.exception_id,
               bool_or(d.state IN ('exception', 'cancelled')) OR bool_and(d.state IN ('confirmed', 'reconciled', 'superseded')) AS is_over
        FROM exception_waits w JOIN deliveries d ON d.id = w.delivery_id GROUP BY w.tenant_id, w.exception_id) w
    WHERE w.is_over GROUP BY w.tenant_id LIMIT count_max
$$;

-- Workers: alerts that are due. No tenant has more than two on the way of one look, so that one whose receivers hang holds up no other.
CREATE FUNCTION alerts_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT a.id FROM alerts a
        WHERE a.state = 'pending' AND a.due_at <= now() AND a.id IN (
            SELECT x.id FROM (SELECT p.id, p.due_at, row_number() OVER (PARTITION BY p.tenant_id ORDER BY p.due_at, p.id) AS n
                              FROM alerts p WHERE p.state = 'pending' AND p.due_at <= now()) x
            WHERE x.n <= 2 ORDER BY x.due_at LIMIT count_max)
        FOR UPDATE SKIP LOCKED
    )
    UPDATE alerts a SET tries = a.tries + 1, due_at = now() + lease FROM due WHERE a.id = due.id RETURNING a.tenant_id, a.id
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['alert_watches_take(integer, interval)', 'alerts_take(integer, interval)',
        'exception_waits_over(integer)']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
