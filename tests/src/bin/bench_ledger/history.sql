-- The history of one tenant, made of the rows of one order that the platform itself has delivered: every row is copied with ids of its own, in the
-- partition of its time, and says its own number, ids, SKUs and customer. Run once for each batch of orders; {from} and {to} are their numbers,
-- {first_ms} and {step_ms} their times. Every 10th order was shipped, every 20th was changed once, every 50th failed once and was tried again.

CREATE TEMP TABLE batch ON COMMIT DROP AS
SELECT n, {first_ms} + n * {step_ms} AS ms, n % {customers} AS customer, 'SKU-' || n % 5000 AS sku1, 'SKU-' || (n * 7 + 3) % 5000 AS sku2,
       8000000000000 + n AS source_id, 900000000 + n AS receipt, n % 20 = 0 AS is_changed, n % 50 = 1 AS has_failed, n % 10 = 3 AS is_shipped
FROM generate_series({from}::bigint, {to}::bigint) AS n;

INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, thin, body, received_at, state, record_id, sweep_at)
SELECT bench_id(b.ms + v * 60000, b.n, 1 + v), m.tenant_id, m.connection_id, m.origin, m.topic, 'history-' || b.n || '-' || v, m.record_kind,
       b.source_id::text, m.thin, convert_to(replace(replace(replace(replace(replace(s.body, s.source_id, b.source_id::text), '#L0', '#H' || b.n),
           'ada@example.com', 'c' || b.customer || '@example.com'), 'TEE-M', b.sku1), 'MUG-S', b.sku2), 'UTF8'),
       to_timestamp((b.ms + v * 60000) / 1000.0), 'mapped', bench_id(b.ms + 40, b.n, 16), to_timestamp((b.ms + v * 60000) / 1000.0)
FROM batch b CROSS JOIN generate_series(0, 1) AS v CROSS JOIN bench_sample s JOIN messages m ON m.id = s.message_id
WHERE v = 0 OR b.is_changed;

INSERT INTO message_keys (tenant_id, connection_id, dedupe_key, message_id)
SELECT s.tenant_id, s.source, 'history-' || b.n || '-' || v, bench_id(b.ms + v * 60000, b.n, 1 + v)
FROM batch b CROSS JOIN generate_series(0, 1) AS v CROSS JOIN bench_sample s WHERE v = 0 OR b.is_changed;

INSERT INTO records (id, tenant_id, kind, connection_id, source_id, number, search, revision, revision_id, content_hash, source_updated_at, created_at, updated_at)
SELECT bench_id(b.ms + 40, b.n, 16), s.tenant_id, 'order', s.source, b.source_id::text, '#H' || b.n,
       '#h' || b.n || ' ' || b.source_id || ' c' || b.customer || '@example.com', 1 + b.is_changed::int,
       bench_id(b.ms + 40 + b.is_changed::int * 60000, b.n, 17 + b.is_changed::int), sha256(b.n::text::bytea),
       to_timestamp(b.ms / 1000.0), to_timestamp(b.ms / 1000.0), to_timestamp(b.ms / 1000.0)
FROM batch b CROSS JOIN bench_sample s;

INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document, created_at, recipe_id)
SELECT bench_id(b.ms + 40 + v * 60000, b.n, 17 + v), s.tenant_id, bench_id(b.ms + 40, b.n, 16), 1 + v, bench_id(b.ms + v * 60000, b.n, 1 + v),
       replace(replace(replace(replace(replace(s.document, s.source_id, b.source_id::text), '#L0', '#H' || b.n),
           'ada@example.com', 'c' || b.customer || '@example.com'), 'TEE-M', b.sku1), 'MUG-S', b.sku2),
       to_timestamp((b.ms + v * 60000) / 1000.0), s.read_recipe
FROM batch b CROSS JOIN generate_series(0, 1) AS v CROSS JOIN bench_sample s WHERE v = 0 OR b.is_changed;

INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id)
SELECT s.tenant_id, i.connection_id, 'order', i.value, bench_id(b.ms + 40, b.n, 16)
FROM batch b CROSS JOIN bench_sample s CROSS JOIN LATERAL (VALUES (s.source, b.source_id::text), (s.destination, b.receipt::text)) AS i (connection_id, value);

INSERT INTO search_keys (tenant_id, kind, value, record_id)
SELECT s.tenant_id, k.kind, k.value, bench_id(b.ms + 40, b.n, 16)
FROM batch b CROSS JOIN bench_sample s JOIN bench_customers c ON c.n = b.customer
CROSS JOIN LATERAL (VALUES ('number', 'h' || b.n), ('email', c.hash), ('sku', lower(b.sku1)), ('sku', lower(b.sku2))) AS k (kind, value)
ON CONFLICT DO NOTHING;

INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, state, attempts, attempt_id, due_at,
                        sweep_at, receipt_id, origin_at, planned_at, settled_at, calls_done)
SELECT bench_id(b.ms + 41 + v * 60000, b.n, 20 + v), s.tenant_id, s.flow_id, s.flow_version_id, bench_id(b.ms + 40, b.n, 16), 1 + v,
       bench_id(b.ms + 40 + v * 60000, b.n, 17 + v), s.destination, 'confirmed', 1 + b.has_failed::int, bench_id(b.ms + 60 + v * 60000, b.n, 24 + v), t.at,
       t.at, b.receipt::text, t.at, t.at + interval '40 ms', t.at + interval '100 ms', 1
FROM batch b CROSS JOIN generate_series(0, 1) AS v CROSS JOIN bench_sample s
CROSS JOIN LATERAL (SELECT to_timestamp((b.ms + v * 60000) / 1000.0) AS at) AS t WHERE v = 0 OR b.is_changed;

-- The last one of each was stored; one that failed came before it.
INSERT INTO attempts (id, tenant_id, delivery_id, number, kind, method, url, request, started_at, ended_at, outcome, status, answer, fault, recipe_id)
SELECT bench_id(t.ms, b.n, 24 + v), s.tenant_id, bench_id(b.ms + 41 + w.of * 60000, b.n, 20 + w.of), w.number, a.kind, a.method, a.url,
       convert_to(replace(replace(replace(s.request, s.source_id, b.source_id::text), '#L0', '#H' || b.n), 'ada@example.com', 'c' || b.customer || '@example.com'), 'UTF8'),
       to_timestamp(t.ms / 1000.0), to_timestamp((t.ms + 35) / 1000.0), CASE WHEN v = 2 THEN 'failed' ELSE 'stored' END, CASE WHEN v = 2 THEN 400 ELSE a.status END, a.answer,
       CASE WHEN v = 2 THEN '{"class": "validation", "code": "INVALID_CONTENT", "reason": "The item is closed", "owner": "operations", "fix": "Open it."}'::jsonb END,
       s.write_recipe
FROM batch b CROSS JOIN generate_series(0, 2) AS v CROSS JOIN bench_sample s JOIN attempts a ON a.id = s.attempt_id
CROSS JOIN LATERAL (SELECT CASE WHEN v = 2 THEN b.ms + 50 ELSE b.ms + 60 + v * 60000 END AS ms) AS t
CROSS JOIN LATERAL (SELECT CASE WHEN v = 1 THEN 1 ELSE 0 END AS of, CASE WHEN v = 0 AND b.has_failed THEN 2 ELSE 1 END AS number) AS w
WHERE v = 0 OR v = 1 AND b.is_changed OR v = 2 AND b.has_failed;

INSERT INTO exceptions (id, tenant_id, cause_key, state, code, sentence, cause, owner, next_step, delivery_id, record_id, flow_id, connection_id, resolution,
                        opened_at, closed_at)
SELECT bench_id(b.ms + 55, b.n, 30), s.tenant_id, s.flow_id || '|validation.INVALID_CONTENT', 'resolved', 'validation.INVALID_CONTENT',
       'Order #H' || b.n || ' was not confirmed by NetSuite: the item is closed.', 'The item is closed.', 'operations', 'Open it, then press Retry.',
       bench_id(b.ms + 41, b.n, 20), bench_id(b.ms + 40, b.n, 16), s.flow_id, s.destination, 'Tried again', t.at, t.at + interval '10 minutes'
FROM batch b CROSS JOIN bench_sample s CROSS JOIN LATERAL (SELECT to_timestamp((b.ms + 55) / 1000.0) AS at) AS t WHERE b.has_failed;

INSERT INTO audit_events (id, tenant_id, at, actor, action, subject_kind, subject_id, request_id, detail)
SELECT bench_id(b.ms + e.after, b.n, 40 + e.salt), s.tenant_id, to_timestamp((b.ms + e.after) / 1000.0), '{"kind": "system", "stage": "bench"}', e.action,
       e.subject_kind, e.subject_id, bench_id(b.ms, b.n, 39), e.detail
FROM batch b CROSS JOIN bench_sample s CROSS JOIN LATERAL (VALUES
    (1, 1, 'message.received', 'message', bench_id(b.ms, b.n, 1), NULL, true),
    (42, 2, 'message.mapped', 'message', bench_id(b.ms, b.n, 1), NULL, true),
    (43, 3, 'delivery.planned', 'delivery', bench_id(b.ms + 41, b.n, 20), NULL, true),
    (61, 4, 'attempt.started', 'delivery', bench_id(b.ms + 41, b.n, 20), '{"attempt":1,"call":"write"}', true),
    (96, 5, 'attempt.confirmed', 'delivery', bench_id(b.ms + 41, b.n, 20), '{"outcome":"stored","status":200,"code":null}', true),
    (60001, 6, 'message.received', 'message', bench_id(b.ms + 60000, b.n, 2), NULL, b.is_changed),
    (60042, 7, 'message.mapped', 'message', bench_id(b.ms + 60000, b.n, 2), NULL, b.is_changed),
    (60043, 8, 'delivery.planned', 'delivery', bench_id(b.ms + 60041, b.n, 21), NULL, b.is_changed),
    (60061, 9, 'attempt.started', 'delivery', bench_id(b.ms + 60041, b.n, 21), '{"attempt":1,"call":"update"}', b.is_changed),
    (60096, 10, 'attempt.confirmed', 'delivery', bench_id(b.ms + 60041, b.n, 21), '{"outcome":"stored","status":200,"code":null}', b.is_changed),
    (56, 11, 'exception.opened', 'exception', bench_id(b.ms + 55, b.n, 30), NULL, b.has_failed),
    (600000, 12, 'exception.resolved', 'exception', bench_id(b.ms + 55, b.n, 30), NULL, b.has_failed),
    (600001, 13, 'delivery.retried', 'delivery', bench_id(b.ms + 41, b.n, 20), NULL, b.has_failed)
) AS e (after, salt, action, subject_kind, subject_id, detail, happened) WHERE e.happened;

INSERT INTO usage_events (id, tenant_id, at, meter, connection_id, quantity)
SELECT bench_id(b.ms + 100, b.n, 60 + u), s.tenant_id, to_timestamp(b.ms / 1000.0), (ARRAY['message_accepted', 'vendor_call', 'delivery_confirmed'])[u],
       s.destination, 1
FROM batch b CROSS JOIN bench_sample s CROSS JOIN generate_series(1, 3) AS u;

-- Shipments are records of the warehouse's; nobody is sent them.
INSERT INTO records (id, tenant_id, kind, connection_id, source_id, number, search, revision, revision_id, content_hash, created_at, updated_at)
SELECT bench_id(b.ms + 90000000, b.n, 70), s.tenant_id, 'shipment', s.warehouse, 'SHP-' || b.n, 'SHP-' || b.n, 'shp-' || b.n, 1,
       bench_id(b.ms + 90000000, b.n, 71), sha256(b.n::text::bytea), to_timestamp((b.ms + 90000000) / 1000.0), to_timestamp((b.ms + 90000000) / 1000.0)
FROM batch b CROSS JOIN bench_sample s WHERE b.is_shipped;
INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document, created_at)
SELECT bench_id(b.ms + 90000000, b.n, 71), s.tenant_id, bench_id(b.ms + 90000000, b.n, 70), 1, bench_id(b.ms + 89999000, b.n, 3),
       json_build_object('source_id', 'SHP-' || b.n, 'number', 'SHP-' || b.n, 'status', 'shipped', 'order', json_build_object('number', '#H' || b.n),
           'packages', json_build_array(json_build_object('tracking_number', '1Z' || b.n || 'AA')))::text, to_timestamp((b.ms + 90000000) / 1000.0)
FROM batch b CROSS JOIN bench_sample s WHERE b.is_shipped;
INSERT INTO search_keys (tenant_id, kind, value, record_id)
SELECT s.tenant_id, k.kind, k.value, bench_id(b.ms + 90000000, b.n, 70)
FROM batch b CROSS JOIN bench_sample s
CROSS JOIN LATERAL (VALUES ('number', 'shp-' || b.n), ('order_number', 'h' || b.n), ('tracking', lower('1Z' || b.n || 'AA')), ('sku', lower(b.sku1))) AS k (kind, value)
WHERE b.is_shipped;
INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id)
SELECT s.tenant_id, s.warehouse, 'shipment', 'SHP-' || b.n, bench_id(b.ms + 90000000, b.n, 70)
FROM batch b CROSS JOIN bench_sample s WHERE b.is_shipped;
