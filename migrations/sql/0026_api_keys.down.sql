DROP FUNCTION api_key_find(text), api_key_used(uuid);
DROP TABLE api_keys;
