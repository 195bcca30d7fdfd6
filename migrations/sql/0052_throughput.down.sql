DROP INDEX deliveries_settled;
REVOKE DELETE ON match_policies FROM crossdock_app;
