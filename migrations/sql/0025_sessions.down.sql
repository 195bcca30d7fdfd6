DROP FUNCTION session_open(uuid, uuid, bytea, timestamptz, text, text), session_refresh(bytea, bytea, timestamptz, text),
    session_close_by_token(bytea), session_list(uuid), session_revoke(uuid, uuid, uuid), user_tenants(uuid);
DROP INDEX sessions_open;
ALTER TABLE sessions DROP COLUMN device, DROP COLUMN address, DROP COLUMN last_used_at;
