-- Things that are not at their source any more.
ALTER TABLE records ADD COLUMN deleted_at timestamptz;          -- When that was told; it may be there again later.
-- Of a kind that is listed to its end each time: since which read it is not listed.
ALTER TABLE poll_seen ADD COLUMN missing_since timestamptz;
