-- X12 with partners: the control numbers of both sides, what came under theirs, and what waits for an answer under ours.
CREATE TABLE interchange_sequences (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id   uuid,                               -- Whose poll tells what is late: the one that met the partner first.
    us              text NOT NULL COLLATE "C",          -- Qualifier and id, as they stand in ISA.
    partner         text NOT NULL COLLATE "C",
    sent_number     integer NOT NULL DEFAULT 0 CHECK (sent_number BETWEEN 0 AND 999999999),  -- The last one that was given.
    received_number integer CHECK (received_number BETWEEN 1 AND 999999999),                 -- The newest one that was taken.
    UNIQUE (tenant_id, us, partner),                    -- A partner may be customer and supplier: its numbers are counted once.
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE SET NULL (connection_id)
);

-- Interchanges that came.
CREATE TABLE interchanges (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    sequence_id    uuid REFERENCES interchange_sequences ON DELETE CASCADE,
    file_id        uuid,                                -- The file that brought it, or the last one that repeated it.
    control_number integer,                             -- Null where it could not be read.
    hash           bytea,                               -- Of its bytes; SHA-256.
    state          text NOT NULL CHECK (state IN ('taking', 'taken', 'refused')),
    position       bigint NOT NULL DEFAULT 0,           -- Documents that are taken: of these
    refused        bigint NOT NULL DEFAULT 0,           -- so many sets that could not be read.
    missing        bigint NOT NULL DEFAULT 0,           -- Control numbers that were left out before it.
    repeats        integer NOT NULL DEFAULT 0,          -- How often it came again, and was acknowledged again.
    note           text,                                -- What its 997s say that belongs to nothing we wait for.
    failure        text,                                -- Why nothing of it was taken.
    received_at    timestamptz NOT NULL DEFAULT now(),
    ended_at       timestamptz,
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX interchanges_list ON interchanges (tenant_id, id);
CREATE INDEX interchanges_number ON interchanges (sequence_id, control_number, received_at) WHERE state IN ('taking', 'taken');

-- Groups of ours: each stands alone in an interchange of the same number. One of a delivery waits for its 997; one that is a 997 waits for nothing.
CREATE TABLE sent_groups (
    id             uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    connection_id  uuid NOT NULL,
    sequence_id    uuid NOT NULL REFERENCES interchange_sequences ON DELETE CASCADE,
    control_number integer NOT NULL CHECK (control_number BETWEEN 1 AND 999999999),
    functional_id  text NOT NULL,                       -- PO
    set_id         text NOT NULL,                       -- 850
    delivery_id    uuid REFERENCES deliveries ON DELETE CASCADE,
    resends        smallint NOT NULL DEFAULT 0,         -- Of the delivery: what is sent anew has another number.
    answers        uuid REFERENCES interchanges ON DELETE CASCADE,
    body           text,                                -- Of a 997, until it is sent.
    state          text NOT NULL DEFAULT 'planned'
                   CHECK (state IN ('planned', 'placed', 'sent', 'acknowledged', 'rejected')),  -- Placed: written, without its name.
    within_s       integer NOT NULL DEFAULT 0,          -- How long after it was sent its 997 may take.
    made_at        timestamptz NOT NULL DEFAULT now(),
    sent_at        timestamptz,
    late_at        timestamptz,
    answered_at    timestamptz,
    failure        text,                                -- What the partner says of one that it rejected.
    CHECK ((delivery_id IS NULL) <> (answers IS NULL)),
    UNIQUE (sequence_id, control_number),
    FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX sent_groups_list ON sent_groups (tenant_id, id);
CREATE UNIQUE INDEX sent_groups_delivery ON sent_groups (delivery_id, resends) WHERE delivery_id IS NOT NULL;
CREATE INDEX sent_groups_unwritten ON sent_groups (connection_id, control_number) WHERE answers IS NOT NULL AND state IN ('planned', 'placed');
CREATE INDEX sent_groups_unanswered ON sent_groups (sequence_id, late_at) WHERE delivery_id IS NOT NULL AND state = 'sent';

-- Groups of a partner that are late are one incident.
ALTER TABLE incidents ADD COLUMN sequence_id uuid REFERENCES interchange_sequences ON DELETE CASCADE;
ALTER TABLE incidents DROP CONSTRAINT incidents_of;
ALTER TABLE incidents ADD CONSTRAINT incidents_of
    CHECK (num_nonnulls(breaker_id, poll_id, subscription_check_id, series_id, sequence_id) <= 1);
CREATE UNIQUE INDEX incidents_sequence ON incidents (sequence_id) WHERE closed_at IS NULL;

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['interchange_sequences', 'interchanges', 'sent_groups'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO crossdock_app', t);
    END LOOP;
END $$;
