-- Whether a message that waits for a person was overtaken is asked with every batch, and the answer is no, nearly always. Planned anew each time, over all
-- partitions, the question costs more than all that follows it: here its plan is kept, and reads the index of these messages (messages_stopped) however
-- empty the tables were when it was made.
CREATE FUNCTION messages_overtake(message_ids uuid[], connections uuid[], kinds text[], sources text[], records uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM messages s WHERE s.connection_id = ANY (connections) AND s.state = 'exception' AND s.source_id IS NOT NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY UPDATE messages m SET state = 'stale', record_id = i.record_id
        FROM unnest(message_ids, connections, kinds, sources, records) AS i (message_id, connection_id, kind, source_id, record_id)
        WHERE m.connection_id = i.connection_id AND m.source_id = i.source_id AND m.record_kind = i.kind AND m.state = 'exception'
          AND m.source_id IS NOT NULL AND m.id < i.message_id
        RETURNING m.id;
END $$;
REVOKE ALL ON FUNCTION messages_overtake(uuid[], uuid[], text[], text[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION messages_overtake(uuid[], uuid[], text[], text[], uuid[]) TO crossdock_app;
