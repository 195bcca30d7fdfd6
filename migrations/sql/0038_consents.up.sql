-- A person connects an account by consenting at the vendor (OAuth 2, authorization code), and what was granted is known without opening a token.

-- A consent that was asked for: good once, for ten minutes, in the browser and the session that asked. Both its state and what the browser keeps are hashes,
-- and the proof of the code (PKCE) follows from what the browser alone has: who reads this table can end no consent.
CREATE TABLE connection_consents (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL,
    connection_id  uuid NOT NULL,
    credential_id  uuid NOT NULL,                 -- Whose client asked: a code is of that client.
    settings       jsonb NOT NULL,                -- As they were: they say whom the code is shown to.
    user_id        uuid NOT NULL,
    session_id     uuid NOT NULL,
    state_hash     bytea NOT NULL UNIQUE CHECK (length(state_hash) = 32),
    browser_hash   bytea NOT NULL CHECK (length(browser_hash) = 32),
    begun_at       timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    taken_at       timestamptz,                   -- The person came back.
    ended_at       timestamptz,
    outcome        text,                          -- A domain::consent::ConsentEnd.
    said           text CHECK (length(said) <= 500),   -- What the vendor said beside.
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK (ended_at IS NULL OR taken_at IS NOT NULL),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX connection_consents_of ON connection_consents (connection_id, begun_at);

-- Of a token, what is no secret.
ALTER TABLE tokens
    ADD COLUMN expires_at  timestamptz,   -- The access token; it is renewed by itself.
    ADD COLUMN ends_at     timestamptz,   -- What renews it, or, of a consent that nothing renews, it itself: then a person must consent again.
    ADD COLUMN scope       text,          -- What was granted, where the vendor said so.
    ADD COLUMN granted_at  timestamptz;   -- When a person consented; NULL where none had to.

ALTER TABLE connection_consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_consents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON connection_consents USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON connection_consents TO crossdock_system USING (true) WITH CHECK (true);
-- The application writes the hashes and never reads them.
GRANT INSERT, DELETE ON connection_consents TO crossdock_app;
GRANT SELECT (id, tenant_id, connection_id, user_id, begun_at, expires_at, taken_at, ended_at, outcome, said), UPDATE (ended_at, outcome, said) ON connection_consents TO crossdock_app;
GRANT SELECT, UPDATE (taken_at) ON connection_consents TO crossdock_system;

-- Takes a consent that was asked for, once; another browser's is not there, and stays as it is. Nobody is known yet who could say of which tenant it is.
CREATE FUNCTION consent_take(state bytea, browser bytea)
    RETURNS TABLE (id uuid, tenant_id uuid, connection_id uuid, credential_id uuid, settings jsonb, user_id uuid, session_id uuid)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE connection_consents c SET taken_at = now()
    WHERE c.state_hash = state AND c.browser_hash = browser AND c.taken_at IS NULL AND c.expires_at > now()
    RETURNING c.id, c.tenant_id, c.connection_id, c.credential_id, c.settings, c.user_id, c.session_id
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION consent_take(bytea, bytea) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION consent_take(bytea, bytea) TO crossdock_app;
    ALTER FUNCTION consent_take(bytea, bytea) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
