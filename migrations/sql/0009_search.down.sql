DROP INDEX exceptions_of_message;
DROP INDEX IF EXISTS exceptions_record;
DROP INDEX messages_record;
DROP TABLE search_keys;
