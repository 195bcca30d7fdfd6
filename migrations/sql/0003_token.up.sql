-- Connectors that first ask for a token, and writes that take more than one call.

-- What a vendor gave for a credential: an access token and what renews it, or a session. Sealed as the credential is. A row of its own,
-- because tokens change by themselves and credentials only by a person.
ALTER TABLE credentials ADD UNIQUE (tenant_id, id);
CREATE TABLE tokens (
    credential_id     uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL,
    version           integer NOT NULL DEFAULT 0,   -- Grows with every token, so that a late worker does not put an old one back.
    data_key_version  integer,
    sealed            bytea,                        -- NULL until the first token comes.
    renewing_until    timestamptz,                  -- One worker asks for a new one at a time; it is taken to have died after this.
    renewed_at        timestamptz,
    FOREIGN KEY (tenant_id, credential_id) REFERENCES credentials (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, data_key_version) REFERENCES data_keys (tenant_id, version),
    CHECK ((sealed IS NULL) = (data_key_version IS NULL))
);
ALTER TABLE tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tokens USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON tokens TO crossdock_app;

-- How far a delivery has come: 0 nothing, 1 the record is written, 1 + n the first n actions that belong to the write are done.
ALTER TABLE deliveries ADD COLUMN calls_done smallint NOT NULL DEFAULT 0;
ALTER TABLE attempts DROP CONSTRAINT attempts_kind_check;
ALTER TABLE attempts ADD CONSTRAINT attempts_kind_check CHECK (kind IN ('write', 'update', 'action', 'proof', 'read', 'fetch'));
