ALTER TABLE attempts DROP CONSTRAINT attempts_kind_check;
UPDATE attempts SET kind = 'write' WHERE kind IN ('update', 'action', 'read');
ALTER TABLE attempts ADD CONSTRAINT attempts_kind_check CHECK (kind IN ('write', 'proof', 'fetch'));
ALTER TABLE deliveries DROP COLUMN calls_done;
DROP TABLE tokens;
ALTER TABLE credentials DROP CONSTRAINT credentials_tenant_id_id_key;
