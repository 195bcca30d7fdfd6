ALTER TABLE connections DROP COLUMN reserve_pct;
