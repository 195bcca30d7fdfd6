-- What the audit log tells of a record's own values (what a person corrected in it) is stored encrypted, by a key of that record. Who destroys the key has
-- erased it: the log itself is not touched, and every proof over it holds.
CREATE TABLE audit_detail_keys (
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    record_id         uuid NOT NULL,
    data_key_version  integer NOT NULL,
    sealed            bytea NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, record_id)
);
ALTER TABLE audit_detail_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_detail_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_detail_keys USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
CREATE POLICY system ON audit_detail_keys TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON audit_detail_keys TO crossdock_app;
