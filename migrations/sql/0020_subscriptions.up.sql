-- Subscriptions: which webhooks the platform keeps registered at a vendor, when that is compared with the vendor's own list, and what their
-- deliveries are signed with. And polls that are made by themselves.

-- One for each connection that a published flow reads. Its triggers make it due, so that no way of publishing forgets it.
CREATE TABLE subscription_checks (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL UNIQUE,
    due_at         timestamptz NOT NULL DEFAULT now(),
    asked          bigint NOT NULL DEFAULT 0,           -- Grows with every wish for a check: one that came during a check is not lost.
    lease_id       uuid,
    lease_until    timestamptz,
    checked_at     timestamptz,                         -- The last one that came to its end.
    failures       integer NOT NULL DEFAULT 0,          -- In a row.
    failure        text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX subscription_checks_due ON subscription_checks (due_at);

CREATE TABLE subscriptions (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    topic          text NOT NULL CHECK (length(topic) <= 100),
    kind           text NOT NULL,                       -- Of record, that the topic brings.
    state          text NOT NULL DEFAULT 'wanted'
                   CHECK (state IN ('wanted', 'subscribing', 'active', 'failed', 'blocked', 'ending', 'ended')),
    vendor_id      text,                                -- The newest registration there. Those of one call for all topics share it.
    hook_url       text,                                -- Where it sends to.
    secret_id      uuid,                                -- What it signs with, where the vendor said that with the registration.
    is_rotating    boolean NOT NULL DEFAULT false,      -- It is replaced by a new one, for a new secret.
    expires_at     timestamptz,
    renew_at       timestamptz,
    seen_at        timestamptz,                         -- When the vendor had it last.
    lost_at        timestamptz,                         -- When it was there last, while it is missing.
    restored       integer NOT NULL DEFAULT 0,
    restored_at    timestamptz,
    failure        text,                                -- Why it is failed or blocked.
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (connection_id, topic),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX subscriptions_list ON subscriptions (tenant_id, id);

-- Secrets of hooks that nobody typed in: the vendor gave them with a registration, or a rotation made them. They are no part of the credential's
-- row, because a new version of that ends the account's token, and because each topic may have its own.
CREATE TABLE hook_secrets (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL,
    connection_id     uuid NOT NULL,
    topic             text,                             -- NULL: of all.
    data_key_version  integer NOT NULL,
    sealed            bytea NOT NULL,
    accepted_until    timestamptz,                      -- NULL: in use.
    credential_id     uuid,                             -- The credential whose own hook secret this one follows,
    credential_until  timestamptz,                      -- and until when that is believed, too.
    created_at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((credential_id IS NULL) = (credential_until IS NULL)),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, data_key_version) REFERENCES data_keys (tenant_id, version)
);
CREATE UNIQUE INDEX hook_secrets_used ON hook_secrets (connection_id, topic) NULLS NOT DISTINCT WHERE accepted_until IS NULL;
CREATE INDEX hook_secrets_connection ON hook_secrets (connection_id);

-- A poll that nobody asked for and nobody has touched: it comes and goes with the flows that read it.
ALTER TABLE polls ADD COLUMN is_own boolean NOT NULL DEFAULT false;

-- That a vendor's webhooks cannot be kept is an incident, too.
ALTER TABLE incidents ADD COLUMN subscription_check_id uuid REFERENCES subscription_checks ON DELETE CASCADE;
ALTER TABLE incidents DROP CONSTRAINT incidents_of;
ALTER TABLE incidents ADD CONSTRAINT incidents_of CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id) <= 1);
CREATE UNIQUE INDEX incidents_subscription_check ON incidents (subscription_check_id) WHERE closed_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['subscription_checks', 'subscriptions', 'hook_secrets'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
CREATE POLICY system ON subscription_checks TO crossdock_system USING (true) WITH CHECK (true);
CREATE POLICY system ON hook_secrets TO crossdock_system USING (true);
GRANT SELECT ON hook_secrets TO crossdock_system;
GRANT SELECT, INSERT, UPDATE ON subscription_checks, subscriptions TO crossdock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON hook_secrets TO crossdock_app;
GRANT SELECT, UPDATE ON subscription_checks TO crossdock_system;

-- The moves of a subscription, whoever makes them.
CREATE FUNCTION subscription_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'subscription % cannot become % from %', OLD.id, NEW.state, OLD.state USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER subscriptions_guard BEFORE UPDATE OF state ON subscriptions FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state = ANY (ARRAY[
        'wanted>subscribing', 'wanted>active', 'wanted>failed', 'wanted>blocked', 'wanted>ending', 'wanted>ended',
        'subscribing>active', 'subscribing>failed', 'subscribing>ending',
        'active>wanted', 'active>subscribing', 'active>failed', 'active>blocked', 'active>ending',
        'failed>wanted', 'failed>subscribing', 'failed>active', 'failed>blocked', 'failed>ending', 'failed>ended',
        'blocked>wanted', 'blocked>active', 'blocked>ending', 'blocked>ended',
        'ending>wanted', 'ending>ended', 'ended>wanted'])))
    EXECUTE FUNCTION subscription_guard();

-- What makes a check due at once: another flow reads the connection, or none does any more; the connection was paused or resumed, has other
-- settings or a new credential.
CREATE FUNCTION subscription_check_of_flow() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO subscription_checks AS c (tenant_id, connection_id) SELECT f.tenant_id, f.source_connection_id FROM flows f WHERE f.id = NEW.flow_id
    ON CONFLICT (connection_id) DO UPDATE SET due_at = now(), asked = c.asked + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER flow_versions_listen_new AFTER INSERT ON flow_versions FOR EACH ROW WHEN (NEW.state = 'published')
    EXECUTE FUNCTION subscription_check_of_flow();
CREATE TRIGGER flow_versions_listen AFTER UPDATE OF state ON flow_versions FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state = 'published' OR NEW.state = 'published'))
    EXECUTE FUNCTION subscription_check_of_flow();
CREATE FUNCTION subscription_check_of_connection() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE subscription_checks SET due_at = now(), asked = asked + 1 WHERE connection_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER connections_listen AFTER UPDATE OF state, settings ON connections FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.settings <> NEW.settings) EXECUTE FUNCTION subscription_check_of_connection();
CREATE FUNCTION subscription_check_of_credential() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE subscription_checks SET due_at = now(), asked = asked + 1 WHERE connection_id = NEW.connection_id;
    RETURN NULL;
END $$;
CREATE TRIGGER credentials_listen AFTER INSERT ON credentials FOR EACH ROW EXECUTE FUNCTION subscription_check_of_credential();

-- Workers: checks of any tenant that are due, shared between the tenants, each leased to one worker.
CREATE FUNCTION subscription_checks_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, id uuid, lease_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT c.id, row_number() OVER (PARTITION BY c.tenant_id ORDER BY c.due_at) AS turn, c.due_at
        FROM subscription_checks c WHERE c.due_at <= now() AND (c.lease_until IS NULL OR c.lease_until <= now())
    ), first AS (
        SELECT due.id FROM due ORDER BY due.turn, due.due_at LIMIT count_max
    ), taken AS (
        SELECT c.id FROM subscription_checks c WHERE c.id IN (SELECT first.id FROM first)
          AND (c.lease_until IS NULL OR c.lease_until <= now()) FOR UPDATE SKIP LOCKED
    )
    UPDATE subscription_checks c SET lease_id = gen_random_uuid(), lease_until = now() + lease
    FROM taken WHERE c.id = taken.id RETURNING c.tenant_id, c.id, c.lease_id
$$;

-- Intake: as hook_find, with what the connection's hooks may be signed with beside the credential: a row for each secret, newest first, or one
-- without any.
CREATE FUNCTION hook_find_signed(token text) RETURNS TABLE (
    tenant_id uuid, connection_id uuid, connector text, settings jsonb, state text,
    credential_id uuid, sealed bytea, data_key_version integer, master_key_id text, wrapped bytea, is_credential_over boolean,
    secret_id uuid, secret_sealed bytea, secret_key_version integer, secret_master_key_id text, secret_wrapped bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.tenant_id, h.connection_id, h.connector, h.settings, h.state, h.credential_id, h.sealed, h.data_key_version, h.master_key_id, h.wrapped,
           EXISTS (SELECT FROM hook_secrets o
                   WHERE o.connection_id = h.connection_id AND o.credential_id = h.credential_id AND o.credential_until <= now()),
           s.id, s.sealed, s.data_key_version, d.master_key_id, d.wrapped
    FROM hook_find(token) h
    LEFT JOIN LATERAL (
        SELECT o.id, o.sealed, o.data_key_version FROM hook_secrets o
        WHERE o.connection_id = h.connection_id AND (o.accepted_until IS NULL OR o.accepted_until > now()) ORDER BY o.id DESC LIMIT 64
    ) s ON true
    LEFT JOIN data_keys d ON d.tenant_id = h.tenant_id AND d.version = s.data_key_version
    ORDER BY s.id DESC
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION hook_find_signed(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION hook_find_signed(text) TO crossdock_app;
    ALTER FUNCTION hook_find_signed(text) OWNER TO crossdock_system;
    REVOKE ALL ON FUNCTION subscription_guard() FROM PUBLIC;
    REVOKE ALL ON FUNCTION subscription_check_of_flow() FROM PUBLIC;
    REVOKE ALL ON FUNCTION subscription_check_of_connection() FROM PUBLIC;
    REVOKE ALL ON FUNCTION subscription_check_of_credential() FROM PUBLIC;
    REVOKE ALL ON FUNCTION subscription_checks_take(integer, interval) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION subscription_checks_take(integer, interval) TO crossdock_app;
    ALTER FUNCTION subscription_checks_take(integer, interval) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;

-- Flows that were published before are listened for, too.
DO $$
BEGIN
    ALTER TABLE flow_versions NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE flows NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE subscription_checks NO FORCE ROW LEVEL SECURITY;
    INSERT INTO subscription_checks (tenant_id, connection_id)
    SELECT DISTINCT f.tenant_id, f.source_connection_id FROM flows f JOIN flow_versions v ON v.flow_id = f.id WHERE v.state = 'published';
    ALTER TABLE flow_versions FORCE ROW LEVEL SECURITY;
    ALTER TABLE flows FORCE ROW LEVEL SECURITY;
    ALTER TABLE subscription_checks FORCE ROW LEVEL SECURITY;
END $$;
