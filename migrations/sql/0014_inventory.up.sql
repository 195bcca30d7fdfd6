-- Inventory: what there is of an item over all connections, what open orders have reserved of it, and what each seller may offer. It is added up
-- beside the way of orders from what records say; nothing here is the only copy of anything.

-- What is the stock and who sells it; without a row nothing is added up.
CREATE TABLE inventory_policies (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    policy      jsonb NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- What is kept back of one item, in place of what the policy says: from one seller, or (connection_id null) from everybody.
CREATE TABLE inventory_kept (
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    sku            text NOT NULL COLLATE "C",
    connection_id  uuid,
    quantity       numeric NOT NULL CHECK (quantity >= 0),
    UNIQUE NULLS NOT DISTINCT (tenant_id, sku, connection_id)
);

-- Records that changed and that the stock, its reservations or an offer follow from. Written in the transaction that stores the revision.
CREATE TABLE inventory_dues (
    record_id   uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    asked       bigint NOT NULL DEFAULT 1,              -- Grows with each change: one that came while it was read is not lost.
    due_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inventory_dues_due ON inventory_dues (tenant_id, due_at);

-- What the last revision of a record says of an item: a level, what an order wants of it, what a shipment took.
CREATE TABLE inventory_facts (
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    record_id      uuid NOT NULL,
    sku            text NOT NULL COLLATE "C",           -- In small letters: items are one across connections by it.
    location       text NOT NULL DEFAULT '',
    kind           text NOT NULL CHECK (kind IN ('level', 'delta', 'hold', 'shipped')),
    connection_id  uuid NOT NULL,
    order_id       uuid,                                -- Of a shipment: the order it belongs to, where it is known.
    on_hand        numeric,
    available      numeric,
    committed      numeric,
    damaged        numeric,
    safety_stock   numeric,
    quantity       numeric,                             -- Of a hold, or of what was shipped.
    backorders     boolean NOT NULL DEFAULT false,
    placed_at      timestamptz,                         -- Of a hold: when its order was placed.
    ended_at       timestamptz,                         -- Of a hold: when its order was completed. Of a shipment: when it left.
    PRIMARY KEY (record_id, sku, location)
);
CREATE INDEX inventory_facts_sku ON inventory_facts (tenant_id, sku);

-- The items that any fact names, and when each is to be added up again.
CREATE TABLE inventory_items (
    tenant_id    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    sku          text NOT NULL COLLATE "C",
    shown        text NOT NULL,                         -- As it was first written.
    check_at     timestamptz,                           -- Null while nothing is to be done.
    risk_since   timestamptz,                           -- Since when a seller offers too much of it, or too much was sold.
    PRIMARY KEY (tenant_id, sku)
);
CREATE INDEX inventory_items_check ON inventory_items (tenant_id, check_at) WHERE check_at IS NOT NULL;
CREATE INDEX inventory_items_risk ON inventory_items (tenant_id, sku) WHERE risk_since IS NOT NULL;

-- What a seller was last told that it may offer, by a message of the connection that the policy names for it.
CREATE TABLE inventory_offers (
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    sku            text NOT NULL COLLATE "C",
    quantity       numeric NOT NULL,
    message_id     uuid NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, sku, connection_id)
);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['inventory_policies', 'inventory_kept', 'inventory_dues', 'inventory_facts', 'inventory_items', 'inventory_offers'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_app', t);
    END LOOP;
    CREATE POLICY system ON inventory_dues TO crossdock_system USING (true) WITH CHECK (true);
    CREATE POLICY system ON inventory_items TO crossdock_system USING (true) WITH CHECK (true);
END $$;
GRANT SELECT ON inventory_dues, inventory_items TO crossdock_system;

-- Workers: tenants whose stock has something to be read or added up. Who works on a tenant's stock locks it, so that the rows need no lease.
CREATE FUNCTION inventory_tenants() RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE dues AS (
        (SELECT d.tenant_id FROM inventory_dues d ORDER BY d.tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.tenant_id FROM inventory_dues d WHERE d.tenant_id > p.tenant_id ORDER BY d.tenant_id LIMIT 1)
        FROM dues p WHERE p.tenant_id IS NOT NULL
    ), items AS (
        (SELECT i.tenant_id FROM inventory_items i WHERE i.check_at IS NOT NULL ORDER BY i.tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT i.tenant_id FROM inventory_items i WHERE i.check_at IS NOT NULL AND i.tenant_id > p.tenant_id ORDER BY i.tenant_id LIMIT 1)
        FROM items p WHERE p.tenant_id IS NOT NULL
    )
    SELECT t.tenant_id FROM (SELECT tenant_id FROM dues UNION SELECT tenant_id FROM items) t
    WHERE t.tenant_id IS NOT NULL
      AND (EXISTS (SELECT FROM inventory_dues d WHERE d.tenant_id = t.tenant_id AND d.due_at <= now())
        OR EXISTS (SELECT FROM inventory_items i WHERE i.tenant_id = t.tenant_id AND i.check_at <= now()))
$$;

DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    REVOKE ALL ON FUNCTION inventory_tenants() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION inventory_tenants() TO crossdock_app;
    ALTER FUNCTION inventory_tenants() OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
