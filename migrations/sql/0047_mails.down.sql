DROP FUNCTION mail_put(uuid, uuid, uuid, text, bytea, timestamptz), mails_take(integer, interval), mail_sent(uuid), mail_failed(uuid, text, timestamptz),
    mails_withdraw(uuid), mails_of_others(text, uuid, integer), mails_reseal(text, uuid[], bytea[], bytea[]), master_keys();
DROP TABLE mails;

CREATE FUNCTION master_keys() RETURNS TABLE (master_key_id text, data_keys bigint, second_factors bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.id, sum(k.data_key)::bigint, sum(k.second_factor)::bigint
    FROM (SELECT d.master_key_id, 1, 0 FROM data_keys d UNION ALL SELECT f.master_key_id, 0, 1 FROM second_factors f)
        AS k (id, data_key, second_factor)
    GROUP BY k.id ORDER BY k.id
$$;
DO $$
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    EXECUTE 'REVOKE ALL ON FUNCTION master_keys() FROM PUBLIC';
    EXECUTE 'GRANT EXECUTE ON FUNCTION master_keys() TO crossdock_app';
    EXECUTE 'ALTER FUNCTION master_keys() OWNER TO crossdock_system';
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;

CREATE OR REPLACE FUNCTION support_request_create(request uuid, person uuid, whom_id uuid, whom_slug text, why text, its_ticket text, writes boolean)
    RETURNS TABLE (refusal text, tenant_id uuid, tenant_name text, staff_name text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE whom tenants; who users;
BEGIN
    -- One act of each of the staff at a time.
    PERFORM 1 FROM staff s WHERE s.user_id = person FOR UPDATE;
    refusal := support_refusal(person);
    SELECT t.* INTO whom FROM tenants t WHERE t.id = whom_id OR t.slug = whom_slug;
    SELECT u.* INTO who FROM users u WHERE u.id = person;
    IF refusal IS NULL AND whom.id IS NULL THEN
        refusal := 'tenant';
    ELSIF refusal IS NULL AND EXISTS (SELECT FROM support_requests r
            WHERE r.tenant_id = whom.id AND r.user_id = person AND r.answered_at IS NULL AND r.expires_at > now()) THEN
        refusal := 'waits';
    END IF;
    IF refusal IS NULL THEN
        INSERT INTO support_requests (id, tenant_id, user_id, staff_name, staff_email, reason, ticket, wants_write)
            VALUES (request, whom.id, person, coalesce(nullif(who.name, ''), who.email), who.email, why, its_ticket, writes);
    END IF;
    RETURN QUERY SELECT refusal, whom.id, whom.name, coalesce(nullif(who.name, ''), who.email);
END $$;
