DROP FUNCTION personal_data_erase(uuid[]);
REVOKE SELECT, DELETE ON search_keys FROM crossdock_system;
REVOKE SELECT, DELETE ON audit_detail_keys FROM crossdock_system;
REVOKE UPDATE ON records, record_revisions, attempts, exceptions, exception_comments, differences, undo_items, sent_groups FROM crossdock_system;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['records', 'record_revisions', 'exceptions', 'exception_comments', 'differences', 'undo_items', 'sent_groups', 'search_keys'] LOOP
        EXECUTE format('DROP POLICY erasure ON %I', t);
    END LOOP;
END $$;
DROP INDEX search_keys_record;
DROP INDEX undo_items_record;
DROP INDEX differences_record;
DROP FUNCTION is_tombstone(bytea);
DROP FUNCTION is_tombstone(text);
DROP FUNCTION tombstone(text);
DROP FUNCTION tombstone(bytea);
