DROP FUNCTION consent_take(bytea, bytea);
ALTER TABLE tokens DROP COLUMN expires_at, DROP COLUMN ends_at, DROP COLUMN scope, DROP COLUMN granted_at;
DROP TABLE connection_consents;
