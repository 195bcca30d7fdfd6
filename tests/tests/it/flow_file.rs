//! Flows as files: what one tenant exports another applies, only what was planned is done, and nothing passes a gate by a file.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::http::{HttpAnswer, HttpRequest};
use infra::loopback;
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::{EMAIL, SHOP_DOMAIN, binary};
use tests::simulator::erp::Erp;
use tokio::process::Command;
use uuid::Uuid;

use crate::flow::{draft, publish, step};
use crate::{World, world};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("crossdock-flows-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The demo's person, as the program signs in.
async fn token(world: &World) -> String {
    let query = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } } }";
    let input = json!({"email": EMAIL, "password": world.platform.password});
    let data = Client::new(&world.platform.url).ask(query, json!({"i": input})).await.unwrap();
    data["sessionOpen"]["session"]["accessToken"].as_str().unwrap().to_owned()
}

/// What the program says, and what it ends with. It has an address and a token, and no database.
async fn crossdock(url: &str, token: &str, tenant: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary().unwrap())
        .args(arguments)
        .env_clear()
        .env("CROSSDOCK_URL", url)
        .env("CROSSDOCK_TENANT", tenant)
        .env("CROSSDOCK_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), text)
}

/// A tenant with connections of the same names as acme's, and nothing else.
async fn globex(world: &World) -> Client {
    let client = world.platform.sign_in().await.unwrap();
    let id = client.tenant_create("globex").await.unwrap();
    let client = client.of_tenant(&id);
    let (settings, credential) = (json!({"shop": SHOP_DOMAIN}), json!({"hook_secret": "another-secret"}));
    client.connection_create("shopify", "Acme shop", settings, credential).await.unwrap();
    client.connection_create("netsuite", "Acme ERP", world.erp.settings(5), Erp::credential()).await.unwrap();
    client
}

async fn flows(client: &Client) -> Vec<Value> {
    let query =
        "{ flows(first: 20) { nodes { id name needsApproval newest { id version state } published { version mapping } } } }";
    let data = client.ask(query, json!({})).await.unwrap();
    data["flows"]["nodes"].as_array().unwrap().clone()
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
}

fn orders(memo: &str, more: &str) -> String {
    format!(
        "format: 1\nname: \"orders: shopify to netsuite\"\nkind: order\nsource: Acme shop\ndestination: Acme ERP\n{more}mapping:\n  - {{ to: memo, default: {memo} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tenant_exports_another_applies_and_then_nothing_is_left_to_change() {
    world(async |world| {
        let (url, acme) = (&world.platform.url, &world.acme.client);
        let version = json!({"filter": "totals.grand > 0", "note": "For ${nobody}: the first", "mapping": [{"to": "memo", "default": "0012"}],
            "policy": {"attempts_max": 7, "missing": "keep"}, "trigger": {"schedule": {"at": ["02:00"], "zone": "Europe/Berlin"}}});
        publish(acme, &world.acme.flow, version).await;
        acme.ask("mutation { lookupTableCreate(name: \"Rates/ECB\", kind: RATES, inverts: true) { userErrors { message } } }", json!({}))
            .await
            .unwrap();
        let token = token(world).await;
        let (ours, theirs) = (Folder::new(), Folder::new());
        let export = |to: &Folder| ["flow", "export", "--tables", "--out", to.path()].map(str::to_owned);
        let run = async |tenant: &str, arguments: &[String]| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            crossdock(url, &token, tenant, &arguments).await
        };
        let (code, text) = run("acme", &export(&ours)).await;
        assert_eq!(code, 0, "{text}");
        says(&text, &["1 flows and 2 lookup tables are in"]);
        let file = ours.read("orders-shopify-to-netsuite.yaml");
        says(&file, &["source: Acme shop\n", "destination_connector: netsuite\n", "default: \"0012\"", "$${nobody}"]);
        assert!(!file.contains("con_") && !file.contains("flv_"), "a file has names and no ids: {file}");

        let globex = globex(world).await;
        let apply = |more: &[&str]| [&["apply", ours.path()], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (code, text) = run("globex", &apply(&["--plan", "--publish"])).await;
        assert_eq!(code, 2, "{text}");
        says(&text, &["+ create     flow \"orders: shopify to netsuite\"", "+ create     lookup table \"SKUs\"", "3 to create, 0 to change"]);
        assert_eq!(flows(&globex).await.len(), 0, "a plan changes nothing");
        let (code, text) = run("globex", &apply(&["--publish"])).await;
        assert_eq!(code, 0, "{text}");
        says(&text, &["version 1 is drafted, version 1 is published", "Done: 3 of 3."]);
        for more in [&["--plan", "--publish", "--prune"][..], &["--plan"], &["--publish", "--prune"]] {
            let (code, text) = run("globex", &apply(more)).await;
            assert_eq!(code, 0, "{text}");
            says(&text, &["Everything is as the files say."]);
        }
        let (code, text) = run("globex", &export(&theirs)).await;
        assert_eq!(code, 0, "{text}");
        for name in ["orders-shopify-to-netsuite.yaml", "lookup_tables/SKUs.csv", "lookup_tables/Rates%2FECB.inverts.csv"] {
            assert_eq!(ours.read(name), theirs.read(name), "{name}");
        }

        ours.write("lookup_tables/SKUs.csv", "from,to\nONE,1\nTWO,2\n");
        ours.write("orders-shopify-to-netsuite.yaml", &file.replace("\"0012\"", "\"0013\""));
        let (code, text) = run("globex", &apply(&["--plan"])).await;
        assert_eq!(code, 2, "{text}");
        says(&text, &["~ change     lookup table \"SKUs\"", "2 added, 0 changed", "mapping memo:", "- - { to: memo, default: \"0012\" }", "+ - { to: memo, default: \"0013\" }"]);
        let (code, text) = run("globex", &apply(&[])).await;
        assert_eq!(code, 0, "{text}");
        assert_eq!(flows(&globex).await[0]["newest"]["state"], "draft", "without --publish it is a draft");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_after_the_plan_is_not_overwritten() {
    world(async |world| {
        let (client, flow) = (world.acme.client.clone(), world.acme.flow.clone());
        assert_eq!(draft(&client, &flow, json!({"note": "mine"})).await, [] as [&str; 0]);
        let folder = Folder::new();
        folder.write("orders.yaml", &orders("from the file", ""));
        folder.write("lookup_tables/New.csv", "from,to\na,1\n");
        let token = token(world).await;

        // A colleague is faster, in the moment between the plan and the change.
        let (target, times) = (world.platform.url.clone(), AtomicUsize::new(0));
        let between = move |request: HttpRequest| -> HttpAnswer {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let is_draft = String::from_utf8_lossy(&request.body).contains("flowDraft(");
                    if is_draft && times.fetch_add(1, Ordering::SeqCst) == 0 {
                        assert_eq!(draft(&client, &flow, json!({"note": "theirs"})).await, [] as [&str; 0]);
                    }
                    forward(&target, request).await
                })
            })
        };
        let door =
            loopback::serve("127.0.0.1:0".parse().unwrap(), Arc::new(move |request, _| between(request).into())).await.unwrap();

        let arguments = ["apply", folder.path(), "--publish"];
        let (code, text) = crossdock(&door.url(), &token, "acme", &arguments).await;
        assert_eq!(code, 1, "{text}");
        says(
            &text,
            &[
                "The lookup table \"New\" is as its file says.",
                "somebody else has changed it meanwhile",
                "Done: 1 of 2. 0 were not begun.",
            ],
        );
        let query = "query($id: ID!) { flow(id: $id) { newest { version state note } published { version } } }";
        let there = world.acme.client.ask(query, json!({"id": world.acme.flow})).await.unwrap();
        let theirs = json!({"version": 2, "state": "draft", "note": "theirs"});
        assert_eq!((&there["flow"]["newest"], &there["flow"]["published"]["version"]), (&theirs, &json!(1)));

        // Running it again plans anew, says whose draft it takes the place of, and does what is left.
        let (code, text) = crossdock(&door.url(), &token, "acme", &arguments).await;
        assert_eq!(code, 0, "{text}");
        says(
            &text,
            &["it takes the place of draft 2", "unchanged  lookup table \"New\"", "version 2 is published", "Done: 1 of 1."],
        );
    })
    .await;
}

/// The request as it came, and the answer as it comes.
async fn forward(target: &str, request: HttpRequest) -> HttpAnswer {
    let mut sent = tests::client::http().build().unwrap().post(format!("{target}/graphql")).body(request.body);
    for (name, value) in &request.headers {
        if ["content-type", "authorization", "x-crossdock-tenant"].contains(&name.to_lowercase().as_str()) {
            sent = sent.header(name, value);
        }
    }
    let answer = sent.send().await.unwrap();
    HttpAnswer { status: answer.status().as_u16(), headers: vec![], body: answer.bytes().await.unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_the_version_that_was_seen_and_another_is_refused() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let newest = async || {
            let data =
                client.ask("query($id: ID!) { flow(id: $id) { newest { id version } } }", json!({"id": flow})).await.unwrap();
            (data["flow"]["newest"]["id"].as_str().unwrap().to_owned(), data["flow"]["newest"]["version"].as_i64().unwrap())
        };
        let changed = ["somebody else has changed it meanwhile; look at the newest version, then try again"];
        assert_eq!(draft(client, flow, json!({"note": "one"})).await, [] as [&str; 0]);
        let (seen, number) = newest().await;
        assert_eq!(draft(client, flow, json!({"note": "two"})).await, [] as [&str; 0]);
        let (now, same) = newest().await;
        assert_eq!(number, same, "a draft in the place of a draft has its number");
        let based = |id: &str| format!("flowDraft(id: $id, basedOnId: \"{id}\", input: {{note: \"three\"}})");
        assert_eq!(step(client, &based(&seen), flow).await, changed);
        assert_eq!(step(client, &format!("flowPublish(id: $id, versionId: \"{seen}\")"), flow).await, changed);
        assert_eq!(step(client, &format!("flowPublish(id: $id, versionId: \"{now}\")"), flow).await, [] as [&str; 0]);
        assert_eq!(step(client, &format!("flowRetire(id: $id, versionId: \"{seen}\")"), flow).await, changed);
        assert_eq!(step(client, "flowRetire(id: $id, versionId: \"nonsense\")", flow).await, changed);
        assert_eq!(step(client, &based(&now), flow).await, [] as [&str; 0]);
        assert_eq!(step(client, &format!("flowRetire(id: $id, versionId: \"{now}\")"), flow).await, [] as [&str; 0]);

        let import = async |based_on: i64| {
            let query =
                "mutation($id: ID!, $v: Int) { lookupTableImport(id: $id, csv: \"from,to\\nx,1\\n\", mode: MERGE, basedOn: $v) {
                written lookupTable { version } userErrors { code } } }";
            let mut data = client.ask(query, json!({"id": world.acme.table, "v": based_on})).await;
            data.as_mut().map(|data| data["lookupTableImport"].take()).map_err(|error| error.to_string())
        };
        let table =
            client.ask("query($id: ID!) { lookupTable(id: $id) { version } }", json!({"id": world.acme.table})).await.unwrap();
        let version = table["lookupTable"]["version"].as_i64().unwrap();
        assert!(import(version - 1).await.unwrap_err().contains("CHANGED"));
        assert_eq!(import(version).await.unwrap()["written"], true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_a_gate_by_a_file_and_what_no_file_says_is_retired_only_on_demand() {
    world(async |world| {
        let (url, client, token) = (&world.platform.url, &world.acme.client, token(world).await);
        let folder = Folder::new();
        folder.write("orders.yaml", &orders("looked at", "gates: { needs_approval: true }\n"));
        let apply = async |more: &[&str]| crossdock(url, &token, "acme", &[&["apply", folder.path()], more].concat()).await;
        let (code, text) = apply(&["--publish"]).await;
        assert_eq!(code, 0, "{text}");
        says(
            &text,
            &[
                "gates.needs_approval: no -> yes",
                "its gates are set, version 2 is drafted, not published, because another person approves it first",
            ],
        );
        let flow = &flows(client).await[0];
        assert_eq!((&flow["needsApproval"], &flow["published"]["version"]), (&json!(true), &json!(1)), "{flow}");
        let (code, text) = apply(&["--plan", "--publish"]).await;
        assert_eq!(code, 2, "{text}");
        says(&text, &["publish its draft 2", "another person must approve it"]);
        let (code, text) = apply(&["--plan"]).await;
        assert_eq!(code, 0, "a draft that says the same is all that was asked for: {text}");

        folder.write(
            "orders.yaml",
            &orders("looked at", "")
                .replace("orders: shopify to netsuite", "others")
                .replace("order\n", "customer\n")
                .replace("mapping:\n  - { to: memo, default: looked at }\n", ""),
        );
        let (code, text) = apply(&["--plan"]).await;
        assert_eq!(code, 2, "{text}");
        assert!(!text.contains("- retire"), "{text}");
        let (code, text) = apply(&["--prune"]).await;
        assert_eq!(code, 0, "{text}");
        says(&text, &["- retire     flow \"orders: shopify to netsuite\", version 1", "is retired.", "Done: 2 of 2."]);
        let published = flows(client).await.iter().filter(|flow| !flow["published"].is_null()).count();
        assert_eq!(published, 0, "a draft does not run, and what was retired does not either");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_against_files_is_told_before_anything_is_changed() {
    world(async |world| {
        let (url, client, token) = (&world.platform.url, &world.acme.client, token(world).await);
        let apply = async |folder: &Folder, more: &[&str]| {
            crossdock(url, &token, "acme", &[&["apply", folder.path()], more].concat()).await
        };
        let flow = |name: &str| orders("x", "").replace("orders: shopify to netsuite", name);
        let good = flow("a good one");
        for (name, file, said) in [
            (
                "connection",
                flow("b").replace("Acme shop", "Acme shp"),
                "the source \"Acme shp\" is no connection of this tenant (there are \"Acme ERP\", \"Acme shop\")",
            ),
            (
                "connector",
                flow("b").replace("mapping", "source_connector: odoo\nmapping"),
                "is a connection of shopify, and the flow is made for odoo",
            ),
            ("rule", flow("b").replace("default: x", "expr: \"nope(\""), "bad.yaml: mapping: "),
            ("kind", flow("b").replace("kind: order", "kind: purchase_order"), "Shopify does not read the kind purchase_order"),
            ("key", flow("b").replace("mapping:", "maping:"), "bad.yaml:6:1: there is no `maping` here; did you mean `mapping`?"),
            (
                "variable",
                flow("b").replace("default: x", "default: \"${memo}\""),
                "it uses the variable ${memo}, which is not given: add --var memo=…",
            ),
            ("twice", good.clone(), "both say the flow \"a good one\""),
        ] {
            let folder = Folder::new();
            folder.write("bad.yaml", &file);
            folder.write("good.yaml", &good);
            let (code, text) = apply(&folder, &["--publish"]).await;
            assert_eq!(code, 1, "{name}: {text}");
            says(&text, &[said]);
            assert_eq!(flows(client).await.len(), 1, "{name}: nothing was made");
        }
        let folder = Folder::new();
        folder.write("one.yaml", &flow("one").replace("default: x", "from: number, lookup: \"${table}\""));
        let (code, text) = apply(&folder, &["--plan", "--var", "table=Numbers"]).await;
        assert_eq!(code, 2, "{text}");
        says(&text, &["it needs the lookup table \"Numbers\", which is not there"]);
        let (code, text) = apply(&folder, &["--plan", "--var", "table=Numbers", "--var", "tabel=x"]).await;
        assert_eq!(code, 1, "{text}");
        says(&text, &["no file uses the variable tabel of --var"]);
        let (code, text) = crossdock(url, "", "acme", &["apply", folder.path(), "--var", "table=Numbers"]).await;
        assert_eq!(code, 1, "{text}");
        says(&text, &["set CROSSDOCK_TOKEN, or CROSSDOCK_EMAIL and CROSSDOCK_PASSWORD"]);
        let (code, text) = crossdock(url, "nonsense", "acme", &["apply", folder.path(), "--var", "table=Numbers"]).await;
        assert_eq!(code, 1, "{text}");
        says(&text, &["sign in first"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_of_two_connections_say_what_must_be_set_up_and_can_be_made_into_a_flow() {
    world(async |world| {
        let client = &world.acme.client;
        let query = "query($s: ID!, $d: ID!) { flowTemplates(sourceId: $s, destinationId: $d) { name recordKind isCurated title about spec
            needs { lookupTables { name about exists } settings { side name about } } } }";
        let sides = json!({"s": world.acme.source, "d": world.acme.destination});
        let data = client.ask(query, sides).await.unwrap();
        let templates = data["flowTemplates"].as_array().unwrap();
        let first = &templates[0];
        assert_eq!((&first["name"], &first["isCurated"]), (&json!("shopify--netsuite--order"), &json!(true)));
        let need = &first["needs"]["lookupTables"][0];
        assert_eq!((&need["name"], &need["exists"]), (&json!("SKUs"), &json!(true)), "{first}");
        assert!(templates.iter().any(|one| one["recordKind"] == "customer" && one["isCurated"] == false));
        let spec = &first["spec"];
        let input = json!({"name": first["title"], "recordKind": first["recordKind"], "sourceId": world.acme.source, "destinationId": world.acme.destination,
            "filter": spec["filter"], "mapping": spec["mapping"], "policy": spec["policy"], "trigger": spec["trigger"]});
        let check = "query($i: FlowCreateInput!) { flowCheck(input: $i) { lookupTables { name exists } userErrors { message } } }";
        let checked = client.ask(check, json!({"i": input})).await.unwrap();
        assert_eq!(checked["flowCheck"]["lookupTables"], json!([{"name": "SKUs", "exists": true}]));
        let query = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { newest { state } } userErrors { field message } } }";
        let made = client.ask(query, json!({"i": input})).await.unwrap();
        assert_eq!(made["flowCreate"]["flow"]["newest"]["state"], "draft");
    })
    .await;
}
