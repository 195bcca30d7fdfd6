DROP FUNCTION inventory_tenants();
DROP TABLE inventory_offers, inventory_items, inventory_facts, inventory_dues, inventory_kept, inventory_policies;
