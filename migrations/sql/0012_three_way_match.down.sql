DROP FUNCTION match_dues_take(integer, interval);
DROP INDEX exceptions_check;
DELETE FROM exceptions WHERE check_kind IS NOT NULL;
ALTER TABLE exceptions
    DROP CONSTRAINT exceptions_subject_check,
    DROP COLUMN check_kind,
    ADD CHECK ((delivery_id IS NULL) <> (message_id IS NULL));
DROP TABLE match_dues;
DROP TABLE match_policies;
