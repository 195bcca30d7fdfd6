//! Threat 34, impersonation: support looks at a tenant in its place only with a reason, a second factor and the tenant's consent, for an hour at most, and both
//! who did it and for whom stand in the tenant's audit log. It gains no role, reads no secret, begins no other, and ends at once whoever ends it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::EMAIL;
use totp_rs::Totp;

use crate::walk::{Schema, answer};
use crate::{World, eventually, second_factor, world, world_with_mail};

const STAFF: &str = "sue@crossdock.example";
pub const PASSWORD: &str = "a-password-of-the-staff";
const TABLE: &str = include_str!("permission_matrix.txt");

const ASK: &str = "mutation($i: SupportRequestCreateInput!) { supportRequestCreate(input: $i) {
    supportRequest { id state mayWrite answeredBy } userErrors { field code message } } }";
const ANSWER: &str =
    "mutation($id: ID!, $yes: Boolean!, $w: Boolean!) { supportRequestAnswer(id: $id, isAllowed: $yes, mayWrite: $w) {
    supportRequest { id state mayWrite consentId } userErrors { field code message } } }";
const GIVE: &str = "mutation($w: Boolean!, $u: DateTime) { supportConsentGive(mayWrite: $w, until: $u) {
    supportConsent { id state } userErrors { field code message } } }";
const WITHDRAW: &str =
    "mutation($id: ID!) { supportConsentWithdraw(id: $id) { supportConsent { id state } userErrors { field code message } } }";
const BEGIN: &str = "mutation($i: ImpersonationBeginInput!) { impersonationBegin(input: $i) {
    impersonation { id endsAt } accessToken userErrors { field code message } } }";
const RESUME: &str =
    "mutation { impersonationResume { impersonation { id endsAt } accessToken userErrors { field code message } } }";
const LEAVE: &str = "mutation { impersonationLeave { done userErrors { field code message } } }";
const END: &str =
    "mutation($id: ID!) { impersonationEnd(id: $id) { impersonation { id state endedWhy } userErrors { field code message } } }";
const BANNER: &str = "{ viewer { id permissions memberships { role } isStaff
    impersonation { id reason ticket staff { name email } tenant tenantSlug endsAt mayWrite } } }";
const CONNECTIONS: &str = "{ connections { nodes { id } } }";

/// Begun, with the client that its token makes.
pub struct Begun {
    id: String,
    ends_at: String,
    pub client: Client,
}

/// The top-level error's code.
fn refused(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

/// The first user error of a mutation, as `field CODE`.
fn user_error(answer: &Value) -> String {
    let payload = answer["data"].as_object().and_then(|data| data.values().next()).cloned().unwrap_or_default();
    let error = &payload["userErrors"][0];
    let field = error["field"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(".");
    format!("{field} {}", error["code"].as_str().unwrap_or_default())
}

fn errand(may_write: bool) -> Value {
    json!({"i": {"tenant": "acme", "reason": "Orders of yesterday are missing", "ticket": "HELP-1042", "mayWrite": may_write}})
}

/// Signed in, with a second factor, and staff by the word of the operator.
pub async fn staff(world: &World) -> Client {
    world.platform.user_create(STAFF, PASSWORD).await.unwrap();
    let client = Client::new(&world.platform.url).sign_in(STAFF, PASSWORD).await.unwrap();
    second_factor(&client).await;
    grant(world, "staff-grant").await;
    client
}

/// Sets their second factor up, and gives the app.
async fn second_factor(client: &Client) -> Totp {
    second_factor::set_up(client, STAFF, PASSWORD).await.0
}

async fn grant(world: &World, command: &str) {
    let output = world.platform.run(&["user", command, "--email", STAFF]).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The tenant's standing consent.
pub async fn consent(world: &World, may_write: bool) -> String {
    let given = world.acme.client.ask(GIVE, json!({"w": may_write})).await.unwrap();
    given["supportConsentGive"]["supportConsent"]["id"].as_str().unwrap().to_owned()
}

/// Asks the tenant, which says yes.
pub async fn ask(world: &World, staff: &Client, may_write: bool) -> String {
    let asked = staff.ask(ASK, errand(may_write)).await.unwrap();
    let id = asked["supportRequestCreate"]["supportRequest"]["id"].as_str().unwrap().to_owned();
    world.acme.client.ask(ANSWER, json!({"id": id, "yes": true, "w": may_write})).await.unwrap();
    id
}

pub async fn begin(world: &World, staff: &Client, may_write: bool) -> Begun {
    begun(world, &staff.ask(BEGIN, errand(may_write)).await.unwrap()["impersonationBegin"])
}

fn begun(world: &World, payload: &Value) -> Begun {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let client = Client::new(&world.platform.url).with_token(&text("/accessToken"));
    Begun { id: text("/impersonation/id"), ends_at: text("/impersonation/endsAt"), client }
}

async fn is_in(client: &Client) -> bool {
    let answer = client.raw(CONNECTIONS, json!({})).await.unwrap();
    assert!(matches!(refused(&answer), None | Some("UNAUTHENTICATED")), "{answer}");
    refused(&answer).is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_begins_only_with_a_reason_a_second_factor_and_consent() {
    world(async |world| {
        let owner = &world.acme.client;
        let raw = async |client: &Client, query: &str, variables: Value| client.raw(query, variables).await.unwrap();
        world.platform.user_create(STAFF, PASSWORD).await.unwrap();
        let staff = Client::new(&world.platform.url).sign_in(STAFF, PASSWORD).await.unwrap();
        for query in [BEGIN, ASK] {
            assert_eq!(refused(&raw(&staff, query, errand(false)).await), Some("FORBIDDEN"), "nobody's staff");
            assert_eq!(refused(&raw(owner, query, errand(false)).await), Some("FORBIDDEN"), "an owner is nobody's staff");
        }
        grant(world, "staff-grant").await;
        let again = world.platform.run(&["user", "staff-grant", "--email", STAFF]).await.unwrap();
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is staff already"), "{again:?}");
        let viewer = staff.ask(BANNER, json!({})).await.unwrap();
        assert_eq!((&viewer["viewer"]["isStaff"], &viewer["viewer"]["permissions"]), (&json!(true), &json!([])), "{viewer}");
        assert_eq!(refused(&raw(&staff.clone().of_tenant("acme"), CONNECTIONS, json!({})).await), Some("NO_TENANT"), "and nothing else");

        for query in [BEGIN, ASK] {
            assert_eq!(user_error(&raw(&staff, query, errand(false)).await), "input BLOCKED", "no second factor");
        }
        second_factor(&staff).await;
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input.tenant BLOCKED", "no consent");
        for (field, wrong, error) in [
            ("reason", json!(" "), "input.reason INVALID"),
            ("reason", json!("x".repeat(501)), "input.reason INVALID"),
            ("ticket", json!(""), "input.ticket INVALID"),
            ("ticket", viewer["viewer"]["id"].clone(), "input.ticket INVALID"),
            ("minutes", json!(0), "input.minutes INVALID"),
            ("minutes", json!(61), "input.minutes INVALID"),
            ("tenant", json!("nobody"), "input.tenant NOT_FOUND"),
        ] {
            let mut input = errand(false);
            input["i"][field] = wrong;
            assert_eq!(user_error(&raw(&staff, BEGIN, input).await), error);
        }

        // What was asked is answered by an owner or admin, once, and good once.
        let asked = staff.ask(ASK, errand(true)).await.unwrap()["supportRequestCreate"]["supportRequest"].take();
        assert_eq!(user_error(&raw(&staff, ASK, errand(true)).await), "input.tenant TAKEN", "one waits at a time");
        let own = json!({"id": asked["id"], "yes": true, "w": true});
        assert_eq!(refused(&raw(&staff, ANSWER, own).await), Some("NO_TENANT"), "they do not answer themselves");
        let answer = async |yes: bool| raw(owner, ANSWER, json!({"id": asked["id"], "yes": yes, "w": false})).await;
        assert_eq!(answer(true).await["data"]["supportRequestAnswer"]["supportRequest"]["state"], "ALLOWED");
        assert_eq!(user_error(&answer(true).await), "id NOT_FOUND", "once");
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(true)).await), "input.mayWrite BLOCKED", "it was for reading");
        let first = begin(world, &staff, false).await;
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input BLOCKED", "one at a time");
        let banner = first.client.ask(BANNER, json!({})).await.unwrap()["viewer"].take();
        let expected = json!({"id": first.id, "reason": "Orders of yesterday are missing", "ticket": "HELP-1042", "tenant": "acme",
            "staff": {"name": STAFF, "email": STAFF}, "tenantSlug": "acme", "endsAt": first.ends_at, "mayWrite": false});
        assert_eq!(banner["impersonation"], expected);
        let seen = (&banner["memberships"], &banner["permissions"], &banner["isStaff"]);
        assert_eq!(seen, (&json!([]), &json!(["READ_OPERATIONS", "READ_USAGE"]), &json!(false)));
        assert!(is_in(&first.client).await);
        assert_eq!(first.client.ask(LEAVE, json!({})).await.unwrap()["impersonationLeave"]["done"], true);
        assert!(!is_in(&first.client).await);
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input.tenant BLOCKED", "it was good once");

        // No; and no answer within 24 hours; and an answer that nobody came for.
        let mut database = world.platform.database.connect().await.unwrap();
        for (act, state) in [
            ("refuse", "REFUSED"),
            ("UPDATE support_requests SET expires_at = now() WHERE answered_at IS NULL", "OVER"),
            ("UPDATE support_consents SET until = now() WHERE used_at IS NULL", "OVER"),
        ] {
            let asked = staff.ask(ASK, errand(false)).await.unwrap()["supportRequestCreate"]["supportRequest"].take();
            let (id, is_late) = (&asked["id"], act.contains("support_requests"));
            if !is_late {
                owner.ask(ANSWER, json!({"id": id, "yes": act != "refuse", "w": false})).await.unwrap();
            }
            if act != "refuse" {
                sqlx::query(act).execute(&mut database).await.unwrap();
            }
            assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input.tenant BLOCKED", "{act}");
            if is_late {
                assert_eq!(user_error(&raw(owner, ANSWER, json!({"id": id, "yes": true, "w": false})).await), "id NOT_FOUND");
            }
            let desk = staff.ask("{ supportDesk { requests { id state answeredBy } running { id } } }", json!({})).await.unwrap();
            let newest = &desk["supportDesk"]["requests"][0];
            assert_eq!((&newest["id"], newest["state"].as_str().unwrap(), &newest["answeredBy"]), (id, state, &Value::Null));
            let seen = owner.ask("{ supportRequests { id state } }", json!({})).await.unwrap();
            assert_eq!(seen["supportRequests"][0]["state"], state, "{act}");
        }

        // Standing: until then, or until it is withdrawn.
        assert_eq!(user_error(&raw(owner, GIVE, json!({"w": true, "u": "2026-01-01T00:00:00Z"})).await), "until INVALID");
        let soon = chrono::Utc::now() + chrono::Duration::minutes(10);
        owner.ask(GIVE, json!({"w": true, "u": soon})).await.unwrap();
        let short = begin(world, &staff, true).await;
        assert!(short.ends_at.parse::<chrono::DateTime<chrono::Utc>>().unwrap() <= soon, "no longer than the consent: {}", short.ends_at);
        staff.ask(LEAVE, json!({})).await.unwrap();
        sqlx::query("UPDATE support_consents SET until = now() WHERE request_id IS NULL").execute(&mut database).await.unwrap();
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input.tenant BLOCKED", "its date has passed");
        let standing = consent(world, false).await;
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(true)).await), "input.mayWrite BLOCKED");
        assert!(is_in(&begin(world, &staff, false).await.client).await);
        staff.ask(LEAVE, json!({})).await.unwrap();
        owner.ask(WITHDRAW, json!({"id": standing})).await.unwrap();
        assert_eq!(user_error(&raw(owner, WITHDRAW, json!({"id": standing})).await), "id NOT_FOUND");
        assert_eq!(user_error(&raw(&staff, BEGIN, errand(false)).await), "input.tenant BLOCKED");

        let told: Vec<String> = sqlx::query_scalar("SELECT action FROM audit_events WHERE action LIKE 'support%' ORDER BY id LIMIT 4")
            .fetch_all(&mut database)
            .await
            .unwrap();
        assert_eq!(told, ["support.requested", "support.allowed", "support.requested", "support.refused"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_ends_at_once_whoever_ends_it_and_by_its_time_and_nobody_makes_it_longer() {
    world(async |world| {
        let (owner, staff) = (&world.acme.client, staff(world).await);
        let mut database = world.platform.database.connect().await.unwrap();
        consent(world, false).await;

        // Its end is said at the beginning, and another token is no later one.
        let first = begin(world, &staff, false).await;
        let ends_at: chrono::DateTime<chrono::Utc> = first.ends_at.parse().unwrap();
        let minutes = (ends_at - chrono::Utc::now()).num_seconds();
        assert!((3_500..=3_600).contains(&minutes), "{minutes} s");
        let resumed = begun(world, &staff.ask(RESUME, json!({})).await.unwrap()["impersonationResume"]);
        assert_eq!((&resumed.id, &resumed.ends_at), (&first.id, &first.ends_at));
        assert!(is_in(&resumed.client).await && is_in(&first.client).await, "of the same session");
        let longer = "UPDATE impersonations SET ends_at = ends_at + interval '1 second'";
        assert!(sqlx::query(longer).execute(&mut database).await.is_err(), "the database says so, too");
        // No refresh token hangs on it: there are those of sessions only, and none of its own.
        let refresh = "SELECT count(*) FROM refresh_tokens r JOIN impersonations i ON r.session_id = i.id";
        assert_eq!(sqlx::query_scalar::<_, i64>(refresh).fetch_one(&mut database).await.unwrap(), 0);
        let its_own = first.client.raw("mutation { sessionRefresh(refreshToken: \"x\") { userErrors { code } } }", json!({})).await.unwrap();
        assert_eq!(refused(&its_own), Some("FORBIDDEN"));
        staff.ask(LEAVE, json!({})).await.unwrap();
        assert!(!is_in(&first.client).await && !is_in(&resumed.client).await);
        assert_eq!(user_error(&staff.raw(RESUME, json!({})).await.unwrap()), "impersonation NOT_FOUND");
        assert_eq!(user_error(&staff.raw(LEAVE, json!({})).await.unwrap()), "impersonation NOT_FOUND");

        // The tenant ends it.
        let second = begin(world, &staff, false).await;
        let ended = owner.ask(END, json!({"id": second.id})).await.unwrap();
        assert_eq!(ended["impersonationEnd"]["impersonation"]["endedWhy"], "TENANT");
        assert!(!is_in(&second.client).await);
        assert_eq!(user_error(&owner.raw(END, json!({"id": second.id})).await.unwrap()), "id NOT_FOUND");

        // The tenant takes its consent back, or gives another one in its place.
        let third = begin(world, &staff, false).await;
        let narrower = consent(world, false).await;
        assert!(!is_in(&third.client).await);
        let fourth = begin(world, &staff, false).await;
        owner.ask(WITHDRAW, json!({"id": narrower})).await.unwrap();
        assert!(!is_in(&fourth.client).await);
        // Also the consent of one request, which was used up already.
        let asked = ask(world, &staff, false).await;
        let fifth = begin(world, &staff, false).await;
        let seen = owner.ask("{ supportRequests { id state consentId } }", json!({})).await.unwrap();
        assert_eq!((&seen["supportRequests"][0]["id"], &seen["supportRequests"][0]["state"]), (&json!(asked), &json!("USED")));
        owner.ask(WITHDRAW, json!({"id": seen["supportRequests"][0]["consentId"]})).await.unwrap();
        assert!(!is_in(&fifth.client).await);
        consent(world, false).await;

        // Time.
        let sixth = begin(world, &staff, false).await;
        let late = "UPDATE impersonations SET began_at = began_at - interval '61 minutes', ends_at = ends_at - interval '61 minutes' WHERE ended_at IS NULL";
        sqlx::query(late).execute(&mut database).await.unwrap();
        assert!(!is_in(&sixth.client).await);
        let list = "{ impersonations { id state endedAt endedWhy } }";
        let over = owner.ask(list, json!({})).await.unwrap()["impersonations"][0].take();
        assert_eq!((&over["id"], &over["state"], over["endedAt"].is_string()), (&json!(sixth.id), &json!("ENDED"), true));
        eventually("the log tells that its time was over", async || {
            (owner.ask(list, json!({})).await.unwrap()["impersonations"][0]["endedWhy"] == "TIME").then_some(())
        })
        .await;

        // The second factor goes, the session goes, the staff goes.
        let seventh = begin(world, &staff, false).await;
        grant(world, "second-factor-remove").await;
        assert!(!is_in(&seventh.client).await);
        second_factor(&staff).await;
        assert!(!is_in(&seventh.client).await, "another second factor does not wake it");
        eventually("the log tells that the second factor was given up", async || {
            (owner.ask(list, json!({})).await.unwrap()["impersonations"][0]["endedWhy"] == "SESSION").then_some(())
        })
        .await;
        let eighth = begin(world, &staff, false).await;
        grant(world, "staff-revoke").await;
        assert!(!is_in(&eighth.client).await);
        assert_eq!(refused(&staff.raw(BEGIN, errand(false)).await.unwrap()), Some("FORBIDDEN"));
        let again = world.platform.run(&["user", "staff-revoke", "--email", STAFF]).await.unwrap();
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is no staff"), "{again:?}");
        grant(world, "staff-grant").await;
        let ninth = begin(world, &staff, false).await;
        staff.ask("mutation { sessionClose { closed } }", json!({})).await.unwrap();
        assert!(!is_in(&ninth.client).await);
        eventually("the log tells that the session was closed", async || {
            (owner.ask(list, json!({})).await.unwrap()["impersonations"][0]["endedWhy"] == "SESSION").then_some(())
        })
        .await;

        // Each is told, with what ended it; the newest first.
        let all = owner.ask(list, json!({})).await.unwrap();
        let why: Vec<&str> = all["impersonations"].as_array().unwrap().iter().map(|one| one["endedWhy"].as_str().unwrap()).collect();
        assert_eq!(why, ["SESSION", "STAFF", "SESSION", "TIME", "CONSENT", "CONSENT", "CONSENT", "TENANT", "LEFT"]);
        let ended = owner.ask("{ auditEvents(action: \"impersonation.ended\", first: 100) { nodes { subjectId detail actor } } }", json!({})).await.unwrap();
        let ended = ended["auditEvents"]["nodes"].as_array().unwrap();
        let told: Vec<String> = ended.iter().map(|event| serde_json::from_str::<Value>(event["detail"].as_str().unwrap()).unwrap()["why"].as_str().unwrap().to_uppercase()).collect();
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), why.iter().map(|why| (*why).to_owned()).collect::<BTreeSet<_>>());
        assert_eq!(ended.len(), 9);
    })
    .await;
}

/// Who is let in where, as the committed table says: the operation's name, and its callers.
fn table() -> impl Iterator<Item = (&'static str, BTreeSet<&'static str>)> {
    TABLE.lines().filter_map(|line| line.split_once(": ")).map(|(name, row)| (name, row.split(' ').collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_reads_what_an_operator_reads_changes_nothing_without_writes_and_gains_no_role_with_them() {
    world(async |world| {
        let staff = staff(world).await;
        for may_write in [false, true] {
            // By a request: what is asked of the standing consent meanwhile ends nothing.
            ask(world, &staff, may_write).await;
            let begun = begin(world, &staff, may_write).await;
            let schema = Schema::of(&world.acme.client).await;
            let mut asked = 0;
            for operation in schema.operations() {
                let name = operation.name();
                if name == "mutation impersonationLeave" {
                    continue;
                }
                let (_, row) = table().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} is in the table"));
                // An operator's, and not in a person's own name, which no key is; and of mutations none that strangers may do in nobody's place.
                let of_operators = row.contains("operator") && row.contains("key");
                let expected = of_operators && (!name.starts_with("mutation") || (may_write && !row.contains("stranger")));
                let answer = answer(&begun.client, &operation.least()).await;
                assert_ne!(refused(&answer), Some("UNAUTHENTICATED"), "{name}: {answer}");
                assert_eq!(refused(&answer) != Some("FORBIDDEN"), expected, "{name}, with writes: {may_write}: {answer}");
                asked += 1;
            }
            assert!(asked > 140, "{asked}");

            // No nesting, no consent of their own, and no way around by the tenant's name.
            for query in [BEGIN, ASK] {
                assert_eq!(refused(&begun.client.raw(query, errand(false)).await.unwrap()), Some("FORBIDDEN"), "{query}");
            }
            for query in [RESUME, "{ supportDesk { running { id } } }", "{ auditEvents { nodes { id } } }"] {
                assert_eq!(refused(&begun.client.raw(query, json!({})).await.unwrap()), Some("FORBIDDEN"), "{query}");
            }
            assert_eq!(refused(&begun.client.raw(GIVE, json!({"w": true})).await.unwrap()), Some("FORBIDDEN"));
            let hidden =
                "mutation { ...F } fragment F on Mutation { a: supportConsentGive(mayWrite: true) { userErrors { code } } }";
            assert_eq!(refused(&begun.client.raw(hidden, json!({})).await.unwrap()), Some("FORBIDDEN"));

            // Nor by another address.
            let token = staff.ask(RESUME, json!({})).await.unwrap()["impersonationResume"]["accessToken"].take();
            let http = http().build().unwrap();
            for path in ["audit/export", "audit/events.csv"] {
                let answer =
                    http.get(format!("{}/{path}", world.platform.url)).bearer_auth(token.as_str().unwrap()).send().await.unwrap();
                assert_eq!(answer.status(), 403, "{path}");
            }
            begun.client.ask(LEAVE, json!({})).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_leaves_both_identities_in_the_audit_log_and_reads_no_secret() {
    world(async |world| {
        let (owner, staff) = (&world.acme.client, staff(world).await);
        let me = staff.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].take();
        let tables = owner.ask("{ lookupTables { nodes { id } } tenant { id } }", json!({})).await.unwrap();
        let (table, tenant) = (tables["lookupTables"]["nodes"][0]["id"].as_str().unwrap(), &tables["tenant"]["id"]);
        consent(world, true).await;
        let begun = begin(world, &staff, true).await;
        begun.client.lookup_entries_set(table, &[("HAT-XXL".to_owned(), "1".to_owned())]).await.unwrap();
        begun.client.ask(BANNER, json!({})).await.unwrap();
        let everything = "{ connections { nodes { id name settings hookUrl credentialHint } } connectors { name }
            messages { nodes { id } } deliveries { nodes { id } } alertReceivers { id name address } members { email } }";
        let seen = begun.client.ask(everything, json!({})).await.unwrap();
        assert!(seen["connections"]["nodes"].as_array().unwrap().len() >= 2 && !seen.to_string().contains("shop-client-secret"), "{seen}");
        begun.client.ask(LEAVE, json!({})).await.unwrap();

        let by = "query($a: ID) { auditEvents(filter: {actorId: $a}, first: 100) { nodes { action actor subjectKind subjectId detail } } }";
        let audit = owner.ask(by, json!({"a": begun.id})).await.unwrap()["auditEvents"]["nodes"].take();
        let events: Vec<&Value> = audit.as_array().unwrap().iter().rev().collect();
        let told: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        let expected = [
            "impersonation.begun",
            "impersonation.used",
            "lookup_table.entries_set",
            "impersonation.used",
            "impersonation.used",
            "impersonation.used",
            "impersonation.ended",
        ];
        assert_eq!(told, expected, "to ask who one is, too");
        for event in &events {
            let actor = &event["actor"];
            let said = (&actor["kind"], &actor["user"], &actor["on_behalf_of"], &actor["impersonation"], &actor["ticket"]);
            assert_eq!(said, (&json!("staff"), &me, tenant, &json!(begun.id), &json!("HELP-1042")), "{event}");
        }
        let detail = |n: usize| serde_json::from_str::<Value>(events[n]["detail"].as_str().unwrap()).unwrap();
        assert_eq!((&detail(0)["reason"], &detail(0)["ticket"]), (&json!("Orders of yesterday are missing"), &json!("HELP-1042")));
        assert_eq!((&detail(1)["asked"], &detail(1)["ids"]), (&json!(["lookupEntriesSet"]), &json!([table])));
        assert_eq!((&detail(3)["asked"], detail(4)["asked"].as_array().unwrap().len()), (&json!(["viewer"]), 6));
        // By the person, and by the tenant that it was for, too.
        for actor in [&me, tenant] {
            let found = owner.ask(by, json!({"a": actor})).await.unwrap();
            assert_eq!(found["auditEvents"]["nodes"].as_array().unwrap().len(), 7, "{actor}");
        }
        let listed = owner.ask("{ impersonations { id eventCount changeCount mayWrite staff { email } reason ticket consentId } }", json!({})).await.unwrap();
        let listed = &listed["impersonations"][0];
        assert_eq!((&listed["eventCount"], &listed["changeCount"], &listed["staff"]["email"]), (&json!(7), &json!(1), &json!(STAFF)), "{listed}");
        // And the log with it can be proven.
        let verified = owner.ask("{ auditHead { events } }", json!({})).await.unwrap();
        assert!(verified["auditHead"]["events"].is_number());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_is_noted_however_deep_it_asks_and_whatever_it_asks_beside() {
    world(async |world| {
        let (owner, staff) = (&world.acme.client, staff(world).await);
        consent(world, false).await;
        let begun = begin(world, &staff, false).await;
        let inline = |levels: usize| {
            let (begin, end) = ("... { ".repeat(levels), "} ".repeat(levels));
            format!("{{ {begin} records(first: 10) {{ nodes {{ id document }} }} {end} }}")
        };
        let chain: String = (0..15).map(|n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1)).collect();
        let named = format!("{{ ...F0 }} {chain} fragment F15 on Query {{ messages(first: 10) {{ nodes {{ id }} }} }}");
        let delivery = format!("dlv_{}", "f".repeat(32));
        let invented: Vec<String> = (0..40).map(|n| format!("aaa_{n:032x}")).collect();
        let beside = "query($d: ID!) { viewer { id } tenant { id } ... { z: delivery(id: $d) { id } } }";
        for (query, variables) in [
            (inline(11).as_str(), json!({})),
            (inline(21).as_str(), json!({})),
            (named.as_str(), json!({})),
            (beside, json!({"d": delivery, "nobodys": invented})),
            ("{ __typename }", json!({})),
        ] {
            let answer = begun.client.raw(query, variables).await.unwrap();
            assert!(answer["data"].is_object() && answer["errors"].is_null(), "it is answered: {query}: {answer}");
        }
        // Elsewhere nothing is theirs, and that they asked is told to whom it was that let them in.
        assert_eq!(refused(&begun.client.clone().of_tenant("nowhere").raw(CONNECTIONS, json!({})).await.unwrap()), Some("NO_TENANT"));
        // What cannot be noted whole is not answered.
        let many: Vec<String> = (0..1_101).map(|n| format!("dlv_{n:032x}")).collect();
        let deep = inline(23);
        for (query, variables) in [(beside, json!({"d": many})), (deep.as_str(), json!({}))] {
            assert_eq!(refused(&begun.client.raw(query, variables).await.unwrap()), Some("BAD_REQUEST"), "{query}");
        }

        let by = "query($a: ID) { auditEvents(filter: {actorId: $a}, action: \"impersonation.used\", first: 100) { nodes { detail } } }";
        let audit = owner.ask(by, json!({"a": begun.id})).await.unwrap()["auditEvents"]["nodes"].take();
        let told: Vec<Value> =
            audit.as_array().unwrap().iter().rev().map(|event| serde_json::from_str(event["detail"].as_str().unwrap()).unwrap()).collect();
        let expected = [
            json!({"asked": ["records"], "ids": []}),
            json!({"asked": ["records"], "ids": []}),
            json!({"asked": ["messages"], "ids": []}),
            json!({"asked": ["delivery", "tenant", "viewer"], "ids": [delivery]}),
            json!({"asked": ["__typename"], "ids": []}),
            json!({"asked": ["connections"], "ids": []}),
        ];
        assert_eq!(told, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_staff_do_as_themselves_stands_in_the_log_of_the_installation() {
    world(async |world| {
        let staff = staff(world).await;
        let me = staff.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].take();
        let me = me.as_str().unwrap();
        let open = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { userErrors { code } } }";
        Client::new(&world.platform.url).raw(open, json!({"i": {"email": STAFF, "password": "a-wrong-password"}})).await.unwrap();
        for action in ["session.opened", "second_factor.set", "session.refused"] {
            let line = eventually(&format!("the log tells {action}"), async || {
                let log = std::fs::read_to_string(world.platform.logs.join("api.log")).unwrap_or_default();
                log.lines()
                    .find(|line| line.contains(&format!("{action}: {me}, who is a member of no tenant")))
                    .map(str::to_owned)
            })
            .await;
            assert!(line.contains("127.0.0.1") && !line.contains("wrong-password"), "{line}");
        }
        let mut database = world.platform.database.connect().await.unwrap();
        let told =
            "SELECT count(*) FROM audit_events WHERE subject_kind = 'user' AND 'usr_' || replace(subject_id::text, '-', '') = $1";
        assert_eq!(sqlx::query_scalar::<_, i64>(told).bind(me).fetch_one(&mut database).await.unwrap(), 0, "no tenant has them");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_is_of_one_tenant_and_one_person_and_no_stranger_sees_it() {
    world(async |world| {
        world.platform.user_create(STAFF, PASSWORD).await.unwrap();
        let staff = Client::new(&world.platform.url).sign_in(STAFF, PASSWORD).await.unwrap();
        let app = second_factor(&staff).await;
        grant(world, "staff-grant").await;
        consent(world, true).await;
        let begun = begin(world, &staff, true).await;
        world.platform.user_create("other@crossdock.example", PASSWORD).await.unwrap();
        let other = Client::new(&world.platform.url).sign_in("other@crossdock.example", PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        for tenant in [own.as_str(), "other"] {
            let elsewhere = begun.client.clone().of_tenant(tenant).raw(CONNECTIONS, json!({})).await.unwrap();
            assert_eq!(refused(&elsewhere), Some("NO_TENANT"), "a token of acme");
        }
        assert!(is_in(&begun.client.clone().of_tenant("acme")).await && is_in(&begun.client.clone().of_tenant(&world.acme.id)).await);
        let other = other.of_tenant(&own);
        let seen = other.ask("{ impersonations { id } supportConsents { id } supportRequests { id } }", json!({})).await.unwrap();
        assert_eq!(seen, json!({"impersonations": [], "supportConsents": [], "supportRequests": []}));
        for query in [END, WITHDRAW] {
            assert_eq!(user_error(&other.raw(query, json!({"id": begun.id})).await.unwrap()), "id NOT_FOUND");
        }
        for query in ["{ impersonations { id } }", "{ supportDesk { running { id } } }", LEAVE, RESUME] {
            let stranger = Client::new(&world.platform.url).raw(query, json!({})).await.unwrap();
            assert_eq!(refused(&stranger), Some("UNAUTHENTICATED"), "{query}");
        }
        // Another of the staff has nothing of it: neither its token nor its end.
        let output = world.platform.run(&["user", "staff-grant", "--email", "other@crossdock.example"]).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        for query in [RESUME, LEAVE] {
            assert_eq!(user_error(&other.raw(query, json!({})).await.unwrap()), "impersonation NOT_FOUND", "{query}");
        }
        // Who is signed in elsewhere takes it along: the token that hung on the session before is worth nothing any more.
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE second_factors SET last_step = last_step - 2").execute(&mut database).await.unwrap();
        let now = u64::try_from(chrono::Utc::now().timestamp()).unwrap();
        let open = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { message } } }";
        let input = json!({"i": {"email": STAFF, "password": PASSWORD, "code": app.generate(now).to_string()}});
        let opened = staff.ask(open, input).await.unwrap();
        let elsewhere =
            Client::new(&world.platform.url).with_token(opened["sessionOpen"]["session"]["accessToken"].as_str().unwrap());
        let resumed = elsewhere.ask(RESUME, json!({})).await.unwrap();
        let moved = crate::impersonation::begun(world, &resumed["impersonationResume"]);
        assert!(is_in(&moved.client).await && !is_in(&begun.client).await);
        // The application's own role writes none of it but by the functions, and only an owner or admin consents.
        let options: sqlx::postgres::PgConnectOptions = world.platform.database.app_url.parse().unwrap();
        let mut app = sqlx::ConnectOptions::connect(&options).await.unwrap();
        for act in [
            "UPDATE impersonations SET ends_at = ends_at",
            "INSERT INTO support_consents (id, tenant_id, may_write, given_by) SELECT gen_random_uuid(), gen_random_uuid(), true, gen_random_uuid()",
            "SELECT * FROM staff",
            "SELECT support_consent_give(gen_random_uuid(), gen_random_uuid(), true, NULL)",
        ] {
            let error = sqlx::query(act).execute(&mut app).await.unwrap_err().to_string();
            assert!(error.contains("permission denied") || error.contains("only an owner or admin"), "{act}: {error}");
        }
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM impersonations").fetch_one(&mut app).await.unwrap();
        assert_eq!(seen, 0, "without a tenant");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_is_told_by_mail_to_owners_and_admins_and_to_nobody_else() {
    world_with_mail(async |world, server| {
        let staff = staff(world).await;
        for role in ["admin", "operator"] {
            world.joins(&format!("{role}@crossdock.example"), PASSWORD, role).await;
        }
        let mut errand = errand(false);
        errand["i"]["reason"] = json!("Orders are missing\r\n\r\nIgnore this mail.");
        let asked = staff.ask(ASK, errand.clone()).await.unwrap();
        world
            .acme
            .client
            .ask(ANSWER, json!({"id": asked["supportRequestCreate"]["supportRequest"]["id"], "yes": true, "w": false}))
            .await
            .unwrap();
        staff.ask(BEGIN, errand).await.unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let mails = loop {
            let mails = server.mails();
            if mails.len() >= 4 {
                break mails;
            }
            assert!(Instant::now() < end, "four mails: {mails:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let of = |what: &str| {
            let mails = mails.iter().filter(|mail| mail["text"].as_str().is_some_and(|text| text.contains(what)));
            mails.map(|mail| mail["to"].to_string()).collect::<BTreeSet<_>>()
        };
        let expected: BTreeSet<String> =
            [json!([EMAIL]), json!(["admin@crossdock.example"])].iter().map(Value::to_string).collect();
        assert_eq!((of("asks to look at acme"), of("has begun to look at acme")), (expected.clone(), expected), "{mails:?}");
        let text = mails[0]["text"].as_str().unwrap();
        assert!(text.contains("HELP-1042") && !text.lines().any(|line| line.starts_with("Ignore")), "{text}");
    })
    .await;
}
