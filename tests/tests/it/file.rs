//! Files: what lies in a folder comes here, each version of each once; what cannot be read is told with its line and stops nothing else. The servers are
//! real: OpenSSH, and folders of this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tests::platform::Options;
use tests::sshd::Sshd;

use crate::{World, eventually, world, world_with};

pub const PATIENCE: Duration = Duration::from_secs(90);

const FILES: &str = "{ files { nodes { id name size state taken brought refused repeatsId failure readAt endedAt } } }";
const EXCEPTIONS: &str = "{ exceptions(state: \"open\", first: 50) { nodes { code sentence owner nextStep } } }";

/// A connection that is read, and its folder.
pub struct Inbox {
    pub connection: String,
    pub folder: PathBuf,
    pub poll: String,
}

impl Inbox {
    /// A folder of an SFTP server, polled for orders.
    pub async fn of_server(world: &World, sshd: &Sshd, more: Value) -> Self {
        let folder = sshd.folder("orders");
        let mut settings = json!({"folder": "orders", "format": "json_lines", "rest_s": "0"});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self::open(world, sshd.settings(settings), sshd.credential(), folder).await.begun(world).await
    }

    pub async fn open(world: &World, settings: Value, credential: Value, folder: PathBuf) -> Self {
        Self::of("files", "order", world, (settings, credential), folder).await
    }

    /// Of a connector and kind.
    pub async fn of(connector: &str, kind: &str, world: &World, access: (Value, Value), folder: PathBuf) -> Self {
        Self::named("Partner", (connector, kind), world, access, folder).await
    }

    pub async fn named(
        name: &str,
        (connector, kind): (&str, &str),
        world: &World,
        (settings, credential): (Value, Value),
        folder: PathBuf,
    ) -> Self {
        let client = &world.acme.client;
        let (connection, _) = client.connection_create(connector, name, settings, credential).await.unwrap();
        let set = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { field message } } }";
        let input = json!({"connectionId": connection, "recordKind": kind, "everyS": 30});
        let data = client.ask(set, json!({"i": input})).await.unwrap();
        Self { connection, folder, poll: data["pollSet"]["poll"]["id"].as_str().unwrap().to_owned() }
    }

    /// The look that begins with the poll is over.
    pub async fn begun(self, world: &World) -> Self {
        eventually("the first look ends", async || Some(self.poll(world).await).filter(|poll| poll["readAt"].is_string())).await;
        self
    }

    /// Writes a file as a good sender does.
    pub fn put(&self, name: &str, text: &str) {
        self.put_since(name, text, Duration::ZERO);
    }

    /// The same some time ago. Two files of one name, size and second are one: a server tells no more of them.
    fn put_since(&self, name: &str, text: &str, ago: Duration) {
        let hidden = self.folder.join(format!(".{name}.part"));
        std::fs::write(&hidden, text).unwrap();
        let file = std::fs::File::options().write(true).open(&hidden).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
        std::fs::rename(hidden, self.folder.join(name)).unwrap();
    }

    pub async fn poll(&self, world: &World) -> Value {
        let polls = "{ polls { nodes { id begunAt readAt failures failure listed brought } } }";
        let polls = world.acme.client.ask(polls, json!({})).await.unwrap()["polls"]["nodes"].clone();
        polls.as_array().unwrap().iter().find(|poll| poll["id"] == json!(self.poll)).unwrap().clone()
    }

    /// Looks now, whatever the schedule says, and waits for nothing.
    pub async fn look(&self, world: &World) {
        let resume = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
        world.acme.client.ask(resume, json!({"id": self.poll})).await.unwrap();
    }

    /// Looks now, and waits until a look that began since has come to its end: one that is under way may have listed it before.
    pub async fn looked(&self, world: &World) -> Value {
        let before = self.poll(world).await["begunAt"].clone();
        self.look(world).await;
        let is_over = |poll: &Value| poll["begunAt"] != before && moment(&poll["readAt"]) > moment(&poll["begunAt"]);
        eventually("the folder was looked at", async || Some(self.poll(world).await).filter(is_over)).await
    }
}

/// A time of an answer; none comes before all others.
pub fn moment(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

/// Newest first.
pub async fn files(world: &World) -> Vec<Value> {
    world.acme.client.ask(FILES, json!({})).await.unwrap()["files"]["nodes"].as_array().unwrap().clone()
}

pub async fn exceptions(world: &World) -> Vec<Value> {
    world.acme.client.ask(EXCEPTIONS, json!({})).await.unwrap()["exceptions"]["nodes"].as_array().unwrap().clone()
}

/// An order as a line.
pub fn order(n: usize, note: &str) -> String {
    let order = json!({
        "source_id": format!("F-{n}"), "number": format!("#{n}"), "status": "open", "currency": "EUR", "note": note,
        "lines": [{"source_id": "1", "sku": "HAT", "quantity": "1", "unit_price": "10.00"}],
        "taxes_included": false, "totals": {"grand": "10.00"},
    });
    format!("{order}\n")
}

pub fn orders(numbers: std::ops::Range<usize>, note: &str) -> String {
    numbers.map(|n| order(n, note)).collect()
}

pub async fn count(world: &World, sql: &'static str) -> i64 {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut database).await.unwrap()
}

pub fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_server_come_once_and_the_same_bytes_again_are_told_and_not_done_twice() {
    let sshd = Sshd::start();
    world(async |world| {
        let inbox =
            Inbox::of_server(world, &sshd, json!({"names": "orders-*.jsonl", "after": "archive", "archive": "done"})).await;
        inbox.put_since("orders-1.jsonl", &orders(0..1_200, "first"), Duration::from_secs(60));
        inbox.put("other.txt", "no order\n");
        let looked = inbox.looked(world).await;
        assert_eq!((&looked["brought"], &looked["failure"]), (&json!(1_200), &json!(null)), "{looked}");
        let ledger = world.acme.rest(1_200, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.accepted()), (1_200, 1_200), "{ledger:?}");
        assert_eq!(
            (names(&inbox.folder), names(&sshd.home().join("done"))),
            (vec!["other.txt".into()], vec!["orders-1.jsonl".into()])
        );

        // The same name and bytes: told, put away, and nothing of it is done.
        inbox.put("orders-1.jsonl", &orders(0..1_200, "first"));
        inbox.looked(world).await;
        let known = files(world).await;
        assert_eq!((known.len(), &known[0]["state"], &known[0]["taken"]), (2, &json!("done"), &json!(0)), "{known:?}");
        assert_eq!(known[0]["repeatsId"], known[1]["id"]);
        assert_eq!(names(&inbox.folder), ["other.txt"]);
        assert_eq!(names(&sshd.home().join("done")).len(), 2, "the archive keeps both");
        // The same name and other bytes: a new file.
        inbox.put("orders-1.jsonl", &orders(0..3, "second"));
        inbox.looked(world).await;
        let ledger = world.acme.rest(1_203, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.accepted()), (1_203, 1_203), "{ledger:?}");
        assert_eq!(count(world, "SELECT count(*) FROM records WHERE source_id LIKE 'F-%'").await, 1_200);
        assert_eq!(count(world, "SELECT count(*) FROM audit_events WHERE action = 'file.repeated'").await, 1);
        assert_eq!(exceptions(world).await, [Value::Null; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_is_waited_for_and_never_read_in_part() {
    let sshd = Sshd::start();
    world(async |world| {
        // A slow machine may take so long from one part to the next.
        let inbox = Inbox::of_server(world, &sshd, json!({"rest_s": "12"})).await;
        let all = orders(0..40, "slow");
        // Under its own name from the beginning, as many senders do.
        let path = inbox.folder.join("orders.jsonl");
        let mut seen = Vec::new();
        for part in 1..=4 {
            std::fs::write(&path, &all[..all.len() * part / 4]).unwrap();
            inbox.looked(world).await;
            seen.push(files(world).await);
        }
        assert!(seen.iter().flatten().all(|file| file["state"] == "noticed"), "{seen:?}");
        // Nothing says when to look again but that it waits.
        eventually("it is at rest and read", async || files(world).await.into_iter().find(|file| file["state"] == "done")).await;
        let ledger = world.acme.rest(40, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.accepted()), (40, 40), "{ledger:?}");
        let known = files(world).await;
        assert_eq!((known.len(), &known[0]["brought"]), (1, &json!(40)), "{known:?}");
        // It stays, and is not read again.
        inbox.looked(world).await;
        assert_eq!((files(world).await, names(&inbox.folder)), (known, vec!["orders.jsonl".to_owned()]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_ready_mark_is_read_when_the_mark_is_there() {
    let sshd = Sshd::start();
    world(async |world| {
        let inbox = Inbox::of_server(world, &sshd, json!({"ready": ".done", "after": "delete", "rest_s": "3600"})).await;
        inbox.put("a.jsonl", &orders(0..2, "a"));
        inbox.put("b.jsonl", &orders(2..5, "b"));
        std::fs::write(inbox.folder.join("b.jsonl.done"), "").unwrap();
        inbox.looked(world).await;
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().accepted(), 3);
        assert_eq!(names(&inbox.folder), ["a.jsonl"], "what was read is taken away with its mark");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_exceptions_with_their_lines_and_all_others_are_taken() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let settings = json!({"base_url": folder.url(), "folder": "in", "format": "csv", "delimiter": ";", "group": "source_id", "rest_s": "0",
                              "after": "delete", "encoding": "windows-1252"});
        let inbox = Inbox::open(world, settings, json!({}), folder.path("in")).await.begun(world).await;
        let head = "source_id;status;currency;taxes_included;totals.grand;customer.name;lines[].sku;lines[].quantity;lines[].unit_price\n";
        let rows = [
            "A-1;open;EUR;false;30.00;M\u{fc}ller;HAT;1;10.00\n",
            "A-1;open;EUR;false;30.00;;CAP;2;10.00\n",
            "A-2;open;EUR;false;10.00;Smith;HAT;1\n",
            "A-3;open;EUR;false;10.00;Smith;HAT;1;10.00\n",
        ];
        // As a spreadsheet of the western world writes it.
        let latin: Vec<u8> = format!("{head}{}", rows.concat()).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        std::fs::write(folder.path("in").join("orders.csv"), latin).unwrap();
        inbox.looked(world).await;
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.message("exception")), (2, 1), "{ledger:?}");
        let open = exceptions(world).await;
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(
            open[0]["sentence"],
            "Line 4 of the file orders.csv from Partner became no record: it has 8 values, but there are 9 columns."
        );
        assert_eq!((&open[0]["code"], &open[0]["owner"]), (&json!("file.bad_record"), &json!("operations")));
        let kept = "SELECT convert_from(body, 'WIN1252') FROM messages WHERE state = 'exception'";
        let mut database = world.platform.database.connect().await.unwrap();
        let kept: String = sqlx::query_scalar(kept).fetch_one(&mut database).await.unwrap();
        assert_eq!(kept, rows[2], "its text is kept as it came");
        let lines: i32 = sqlx::query_scalar(
            "SELECT jsonb_array_length(v.document::jsonb->'lines') FROM record_revisions v JOIN records r ON r.id = v.record_id WHERE r.source_id = 'A-1'",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert_eq!(lines, 2, "rows of one order are one order");
        let known = files(world).await;
        assert_eq!((&known[0]["brought"], &known[0]["refused"], &known[0]["state"]), (&json!(2), &json!(1), &json!("done")));
        let told = "SELECT count(*) FROM audit_events WHERE action = 'message.received' AND detail LIKE '%\"name\":\"orders.csv\"%\"line\":4%'";
        assert_eq!(count(world, told).await, 1, "the audit says which line a message was");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_one_exception_and_is_read_once_it_or_the_settings_fit() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let settings = json!({"base_url": folder.url(), "folder": "in", "format": "xml", "records": "order", "rest_s": "0", "after": "archive",
                              "archive": "done"});
        let inbox = Inbox::open(world, settings.clone(), json!({}), folder.path("in")).await.begun(world).await;
        let xml = |number: &str| {
            format!(
                "<order><source_id>{number}</source_id><status>open</status><currency>EUR</currency><taxes_included>false</taxes_included>\
                 <lines><sku>HAT</sku><quantity>1</quantity><unit_price>10.00</unit_price></lines><totals><grand>10.00</grand></totals></order>\n"
            )
        };
        let whole = format!("<orders>\n{}{}</orders>", xml("X-1"), xml("X-2"));
        inbox.put("half.xml", &whole[..whole.len() - 20]);
        inbox.put("whole.xml", &whole);
        inbox.put("rows.xml", &order(7, "no element at all"));
        for _ in 0..2 {
            inbox.looked(world).await;
        }
        let ledger = world.acme.rest(4, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.message("exception")), (2, 2), "{ledger:?}");
        let mut open = exceptions(world).await;
        open.sort_by_key(|one| one["sentence"].to_string());
        let said = open[0]["sentence"].as_str().unwrap();
        assert!(said.starts_with("The file half.xml from Partner could not be read: it is no XML: "), "{said}");
        assert_eq!(open[0]["code"], "file.unreadable");
        assert_eq!(names(&inbox.folder), ["half.xml", "rows.xml"], "what could not be read stays where it is");
        // Another version of the file is read by itself,
        inbox.put("half.xml", &whole.replace("X-", "Y-"));
        inbox.looked(world).await;
        assert_eq!(world.acme.rest(6, PATIENCE).await.unwrap().message("mapped"), 4);
        // and the same one when the settings are others.
        let update = "mutation($id: ID!, $i: ConnectionUpdateInput!) { connectionUpdate(id: $id, input: $i) { userErrors { message } } }";
        let mut other = settings;
        other["format"] = "json_lines".into();
        world.acme.client.ask(update, json!({"id": inbox.connection, "i": {"settings": other}})).await.unwrap();
        inbox.looked(world).await;
        assert_eq!(world.acme.rest(7, PATIENCE).await.unwrap().message("mapped"), 5);
        assert_eq!(names(&inbox.folder), [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_key_is_told_nothing_and_a_person_is_told_which_key_it_shows() {
    let mut sshd = Sshd::start();
    world(async |world| {
        let inbox = Inbox::of_server(world, &sshd, json!({})).await;
        inbox.put("orders.jsonl", &orders(0..1, "x"));
        sshd.change_host_key();
        let mut database = world.platform.database.connect().await.unwrap();
        for failures in 1..=3 {
            inbox.look(world).await;
            let failed = async || Some(inbox.poll(world).await).filter(|poll| poll["failures"].as_i64() >= Some(failures));
            let poll = eventually("a look fails", failed).await;
            let failure = poll["failure"].as_str().unwrap();
            assert!(failure.contains("shows another host key than the connection says (SHA256:"), "{failure}");
        }
        let incidents = "{ incidents { nodes { operation code owner sentence nextStep } } }";
        let incidents = world.acme.client.ask(incidents, json!({})).await.unwrap()["incidents"]["nodes"].clone();
        assert_eq!(
            (&incidents[0]["operation"], &incidents[0]["code"]),
            (&json!("order.list"), &json!("permission.refused")),
            "{incidents}"
        );
        assert_eq!(incidents[0]["owner"], "developer");
        sshd.stop();
        sshd.start_again();
        inbox.looked(world).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        let incidents = world.acme.client.ask("{ incidents { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(incidents["incidents"]["nodes"], json!([]), "it closes itself");
        // Whom we do not know is not signed in to: the server has seen no such user.
        sqlx::query("UPDATE connections SET settings = settings || '{\"user\": \"nobody-else\"}'")
            .execute(&mut database)
            .await
            .unwrap();
        inbox.look(world).await;
        let failed = async || Some(inbox.poll(world).await).filter(|poll| poll["failures"].as_i64() >= Some(1));
        let failure = eventually("a look fails", failed).await["failure"].clone();
        assert!(failure.as_str().unwrap().contains("did not let nobody-else in"), "{failure}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_this_machine_is_its_tenants_only_and_no_server_inside_our_walls_is_called() {
    let folder = Drop::new();
    // Opened to another tenant than acme.
    let elsewhere = format!("{}=ten_00000000000000000000000000000000", folder.root.display());
    let options = Options {
        environment: vec![("CROSSDOCK_DROP_FOLDERS", elsewhere.leak())],
        allow: "127.0.0.1:1".into(),
        ..Options::default()
    };
    world_with(options, async |world| {
        let create = "mutation($i: ConnectionCreateInput!) { connectionCreate(input: $i) { connection { id } userErrors { field code message } } }";
        for address in [folder.url(), "file:///etc".into(), format!("{}/../x", folder.url())] {
            let input = json!({"connector": "files", "name": "Mine", "credential": {}, "settings": {"base_url": address, "folder": "in"}});
            let refused = world.acme.client.raw(create, json!({"i": input})).await.unwrap()["data"]["connectionCreate"].clone();
            assert_eq!(refused["userErrors"][0]["field"], json!(["settings", "base_url"]), "{refused}");
        }
        let settings = json!({"base_url": "sftp://127.0.0.1:22", "user": "u", "folder": "in", "format": "csv"});
        let inbox = Inbox::open(world, settings, json!({"password": "p"}), folder.path("in")).await;
        let failed = async || Some(inbox.poll(world).await).filter(|poll| poll["failures"].as_i64() >= Some(1));
        let failure = eventually("the look fails", failed).await["failure"].clone();
        assert!(failure.as_str().unwrap().contains("CROSSDOCK_OUTBOUND_ALLOW"), "{failure}");
        // A connection is one folder of one kind.
        let set = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { field code } } }";
        let input = json!({"connectionId": inbox.connection, "recordKind": "item", "everyS": 30});
        let refused = world.acme.client.raw(set, json!({"i": input})).await.unwrap();
        assert_eq!(refused["data"]["pollSet"]["userErrors"][0]["code"], "BLOCKED", "{refused}");
    })
    .await;
}

/// A folder that an operator has opened, taken away at the end.
pub struct Drop {
    root: PathBuf,
}

impl Drop {
    pub fn new() -> Self {
        let root = std::env::temp_dir().join(format!("crossdock-drop-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir_all(root.join("in")).unwrap();
        Self { root }
    }

    pub fn opened(&self) -> Options {
        let root: &'static str = self.root.display().to_string().leak();
        Options { environment: vec![("CROSSDOCK_DROP_FOLDERS", root)], ..Options::default() }
    }

    /// Both are opened.
    pub fn opened_beside(&self, other: &Self) -> Options {
        let roots: &'static str = format!("{}, {}", self.root.display(), other.root.display()).leak();
        Options { environment: vec![("CROSSDOCK_DROP_FOLDERS", roots)], ..Options::default() }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl std::ops::Drop for Drop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
