DROP FUNCTION audit_streams_take(integer, interval);
DROP TABLE audit_streams;
