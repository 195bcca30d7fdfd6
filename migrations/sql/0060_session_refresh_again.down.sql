CREATE OR REPLACE FUNCTION session_refresh(old_token bytea, new_token bytea, expires timestamptz, from_address text)
    RETURNS TABLE (session_id uuid, user_id uuid, is_reused boolean, expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE t record; its_end timestamptz;
BEGIN
    SELECT r.session_id, r.used_at, r.expires_at, s.revoked_at, s.user_id, s.ends_at INTO t
        FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.token_hash = old_token FOR UPDATE OF r, s;
    IF NOT FOUND OR t.revoked_at IS NOT NULL OR t.expires_at <= now() OR t.ends_at <= now() THEN RETURN; END IF;
    IF t.used_at IS NOT NULL THEN
        UPDATE sessions s SET revoked_at = now() WHERE s.id = t.session_id;
        RETURN QUERY SELECT t.session_id, t.user_id, true, t.expires_at;
        RETURN;
    END IF;
    its_end := least(expires, t.ends_at);
    UPDATE refresh_tokens r SET used_at = now() WHERE r.token_hash = old_token;
    UPDATE sessions s SET last_used_at = now(), address = from_address WHERE s.id = t.session_id;
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (new_token, t.session_id, its_end);
    RETURN QUERY SELECT t.session_id, t.user_id, false, its_end;
END $$;
