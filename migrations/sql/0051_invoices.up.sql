-- What a tenant pays: which plan it is on from which day, and what it was billed for each month. An invoice is closed once, in one transaction with its
-- number, and never changes: what was wrong is given back by a credit note, which is a row of its own in the same series of numbers.

-- One row for each tenant that is or will be on a plan. It is locked by whoever closes a month, agrees a plan or gives a credit.
CREATE TABLE billing_accounts (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    currency    text NOT NULL CHECK (length(currency) = 3),
    next_month  date NOT NULL CHECK (extract(day FROM next_month) = 1),   -- The month that is invoiced next.
    due_at      timestamptz NOT NULL                                      -- When; later while a worker is at it.
);
CREATE INDEX billing_accounts_due ON billing_accounts (due_at);

-- The plan as it was when it was agreed: the file it came from may change.
CREATE TABLE plan_agreements (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    from_day    date NOT NULL,
    plan        jsonb NOT NULL,
    agreed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, from_day)
);

-- One row: the last number of this installation. It is locked from when a number is taken until that is committed, so a number that was not used is the
-- next one's.
CREATE TABLE invoice_numbers (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last     bigint NOT NULL DEFAULT 0
);
INSERT INTO invoice_numbers DEFAULT VALUES;

-- What was billed outlasts the tenant's other rows.
CREATE TABLE invoices (
    tenant_id    uuid NOT NULL REFERENCES tenants,
    id           uuid NOT NULL UNIQUE,
    number       bigint NOT NULL UNIQUE CHECK (number > 0),
    month        date NOT NULL CHECK (extract(day FROM month) = 1),
    corrects     uuid REFERENCES invoices (id),                           -- Of a credit note: the invoice it gives back of.
    currency     text NOT NULL CHECK (length(currency) = 3),
    total        numeric NOT NULL,
    lines        jsonb NOT NULL,
    tenant_name  text NOT NULL,
    closed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, number),
    CHECK (corrects IS NULL OR total <= 0)
);
CREATE UNIQUE INDEX invoices_month ON invoices (tenant_id, month) WHERE corrects IS NULL;
CREATE INDEX invoices_corrects ON invoices (corrects) WHERE corrects IS NOT NULL;

CREATE FUNCTION invoice_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'invoice % is closed and stays as it is; what is wrong in it is given back by a credit note', OLD.number;
END $$;
CREATE TRIGGER invoices_guard BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION invoice_stays();

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['billing_accounts', 'plan_agreements', 'invoices'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT USING (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('CREATE POLICY system ON %I TO crossdock_system USING (true) WITH CHECK (true)', t);
        -- The application reads; what it writes goes by the functions below.
        EXECUTE format('GRANT SELECT ON %I TO crossdock_app', t);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO crossdock_system', t);
    END LOOP;
END $$;
ALTER TABLE invoice_numbers ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoice_numbers FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON invoice_numbers TO crossdock_system USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE ON invoice_numbers TO crossdock_system;
GRANT UPDATE ON billing_accounts, plan_agreements TO crossdock_system;

-- When a month is closed: a day after its end. What counts into it was written by transactions that began in it, and none of ours lasts an hour.
CREATE FUNCTION invoice_due_at(month date) RETURNS timestamptz LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT ((month + interval '1 month' + interval '1 day') AT TIME ZONE 'UTC')
$$;

-- Operator: the tenant is on a plan from a day on. Refused where that day's month was billed, or the currency is another than it is billed in.
CREATE FUNCTION plan_agree(whose text, day date, its_plan jsonb) RETURNS TABLE (refusal text, tenant_id uuid, next_month date)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE whom uuid; account billing_accounts; of_day date := date_trunc('month', day)::date;
BEGIN
    SELECT t.id INTO whom FROM tenants t WHERE t.slug = whose;
    IF whom IS NULL THEN
        RETURN QUERY SELECT 'tenant', NULL::uuid, NULL::date;
        RETURN;
    END IF;
    INSERT INTO billing_accounts AS b (tenant_id, currency, next_month, due_at)
        VALUES (whom, its_plan->>'currency', of_day, invoice_due_at(of_day)) ON CONFLICT DO NOTHING;
    SELECT b.* INTO account FROM billing_accounts b WHERE b.tenant_id = whom FOR UPDATE;
    IF account.currency <> its_plan->>'currency' THEN
        refusal := 'currency ' || account.currency;
    ELSIF of_day < account.next_month AND EXISTS (SELECT FROM invoices i WHERE i.tenant_id = whom) THEN
        refusal := 'closed';
    ELSE
        INSERT INTO plan_agreements AS a (tenant_id, from_day, plan) VALUES (whom, day, its_plan)
            ON CONFLICT ON CONSTRAINT plan_agreements_pkey DO UPDATE SET plan = EXCLUDED.plan, agreed_at = now();
        -- Before the first invoice the first month is that of the first plan.
        UPDATE billing_accounts b SET next_month = of_day, due_at = invoice_due_at(of_day) WHERE b.tenant_id = whom AND of_day < b.next_month;
    END IF;
    RETURN QUERY SELECT refusal, whom, b.next_month FROM billing_accounts b WHERE b.tenant_id = whom;
END $$;

-- Workers: months of any tenant that are due, each leased to one worker.
CREATE FUNCTION invoices_take(count_max integer, lease interval) RETURNS TABLE (tenant_id uuid, month date)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT b.tenant_id FROM billing_accounts b WHERE b.due_at <= now() ORDER BY b.due_at LIMIT count_max FOR UPDATE SKIP LOCKED
    )
    UPDATE billing_accounts b SET due_at = now() + lease FROM due WHERE b.tenant_id = due.tenant_id AND b.due_at <= now()
    RETURNING b.tenant_id, b.next_month
$$;

-- Locks the tenant's account until the transaction ends; true where the month is the one that is next, and its time has come.
CREATE FUNCTION invoice_begin(its_month date) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce((SELECT b.next_month = its_month AND invoice_due_at(its_month) <= now()
                     FROM billing_accounts b WHERE b.tenant_id = current_tenant() FOR UPDATE), false)
$$;

CREATE FUNCTION invoice_number() RETURNS bigint LANGUAGE sql SET search_path = public, pg_temp AS $$
    UPDATE invoice_numbers SET last = last + 1 RETURNING last
$$;

-- Closes the month that `invoice_begin` has locked; its number.
CREATE FUNCTION invoice_close(invoice uuid, its_month date, its_currency text, its_total text, its_lines jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE taken bigint;
BEGIN
    IF NOT invoice_begin(its_month) THEN
        RAISE EXCEPTION 'the month % is not the one that is closed next', its_month;
    END IF;
    taken := invoice_number();
    INSERT INTO invoices (tenant_id, id, number, month, currency, total, lines, tenant_name)
        SELECT t.id, invoice, taken, its_month, its_currency, its_total::numeric, its_lines, t.name FROM tenants t WHERE t.id = current_tenant();
    UPDATE billing_accounts b SET next_month = (its_month + interval '1 month')::date, due_at = invoice_due_at((its_month + interval '1 month')::date)
        WHERE b.tenant_id = current_tenant();
    RETURN taken;
END $$;

-- Operator: an invoice by its number, with what credit notes have given back of it; its account is locked until the transaction ends.
CREATE FUNCTION invoice_find(its_number bigint)
    RETURNS TABLE (tenant_id uuid, id uuid, month date, currency text, total text, credited text, is_credit_note boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM billing_accounts b JOIN invoices i ON i.tenant_id = b.tenant_id WHERE i.number = its_number FOR UPDATE OF b;
    RETURN QUERY SELECT i.tenant_id, i.id, i.month, i.currency, i.total::text,
            (SELECT coalesce(-sum(c.total), 0)::text FROM invoices c WHERE c.corrects = i.id), i.corrects IS NOT NULL
        FROM invoices i WHERE i.number = its_number;
END $$;

-- Operator: gives back of an invoice; the number of the credit note. Never more than was billed.
CREATE FUNCTION invoice_credit(note uuid, its_number bigint, amount text, its_lines jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE of_it record; taken bigint;
BEGIN
    SELECT f.* INTO of_it FROM invoice_find(its_number) f;
    IF of_it.id IS NULL OR of_it.is_credit_note OR amount::numeric <= 0 OR amount::numeric > of_it.total::numeric - of_it.credited::numeric THEN
        RAISE EXCEPTION 'of invoice % no % can be given back', its_number, amount;
    END IF;
    taken := invoice_number();
    INSERT INTO invoices (tenant_id, id, number, month, corrects, currency, total, lines, tenant_name)
        SELECT t.id, note, taken, of_it.month, of_it.id, of_it.currency, -(amount::numeric), its_lines, t.name FROM tenants t WHERE t.id = of_it.tenant_id;
    RETURN taken;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    EXECUTE 'GRANT CREATE ON SCHEMA public TO crossdock_system';
    FOREACH f IN ARRAY ARRAY[
        'plan_agree(text, date, jsonb)', 'invoices_take(integer, interval)', 'invoice_begin(date)', 'invoice_close(uuid, date, text, text, jsonb)',
        'invoice_find(bigint)', 'invoice_credit(uuid, bigint, text, jsonb)', 'invoice_due_at(date)'
    ]::regprocedure[] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO crossdock_app', f);
        EXECUTE format('ALTER FUNCTION %s OWNER TO crossdock_system', f);
    END LOOP;
    REVOKE ALL ON FUNCTION invoice_number() FROM PUBLIC;
    ALTER FUNCTION invoice_number() OWNER TO crossdock_system;
    EXECUTE 'REVOKE CREATE ON SCHEMA public FROM crossdock_system';
END $$;
