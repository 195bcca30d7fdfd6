-- The ledger, its tenants and what they own.
--
-- Two roles without a log-in are shared by all Crossdock databases of a server:
--   crossdock_app     what api and workers are members of. Owns nothing, bypasses nothing.
--   crossdock_system  owns the few named functions that look across tenants (sweeper, hook look-up, sign-in).
-- Every tenant table has ENABLE and FORCE ROW LEVEL SECURITY; the tenant comes from the transaction's crossdock.tenant_id.
-- Big append-only tables are partitioned by the time inside their UUIDv7 ids, so that an id alone finds its partition.

DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['crossdock_app', 'crossdock_system'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', r);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- Another database of this server made it.
        END;
    END LOOP;
    -- Functions can only be given to a role that the migrating one may become.
    IF NOT pg_has_role(current_user, 'crossdock_system', 'MEMBER') THEN
        EXECUTE format('GRANT crossdock_system TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the migrating role % may not create roles; give it CREATEROLE, or create crossdock_app and crossdock_system and make it a member of the second', current_user;
END $$;

GRANT USAGE ON SCHEMA public TO crossdock_app, crossdock_system;

-- The tenant of this transaction; NULL (which no row equals) where none was set.
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('crossdock.tenant_id', true), '')::uuid $$;

-- The smallest UUIDv7 of a moment: the bound of a partition.
CREATE FUNCTION uuid7_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid $$;

------------------------------------------------------------------------------------------------------------------ people

CREATE TABLE tenants (
    id          uuid PRIMARY KEY,
    slug        text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- People are not a tenant's: one person may be a member of several.
CREATE TABLE users (
    id             uuid PRIMARY KEY,
    email          text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name           text NOT NULL DEFAULT '',
    password_hash  text NOT NULL,
    failures       integer NOT NULL DEFAULT 0,
    locked_until   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE members (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role        text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'developer', 'auditor', 'billing')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX members_user ON members (user_id);

-- One row per refresh token. A token is used once; a second use revokes its whole session.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE TABLE refresh_tokens (
    token_hash   bytea PRIMARY KEY,
    session_id   uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

------------------------------------------------------------------------------------------------- connections and flows

CREATE TABLE connections (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connector   text NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    settings    jsonb NOT NULL DEFAULT '{}',
    hook_token  text NOT NULL UNIQUE,
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
);

-- A tenant's data key, wrapped by the master key. A tenant is forgotten by destroying it.
CREATE TABLE data_keys (
    tenant_id       uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    version         integer NOT NULL,
    master_key_id   text NOT NULL,
    wrapped         bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE credentials (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL,
    connection_id     uuid NOT NULL,
    version           integer NOT NULL,
    state             text NOT NULL DEFAULT 'active' CHECK (state IN ('draft', 'active', 'retiring', 'retired')),
    data_key_version  integer NOT NULL,
    sealed            bytea NOT NULL,
    hint              text NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, data_key_version) REFERENCES data_keys (tenant_id, version),
    UNIQUE (connection_id, version)
);
CREATE UNIQUE INDEX credentials_active ON credentials (connection_id) WHERE state = 'active';

CREATE TABLE lookup_tables (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    version     bigint NOT NULL DEFAULT 1,     -- Grows with every change of its entries, so that workers know when to read again.
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
);
CREATE TABLE lookup_entries (
    tenant_id   uuid NOT NULL,
    table_id    uuid NOT NULL,
    from_value  text NOT NULL CHECK (length(from_value) <= 400),
    to_value    text NOT NULL CHECK (length(to_value) <= 2000),
    PRIMARY KEY (table_id, from_value),
    FOREIGN KEY (tenant_id, table_id) REFERENCES lookup_tables (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE flows (
    id                         uuid PRIMARY KEY,
    tenant_id                  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name                       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    record_kind                text NOT NULL,
    source_connection_id       uuid NOT NULL,
    destination_connection_id  uuid NOT NULL,
    created_at                 timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, source_connection_id) REFERENCES connections (tenant_id, id),
    FOREIGN KEY (tenant_id, destination_connection_id) REFERENCES connections (tenant_id, id)
);
CREATE TABLE flow_versions (
    id            uuid PRIMARY KEY,
    tenant_id     uuid NOT NULL,
    flow_id       uuid NOT NULL,
    version       integer NOT NULL,
    state         text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'published', 'retired')),
    policy        jsonb NOT NULL DEFAULT '{}',
    filter        text,                          -- An expression over the record; absent: every record.
    mapping       jsonb NOT NULL DEFAULT '[]',   -- The tenant's rules, laid over the destination connector's.
    created_at    timestamptz NOT NULL DEFAULT now(),
    published_at  timestamptz,
    UNIQUE (flow_id, version),
    FOREIGN KEY (tenant_id, flow_id) REFERENCES flows (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX flow_versions_published ON flow_versions (flow_id) WHERE state = 'published';

----------------------------------------------------------------------------------------------------- the way of an order

-- What arrived, untouched. The body is kept as it came, because signatures and disputes are about bytes.
CREATE TABLE messages (
    id             uuid NOT NULL,
    tenant_id      uuid NOT NULL,
    connection_id  uuid NOT NULL,
    origin         text NOT NULL,
    topic          text NOT NULL,
    dedupe_key     text NOT NULL,
    record_kind    text,
    source_id      text,
    thin           boolean NOT NULL DEFAULT false,  -- The vendor told an id only; the thing itself is read back.
    body           bytea NOT NULL,
    fetched        bytea,
    received_at    timestamptz NOT NULL DEFAULT now(),
    state          text NOT NULL DEFAULT 'received'
                   CHECK (state IN ('received', 'fetching', 'mapped', 'unchanged', 'stale', 'ignored', 'exception')),
    record_id      uuid,
    failures       integer NOT NULL DEFAULT 0,
    sweep_at       timestamptz NOT NULL,            -- When the sweeper looks at it, should its task be lost.
    PRIMARY KEY (id, tenant_id)
) PARTITION BY RANGE (id);
CREATE INDEX messages_list ON messages (tenant_id, id);
CREATE INDEX messages_sweep ON messages (connection_id, sweep_at) WHERE state IN ('received', 'fetching');

-- What makes a second arrival of the same thing a duplicate, at any age: so it is not partitioned and outlives the messages.
CREATE TABLE message_keys (
    tenant_id      uuid NOT NULL,
    connection_id  uuid NOT NULL,
    dedupe_key     text NOT NULL,
    message_id     uuid NOT NULL,
    duplicates     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (connection_id, dedupe_key)
);

CREATE TABLE records (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL,
    kind               text NOT NULL,
    connection_id      uuid NOT NULL,               -- Where it comes from.
    source_id          text NOT NULL,               -- Its id there.
    number             text,                        -- What people call it: #1042.
    search             text NOT NULL DEFAULT '',    -- Lower-cased words people search by.
    revision           integer NOT NULL,
    revision_id        uuid NOT NULL,
    content_hash       bytea NOT NULL,
    source_updated_at  timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (connection_id, kind, source_id)
);
CREATE INDEX records_list ON records (tenant_id, id);
CREATE INDEX records_number ON records (tenant_id, number);

CREATE TABLE record_revisions (
    id           uuid NOT NULL,
    tenant_id    uuid NOT NULL,
    record_id    uuid NOT NULL,
    revision     integer NOT NULL,
    message_id   uuid NOT NULL,
    document     text NOT NULL,                     -- Canonical JSON as text: numbers keep their digits.
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, tenant_id)
) PARTITION BY RANGE (id);
CREATE INDEX record_revisions_record ON record_revisions (record_id, revision);

-- Which record is which id where.
CREATE TABLE external_ids (
    tenant_id      uuid NOT NULL,
    connection_id  uuid NOT NULL,
    kind           text NOT NULL,
    value          text NOT NULL,
    record_id      uuid NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection_id, kind, value)
);
CREATE INDEX external_ids_record ON external_ids (record_id);

-- The ledger.
CREATE TABLE deliveries (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL,
    flow_id          uuid NOT NULL,
    flow_version_id  uuid NOT NULL,
    record_id        uuid NOT NULL,
    revision         integer NOT NULL,
    revision_id      uuid NOT NULL,
    connection_id    uuid NOT NULL,                 -- The destination.
    state            text NOT NULL DEFAULT 'planned'
                     CHECK (state IN ('planned', 'sending', 'confirmed', 'reconciled', 'waiting', 'unknown', 'held', 'exception',
                                      'superseded', 'cancelled')),
    attempts         integer NOT NULL DEFAULT 0,    -- All that were started.
    failures         integer NOT NULL DEFAULT 0,    -- Those that failed since a person last acted; limits do not count.
    attempt_id       uuid,                          -- The one that is or was under way.
    unproven         boolean NOT NULL DEFAULT false, -- A write of it may have had its effect: it is asked for before anything is sent again.
    due_at           timestamptz NOT NULL,          -- When the next step may be taken.
    sweep_at         timestamptz NOT NULL,          -- When the sweeper looks at it, should its task be lost.
    receipt_id       text,
    receipt_version  text,
    origin_at        timestamptz NOT NULL,          -- When the message that caused it was accepted.
    planned_at       timestamptz NOT NULL DEFAULT now(),
    settled_at       timestamptz,                   -- When it was confirmed, superseded or cancelled.
    UNIQUE (flow_id, record_id, revision)
);
CREATE INDEX deliveries_list ON deliveries (tenant_id, id);
-- Also what keeps the deliveries of one record to one destination in order. Its second column makes it the better choice over
-- deliveries_list even where nothing was analysed yet, and every column is guessed to be as selective as any other.
CREATE INDEX deliveries_record ON deliveries (record_id, connection_id, revision);
CREATE INDEX deliveries_sweep ON deliveries (connection_id, sweep_at) WHERE state IN ('planned', 'sending', 'waiting', 'unknown');

CREATE TABLE attempts (
    id           uuid NOT NULL,
    tenant_id    uuid NOT NULL,
    delivery_id  uuid,                              -- Whose write or proof it is,
    message_id   uuid,                              -- or which thin message it reads back.
    number       integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('write', 'proof', 'fetch')),
    method       text NOT NULL,
    url          text NOT NULL,
    request      bytea NOT NULL,                    -- The payload as sent. Headers are not kept: they carry the credential.
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    outcome      text CHECK (outcome IN ('stored', 'failed', 'unknown', 'absent', 'not_sent')),
    status       integer,
    answer       text,                              -- Bounded.
    fault        jsonb,
    PRIMARY KEY (id, tenant_id),
    CHECK (num_nonnulls(delivery_id, message_id) = 1)
) PARTITION BY RANGE (id);
CREATE INDEX attempts_delivery ON attempts (delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX attempts_message ON attempts (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE exceptions (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL,
    cause_key      text NOT NULL,                   -- Exceptions of the same cause are one group.
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'ignored')),
    code           text NOT NULL,
    sentence       text NOT NULL,
    cause          text NOT NULL,
    owner          text NOT NULL,
    next_step      text NOT NULL,
    path           text,
    value          text,
    lookup_table   text,
    delivery_id    uuid,
    message_id     uuid,
    record_id      uuid,
    flow_id        uuid,
    connection_id  uuid NOT NULL,
    resolution     text,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz,
    CHECK ((delivery_id IS NULL) <> (message_id IS NULL))
);
CREATE INDEX exceptions_list ON exceptions (tenant_id, id);
CREATE INDEX exceptions_cause ON exceptions (tenant_id, cause_key) WHERE state = 'open';
-- A thing has at most one open exception.
CREATE UNIQUE INDEX exceptions_delivery ON exceptions (delivery_id) WHERE state = 'open' AND delivery_id IS NOT NULL;
CREATE UNIQUE INDEX exceptions_message ON exceptions (message_id) WHERE state = 'open' AND message_id IS NOT NULL;

CREATE TABLE audit_events (
    id            uuid NOT NULL,
    tenant_id     uuid NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    actor         jsonb NOT NULL,
    action        text NOT NULL,
    subject_kind  text NOT NULL,
    subject_id    uuid NOT NULL,
    request_id    uuid NOT NULL,
    detail        text,                             -- JSON, redacted and bounded.
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_events_subject ON audit_events (subject_id);

CREATE TABLE usage_events (
    id             uuid NOT NULL,
    tenant_id      uuid NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    meter          text NOT NULL,
    connection_id  uuid,
    quantity       bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

-------------------------------------------------------------------------------------------------------------- partitions

-- Makes this month's partitions and those of the months ahead. Called by every migration and daily by the sweeper.
-- The default partition catches what a forgotten call would lose.
CREATE FUNCTION ensure_partitions(months_ahead integer DEFAULT 2) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    month timestamptz;
    child text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crossdock.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['messages', 'record_revisions', 'attempts', 'audit_events', 'usage_events'] LOOP
        IF to_regclass(parent || '_default') IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_default', parent);
            PERFORM guard_partition(parent || '_default');
            made := made + 1;
        END IF;
        FOR ahead IN 0..months_ahead LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => ahead);
            month := date_trunc('month', (now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
            child := parent || to_char(month AT TIME ZONE 'UTC', '"_"YYYYMM');
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, uuid7_floor(month),
                    uuid7_floor(date_trunc('month', (month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
                PERFORM guard_partition(child);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- A partition reached by its own name must be as closed as its parent.
CREATE FUNCTION guard_partition(child text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', child);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', child);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', child);
END $$;
REVOKE ALL ON FUNCTION ensure_partitions(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION guard_partition(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(integer) TO crossdock_app;

SELECT ensure_partitions();

----------------------------------------------------------------------------------------------------- row-level security

-- IS NOT DISTINCT FROM says the same as = here (tenant_id is never null) but is no condition that an index serves: a statement that names
-- rows by id must not be planned to read all rows of the tenant. Whoever wants the tenant's rows in order says tenant_id = besides.

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['members', 'connections', 'data_keys', 'credentials', 'lookup_tables', 'lookup_entries', 'flows',
        'flow_versions', 'messages', 'message_keys', 'records', 'record_revisions', 'external_ids', 'deliveries', 'attempts',
        'exceptions', 'audit_events', 'usage_events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
    -- A tenant is its own row; a person is seen by the tenants they are a member of.
    ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
    ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON tenants USING (id = current_tenant()) WITH CHECK (id = current_tenant());
    FOREACH t IN ARRAY ARRAY['users', 'sessions', 'refresh_tokens'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
    CREATE POLICY fellow ON users FOR SELECT TO crossdock_app
        USING (EXISTS (SELECT FROM members m WHERE m.user_id = users.id AND m.tenant_id = current_tenant()));
    -- The functions of crossdock_system look across tenants, each at no more than it needs.
    FOREACH t IN ARRAY ARRAY['tenants', 'members', 'connections', 'data_keys', 'credentials', 'messages', 'deliveries', 'attempts'] LOOP
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON members, connections, data_keys, credentials, lookup_tables, lookup_entries, flows, flow_versions TO crossdock_app;
GRANT SELECT, INSERT, UPDATE ON tenants, messages, message_keys, records, external_ids, deliveries, attempts, exceptions TO crossdock_app;
-- What was done and what is billed is only ever added.
GRANT SELECT, INSERT ON record_revisions, audit_events, usage_events TO crossdock_app;
GRANT SELECT (id, email, name, created_at) ON users TO crossdock_app;

GRANT SELECT ON tenants, members, connections, data_keys, credentials TO crossdock_system;
GRANT INSERT ON tenants, members TO crossdock_system;
GRANT SELECT, INSERT, UPDATE ON users, sessions, refresh_tokens TO crossdock_system;
GRANT SELECT, UPDATE ON messages, deliveries TO crossdock_system;

--------------------------------------------------------------------------------------- functions that look across tenants

-- Intake: which connection a hook token belongs to, before any tenant is known.
CREATE FUNCTION hook_find(token text) RETURNS TABLE (
    tenant_id uuid, connection_id uuid, connector text, settings jsonb, state text,
    credential_id uuid, sealed bytea, data_key_version integer, master_key_id text, wrapped bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.tenant_id, c.id, c.connector, c.settings, c.state, k.id, k.sealed, k.data_key_version, d.master_key_id, d.wrapped
    FROM connections c
    LEFT JOIN credentials k ON k.connection_id = c.id AND k.state = 'active'
    LEFT JOIN data_keys d ON d.tenant_id = c.tenant_id AND d.version = k.data_key_version
    WHERE c.hook_token = token
$$;

-- Sweeper: messages whose task was lost or whose wait is over. Each is leased, so that two sweepers do not nudge twice; one that was
-- being read back waits anew. Every connection with something due gets its share of `count_max`, so that one tenant's backlog never
-- stands before another's single order: the connections are found by skipping through the index, whatever their backlogs.
CREATE FUNCTION sweep_messages(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, connection_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE places AS (
        (SELECT s.connection_id FROM messages s WHERE s.state IN ('received', 'fetching') ORDER BY s.connection_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.connection_id FROM messages s WHERE s.state IN ('received', 'fetching') AND s.connection_id > p.connection_id
                ORDER BY s.connection_id LIMIT 1)
        FROM places p WHERE p.connection_id IS NOT NULL
    ), share AS (SELECT greatest(count_max / greatest(count(p.connection_id), 1), 20) AS rows_max FROM places p
    ), due AS (
        SELECT t.tenant_id, t.id FROM places p CROSS JOIN LATERAL (
            SELECT s.tenant_id, s.id FROM messages s
            WHERE s.connection_id = p.connection_id AND s.state IN ('received', 'fetching') AND s.sweep_at <= now()
            ORDER BY s.sweep_at LIMIT (SELECT rows_max FROM share) FOR UPDATE SKIP LOCKED) t
    )
    UPDATE messages m SET sweep_at = now() + lease, state = 'received'
    FROM due WHERE m.tenant_id = due.tenant_id AND m.id = due.id
    RETURNING m.tenant_id, m.connection_id, m.id
$$;

-- Sweeper: deliveries that are due, shared as above. A wait that is over becomes planned; an attempt that never closed becomes unknown.
CREATE FUNCTION sweep_deliveries(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, connection_id uuid, id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE places AS (
        (SELECT s.connection_id FROM deliveries s WHERE s.state IN ('planned', 'sending', 'waiting', 'unknown') ORDER BY s.connection_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.connection_id FROM deliveries s
                WHERE s.state IN ('planned', 'sending', 'waiting', 'unknown') AND s.connection_id > p.connection_id
                ORDER BY s.connection_id LIMIT 1)
        FROM places p WHERE p.connection_id IS NOT NULL
    ), share AS (SELECT greatest(count_max / greatest(count(p.connection_id), 1), 20) AS rows_max FROM places p
    ), due AS (
        SELECT t.id FROM places p CROSS JOIN LATERAL (
            SELECT s.id FROM deliveries s
            WHERE s.connection_id = p.connection_id AND s.state IN ('planned', 'sending', 'waiting', 'unknown') AND s.sweep_at <= now()
            ORDER BY s.sweep_at LIMIT (SELECT rows_max FROM share) FOR UPDATE SKIP LOCKED) t
    )
    UPDATE deliveries d SET
        sweep_at = now() + lease,
        due_at = CASE WHEN d.state = 'sending' THEN now() ELSE d.due_at END,
        unproven = d.unproven OR d.state = 'sending',
        state = CASE d.state WHEN 'waiting' THEN 'planned' WHEN 'sending' THEN 'unknown' ELSE d.state END
    FROM due WHERE d.id = due.id
    RETURNING d.tenant_id, d.connection_id, d.id
$$;

-- Sign-in knows an address only.
CREATE FUNCTION user_find(address text) RETURNS TABLE (id uuid, name text, password_hash text, locked_until timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.id, u.name, u.password_hash, u.locked_until FROM users u WHERE lower(u.email) = lower(address)
$$;

-- A wrong password: from the fifth in a row on the account rests, twice as long each time, a minute at most: longer, and whoever knows an
-- address could keep its owner out.
CREATE FUNCTION user_sign_in_failed(person uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET failures = failures + 1,
        locked_until = CASE WHEN failures >= 4 THEN now() + least(interval '1 minute', interval '5 seconds' * (2 ^ least(failures - 4, 10))) END
    WHERE id = person
$$;

-- A good one opens a session.
CREATE FUNCTION session_open(person uuid, session uuid, token bytea, expires timestamptz) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE users SET failures = 0, locked_until = NULL WHERE id = person;
    INSERT INTO sessions (id, user_id) VALUES (session, person);
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (token, session, expires);
$$;

-- Trades a refresh token for the next one. A token that was used before revokes its session: one of its two holders is a thief.
CREATE FUNCTION session_refresh(old_token bytea, new_token bytea, expires timestamptz) RETURNS TABLE (session_id uuid, user_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE t record;
BEGIN
    SELECT r.session_id, r.used_at, r.expires_at, s.revoked_at, s.user_id INTO t
        FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.token_hash = old_token FOR UPDATE OF r, s;
    IF NOT FOUND OR t.revoked_at IS NOT NULL OR t.expires_at <= now() THEN RETURN; END IF;
    IF t.used_at IS NOT NULL THEN
        UPDATE sessions SET revoked_at = now() WHERE id = t.session_id;
        RETURN;
    END IF;
    UPDATE refresh_tokens SET used_at = now() WHERE token_hash = old_token;
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (new_token, t.session_id, expires);
    RETURN QUERY SELECT t.session_id, t.user_id;
END $$;

CREATE FUNCTION session_close(session uuid, person uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sessions SET revoked_at = now() WHERE id = session AND user_id = person AND revoked_at IS NULL
$$;

-- What a person's token is worth now: their memberships, as long as the session was not revoked.
CREATE FUNCTION session_memberships(session uuid, person uuid) RETURNS TABLE (tenant_id uuid, slug text, name text, role text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, t.slug, t.name, m.role FROM members m JOIN tenants t ON t.id = m.tenant_id
    WHERE m.user_id = person
      AND EXISTS (SELECT FROM sessions s WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL)
    ORDER BY t.slug
$$;
CREATE FUNCTION session_is_open(session uuid, person uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM sessions s WHERE s.id = session AND s.user_id = person AND s.revoked_at IS NULL)
$$;

-- A new person; NULL where the address is taken.
CREATE FUNCTION user_create(person uuid, address text, full_name text, hash text) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO users (id, email, name, password_hash) VALUES (person, address, full_name, hash)
    ON CONFLICT (lower(email)) DO NOTHING RETURNING id
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'hook_find(text)', 'sweep_messages(integer, interval)', 'sweep_deliveries(integer, interval)', 'user_find(text)',
        'user_sign_in_failed(uuid)', 'session_open(uuid, uuid, bytea, timestamptz)', 'session_refresh(bytea, bytea, timestamptz)',
        'session_close(uuid, uuid)', 'session_memberships(uuid, uuid)', 'session_is_open(uuid, uuid)', 'user_create(uuid, text, text, text)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
