-- The master key is replaced while everything runs: what it has wrapped is wrapped anew, some tenants at a time.

-- Which master keys have wrapped what, for a process that starts: one that lacks a key must not.
CREATE FUNCTION master_keys() RETURNS TABLE (master_key_id text, data_keys bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.master_key_id, count(*) FROM data_keys k GROUP BY k.master_key_id ORDER BY k.master_key_id
$$;

-- The next data keys that another master key than `ours` has wrapped.
CREATE FUNCTION data_keys_of_others(ours text, after_tenant uuid, after_version integer, count_max integer)
    RETURNS TABLE (tenant_id uuid, version integer, master_key_id text, wrapped bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.tenant_id, k.version, k.master_key_id, k.wrapped FROM data_keys k
    WHERE k.master_key_id <> ours AND (k.tenant_id, k.version) > (after_tenant, after_version)
    ORDER BY k.tenant_id, k.version LIMIT count_max
$$;

-- Each only where it is still what was read: of two that rotate at once the second changes nothing.
CREATE FUNCTION data_keys_rewrap(ours text, tenants uuid[], versions integer[], olds bytea[], news bytea[]) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE data_keys k SET master_key_id = ours, wrapped = i.new
    FROM unnest(tenants, versions, olds, news) AS i (tenant_id, version, old, new)
    WHERE k.tenant_id = i.tenant_id AND k.version = i.version AND k.wrapped = i.old
    RETURNING k.tenant_id
$$;

GRANT UPDATE (master_key_id, wrapped) ON data_keys TO crossdock_system;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY['master_keys()', 'data_keys_of_others(text, uuid, integer, integer)',
        'data_keys_rewrap(text, uuid[], integer[], bytea[], bytea[])']::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
