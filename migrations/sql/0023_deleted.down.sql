ALTER TABLE poll_seen DROP COLUMN missing_since;
ALTER TABLE records DROP COLUMN deleted_at;
