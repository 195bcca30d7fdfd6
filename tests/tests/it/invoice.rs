//! What a tenant is billed is what was metered, by the plan it was on: each month once, with numbers that have no gap, and for ever as it was closed.

use chrono::{NaiveDate, Utc};
use domain::id::TenantId;
use domain::invoice::{Line, LineKind, Month};
use domain::plan::Plan;
use domain::scope::Scope;
use futures::future::join_all;
use infra::postgres::Store;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgConnection};
use tests::client::Client;
use tests::platform::{Database, Options};
use uuid::Uuid;

use crate::{World, eventually, world, world_with};

const PASSWORD: &str = "a-password-of-who-pays";
const SUM: &str =
    "total lines { kind plan from to meter used included beyond charges { quantity price amount } fee reason amount }";
const METERS: [&str; 3] = ["MESSAGE_ACCEPTED", "DELIVERY_CONFIRMED", "VENDOR_CALL"];

/// 100 a month with 1,000 of each included; beyond that a cent each, and half a cent after 500.
fn plan() -> Plan {
    let terms = json!({"included": 1000, "beyond": [{"up_to": 500, "price": "0.01"}, {"price": "0.005"}]});
    let meters = json!({"message_accepted": terms, "delivery_confirmed": terms, "vendor_call": terms});
    let plan = json!({"id": "growth", "name": "Growth", "currency": "EUR", "valid_from": "2020-01-01", "base_fee": "100.00", "meters": meters});
    serde_json::from_value(plan).unwrap()
}

fn running() -> Month {
    Month::of(Utc::now().date_naive())
}

/// So many counted at a moment, as the way of orders writes it.
async fn count(connection: &mut PgConnection, tenant: Uuid, meter: &str, at: &str, quantity: i64) {
    let insert = "INSERT INTO usage_events (id, tenant_id, at, meter, quantity)
                  SELECT (left(uuid7_floor($3::timestamptz)::text, 14) || right(gen_random_uuid()::text, 22))::uuid, $1, $3::timestamptz, $2, $4";
    sqlx::query(insert).bind(tenant).bind(meter).bind(at).bind(quantity).execute(connection).await.unwrap();
}

fn uuid(id: &str) -> Uuid {
    id.parse::<TenantId>().unwrap().0
}

async fn agree(world: &World, tenant: &str, from: NaiveDate) {
    let file = world.platform.logs.join("plan.yaml");
    std::fs::write(&file, serde_json::to_string(&plan()).unwrap()).unwrap();
    let arguments = ["plan", "agree", "--tenant", tenant, "--from", &from.to_string(), file.to_str().unwrap()];
    let output = world.platform.run(&arguments).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn invoices(client: &Client) -> Vec<Value> {
    let query = format!(
        "{{ invoices(first: 50) {{ nodes {{ id number month currency {SUM} tenantName corrects {{ number }} creditNotes {{ number total }} }} }} }}"
    );
    client.ask(&query, json!({})).await.unwrap()["invoices"]["nodes"].as_array().unwrap().clone()
}

async fn draft(client: &Client) -> Value {
    let query = format!(
        "{{ invoiceDraft {{ month currency closesAt nextMonth soFar {{ {SUM} }} estimate {{ {SUM} }} agreements {{ from plan }} }} }}"
    );
    client.ask(&query, json!({})).await.unwrap()["invoiceDraft"].clone()
}

/// What the usage page shows for a month, by meter.
async fn usage(client: &Client, month: Month) -> Vec<i64> {
    let query = "query($f: DateTime!, $t: DateTime!) { usage(from: $f, to: $t) { meter quantity } }";
    let shown = client.ask(query, json!({"f": month.starts_at(), "t": month.ends_at()})).await.unwrap();
    let of = |meter| {
        shown["usage"]
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["meter"] == meter)
            .map_or(0, |line| line["quantity"].as_i64().unwrap())
    };
    METERS.into_iter().map(of).collect()
}

/// What lines of a month say was used, by meter.
fn used(lines: &Value, month: Month) -> Vec<i64> {
    let is_of = |line: &&Value| line["from"].as_str().unwrap().starts_with(&month.to_string());
    let of = |meter| {
        lines
            .as_array()
            .unwrap()
            .iter()
            .filter(is_of)
            .filter(|line| line["meter"] == meter)
            .map(|line| line["used"].as_i64().unwrap())
            .sum()
    };
    METERS.into_iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_month_is_billed_once_however_many_workers_look_and_says_what_the_usage_says() {
    world_with(Options { workers: 4, ..Options::default() }, async |world| {
        let months: Vec<Month> = (1..=3).rev().map(|back| running().minus(back)).collect();
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let mut owner = world.platform.database.connect().await.unwrap();
        for (index, month) in months.iter().enumerate() {
            let edges = [format!("{month}-01T00:00:00Z"), format!("{}T23:59:59.999999Z", month.last_day())];
            for (tenant, factor) in [(&world.acme.id, 1), (&other.id, 7)] {
                for (meter, quantity) in [("message_accepted", 600), ("delivery_confirmed", 500), ("vendor_call", 900)] {
                    for at in &edges {
                        count(&mut owner, uuid(tenant), meter, at, factor * (quantity + index as i64)).await;
                    }
                }
            }
        }
        // From the tenth of the first month on; what was before is nobody's to pay.
        for tenant in ["acme", "other"] {
            agree(world, tenant, months[0].first_day() + chrono::Days::new(9)).await;
        }
        let mut numbers = vec![];
        for tenant in [&world.acme.client, &other.client] {
            let closed = eventually("three months are closed", async || {
                let closed = invoices(tenant).await;
                (closed.len() >= 3).then_some(closed)
            })
            .await;
            assert_eq!(closed.len(), 3);
            for (invoice, month) in closed.iter().rev().zip(&months) {
                assert_eq!(
                    (invoice["month"].as_str().unwrap(), invoice["currency"].as_str().unwrap()),
                    (month.to_string().as_str(), "EUR")
                );
                assert_eq!(
                    used(&invoice["lines"], *month),
                    usage(tenant, *month).await,
                    "{month}: the invoice says what the usage page says"
                );
                numbers.push(invoice["number"].as_i64().unwrap());
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6], "no number is missing and none is there twice");
        // A whole month: 1,202 of the first meter, and 1,802 calls, of which 500 cost a cent and 302 half of one.
        let second = &invoices(&world.acme.client).await[1];
        let told: Vec<String> = second["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| format!("{} {} {}", line["kind"], line["beyond"], line["amount"]))
            .collect();
        assert_eq!(told, [r#""BASE_FEE" 0 "100.00""#, r#""USAGE" 202 "2.02""#, r#""USAGE" 2 "0.02""#, r#""USAGE" 802 "6.51""#]);
        assert_eq!((second["total"].as_str(), second["tenantName"].as_str()), (Some("108.55"), Some("acme")));
        let first = &invoices(&world.acme.client).await[2];
        assert_eq!(first["lines"][0]["kind"], "NO_PLAN", "before the plan nothing is paid: {first}");
        let audited = "SELECT count(*) FROM audit_events WHERE action = 'invoice.closed' AND tenant_id = $1";
        let audited: i64 = sqlx::query_scalar(audited).bind(uuid(&world.acme.id)).fetch_one(&mut owner).await.unwrap();
        assert_eq!(audited, 3);
        let draft = draft(&world.acme.client).await;
        assert_eq!(
            (draft["month"].as_str().unwrap(), draft["nextMonth"].as_str().unwrap()),
            (running().to_string().as_str(), running().to_string().as_str())
        );
        assert_eq!(used(&draft["soFar"]["lines"], running()), usage(&world.acme.client, running()).await);
    })
    .await;
}

#[tokio::test]
async fn usage_that_comes_late_is_on_the_next_invoice_and_never_twice() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    let acme: Uuid =
        sqlx::query_scalar("INSERT INTO tenants (id, slug, name) VALUES (gen_random_uuid(), 'acme', 'Acme') RETURNING id")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    let store = Store::connect(&database.app_url, 2).await.unwrap();
    let scope = Scope::system(TenantId(acme), "test");
    let (before, last) = (running().minus(2), running().minus(1));
    store.plan_agree("acme", before.first_day(), &plan()).await.unwrap().unwrap();
    count(&mut owner, acme, "vendor_call", &format!("{before}-03T08:00:00Z"), 990).await;
    // In the last moment, and written after the month: before it is closed that is no matter.
    count(&mut owner, acme, "vendor_call", &format!("{}T23:59:59.999Z", before.last_day()), 5).await;
    let tenant = store.within(&scope);
    assert_eq!(tenant.invoice_close(last).await.unwrap(), None, "the one before comes first");
    assert_eq!(tenant.invoice_close(before).await.unwrap(), Some(1));
    let closed = tenant.invoices(None, 10).await.unwrap().rows.remove(0);
    count(&mut owner, acme, "vendor_call", &format!("{}T23:59:59Z", before.last_day()), 25).await;
    assert_eq!(tenant.invoice_close(last).await.unwrap(), Some(2));
    count(&mut owner, acme, "vendor_call", &format!("{before}-20T00:00:00Z"), 7).await;
    assert_eq!(tenant.invoice_close(running()).await.unwrap(), None, "a month that runs is not closed");

    let late = |lines: &[Line]| {
        let late = lines.iter().filter(|line| line.kind == LineKind::LateUsage);
        late.map(|line| {
            format!(
                "{}: {} used, {} included, {} beyond, {}",
                Month::of(line.from),
                line.used,
                line.included,
                line.beyond,
                line.amount
            )
        })
        .collect::<Vec<_>>()
    };
    let invoices = tenant.invoices(None, 10).await.unwrap().rows;
    assert_eq!(
        late(&invoices[0].lines),
        [format!("{before}: 25 used, 5 included, 20 beyond, 0.20")],
        "five of what was included were left"
    );
    assert_eq!((invoices[1].total, &invoices[1].lines), (closed.total, &closed.lines), "what was closed stays");
    let draft = tenant.invoice_draft(running()).await.unwrap().unwrap();
    assert_eq!(late(&draft.lines), [format!("{before}: 7 used, 0 included, 7 beyond, 0.07")], "and each of them once");
    store.close().await;
    drop(owner);
    database.drop().await.unwrap();
}

#[tokio::test]
async fn a_closing_that_breaks_off_leaves_no_gap_and_many_at_once_close_each_month_once() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    const TENANTS: usize = 5;
    const MONTHS: u32 = 3;
    let tenants = "INSERT INTO tenants (id, slug, name) SELECT gen_random_uuid(), 't' || n, 'T' || n FROM generate_series(1, 5) n RETURNING id";
    let tenants: Vec<Uuid> = sqlx::query_scalar(tenants).fetch_all(&mut owner).await.unwrap();
    let store = Store::connect(&database.app_url, 8).await.unwrap();
    let from = running().minus(MONTHS).first_day();
    for index in 1..=TENANTS {
        store.plan_agree(&format!("t{index}"), from, &plan()).await.unwrap().unwrap();
    }

    // A number is taken, the invoice is there; and then the process is gone.
    let options: PgConnectOptions = database.app_url.parse().unwrap();
    let mut gone = options.connect().await.unwrap();
    gone.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "BEGIN; SELECT set_config('crossdock.tenant_id', '{}', true)",
        tenants[0]
    ))))
    .await
    .unwrap();
    let close = "SELECT invoice_close($1, $2, 'EUR', '100.00', '[]'::jsonb)";
    let number: i64 = sqlx::query_scalar(close).bind(Uuid::now_v7()).bind(from).fetch_one(&mut gone).await.unwrap();
    assert_eq!(number, 1);
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut gone).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut owner).await.unwrap();

    // All at once, and each of them twice.
    let scopes: Vec<Scope> = tenants.iter().map(|tenant| Scope::system(TenantId(*tenant), "test")).collect();
    for back in (1..=MONTHS).rev() {
        let month = running().minus(back);
        let closings = scopes.iter().chain(&scopes).map(async |scope| store.within(scope).invoice_close(month).await.unwrap());
        let closed = join_all(closings).await.into_iter().flatten().count();
        assert_eq!(closed, TENANTS, "{month} is closed once for each");
    }
    let numbers: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM invoices ORDER BY number").fetch_all(&mut owner).await.unwrap();
    assert_eq!(numbers, (1..=(TENANTS as i64 * i64::from(MONTHS))).collect::<Vec<_>>());
    let due: Vec<NaiveDate> =
        sqlx::query_scalar("SELECT DISTINCT next_month FROM billing_accounts").fetch_all(&mut owner).await.unwrap();
    assert_eq!(due, [running().first_day()]);
    assert_eq!(store.invoices_take(10, 30.0).await.unwrap(), [], "nothing is due any more");

    // What is closed stays, whoever asks.
    for act in ["UPDATE invoices SET total = 0", "DELETE FROM invoices"] {
        assert!(owner.execute(act).await.unwrap_err().to_string().contains("is closed and stays as it is"), "{act}");
        let mut app = options.connect().await.unwrap();
        assert!(app.execute(act).await.unwrap_err().to_string().contains("permission denied"), "{act}");
    }
    store.close().await;
    drop(owner);
    database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_billed_is_given_back_by_credit_notes_and_never_more_of_it() {
    world(async |world| {
        agree(world, "acme", running().minus(1).first_day()).await;
        eventually("the month is closed", async || invoices(&world.acme.client).await.pop()).await;
        let credit = async |arguments: &[&str]| {
            let output = world
                .platform
                .run(&[&["invoice", "credit", "--number", "1", "--reason", "An outage of ours"], arguments].concat())
                .await
                .unwrap();
            (
                output.status.success(),
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
            )
        };
        assert!(credit(&["--amount", "12.50"]).await.1.contains("credit note 2 gives back of invoice 1"));
        for (wrong, why) in [
            ("87.51", "of invoice 1 87.50 EUR are left to give back"),
            ("0", "an amount is more than 0"),
            ("0.001", "has the places of EUR"),
        ] {
            let (is_done, told) = credit(&["--amount", wrong]).await;
            assert!(!is_done && told.contains(why), "{told}");
        }
        assert!(credit(&[]).await.0, "all the rest");
        let of_a_note = world.platform.run(&["invoice", "credit", "--number", "2", "--reason", "x"]).await.unwrap();
        assert!(String::from_utf8_lossy(&of_a_note.stderr).contains("2 is a credit note itself"), "{of_a_note:?}");
        let told: Vec<String> = invoices(&world.acme.client)
            .await
            .iter()
            .map(|one| format!("{} {} {}", one["number"], one["total"], one["creditNotes"]))
            .collect();
        assert_eq!(
            told,
            [
                r#"3 "-87.50" []"#,
                r#"2 "-12.50" []"#,
                r#"1 "100.00" [{"number":2,"total":"-12.50"},{"number":3,"total":"-87.50"}]"#
            ]
        );
        assert_eq!(invoices(&world.acme.client).await[0]["lines"][0]["reason"], "An outage of ours");
        // The plan of a month that was billed is what it was.
        let file = world.platform.logs.join("plan.yaml");
        let from = running().minus(1).last_day().to_string();
        let late =
            world.platform.run(&["plan", "agree", "--tenant", "acme", "--from", &from, file.to_str().unwrap()]).await.unwrap();
        assert!(String::from_utf8_lossy(&late.stderr).contains("lies in a month that was billed"), "{late:?}");
        let mut dollars = plan();
        dollars.currency = "USD".into();
        std::fs::write(&file, serde_json::to_string(&dollars).unwrap()).unwrap();
        let from = running().plus(1).first_day().to_string();
        let other =
            world.platform.run(&["plan", "agree", "--tenant", "acme", "--from", &from, file.to_str().unwrap()]).await.unwrap();
        assert!(String::from_utf8_lossy(&other.stderr).contains("is billed in EUR and stays so"), "{other:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_are_for_who_decides_pays_or_checks_and_for_no_other_tenant() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        agree(world, "acme", running().minus(1).first_day()).await;
        let closed = eventually("the month is closed", async || invoices(&world.acme.client).await.pop()).await;
        let one = "query($id: ID!) { invoice(id: $id) { number } }";
        let id = json!({"id": closed["id"]});
        assert_eq!(world.acme.client.ask(one, id.clone()).await.unwrap()["invoice"]["number"], closed["number"]);
        assert_eq!(other.client.ask(one, id.clone()).await.unwrap()["invoice"], Value::Null);
        assert!(invoices(&other.client).await.is_empty() && draft(&other.client).await.is_null(), "on no plan");
        for (role, sees) in [("admin", true), ("auditor", true), ("billing", true), ("operator", false), ("developer", false)] {
            let client = world.member(&format!("{role}@crossdock.example"), PASSWORD, role).await;
            let answer = client.raw(one, id.clone()).await.unwrap();
            assert_eq!(answer["errors"].is_null(), sees, "{role}: {answer}");
        }
        let past = world.acme.client.raw("{ invoiceDraft(month: \"2999-01\") { month } }", json!({})).await.unwrap();
        assert_eq!(past["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{past}");
    })
    .await;
}
