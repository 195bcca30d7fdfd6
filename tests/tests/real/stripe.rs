//! Stripe's API as localstripe serves it: customers both ways, invoices, signed webhooks. It is another's reading of Stripe's documentation and
//! an old version of the API; what it lacks stays in the connector's `unchecked`.

use std::collections::BTreeSet;

use connectors::Proof;
use domain::fault::FaultClass;
use domain::mapping::LookupSet;
use domain::record::RecordKind::{Customer, Invoice};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::account::{Account, assert_understood, authentication, fault, secrets};
use crate::hooks::{self, Hooks};
use crate::program::Program;
use crate::proving::{Proving, Stopped};

pub const NAME: &str = "stripe";
const KEY: &str = "sk_test_crossdock";
const HOOK_SECRET: &str = "whsec_crossdock_test";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs and runs software of others: cargo xtask test --real"]
async fn stripe() {
    let localstripe = Program::start("localstripe_server.py").await;
    let mut proving = Proving::of(NAME, "localstripe", localstripe.text("version"));
    let credential = secrets(&[("secret_key", KEY), ("hook_secret", HOOK_SECRET)]);
    let account = Account::open(NAME, localstripe.text("url"), json!({}), credential).await.with_pages_of(3);
    let direct = Direct { http: tests::client::http().build().unwrap(), url: localstripe.text("url").to_owned() };
    let _ = prove(&mut proving, &account, &direct).await;
    proving.finish();
}

/// localstripe's own API, without Crossdock.
struct Direct {
    http: reqwest::Client,
    url: String,
}

impl Direct {
    async fn get(&self, path: &str) -> Json {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(KEY).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Json {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(KEY).body(body);
        let answer = request.header("Content-Type", "application/x-www-form-urlencoded").send().await.unwrap();
        let text = answer.error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn ids(&self, path: &str) -> BTreeSet<String> {
        let list = self.get(&format!("{path}?limit=100")).await;
        list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn card(number: &str) -> [(&'static str, &str); 5] {
    let expires = [("source[exp_month]", "12"), ("source[exp_year]", "2099"), ("source[cvc]", "123")];
    [("source[object]", "card"), ("source[number]", number), expires[0], expires[1], expires[2]]
}

fn customer(name: &str) -> Json {
    json!({
        "name": name,
        "email": "purchasing+1@krueger.example",
        "phone": "+49 30 5550142",
        "addresses": [{"kind": "billing", "line1": "Königstraße 1–3", "city": "Görlitz", "postal_code": "02826", "country": "DE"}],
    })
}

async fn prove(proving: &mut Proving, account: &Account, direct: &Direct) -> Result<(), Stopped> {
    let hooks = Hooks::start().await;
    let none = LookupSet::default();
    let form = [("url", hooks.url()), ("secret", HOOK_SECRET.to_owned())];
    direct.post("/_config/webhooks/crossdock", &form.each_ref().map(|(name, value)| (*name, value.as_str()))).await;

    // localstripe knows no keys: it takes what looks like a secret one.
    authentication(proving, account, Customer, &secrets(&[("secret_key", "pk_test_publishable")])).await?;
    let id = proving
        .check("customer: a write is stored, and its receipt understood", async {
            let payload = account.payload(Customer, &customer("Metallbau Krüger & Söhne 100 %"), ("c-1", 1), &none);
            let receipt = account.write(Customer, "c-1", 1, &payload).await.unwrap();
            let stored = direct.get(&format!("/v1/customers/{}", receipt.id)).await;
            assert_eq!(
                (&stored["name"], &stored["address"]["line1"]),
                (&json!("Metallbau Krüger & Söhne 100 %"), &json!("Königstraße 1–3"))
            );
            assert_eq!((&stored["email"], &stored["phone"]), (&json!("purchasing+1@krueger.example"), &json!("+49 30 5550142")));
            assert_eq!(stored["metadata"], json!({"crossdock_key": "c-1", "crossdock_revision": "1", "crossdock_source": "ERP"}));
            receipt.id
        })
        .await?;
    proving
        .check("customer: an update changes what is there, and makes nothing new", async {
            let payload = account.payload(Customer, &customer("Krüger AG"), ("c-1", 2), &none);
            let receipt = account.update(Customer, &id, "c-1", 2, &payload).await.unwrap();
            let stored = direct.get(&format!("/v1/customers/{id}")).await;
            assert_eq!((receipt.id.as_str(), &stored["name"]), (id.as_str(), &json!("Krüger AG")));
            assert_eq!(stored["metadata"]["crossdock_revision"], "2");
            assert_eq!(direct.ids("/v1/customers").await, BTreeSet::from([id.clone()]));
        })
        .await?;
    proving
        .check("customer: a full read brings every record once, to the last page", async {
            for n in 2..=8 {
                let payload = account.payload(Customer, &customer(&format!("Customer {n}")), (&format!("c-{n}"), 1), &none);
                account.write(Customer, &format!("c-{n}"), 1, &payload).await.unwrap();
            }
            let brought = account.read_all(Customer).await.unwrap();
            assert_eq!((brought.pages, brought.records.len()), (3, 8));
            assert_eq!(brought.ids(), direct.ids("/v1/customers").await);
        })
        .await?;
    proving
        .check("customer: what is read is a canonical record, as it was written", async {
            let brought = account.read_all(Customer).await.unwrap();
            let ours = brought.records.iter().find(|record| record.id.as_deref() == Some(&id)).unwrap();
            let record = account.record(Customer, &ours.bytes);
            assert_eq!((&record["name"], &record["email"]), (&json!("Krüger AG"), &json!("purchasing+1@krueger.example")));
            assert_eq!(record["addresses"][0]["country"], "DE");
        })
        .await?;
    proving
        .check("customer: a lost answer leaves one record, and a search that is not offered is no absence", async {
            let payload = account.payload(Customer, &customer("Lost"), ("c-lost", 1), &none);
            account.write_and_lose(Customer, "c-lost", 1, &payload).await;
            let list = direct.get("/v1/customers?limit=100").await;
            let ours = |one: &&Json| one["metadata"]["crossdock_key"] == "c-lost";
            assert_eq!(list["data"].as_array().unwrap().iter().filter(ours).count(), 1);
            let proof = account.prove(Customer, "c-lost", 1, &payload).await;
            assert!(matches!(&proof, Proof::Failed(fault) if fault.class.is_passing()), "{proof:?}");
        })
        .await?;
    invoices(proving, account, direct, &id).await?;
    errors(proving, account).await?;
    webhooks(proving, account, &hooks).await
}

async fn invoices(proving: &mut Proving, account: &Account, direct: &Direct, customer: &str) -> Result<(), Stopped> {
    proving
        .check("invoice: a full read brings every record once, each with all of its lines", async {
            // localstripe makes invoices of subscriptions only; the first one takes what waits for its customer.
            for (amount, description) in [("250", "Bolt M8×40"), ("-100", "Goodwill")] {
                let item = [("customer", customer), ("amount", amount), ("currency", "eur"), ("description", description)];
                direct.post("/v1/invoiceitems", &item).await;
            }
            let plan =
                [("id", "socks"), ("amount", "1999"), ("currency", "eur"), ("interval", "month"), ("product[name]", "Socks")];
            direct.post("/v1/plans", &plan).await;
            direct.post(&format!("/v1/customers/{customer}/sources"), &card("4242424242424242")).await;
            for _ in 0..4 {
                direct.post("/v1/subscriptions", &[("customer", customer), ("items[0][plan]", "socks")]).await;
            }
            let brought = account.read_all(Invoice).await.unwrap();
            assert_eq!(brought.records.len(), 4);
            assert_eq!(brought.ids(), direct.ids("/v1/invoices").await);
        })
        .await?;
    proving
        .check("invoice: what is read is a canonical record, its lines and total to the cent", async {
            let brought = account.read_all(Invoice).await.unwrap();
            let records = brought.records.iter().map(|record| account.record(Invoice, &record.bytes));
            let ours =
                records.into_iter().find(|record| record["lines"].as_array().is_some_and(|lines| lines.len() == 3)).unwrap();
            let amount = |line: &Json, key: &str| -> Decimal { line[key].as_str().unwrap_or("0").parse().unwrap() };
            let total = |line: &Json| amount(line, "quantity") * amount(line, "unit_price") - amount(line, "discount_total");
            let totals: BTreeSet<Decimal> = ours["lines"].as_array().unwrap().iter().map(total).collect();
            assert_eq!(totals, ["19.99", "2.50", "-1"].map(|total| total.parse().unwrap()).into(), "{ours}");
            assert_eq!((&ours["totals"]["grand"], &ours["currency"]), (&json!("21.49"), &json!("EUR")));
            assert_eq!((&ours["customer"]["source_id"], &ours["status"]), (&json!(customer), &json!("paid")));
        })
        .await
}

async fn errors(proving: &mut Proving, account: &Account) -> Result<(), Stopped> {
    proving
        .check("errors: what a field's content makes of a request is validation, in Stripe's words", async {
            let payload = domain::value::Value::from(&json!({"shoe_size": "46"}));
            let fault = fault(account.write(Customer, "c-wrong", 1, &payload).await);
            assert_understood(&fault, FaultClass::Validation);
            assert!(fault.reason.contains("shoe_size"), "{fault:?}");
        })
        .await?;
    proving
        .check("errors: what could not be done although the request was right (402) is validation, with its code", async {
            let source =
                json!({"object": "card", "number": "4000000000000002", "exp_month": "12", "exp_year": "2099", "cvc": "123"});
            let payload = domain::value::Value::from(&json!({"name": "Declined", "source": source}));
            let fault = fault(account.write(Customer, "c-declined", 1, &payload).await);
            assert_understood(&fault, FaultClass::Validation);
            assert_eq!((fault.status, fault.code.as_str()), (Some(402), "card_declined"), "{fault:?}");
        })
        .await?;
    proving
        .check("errors: what is not there is not found", async {
            assert_understood(&fault(account.get(Customer, "cus_nobody").await), FaultClass::NotFound);
        })
        .await
}

async fn webhooks(proving: &mut Proving, account: &Account, hooks: &Hooks) -> Result<(), Stopped> {
    let id = proving
        .check("webhooks: customer.created is signed, believed, and says what it is about", async {
            let payload = account.payload(Customer, &customer("Hooked – “ünïcödé” 😀"), ("c-hook", 1), &LookupSet::default());
            let receipt = account.write(Customer, "c-hook", 1, &payload).await.unwrap();
            let (_, info) = hooks.wait_for(account, "customer.created", &receipt.id).await;
            assert_eq!((info.kind, info.fetch), (Some(Customer), true));
            assert!(info.dedupe_key.starts_with("evt_"), "{info:?}");
            assert!(info.api_version.is_some(), "{info:?}");
            receipt.id
        })
        .await?;
    proving
        .check("webhooks: what customer.created is about is read back", async {
            let bytes = account.fetch("customer.created", &id).await.unwrap();
            assert_eq!(account.record(Customer, &bytes)["name"], "Hooked – “ünïcödé” 😀");
        })
        .await?;
    proving
        .check("webhooks: every event has a dedupe id of its own", async {
            let all = hooks.all();
            let ids: BTreeSet<String> =
                all.iter().map(|hook| serde_json::from_slice::<Json>(&hook.body).unwrap()["id"].to_string()).collect();
            assert!(all.len() > 10 && ids.len() == all.len(), "{} hooks, {} ids", all.len(), ids.len());
        })
        .await?;
    let (hook, _) = hooks.wait_for(account, "customer.created", &id).await;
    hooks::forgeries(proving, account, &hook).await
}
