DROP FUNCTION master_keys(), data_keys_of_others(text, uuid, integer, integer), data_keys_rewrap(text, uuid[], integer[], bytea[], bytea[]);
REVOKE UPDATE (master_key_id, wrapped) ON data_keys FROM crossdock_system;
