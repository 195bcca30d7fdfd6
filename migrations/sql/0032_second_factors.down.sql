DROP FUNCTION second_factor_begin(uuid, text, bytea), second_factor_find(uuid), second_factor_confirm(uuid, bytea, bigint, bytea[], uuid),
    second_factor_try(uuid), second_factor_use(uuid, bigint), recovery_code_use(uuid, bytea), recovery_codes_set(uuid, bytea[]),
    second_factor_remove(uuid), second_factors_of_others(text, uuid, integer), second_factors_reseal(text, uuid[], bytea[], bytea[]), master_keys();
DROP TABLE second_factors, recovery_codes;

CREATE FUNCTION master_keys() RETURNS TABLE (master_key_id text, data_keys bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.master_key_id, count(*) FROM data_keys k GROUP BY k.master_key_id ORDER BY k.master_key_id
$$;
DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    EXECUTE 'REVOKE ALL ON FUNCTION master_keys() FROM PUBLIC';
    EXECUTE 'GRANT EXECUTE ON FUNCTION master_keys() TO crossdock_app';
    EXECUTE 'ALTER FUNCTION master_keys() OWNER TO crossdock_system';
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
