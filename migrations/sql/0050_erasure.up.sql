-- A person's data can be erased. What told of a person is written over by a tombstone, `{"erased":"<SHA-256 of what was there>"}`: the row, its ids and its ledger
-- state stay, and so do the audit log and its seals, which hold digests.

CREATE FUNCTION tombstone(content bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT '{"erased":"' || encode(sha256(content), 'hex') || '"}' $$;
CREATE FUNCTION tombstone(content text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT '{"erased":"' || encode(sha256(convert_to(content, 'UTF8')), 'hex') || '"}' $$;
CREATE FUNCTION is_tombstone(content text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT length(content) = 77 AND content ~ '^\{"erased":"[0-9a-f]{64}"\}$' $$;
CREATE FUNCTION is_tombstone(content bytea) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT length(content) = 77 AND encode(content, 'escape') ~ '^\{"erased":"[0-9a-f]{64}"\}$' $$;

CREATE INDEX differences_record ON differences (record_id) WHERE record_id IS NOT NULL;
CREATE INDEX undo_items_record ON undo_items (record_id);
CREATE INDEX search_keys_record ON search_keys (record_id);

-- The one function that erases may write to these, in the tenant of its transaction.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['records', 'record_revisions', 'exceptions', 'exception_comments', 'differences', 'undo_items', 'sent_groups', 'search_keys'] LOOP
        EXECUTE format('CREATE POLICY erasure ON %I TO crossdock_system USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
    END LOOP;
END $$;
GRANT SELECT, UPDATE ON records, record_revisions, attempts, exceptions, exception_comments, differences, undo_items, sent_groups TO crossdock_system;
GRANT SELECT, DELETE ON search_keys, audit_detail_keys TO crossdock_system;

-- The only way to write over what came and what was sent. Says for each record and each place how much that was, and a digest over the tombstones in the order
-- of their ids. What is erased already is left alone. Leans on the indexes of a record, of a delivery's and a message's attempts.
CREATE FUNCTION personal_data_erase(ids uuid[]) RETURNS TABLE (record_id uuid, place text, erased bigint, sha256 text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := current_tenant();
    said CONSTANT text := 'What this told was erased with the data of a person.';
    why text;
BEGIN
    SELECT p.hold INTO why FROM audit_policies p WHERE p.tenant_id = tenant FOR SHARE;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'a legal hold stands: nothing is erased';
    END IF;
    RETURN QUERY
    WITH mine AS MATERIALIZED (
        SELECT r.id FROM records r WHERE r.tenant_id = tenant AND r.id = ANY (ids)
    ), sent AS MATERIALIZED (
        SELECT d.id, d.record_id, d.payload_edits FROM deliveries d JOIN mine ON mine.id = d.record_id WHERE d.tenant_id = tenant
    ), came AS MATERIALIZED (
        SELECT m.id, m.record_id FROM messages m JOIN mine ON mine.id = m.record_id WHERE m.tenant_id = tenant
    ), stopped AS MATERIALIZED (
        SELECT x.id, mine.id AS record_id FROM exceptions x JOIN mine ON mine.id = x.record_id WHERE x.tenant_id = tenant
        UNION
        SELECT x.id, came.record_id FROM exceptions x JOIN came ON came.id = x.message_id WHERE x.tenant_id = tenant
    ), tried AS MATERIALIZED (
        SELECT a.id, sent.record_id, a.request, a.answer, a.url FROM attempts a JOIN sent ON sent.id = a.delivery_id WHERE a.tenant_id = tenant
        UNION ALL
        SELECT a.id, came.record_id, a.request, a.answer, a.url FROM attempts a JOIN came ON came.id = a.message_id WHERE a.tenant_id = tenant
    ), revisions AS (
        UPDATE record_revisions v SET document = tombstone(v.document) FROM mine
        WHERE v.tenant_id = tenant AND v.record_id = mine.id AND NOT is_tombstone(v.document)
        RETURNING v.record_id, v.id, v.document AS kept
    ), bodies AS (
        UPDATE messages m SET body = convert_to(tombstone(m.body), 'UTF8'), fetched = convert_to(tombstone(m.fetched), 'UTF8') FROM came
        WHERE m.tenant_id = tenant AND m.id = came.id AND NOT is_tombstone(m.body)
        RETURNING m.record_id, m.id, convert_from(m.body, 'UTF8') || coalesce(convert_from(m.fetched, 'UTF8'), '') AS kept
    ), calls AS (
        UPDATE attempts a SET
            request = CASE WHEN a.request = '' OR is_tombstone(a.request) THEN a.request ELSE convert_to(tombstone(a.request), 'UTF8') END,
            answer = CASE WHEN is_tombstone(a.answer) THEN a.answer ELSE tombstone(a.answer) END,
            -- What stands in a query may be an address that was looked up.
            url = split_part(a.url, '?', 1),
            inputs = NULL,
            fault = a.fault || jsonb_build_object('reason', said)
        FROM tried WHERE a.tenant_id = tenant AND a.id = tried.id
            AND NOT ((tried.request = '' OR is_tombstone(tried.request)) AND coalesce(is_tombstone(tried.answer), true) AND position('?' IN tried.url) = 0)
        RETURNING tried.record_id, a.id, convert_from(a.request, 'UTF8') || coalesce(a.answer, '') || tombstone(tried.url) AS kept
    ), edits AS (
        UPDATE deliveries d SET payload_edits = NULL FROM sent
        WHERE d.tenant_id = tenant AND d.id = sent.id AND sent.payload_edits IS NOT NULL
        RETURNING d.record_id, d.id, tombstone(sent.payload_edits) AS kept
    ), groups AS (
        UPDATE sent_groups g SET body = tombstone(g.body) FROM sent
        WHERE g.tenant_id = tenant AND g.delivery_id = sent.id AND NOT is_tombstone(g.body)
        RETURNING sent.record_id, g.id, g.body AS kept
    ), reasons AS (
        UPDATE exceptions x SET sentence = said, cause = said, value = NULL, missing = NULL, cause_key = x.code || '|erased'
        FROM (SELECT e.id, s.record_id, tombstone(concat_ws('|', e.sentence, e.value, e.missing)) AS kept FROM exceptions e JOIN stopped s ON s.id = e.id
              -- What a match of three found are numbers, and one sentence may stand open once.
              WHERE e.tenant_id = tenant AND e.check_kind IS NULL AND e.sentence <> said) was
        WHERE x.tenant_id = tenant AND x.id = was.id
        RETURNING was.record_id, x.id, was.kept
    ), comments AS (
        UPDATE exception_comments c SET body = said
        FROM (SELECT o.id, s.record_id, tombstone(o.body) AS kept FROM exception_comments o JOIN stopped s ON s.id = o.subject_id
              WHERE o.tenant_id = tenant AND o.body <> said) was
        WHERE c.tenant_id = tenant AND c.id = was.id
        RETURNING was.record_id, c.id, was.kept
    ), compared AS (
        UPDATE differences f SET fields = '[]'::jsonb, note = NULL
        FROM (SELECT o.id, o.record_id, tombstone(o.fields::text || coalesce(o.note, '')) AS kept FROM differences o JOIN mine ON mine.id = o.record_id
              WHERE o.tenant_id = tenant AND (o.fields <> '[]'::jsonb OR o.note IS NOT NULL)) was
        WHERE f.tenant_id = tenant AND f.id = was.id
        RETURNING was.record_id, f.id, was.kept
    ), undone AS (
        UPDATE undo_items u SET changes = '[]'::jsonb, payload_edits = NULL, sentence = said
        FROM (SELECT o.id, o.record_id, tombstone(concat_ws('|', o.changes, o.payload_edits, o.sentence)) AS kept FROM undo_items o JOIN mine ON mine.id = o.record_id
              WHERE o.tenant_id = tenant AND o.sentence <> said) was
        WHERE u.tenant_id = tenant AND u.id = was.id
        RETURNING was.record_id, u.id, was.kept
    ), keys AS (
        DELETE FROM search_keys k USING mine WHERE k.tenant_id = tenant AND k.record_id = mine.id AND k.kind = 'email'
        RETURNING k.record_id, k.record_id AS id, '' AS kept
    ), details AS (
        DELETE FROM audit_detail_keys k USING mine WHERE k.tenant_id = tenant AND k.record_id = mine.id
        RETURNING k.record_id, k.record_id AS id, '' AS kept
    ), words AS (
        -- Without the hash, what the source sends again is taken as new, and never for unchanged.
        UPDATE records r SET search = '', content_hash = ''
        FROM (SELECT o.id, tombstone(o.search) AS kept FROM records o JOIN mine ON mine.id = o.id WHERE o.search <> '' OR o.content_hash <> '') was
        WHERE r.tenant_id = tenant AND r.id = was.id
        RETURNING r.id AS record_id, r.id, was.kept
    ), gone AS (
        SELECT 'record_revisions' AS place, * FROM revisions
        UNION ALL SELECT 'messages', * FROM bodies
        UNION ALL SELECT 'attempts', * FROM calls
        UNION ALL SELECT 'deliveries', * FROM edits
        UNION ALL SELECT 'sent_groups', * FROM groups
        UNION ALL SELECT 'exceptions', * FROM reasons
        UNION ALL SELECT 'exception_comments', * FROM comments
        UNION ALL SELECT 'differences', * FROM compared
        UNION ALL SELECT 'undo_items', * FROM undone
        UNION ALL SELECT 'search_keys', * FROM keys
        UNION ALL SELECT 'audit_detail_keys', * FROM details
        UNION ALL SELECT 'records', * FROM words
    )
    SELECT g.record_id, g.place, count(*), encode(sha256(convert_to(string_agg(g.kept, '' ORDER BY g.id), 'UTF8')), 'hex')
    FROM gone g GROUP BY g.record_id, g.place ORDER BY g.record_id, g.place;
END $$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION personal_data_erase(uuid[]) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION personal_data_erase(uuid[]) TO crossdock_app;
    ALTER FUNCTION personal_data_erase(uuid[]) OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
