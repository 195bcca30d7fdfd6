-- A pair of tokens may be lost on its way: a page was left or loaded anew while it traded its token, or the line broke. Until now the person was signed out by
-- that, and their tenants were told of a stolen token. For ten seconds, and for as long as nothing that came of it was traded on, a token gives another pair
-- beside those that it gave before; nobody knows which of them arrived. Once one of them is traded on, all of them are used. Who copied a token and comes later
-- than its owner still ends the session for both.
CREATE OR REPLACE FUNCTION session_refresh(old_token bytea, new_token bytea, expires timestamptz, from_address text)
    RETURNS TABLE (session_id uuid, user_id uuid, is_reused boolean, expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE t record; its_end timestamptz;
BEGIN
    -- The session before its tokens: two trades within it come one after the other, whichever tokens they name.
    PERFORM FROM sessions s WHERE s.id = (SELECT r.session_id FROM refresh_tokens r WHERE r.token_hash = old_token) FOR UPDATE;
    SELECT r.session_id, r.used_at, r.expires_at, s.revoked_at, s.user_id, s.ends_at INTO t
        FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id WHERE r.token_hash = old_token;
    IF NOT FOUND OR t.revoked_at IS NOT NULL OR t.expires_at <= now() OR t.ends_at <= now() THEN RETURN; END IF;
    IF t.used_at IS NULL THEN
        UPDATE refresh_tokens r SET used_at = now() WHERE r.session_id = t.session_id AND r.used_at IS NULL;
    ELSIF t.used_at <= now() - interval '10 seconds'
        OR t.used_at < (SELECT max(o.used_at) FROM refresh_tokens o WHERE o.session_id = t.session_id) THEN
        UPDATE sessions s SET revoked_at = now() WHERE s.id = t.session_id;
        RETURN QUERY SELECT t.session_id, t.user_id, true, t.expires_at;
        RETURN;
    END IF;
    its_end := least(expires, t.ends_at);
    UPDATE sessions s SET last_used_at = now(), address = from_address WHERE s.id = t.session_id;
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (new_token, t.session_id, its_end);
    RETURN QUERY SELECT t.session_id, t.user_id, false, its_end;
END $$;
