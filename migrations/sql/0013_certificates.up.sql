-- The key with which a tenant's no-loss certificates are signed. Its public half is told to whoever checks them.
CREATE TABLE certificate_keys (
    tenant_id         uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    public_key        bytea NOT NULL,
    data_key_version  integer NOT NULL,
    sealed            bytea NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE certificate_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE certificate_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON certificate_keys USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
GRANT SELECT, INSERT ON certificate_keys TO crossdock_app;
