-- What was confirmed, by lane and when: how much goes now and how long it takes is read by this, whatever the history holds.
CREATE INDEX deliveries_settled ON deliveries (tenant_id, lane, settled_at) WHERE state IN ('confirmed', 'reconciled') AND undoes IS NULL;

-- Orders are not compared any more where a tenant says so.
GRANT DELETE ON match_policies TO crossdock_app;
