-- The audit log is searched by whence something was asked for, too: the address and the trace of an event's actor are rows beside the ids of who did it. Rows and no
-- index of the JSON, for the reason of 0029: ->> may leak what it reads, so under row-level security it is asked after the policy and by no index. They come by the
-- trigger that is there: no table is changed, and processes of the release before write them as well. An event that has neither costs what it did. An address costs
-- a row, some 200 bytes with its two indices (measured), and a trace another.

-- What came before is found, too. All of it is read, while everything goes on.
SET LOCAL ROLE crossdock_system;
INSERT INTO audit_actors (tenant_id, actor_id, event_id)
SELECT e.tenant_id, v.value, e.id FROM audit_events e CROSS JOIN LATERAL jsonb_each_text(e.actor) v
WHERE e.actor ?| '{address,trace}' AND v.key IN ('address', 'trace')
ON CONFLICT DO NOTHING;
RESET ROLE;

-- And what came meanwhile: for that moment nothing is added, so that nothing falls between the last look and the trigger. The hour is that of clocks that differ.
LOCK TABLE audit_events IN SHARE MODE;
SET LOCAL ROLE crossdock_system;
INSERT INTO audit_actors (tenant_id, actor_id, event_id)
-- Tenant by tenant, because that is how the log's key begins: without it the whole month would be read while everybody waits.
SELECT e.tenant_id, v.value, e.id FROM tenants t
CROSS JOIN LATERAL (SELECT * FROM audit_events e WHERE e.tenant_id = t.id AND e.id >= uuid7_floor(now() - interval '1 hour')) e
CROSS JOIN LATERAL jsonb_each_text(e.actor) v
WHERE e.actor ?| '{address,trace}' AND v.key IN ('address', 'trace')
ON CONFLICT DO NOTHING;
RESET ROLE;

CREATE OR REPLACE FUNCTION audit_event_has_actors() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_actors (tenant_id, actor_id, event_id)
    SELECT DISTINCT f.tenant_id, v.value, f.id FROM fresh f CROSS JOIN LATERAL jsonb_each_text(f.actor) v
    -- Most events are a worker's own, and have nothing of it: they are left out before their actor is taken apart.
    WHERE (f.actor ->> 'kind' NOT IN ('system', 'vendor') OR f.actor ?| '{address,trace}')
      AND (f.actor ->> 'kind' NOT IN ('system', 'vendor') AND v.value ~ '^[a-z]{3}_[0-9a-f]{32}$' OR v.key IN ('address', 'trace'));
    RETURN NULL;
END $$;
