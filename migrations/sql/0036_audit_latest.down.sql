DROP FUNCTION audit_latest(uuid[]);
