-- A row of each thing that nothing in the story of permission_fields.rs brings, so that each of its fields is asked for. All of them are at their end: no
-- worker has anything to do with them. Where a person can stand in one, Ada does.
CREATE TEMP TABLE here AS
    SELECT d.tenant_id, f.source_connection_id AS source, d.connection_id AS destination, d.flow_id, d.flow_version_id, d.id AS delivery_id, d.record_id,
           d.revision_id, o.user_id AS owner, c.id AS credential_id,
           gen_random_uuid() AS poll, gen_random_uuid() AS file, gen_random_uuid() AS sequence, gen_random_uuid() AS interchange, gen_random_uuid() AS series,
           gen_random_uuid() AS reconciliation, gen_random_uuid() AS undo, gen_random_uuid() AS invoice
    FROM tenants t
    JOIN deliveries d ON d.tenant_id = t.id AND d.state = 'confirmed'
    JOIN flows f ON f.id = d.flow_id
    JOIN credentials c ON c.connection_id = d.connection_id
    JOIN members o ON o.tenant_id = t.id AND o.role = 'owner'
    WHERE t.slug = 'acme'
    ORDER BY d.id, o.user_id
    LIMIT 1;

-- What is read, and what came of it.
INSERT INTO polls (id, tenant_id, connection_id, kind, every_s, state, due_at, begun_at, ended_at, read_at, listed, brought, failures, failure)
    SELECT poll, tenant_id, source, 'customer', 300, 'paused', now() + interval '1 day', now(), now(), now(), 2, 1, 1, 'it was not read' FROM here;
INSERT INTO files (id, tenant_id, connection_id, poll_id, name, size, modified_at, state, brought, refused, failure, begun_at, read_at, ended_at)
    SELECT file, tenant_id, source, poll, 'orders.json', 2, now(), 'unreadable', 1, 1, 'line 2 is no JSON', now(), now(), now() FROM here;
INSERT INTO interchange_sequences (id, tenant_id, connection_id, us, partner) SELECT sequence, tenant_id, source, 'us', 'them' FROM here;
INSERT INTO interchanges (id, tenant_id, connection_id, sequence_id, file_id, control_number, state, refused, note, failure, ended_at)
    SELECT interchange, tenant_id, source, sequence, file, 1, 'taken', 1, 'one was refused', 'one was refused', now() FROM here;
INSERT INTO sent_groups (id, tenant_id, connection_id, sequence_id, control_number, functional_id, set_id, delivery_id, state, sent_at, late_at, answered_at, failure)
    SELECT gen_random_uuid(), tenant_id, source, sequence, 1, 'OW', '940', delivery_id, 'rejected', now(), now(), now(), 'N1 is missing' FROM here;
INSERT INTO backfills (id, tenant_id, connection_id, kind, since_at, until_at, state, estimate, listed, brought, failures, failure, started_by, ended_at)
    SELECT gen_random_uuid(), tenant_id, source, 'order', now() - interval '1 day', now(), 'failed', 2, 2, 1, 1, 'it was not read', '{}', now() FROM here;
INSERT INTO arrival_series (id, tenant_id, connection_id, kind, topic, begun_at, until_at, last_at, memory)
    SELECT series, tenant_id, source, 'return', 'returns/create', now(), now(), now(), '' FROM here;
INSERT INTO subscriptions (id, tenant_id, connection_id, topic, kind, state, vendor_id, expires_at, seen_at, restored_at, failure)
    SELECT gen_random_uuid(), tenant_id, source, 'orders/create', 'order', 'ended', '7', now(), now(), now(), 'the vendor says no' FROM here
    ON CONFLICT DO NOTHING;

-- What is wrong, or was.
INSERT INTO incidents (id, tenant_id, connection_id, operation, code, sentence, owner, next_step, probes, closed_at)
    SELECT gen_random_uuid(), tenant_id, source, 'order.list', 'outage.timeout', 'The vendor did not answer.', 'vendor', 'Wait.', 2, now() FROM here;
INSERT INTO drifts (id, tenant_id, connection_id, record_kind, side, path, what, value, has_value, before, after, news, risk, flows, state, closed_at)
    SELECT gen_random_uuid(), tenant_id, source, 'order', 'source', 'customer.state', 'new_value', 'vip', true, 'enabled', 'vip', '{"documents": 0, "fields": {}}', 'low',
           jsonb_build_array(jsonb_build_object('flow', 'flw_' || replace(flow_id::text, '-', ''), 'fields', jsonb_build_array('memo'))), 'resolved', now() FROM here;
INSERT INTO sunsets (id, tenant_id, connection_id, version, reason, served_version, ends_at, deprecated_at, link)
    SELECT gen_random_uuid(), tenant_id, source, '2026-01', 'announced_by_header', '2026-04', now() + interval '9 days', now(), 'https://shop.example.com/end' FROM here;
INSERT INTO reconciliation_schedules (flow_id, tenant_id, every_hours, back_hours, next_at) SELECT flow_id, tenant_id, 24, 24, now() + interval '1 day' FROM here;
INSERT INTO reconciliations (id, tenant_id, flow_id, state, from_at, until_at, is_proof, failure, started_by, ended_at)
    SELECT reconciliation, tenant_id, flow_id, 'failed', now() - interval '1 hour', now(), false, 'it was not read', '{}', now() FROM here;
INSERT INTO differences (id, tenant_id, reconciliation_id, flow_id, kind, thing, source_id, destination_id, record_id, delivery_id, fields, state, closed_at, closed_by, note)
    SELECT gen_random_uuid(), tenant_id, reconciliation, flow_id, 'different', '#L1', '1', '2', record_id, delivery_id,
           '[{"path": "customer.name", "ours": "Ada Byron", "theirs": "A. Byron"}]', 'accepted', now(), '{"kind": "operator"}', 'Ada Byron knows' FROM here;
INSERT INTO undos (id, tenant_id, flow_id, flow_version_id, version, goal, leaves_created, state, report, failure, started_by, approved_by, approved_at, why, ended_at)
    SELECT undo, tenant_id, flow_id, flow_version_id, 1, 'previous', false, 'done',
           '{"values": {"fields": [{"field": "customer.name", "examples": [{"path": "customer.name", "before": "Ada Byron", "after": "Augusta King"}]}]}}',
           'it was not asked', '{}', '{}', now(), 'Ada Byron rang', now() FROM here;
INSERT INTO undo_items (id, tenant_id, undo_id, delivery_id, record_id, kind, code, sentence, owner, next_step, is_exact, changes)
    SELECT gen_random_uuid(), tenant_id, undo, delivery_id, record_id, 'restore', 'restore', 'It comes back.', 'operations', 'Approve it.', true,
           '[{"path": "customer.name", "sent": "Augusta King", "previous": "Ada Byron", "will": "Ada Byron"}]' FROM here;

-- What is told, and to whom.
INSERT INTO alerts (id, tenant_id, receiver_id, content, state, failure, sent_at)
    SELECT gen_random_uuid(), r.tenant_id, r.id,
           jsonb_build_object('tenant', 'acme', 'is_escalated', false, 'more', 0, 'groups', jsonb_build_array(jsonb_build_object('id', 'x', 'causeKey', e.cause_key,
               'code', e.code, 'cause', e.cause, 'owner', e.owner, 'nextStep', e.next_step, 'count', 1, 'firstAt', now(), 'lastAt', now(), 'money', '[]'::jsonb))),
           'failed', 'nobody is there', now()
    FROM alert_receivers r JOIN exceptions e USING (tenant_id) WHERE r.name = 'ops' AND e.code = 'no_entry' LIMIT 1;
UPDATE alert_receivers SET sent_at = now(), failed_at = now(), failure = 'nobody is there';
UPDATE audit_streams SET sent_at = now(), failed_at = now(), failure = 'nobody is there', is_paused = true, cursor = 0;

-- What is paid.
INSERT INTO plan_agreements (tenant_id, from_day, plan)
    SELECT tenant_id, '2020-01-01', jsonb_build_object('id', 'growth', 'name', 'Growth', 'currency', 'EUR', 'valid_from', '2020-01-01', 'base_fee', '100.00', 'meters',
           jsonb_build_object('message_accepted', meter, 'delivery_confirmed', meter, 'vendor_call', meter))
    FROM here, (SELECT '{"included": 0, "beyond": [{"price": "0.01"}]}'::jsonb AS meter) AS m;
INSERT INTO billing_accounts (tenant_id, currency, next_month, due_at) SELECT tenant_id, 'EUR', date_trunc('month', now()), now() + interval '60 days' FROM here;
INSERT INTO invoices (tenant_id, id, number, month, corrects, currency, total, lines, tenant_name)
    SELECT tenant_id, i.id, i.number, '2026-01-01', i.corrects, 'EUR', i.total, i.lines, 'acme' FROM here, LATERAL (VALUES
        (invoice, 1, NULL::uuid, 1.00, '[{"kind": "usage", "plan": "Growth", "from": "2026-01-01", "to": "2026-01-31", "meter": "vendor_call", "used": 2, "included": 1,
          "beyond": 1, "charges": [{"quantity": 1, "price": "1.00", "amount": "1.00"}], "fee": null, "amount": "1.00"}]'::jsonb),
        (gen_random_uuid(), 2, invoice, -1.00, '[{"kind": "credit", "plan": null, "from": "2026-01-01", "to": "2026-01-31", "meter": null, "used": 0, "included": 0,
          "beyond": 0, "charges": [], "fee": "0.00", "reason": "it was ours", "amount": "-1.00"}]'::jsonb)) AS i (id, number, corrects, total, lines);

-- What is let in, and what goes.
UPDATE api_keys SET last_used_at = now() WHERE last_used_at IS NULL;
UPDATE credentials SET ends_at = now() + interval '9 days', ends_kind = 'secret' WHERE id = (SELECT credential_id FROM here);
INSERT INTO connection_probes (connection_id, tenant_id, due_at, probed_at, outcome, code, sentence, owner, next_step, took_ms)
    SELECT destination, tenant_id, now() + interval '1 day', now(), 'fails', 'authentication.x', 'It does not answer.', 'operations', 'Connect it again.', 5 FROM here
    ON CONFLICT (connection_id) DO UPDATE SET due_at = excluded.due_at, lease_id = NULL, lease_until = NULL, asked_at = NULL, probed_at = excluded.probed_at,
        outcome = excluded.outcome, code = excluded.code, sentence = excluded.sentence, owner = excluded.owner, next_step = excluded.next_step, took_ms = excluded.took_ms;
INSERT INTO rotations (id, tenant_id, connection_id, way, state, old_credential_id, label, overlap_until, code, sentence, owner, next_step)
    SELECT gen_random_uuid(), tenant_id, destination, 'guided', 'failed', credential_id, 'crossdock', now(), 'x', 'It was refused.', 'operations', 'Begin again.' FROM here;
INSERT INTO passkeys (id, user_id, name, credential_id, credential, sign_count, last_used_at)
    SELECT gen_random_uuid(), user_id, 'phone', decode(replace(user_id::text, '-', ''), 'hex'), '{}', 0, now() FROM members;
INSERT INTO sign_in_policies (tenant_id, set_by) SELECT tenant_id, owner FROM here ON CONFLICT DO NOTHING;
INSERT INTO tenant_deletions (tenant_id, asked_by, why, deletes_at, due_at) SELECT tenant_id, owner, 'it moves', now() + interval '7 days', now() + interval '7 days' FROM here;
INSERT INTO connection_consents (id, tenant_id, connection_id, credential_id, settings, user_id, session_id, state_hash, browser_hash, begun_at, expires_at, taken_at,
        ended_at, outcome, said)
    SELECT gen_random_uuid(), h.tenant_id, c.id, k.id, '{}', h.owner, gen_random_uuid(), sha256('state'), sha256('browser'), now(), now(), now(), now(), 'denied', 'no'
    FROM here h JOIN connections c ON c.tenant_id = h.tenant_id AND c.connector = 'quickbooks-online' JOIN credentials k ON k.connection_id = c.id;
