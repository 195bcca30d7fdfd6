-- Drift: what documents of a connection look like, what is different now, and what a tenant wants done about it.

-- Grows with every change of what is held for review, so that workers know when to read again. 0: nothing ever was.
ALTER TABLE connections ADD COLUMN drift_version bigint NOT NULL DEFAULT 0;

-- One row for each connection, kind and side, with its profile as one document: a profile is always read, merged and written as a whole, every
-- few seconds and by one worker at a time. As rows it would be some hundred upserts each time, and no question is asked of one field alone.
CREATE TABLE drift_profiles (
    connection_id   uuid NOT NULL,
    record_kind     text NOT NULL,
    side            text NOT NULL CHECK (side IN ('source', 'destination')),
    tenant_id       uuid NOT NULL,
    known           jsonb NOT NULL DEFAULT '{"documents": 0, "fields": {}}',
    recent          jsonb NOT NULL DEFAULT '{"documents": 0, "fields": {}}',  -- What came since.
    started_at      timestamptz NOT NULL DEFAULT now(),
    established_at  timestamptz,                        -- When enough was known; nothing is raised before.
    recent_since    timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection_id, record_kind, side),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- The notices: one for each difference as long as it is open.
CREATE TABLE drifts (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    connection_id   uuid NOT NULL,
    record_kind     text NOT NULL,
    side            text NOT NULL CHECK (side IN ('source', 'destination')),
    path            text NOT NULL CHECK (length(path) <= 200),
    what            text NOT NULL
                    CHECK (what IN ('new_field', 'vanished', 'retyped', 'new_value', 'new_tax_code', 'more_nulls', 'longer')),
    value           text NOT NULL DEFAULT '' CHECK (length(value) <= 64),  -- The new type or word, where there is one.
    has_value       boolean NOT NULL DEFAULT false,
    before          text NOT NULL CHECK (length(before) <= 2000),
    after           text NOT NULL CHECK (length(after) <= 2000),
    news            jsonb NOT NULL,                     -- What becomes known when it is accepted.
    risk            text NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    flows           jsonb NOT NULL DEFAULT '[]',        -- The published flows that read it, and the fields made of it: as it was when it was raised.
    example_id      uuid,                               -- A message that shows it; of a destination, a delivery.
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'resolved')),
    raised_at       timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(), -- Moves on at most once an hour.
    closed_at       timestamptz,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX drifts_open ON drifts (connection_id, record_kind, side, path, what, value) WHERE state = 'open';
CREATE INDEX drifts_list ON drifts (tenant_id, id);

-- What is done about a field, with all that lies in it; without a row: warn.
CREATE TABLE drift_policies (
    connection_id   uuid NOT NULL,
    record_kind     text NOT NULL,
    pattern         text NOT NULL CHECK (length(pattern) BETWEEN 1 AND 200),
    tenant_id       uuid NOT NULL,
    policy          text NOT NULL CHECK (policy IN ('warn', 'hold', 'pass')),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection_id, record_kind, pattern),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

-- New records a day and what they come to, by currency: what a drift is weighed by. Days that are over are taken away after a month.
CREATE TABLE drift_volumes (
    connection_id   uuid NOT NULL,
    record_kind     text NOT NULL,
    side            text NOT NULL CHECK (side IN ('source', 'destination')),
    day             date NOT NULL,
    currency        text NOT NULL CHECK (length(currency) <= 3), -- Empty where the kind has none.
    tenant_id       uuid NOT NULL,
    records         bigint NOT NULL,
    amount          numeric NOT NULL,
    PRIMARY KEY (connection_id, record_kind, side, day, currency),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['drift_profiles', 'drifts', 'drift_policies', 'drift_volumes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE ON drift_profiles, drifts, drift_policies TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON drift_volumes TO crossdock_app;
