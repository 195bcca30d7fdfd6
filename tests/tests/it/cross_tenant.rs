//! An id of another tenant is as absent as one that was never made: through every query and mutation that takes one, wherever it can be said, alone and
//! beside ids of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::id::PREFIXES;
use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::SHOP_DOMAIN;
use tests::sample;
use tests::simulator::erp::Erp;
use tests::simulator::shop::Shop;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::flow::publish;
use crate::replay::replay;
use crate::walk::{Operation, Place, Said, Schema, never_made};
use crate::{World, impersonation, world, world_by_hand};

const OTHER: &str = "other@crossdock.example";
const KEYS: &str = "keys@crossdock.example";
const PASSWORD: &str = "a-password-of-another";
/// What is looked at to see that nothing was changed, and whose ids are tried. All of it at once is more than one query may cost.
const EVERYTHING: [&str; 4] = [
    "{ tenant { id name } members { userId role } sessions { id } invitations { id withdrawnAt } apiKeys { id state } serviceAccounts { id name endedAt } scimTokens { id revokedAt }
    identityProvider { issuer clientId } emailDomains { domain provenAt } auditStreams { id isPaused } persistedOperations { sha256 }
    impersonations { id state } supportConsents { id state } supportRequests { id state } invoices(first: 5) { nodes { id total } }
    auditEvents(first: 1, action: \"tenant.created\") { nodes { id } } alertReceivers { id name } alertRules { id name isPaused }
    alerts(first: 5) { nodes { id } } }",
    "{ connections(first: 10) { nodes { id name state settings subscriptions { id state } } } flows(first: 10) { nodes { id name versions { id } } }
    lookupTables(first: 5) { nodes { id name version } } matchPolicy { amount } inventoryPolicy { graceS }
    connectionHealth(first: 10) { nodes { rotation { everyDays newest { id state } } } } }",
    "{ records(first: 10) { nodes { id } } messages(first: 10) { nodes { id state } } deliveries(first: 10) { nodes { id state attempts { id } } }
    exceptions(first: 10) { nodes { id causeKey tags } } exceptionGroups(first: 10) { nodes { id count } } backfills(first: 5) { nodes { id state } }
    reconciliations(first: 5) { nodes { id state } } differences(first: 5) { nodes { id state } } }",
    "{ flowUndos(first: 5) { nodes { id state items(first: 5) { nodes { id } } } } swaps(first: 5) { nodes { id state } }
    polls(first: 5) { nodes { id state } } files(first: 5) { nodes { id state } } interchanges(first: 5) { nodes { id state } }
    sentGroups(first: 5) { nodes { id state } } arrivalSeries(first: 5) { nodes { id mutedUntil } } drifts(first: 5) { nodes { id state } } }",
];
/// What more comes of by itself; only its ids are tried.
const MOVING: &str = "{ incidents(first: 5, open: false) { nodes { id } } sunsets(within: 3650) { id } }";
/// Kinds whose ids no query shows and no argument takes; those of a directory are SCIM's (`scim.rs`).
const NOT_SHOWN: [&str; 11] = ["cns", "crd", "edm", "hks", "mai", "rcp", "rev", "sbc", "scg", "scu", "use"];
/// Operations that are refused for something else than the ids: a version of a flow is looked for by both at once, an undo waits for the one before,
/// and without a second factor there is none to be shown.
const REFUSED_BEFORE: [&str; 4] = ["flowRollBack", "flowUndoPrepare", "recoveryCodesMake", "secondFactorRemove"];
/// Mutations that do what they are asked to, although an id in it is of nobody that they know: without a second factor nobody is asked to show one.
const DONE_ALL_THE_SAME: [&str; 2] = ["passkeyBegin", "secondFactorBegin"];
/// An id is tried in so many of the operations that take none of its kind: one of these.
const ELSEWHERE_EACH: usize = 10;
/// What ends a thing is asked last, while the others still have it.
const ENDS: [&str; 10] = ["Cancel", "Delete", "Done", "End", "Erase", "Forget", "Remove", "Retire", "Revoke", "Withdraw"];

/// What only a vendor, a partner or time makes of a tenant's, by hand; and a key of somebody.
const ROWS: &str = r#"
CREATE TEMP TABLE here AS
    SELECT c.tenant_id, c.id AS connection_id, d.flow_id, d.flow_version_id, d.id AS delivery_id, d.record_id, p.id AS poll_id
    FROM tenants t JOIN polls p ON p.tenant_id = t.id JOIN deliveries d ON d.tenant_id = t.id AND d.state = 'confirmed'
         JOIN flows f ON f.id = d.flow_id JOIN connections c ON c.id = f.source_connection_id
    WHERE t.slug = 'acme';
INSERT INTO arrival_series (id, tenant_id, connection_id, kind, begun_at, until_at, memory)
    SELECT gen_random_uuid(), tenant_id, connection_id, 'return', now(), now(), '' FROM here;
INSERT INTO drifts (id, tenant_id, connection_id, record_kind, side, path, what, before, after, news, risk)
    SELECT gen_random_uuid(), tenant_id, connection_id, 'order', 'source', 'note', 'longer', '1', '2', '{"documents": 0, "fields": {}}', 'low'
    FROM here;
INSERT INTO files (id, tenant_id, connection_id, poll_id, name, size, modified_at, state)
    SELECT gen_random_uuid(), tenant_id, connection_id, poll_id, 'orders.json', 2, now(), 'done' FROM here;
INSERT INTO incidents (id, tenant_id, connection_id, operation, code, sentence, owner, next_step, closed_at)
    SELECT gen_random_uuid(), tenant_id, connection_id, 'order.list', 'outage.status', 'It was away.', 'vendor', 'Nothing to do.', now() FROM here;
INSERT INTO interchange_sequences (id, tenant_id, connection_id, us, partner)
    SELECT gen_random_uuid(), tenant_id, connection_id, 'us', 'them' FROM here;
INSERT INTO interchanges (id, tenant_id, connection_id, sequence_id, control_number, state)
    SELECT gen_random_uuid(), h.tenant_id, h.connection_id, s.id, 1, 'taken' FROM here h JOIN interchange_sequences s USING (tenant_id);
INSERT INTO sent_groups (id, tenant_id, connection_id, sequence_id, control_number, functional_id, set_id, delivery_id, state)
    SELECT gen_random_uuid(), h.tenant_id, h.connection_id, s.id, 1, 'OW', '940', h.delivery_id, 'acknowledged'
    FROM here h JOIN interchange_sequences s USING (tenant_id);
INSERT INTO invoices (id, tenant_id, number, month, currency, total, lines, tenant_name)
    SELECT gen_random_uuid(), tenant_id, 1, '2026-01-01', 'EUR', 0, '[]', 'acme' FROM here;
INSERT INTO reconciliations (id, tenant_id, flow_id, state, from_at, until_at, started_by)
    SELECT gen_random_uuid(), tenant_id, flow_id, 'done', now() - interval '1 hour', now(), '{}' FROM here;
INSERT INTO differences (id, tenant_id, reconciliation_id, flow_id, kind, thing, source_id, record_id, delivery_id)
    SELECT gen_random_uuid(), h.tenant_id, r.id, h.flow_id, 'gone', 'order', '1', h.record_id, h.delivery_id
    FROM here h JOIN reconciliations r USING (tenant_id);
INSERT INTO subscriptions (id, tenant_id, connection_id, topic, kind, state)
    SELECT gen_random_uuid(), tenant_id, connection_id, 'orders/create', 'order', 'active' FROM here;
INSERT INTO sunsets (id, tenant_id, connection_id, version, reason) SELECT gen_random_uuid(), tenant_id, connection_id, 'v1', 'deprecated' FROM here;
INSERT INTO undos (id, tenant_id, flow_id, flow_version_id, version, goal, leaves_created, state, started_by)
    SELECT gen_random_uuid(), tenant_id, flow_id, flow_version_id, 1, 'previous', false, 'prepared', '{}' FROM here;
INSERT INTO undo_items (id, tenant_id, undo_id, delivery_id, record_id, kind, code, sentence, owner)
    SELECT gen_random_uuid(), h.tenant_id, u.id, h.delivery_id, h.record_id, 'same', 'same', 'It is as it was.', 'operations'
    FROM here h JOIN undos u USING (tenant_id);
INSERT INTO passkeys (id, user_id, name, credential_id, credential, sign_count)
    SELECT gen_random_uuid(), id, 'key', '\x01', '{}', 0 FROM users WHERE email = 'keys@crossdock.example';
INSERT INTO passkey_challenges (id, user_id, purpose, state, expires_at)
    SELECT gen_random_uuid(), id, 'show', '{}', now() + interval '1 hour' FROM users WHERE email = 'keys@crossdock.example'"#;

/// One id of each kind, by its prefix.
type Ids = BTreeMap<String, String>;

/// Keeps the first of each kind.
fn keep(value: &Value, found: &mut Ids) {
    match value {
        Value::Object(map) => map.values().for_each(|value| keep(value, found)),
        Value::Array(list) => list.iter().for_each(|value| keep(value, found)),
        Value::String(text) => {
            if let Some((kind, hex)) = text.split_once('_')
                && kind.len() == 3
                && hex.len() == 32
            {
                found.entry(kind.to_owned()).or_insert_with(|| text.clone());
            }
        }
        _ => {}
    }
}

async fn everything(client: &Client) -> Value {
    let mut seen = vec![];
    for query in EVERYTHING {
        seen.push(client.ask(query, json!({})).await.unwrap_or_else(|error| panic!("{query}: {error}")));
    }
    Value::from(seen)
}

/// Acme has something of each kind. The vendor is one that a backfill and a poll are of, and lives as long as they do.
async fn filled(world: &World) -> (Ids, Vendor) {
    let (acme, client) = (&world.acme, &world.acme.client);
    acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
    let unmapped = sample::orders().into_iter().find(|(name, _)| name.contains("unmapped")).unwrap().1;
    acme.shop.send("orders/create", Uuid::new_v4(), unmapped).await.unwrap();
    acme.rest(2, Duration::from_secs(30)).await.unwrap();
    let vendor = Vendor::of_catalog("http", &["authorization"]).await;
    let (own, _) =
        client.connection_create("http", "Own shop", vendor.settings.clone(), vendor.credential.clone()).await.unwrap();
    let (new, _) = client.connection_create("netsuite", "New ERP", world.erp.settings(15), Erp::credential()).await.unwrap();
    let setup = "mutation($destination: ID!, $new: ID!, $own: ID!, $flow: ID!) {
        r: alertReceiverCreate(input: {name: \"ops\", kind: MAIL, address: \"ops@example.com\"}) { alertReceiver { id } userErrors { message } }
        v: serviceAccountCreate(input: {name: \"partner\", purpose: \"Reads orders\", permissions: [READ_OPERATIONS]}) { userErrors { message } }
        k: apiKeyCreate(input: {name: \"k\", permissions: [READ_OPERATIONS]}) { userErrors { message } }
        p: identityProviderSet(input: {issuer: \"https://id.example.com\", clientId: \"us\", clientSecret: \"s\", roles: [], defaultRole: AUDITOR}) { userErrors { message } }
        d: emailDomainAdd(domain: \"example.com\") { userErrors { message } } t: scimTokenCreate { userErrors { message } }
        s: auditStreamCreate(input: {name: \"siem\", kind: SYSLOG, address: \"tls://logs.example.com\"}) { userErrors { message } }
        o: persistedOperationRegister(input: {name: \"who\", document: \"{ viewer { id } }\"}) { userErrors { message } }
        i: invitationCreate(email: \"new@example.com\", role: OPERATOR) { userErrors { message } }
        y: inventoryPolicySet(input: {stock: [{connectionId: $own}]}) { userErrors { message } }
        m: matchPolicySet(input: {amount: \"1\"}) { userErrors { message } }
        b: backfillPrepare(input: {connectionId: $own, recordKind: \"order\", since: \"2026-01-01T00:00:00Z\"}) { backfill { id } userErrors { message } }
        l: pollSet(input: {connectionId: $own, recordKind: \"customer\", everyS: 3600}) { poll { id } userErrors { message } }
        w: swapBegin(input: {flowId: $flow, connectionId: $new}) { userErrors { message } }
        e: rotationBegin(connectionId: $destination) { userErrors { message } } }";
    let made =
        client.ask(setup, json!({"destination": acme.destination, "new": new, "own": own, "flow": acme.flow})).await.unwrap();
    // Nothing of it goes on by itself: no group is so large, the backfill is over, and the poll rests.
    let rest = "mutation($r: ID!, $f: ID!, $b: ID!, $p: ID!) {
        u: alertRuleSet(input: {name: \"many\", countMin: 1000, flowId: $f, receiverIds: [$r]}) { userErrors { message } }
        t: alertReceiverTest(id: $r) { userErrors { message } } c: backfillCancel(id: $b) { userErrors { message } }
        p: pollPause(id: $p) { userErrors { message } } }";
    let (receiver, backfill, poll) = (&made["r"]["alertReceiver"]["id"], &made["b"]["backfill"]["id"], &made["l"]["poll"]["id"]);
    client.ask(rest, json!({"r": receiver, "f": acme.flow, "b": backfill, "p": poll})).await.unwrap();
    publish(client, &acme.flow, json!({"mapping": [{"to": "memo", "default": "second"}]})).await;
    let run = replay(client, &acme.flow).await;
    // Support asked, was let in, and is there; and a consent stands for all of the staff.
    let staff = impersonation::staff(world).await;
    impersonation::consent(world, true).await;
    impersonation::ask(world, &staff, false).await;
    impersonation::begin(world, &staff, true).await;
    world.platform.user_create(KEYS, PASSWORD).await.unwrap();
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::raw_sql(ROWS).execute(&mut database).await.unwrap();
    let keys = "SELECT 'psk_' || replace(id::text, '-', '') FROM passkeys UNION ALL SELECT 'pkc_' || replace(id::text, '-', '') FROM passkey_challenges";
    let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(&mut database).await.unwrap();
    let mut ids = Ids::new();
    keep(&run["id"], &mut ids);
    keep(&Value::from(keys), &mut ids);
    keep(&client.ask(MOVING, json!({})).await.unwrap(), &mut ids);
    (ids, vendor)
}

/// Somebody else, with a tenant of their own.
async fn stranger(world: &World) -> Client {
    world.platform.user_create(OTHER, PASSWORD).await.unwrap();
    let other = Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
    let own = other.tenant_create("other").await.unwrap();
    other.of_tenant(&own)
}

/// What is answered, with a word in the place of the id that is tried.
async fn answer(client: &Client, operation: &Operation<'_>, id: &str, ids: &dyn Fn(&Place) -> Option<String>) -> Value {
    let query = operation.plausible(&Said { password: PASSWORD, id: ids });
    let answer = client.raw(&query, json!({})).await.unwrap();
    serde_json::from_str(&answer.to_string().replace(id, "ID")).unwrap()
}

/// What an operation came to.
struct Outcome<'a> {
    places: &'a [Place],
    payload: Value,
    is_refused: bool,
}

impl<'a> Outcome<'a> {
    fn new(places: &'a [Place], answer: &Value) -> Self {
        let payload = answer["data"].as_object().and_then(|data| data.values().next()).cloned().unwrap_or_default();
        Self { places, payload, is_refused: !answer["errors"].is_null() }
    }

    fn user_errors(&self) -> &[Value] {
        self.payload["userErrors"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Nothing was found to be wrong before the ids were looked at.
    fn is_by_ids(&self) -> bool {
        let is_meant = |error: &Value| {
            let field: Vec<&str> = error["field"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            self.places.iter().any(|place| place.is_meant(&field))
        };
        self.user_errors().is_empty() || self.user_errors().iter().any(is_meant)
    }

    fn is_done(&self) -> bool {
        !self.is_refused && self.user_errors().is_empty() && self.payload["count"] != 0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_ids_are_as_absent_as_those_that_were_never_made() {
    world_by_hand(async |world| {
        let acme = &world.acme;
        let (mut foreign, _vendor) = filled(world).await;
        let before = everything(&acme.client).await;
        keep(&before, &mut foreign);
        let mut missing: Vec<&str> =
            PREFIXES.iter().map(|(prefix, _)| *prefix).filter(|prefix| !foreign.contains_key(*prefix)).collect();
        missing.sort_unstable();
        assert_eq!(missing, NOT_SHOWN, "acme has something of each kind that can be asked by");

        let other = stranger(world).await;
        // What has no id to be asked by is the own one, or nothing.
        let own = other.ask("{ identityProvider { issuer } emailDomains { domain } }", json!({})).await.unwrap();
        assert_eq!(own, json!({"identityProvider": null, "emailDomains": []}));
        let schema = Schema::of(&acme.client).await;
        let mut operations: Vec<Operation<'_>> = schema.operations().filter(|operation| !operation.places().is_empty()).collect();
        let (mut asked, mut looked_at, mut done) = (0, BTreeSet::new(), BTreeSet::new());
        let mut judge = |operation: &Operation<'_>, places: &[Place], answer: &Value| {
            let outcome = Outcome::new(places, answer);
            if outcome.is_by_ids() {
                looked_at.insert(operation.field().to_owned());
            }
            if operation.is_mutation() && outcome.is_done() {
                done.insert(operation.field().to_owned());
            }
        };

        // Each kind of id, wherever it belongs, and some where it does not.
        for (at, operation) in operations.iter().enumerate() {
            let places = operation.places();
            let mut elsewhere: Option<Value> = None;
            for (nth, (kind, id)) in foreign.iter().enumerate() {
                let belongs = places.iter().any(|place| place.kind.is_none_or(|known| known == kind.as_str()));
                if !belongs && (nth + at) % ELSEWHERE_EACH != 0 {
                    continue;
                }
                let said = answer(&other, operation, id, &|_: &Place| Some(id.clone())).await;
                // To what is of a kind that belongs nowhere in it there is one answer, whatever the kind.
                let absent = match elsewhere.clone().filter(|_| !belongs) {
                    Some(absent) => absent,
                    None => {
                        let never = never_made(kind);
                        answer(&other, operation, &never, &|_: &Place| Some(never.clone())).await
                    }
                };
                assert_eq!(said, absent, "{} with {id}", operation.name());
                if belongs {
                    judge(operation, &places, &said);
                } else {
                    elsewhere = Some(absent);
                }
                asked += 1;
            }
        }
        assert!(asked > 700, "{asked}");

        // And at one place, beside ids of one's own.
        let settings = json!({"shop": SHOP_DOMAIN});
        let (source, _) =
            other.connection_create("shopify", "Shop", settings, json!({"hook_secret": "a-secret-of-another"})).await.unwrap();
        let (destination, _) =
            other.connection_create("netsuite", "ERP", world.erp.settings(15), Erp::credential()).await.unwrap();
        other.lookup_table_create("SKUs", &sample::skus()).await.unwrap();
        other.flow_publish("orders", &source, &destination, json!({})).await.unwrap();
        let mut own = Ids::new();
        keep(&everything(&other).await, &mut own);
        let mut beside = 0;
        for operation in &operations {
            let places = operation.places();
            for place in places.iter().filter(|_| places.len() > 1) {
                let Some(kind) = place.kind else { continue };
                let ask = async |id: &str| {
                    let ids = |at: &Place| if at == place { Some(id.to_owned()) } else { own.get(at.kind?).cloned() };
                    answer(&other, operation, id, &ids).await
                };
                let (said, absent) = (ask(&foreign[kind]).await, ask(&never_made(kind)).await);
                assert_eq!(said, absent, "{} at {}", operation.name(), place.path);
                judge(operation, &places, &said);
                beside += 1;
            }
        }
        assert!(beside > 30, "{beside}");
        let refused: Vec<&str> = operations
            .iter()
            .map(Operation::field)
            .filter(|field| !looked_at.contains(*field) && !REFUSED_BEFORE.contains(field))
            .collect();
        assert_eq!(refused, [""; 0], "refused for another argument than the id, which proves nothing: `walk.rs` makes them up");
        let done: Vec<&str> = done.iter().map(String::as_str).filter(|field| !DONE_ALL_THE_SAME.contains(field)).collect();
        assert_eq!(done, [""; 0], "done with an id that is not there");

        assert_eq!(everything(&acme.client).await, before, "nothing of acme changed");
        let told = "query($by: ID!) { auditEvents(first: 1, filter: {actorId: $by}) { nodes { action } } }";
        let told = acme.client.ask(told, json!({"by": own["usr"]})).await.unwrap();
        assert_eq!(told["auditEvents"]["nodes"], json!([]), "and nothing was done there by the other");

        // Whoever has them is refused for nothing but how they stand: it was the id that the other was refused for.
        foreign.insert("con".to_owned(), acme.source.clone());
        let ids = |place: &Place| foreign.get(place.kind?).cloned();
        let said = Said { password: &world.platform.password, id: &ids };
        // In a session of its own: that of before is ended among the last.
        let owner = world.platform.sign_in().await.unwrap().of_tenant(&acme.id);
        operations.sort_by_key(|operation| ENDS.iter().any(|end| operation.field().ends_with(end)));
        let mut refused = vec![];
        for operation in operations.iter().filter(|operation| !REFUSED_BEFORE.contains(&operation.field())) {
            let answer = owner.raw(&operation.plausible(&said), json!({})).await.unwrap();
            let places = operation.places();
            let outcome = Outcome::new(&places, &answer);
            if outcome.is_refused || !outcome.is_by_ids() {
                refused.push(format!("{}: {answer}", operation.name()));
            }
        }
        assert_eq!(refused, [""; 0], "refused for another argument than the id");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_doors_beside_ids_open_to_ones_own_only() {
    world(async |world| {
        let (acme, other) = (&world.acme, stranger(world).await);
        let secret = "a-secret-of-another";
        let (_, hook_url) = other
            .connection_create("shopify", "Shop", json!({"shop": SHOP_DOMAIN}), json!({"hook_secret": secret}))
            .await
            .unwrap();
        // A hook: what one's own secret signs is taken at one's own, and is no more than a guess at another's.
        let own = Shop::new(SHOP_DOMAIN, secret, &hook_url);
        assert_eq!(own.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 200);
        let foreign = Shop::new(SHOP_DOMAIN, secret, &acme.hook_url);
        let refused = foreign.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let nowhere = Shop::new(SHOP_DOMAIN, secret, &format!("{}/hooks/{}", world.platform.url, "x".repeat(43)));
        let unknown = nowhere.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        assert_eq!((refused.status, &refused.body), (401, &unknown.body));
        assert_eq!(acme.client.ledger().await.unwrap().accepted(), 0);

        // The tenant's name in the header: a query, a subscription, and both exports.
        for name in [acme.id.as_str(), "acme"] {
            let intruder = other.clone().of_tenant(name);
            let query = intruder.raw("{ connections { nodes { id } } }", json!({})).await.unwrap();
            let mut told = intruder.subscribe("subscription { changes { at } }").await.unwrap();
            for answer in [query, told.next().await.unwrap().unwrap()] {
                assert_eq!(answer["errors"][0]["extensions"]["code"], "NO_TENANT", "{answer}");
            }
            for path in ["audit/export", "audit/events.csv"] {
                let request = http().build().unwrap().get(format!("{}/{path}", world.platform.url));
                let request = request.bearer_auth(other.token().unwrap()).header("X-Crossdock-Tenant", name);
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 400, "{path}");
                assert!(answer.text().await.unwrap().contains("NO_TENANT"), "{path}");
            }
        }

        // What a thing is known by where it has no id.
        let unmapped = sample::orders().into_iter().find(|(name, _)| name.contains("unmapped")).unwrap().1;
        acme.shop.send("orders/create", Uuid::new_v4(), unmapped).await.unwrap();
        acme.rest(1, Duration::from_secs(30)).await.unwrap();
        let setup = "mutation { d: emailDomainAdd(domain: \"acme.example\") { userErrors { message } }
            o: persistedOperationRegister(input: {name: \"who\", document: \"{ viewer { id } }\"}) { userErrors { message } } }";
        acme.client.ask(setup, json!({})).await.unwrap();
        let known = "{ exceptions { nodes { causeKey } } persistedOperations { sha256 } emailDomains { domain } lookupTables { nodes { name } } }";
        let before = acme.client.ask(known, json!({})).await.unwrap();
        let cause = before["exceptions"]["nodes"][0]["causeKey"].as_str().unwrap();
        let hash = before["persistedOperations"][0]["sha256"].as_str().unwrap();
        let no_hash = "f".repeat(64);
        for (query, foreign, never) in [
            ("{ exceptionGroup(causeKey: KEY) { id } }", cause, "never.was"),
            ("{ exceptions(causeKey: KEY) { nodes { id } } }", cause, "never.was"),
            ("{ lookupInbox(table: KEY) { nodes { value } } }", "SKUs", "Never"),
            ("mutation { exceptionFixLookupValue(causeKey: KEY, to: \"1\") { userErrors { code message } } }", cause, "never.was"),
            ("mutation { persistedOperationRemove(sha256: KEY) { userErrors { code message } } }", hash, no_hash.as_str()),
            ("mutation { emailDomainRemove(domain: KEY) { userErrors { code message } } }", "acme.example", "never.example"),
            ("mutation { emailDomainProve(domain: KEY, code: \"x\") { userErrors { code message } } }", "acme.example", "never.example"),
            ("mutation { tenantDelete(slug: KEY, why: \"x\") { userErrors { code message } } }", "acme", "never"),
        ] {
            let ask = async |name: &str| {
                let answer = other.raw(&query.replace("KEY", &Value::from(name).to_string()), json!({})).await.unwrap();
                answer.to_string().replace(name, "KEY")
            };
            assert_eq!(ask(foreign).await, ask(never).await, "{query}");
        }
        assert_eq!(acme.client.ask(known, json!({})).await.unwrap(), before);
    })
    .await;
}
