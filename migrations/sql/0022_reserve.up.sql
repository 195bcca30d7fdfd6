-- The share of a connection's limits that is kept for other applications of the same account; without it the connector says.
ALTER TABLE connections ADD COLUMN reserve_pct integer CHECK (reserve_pct BETWEEN 0 AND 90);
