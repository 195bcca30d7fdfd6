//! The vendors' own packages judge our signatures, and we judge theirs. They are installed once, pinned, in the user's cache folder; where
//! that is not possible, the test says why and judges nothing: the known values in `src/hook/tests.rs` hold in any case.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use connectors::{Connector, HookCall, HookRefusal};
use domain::secret::{SecretFields, SecretString};
use serde_json::{Value, json};

const PYTHON: [&str; 5] =
    ["stripe==16.1.0", "svix==2.9.1", "standardwebhooks==1.1.0", "hubspot-api-client==12.0.0", "easypost==10.7.0"];
const NODE: [&str; 2] = ["@octokit/webhooks@14.2.0", "@shopify/shopify-api@13.1.0"];
/// Old enough to be refused by everybody, s.
const OLD_S: i64 = 400;
const URL: &str = "https://us.example/hooks/t0k3n?shop=a";

/// One package, and the connector that says the same as it does.
struct Judge {
    name: &'static str,
    webhooks: &'static str,
    secrets: [&'static str; 2],
    /// It makes signatures as well.
    signs: bool,
    /// It looks at an empty body, rather than refusing it unseen.
    takes_empty: bool,
    /// It refuses what is old.
    has_time: bool,
    /// Its header has room for a signature of each secret.
    has_items: bool,
}

const PYTHON_JUDGES: [Judge; 5] = [
    Judge {
        name: "stripe",
        webhooks: r#"signature: {header: [Stripe-Signature], encoding: hex, secrets: [new, old], signed: "{{ timestamp }}.{{ body }}",
            items: {separator: ",", assign: "=", name: v1}, timestamp: {item: t, unit: unix_s, tolerance_s: 300}}"#,
        secrets: ["whsec_Grün+/=", "whsec_other"],
        signs: true,
        takes_empty: true,
        has_time: true,
        has_items: true,
    },
    Judge {
        name: "standardwebhooks",
        webhooks: r#"signature: {header: [webhook-signature], secrets: [new, old], secret_encoding: base64, secret_prefix: whsec_,
            signed: "{{ header.webhook-id }}.{{ timestamp }}.{{ body }}", items: {separator: " ", assign: ",", name: v1},
            timestamp: {header: webhook-timestamp, unit: unix_s, tolerance_s: 300}}"#,
        secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "c2VjcmV0LW9mLTMwLWJ5dGVzLXdpdGgtcGFk"],
        signs: true,
        takes_empty: true,
        has_time: true,
        has_items: true,
    },
    Judge {
        name: "svix",
        webhooks: r#"signature: {header: [svix-signature], secrets: [new, old], secret_encoding: base64, secret_prefix: whsec_,
            signed: "{{ header.svix-id }}.{{ timestamp }}.{{ body }}", items: {separator: " ", assign: ",", name: v1},
            timestamp: {header: svix-timestamp, unit: unix_s, tolerance_s: 300}}"#,
        secrets: ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_c2hvcnQ"],
        signs: true,
        takes_empty: true,
        has_time: true,
        has_items: true,
    },
    Judge {
        name: "hubspot",
        webhooks: r#"signature: {header: [X-HubSpot-Signature-v3], secrets: [new, old], signed: "{{ method }}{{ url }}{{ body }}{{ timestamp }}",
            timestamp: {header: X-HubSpot-Request-Timestamp, unit: unix_ms, tolerance_s: 300}}"#,
        secrets: ["5ecret-of-the-app", "old secret ü"],
        signs: true,
        takes_empty: true,
        has_time: true,
        has_items: false,
    },
    Judge {
        name: "easypost",
        webhooks: r#"signature: {header: [X-Hmac-Signature], encoding: hex, prefix: "hmac-sha256-hex=", secret_encoding: nfkd, secrets: [new, old]}"#,
        secrets: ["sécret-ﬁ-Å-①", "plain"],
        signs: false,
        takes_empty: true,
        has_time: false,
        has_items: false,
    },
];

const NODE_JUDGES: [Judge; 2] = [
    Judge {
        name: "octokit",
        webhooks: r#"signature: {header: [X-Hub-Signature-256], encoding: hex, prefix: "sha256=", secrets: [new, old]}"#,
        secrets: ["It's a Secret to Everybody ü", "old"],
        signs: true,
        takes_empty: false,
        has_time: false,
        has_items: false,
    },
    Judge {
        name: "shopify",
        webhooks: r#"signature: {header: [X-Shopify-Hmac-Sha256], secrets: [new, old]}"#,
        secrets: ["shpss_0123456789abcdef", "shpss_old"],
        signs: false,
        takes_empty: false,
        has_time: false,
        has_items: false,
    },
];

/// What a vendor signs is not always JSON, and never looked at before.
fn bodies() -> Vec<String> {
    vec![
        r#"{"id":1042}"#.to_owned(),
        "{\"name\":\"Grün € 🚚 \u{2028}\",\n  \"escaped\":\"\\u00fc\\/\" }\r\n".to_owned(),
        r#"{"template":"{{ body }} {{ url }} t=1,v1=0"}"#.to_owned(),
        format!(r#"{{"long":"{}"}}"#, "x€".repeat(50_000)),
        "a=1&b=%20".to_owned(),
        String::new(),
    ]
}

impl Judge {
    fn connector(&self) -> Connector {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, credential: {{new: {{title: N}}, old: {{title: O}}}},
              webhooks: {{{}, topic: {{header: [X-Shopify-Topic]}}, topics: {{made: {{kind: order, id: id}}}}}}}}",
            self.webhooks
        );
        let files = HashMap::from([("connector.yaml".to_owned(), yaml)]);
        Connector::from_files("x", files).unwrap_or_else(|errors| panic!("{}: {errors}", self.name))
    }

    fn question(&self, op: &str, secret: &str, body: &str, headers: &[(String, String)], at: DateTime<Utc>) -> Value {
        let headers: HashMap<String, &String> = headers.iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        json!({"judge": self.name, "op": op, "secret": secret, "body": body, "headers": headers, "at": at.timestamp(),
               "method": "POST", "url": URL})
    }
}

fn fields(secrets: &[(&str, &str)]) -> SecretFields {
    secrets.iter().map(|(name, secret)| ((*name).to_owned(), SecretString::from(*secret))).collect()
}

/// What vendors send besides, some of it signed.
fn beside() -> Vec<(String, String)> {
    let pairs = [
        ("webhook-id", "msg_1"),
        ("svix-id", "msg_1"),
        ("X-Shopify-Topic", "made"),
        ("X-Shopify-Shop-Domain", "acme.myshopify.com"),
        ("X-Shopify-API-Version", "2026-07"),
        ("X-Shopify-Webhook-Id", "1"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Whether the signature holds; a body that is no JSON is unreadable and still rightly signed.
fn we_accept(
    connector: &Connector,
    headers: &[(String, String)],
    body: &str,
    secrets: &[(&str, &str)],
    now: DateTime<Utc>,
) -> bool {
    let call = HookCall { method: "POST", url: URL, headers, body: body.as_bytes(), now };
    match connector.verify_hook(&call, &fields(secrets), &json!({})) {
        Ok(_) | Err(HookRefusal::Unreadable(_)) => true,
        Err(refusal) => {
            assert!(refusal.is_forged());
            false
        }
    }
}

/// Another body, or another signature, of the same length.
fn changed(text: &str) -> String {
    let at = text.rfind(|c: char| c.is_ascii_alphanumeric()).expect("something that can be changed");
    // The last digit of a base64 text has bits that say nothing; the one before has none.
    let at = text[..at].rfind(|c: char| c.is_ascii_alphanumeric()).unwrap_or(at);
    let other = if &text[at..=at] == "1" { "2" } else { "1" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn judge_all(judges: &[Judge], ask: impl Fn(&[Value]) -> Vec<Value>) {
    let now = Utc::now();
    let old = now - TimeDelta::seconds(OLD_S);
    let mut theirs = Vec::new();
    let mut ours = Vec::new();
    for judge in judges {
        let connector = judge.connector();
        let [new, other] = judge.secrets;
        for body in bodies().into_iter().filter(|body| judge.takes_empty || !body.is_empty()) {
            for secret in judge.secrets.into_iter().filter(|_| judge.signs) {
                theirs.push((judge, secret, body.clone(), judge.question("sign", secret, &body, &[], now)));
            }
            let sign = |secrets: &[(&str, &str)], at: DateTime<Utc>| {
                let mut headers = beside();
                let call = HookCall { method: "POST", url: URL, headers: &headers.clone(), body: body.as_bytes(), now: at };
                headers.extend(connector.sign_hook(&call, &fields(secrets)).unwrap_or_else(|r| panic!("{}: {r}", judge.name)));
                headers
            };
            let mut expect = |what: &'static str, good: bool, secret: &str, body: &str, headers: &[(String, String)]| {
                ours.push((judge.name, what, good, judge.question("verify", secret, body, headers, now)));
            };
            let mut headers = sign(&[("new", new)], now);
            expect("our signature", true, new, &body, &headers);
            expect("another secret", false, other, &body, &headers);
            if !body.is_empty() {
                expect("another body", false, new, &changed(&body), &headers);
            }
            if judge.has_time {
                expect("an old one", false, new, &body, &sign(&[("new", new)], old));
            }
            if judge.has_items {
                let both = sign(&[("new", new), ("old", other)], now);
                expect("the new secret of two", true, new, &body, &both);
                expect("the old secret of two", true, other, &body, &both);
            }
            let signature = &mut headers.last_mut().expect("a signature").1;
            *signature = changed(signature);
            expect("another signature", false, new, &body, &headers);
        }
    }
    let questions: Vec<Value> = theirs.iter().map(|(.., q)| q).chain(ours.iter().map(|(.., q)| q)).cloned().collect();
    let answers = ask(&questions);
    assert_eq!(answers.len(), questions.len());
    let (signed, verdicts) = answers.split_at(theirs.len());

    for ((judge, secret, body, _), headers) in theirs.iter().zip(signed) {
        let connector = judge.connector();
        let what = format!("{} signed {:.40}", judge.name, body);
        let headers: Vec<(String, String)> = headers
            .as_object()
            .unwrap_or_else(|| panic!("{what}: {headers}"))
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .chain([("X-Shopify-Topic".to_owned(), "made".to_owned())])
            .collect();
        let [new, other] = judge.secrets;
        assert!(we_accept(&connector, &headers, body, &[("new", secret)], now), "{what}");
        assert!(we_accept(&connector, &headers, body, &[("new", new), ("old", other)], now), "{what}: rotated");
        let wrong = if *secret == new { other } else { new };
        assert!(!we_accept(&connector, &headers, body, &[("new", wrong)], now), "{what}: another secret");
        assert!(!we_accept(&connector, &headers, &format!("{body} "), &[("new", secret)], now), "{what}: another body");
        if !body.is_empty() {
            assert!(!we_accept(&connector, &headers, &changed(body), &[("new", secret)], now), "{what}: another body");
        }
        let later = now + TimeDelta::seconds(OLD_S);
        assert_eq!(we_accept(&connector, &headers, body, &[("new", secret)], later), !judge.has_time, "{what}: later");
    }
    for ((judge, what, good, question), verdict) in ours.iter().zip(verdicts) {
        assert_eq!(verdict, &json!(good), "{judge} about {what}: {:.400}", question.to_string());
    }
    say(&format!("{} signatures of others verified, {} verdicts of others on ours", theirs.len(), ours.len()));
}

/// Past the test runner, which swallows what a test prints.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "hook judges: {what}");
}

fn cache() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("crossdock").join("judges-hooks"))
}

/// Installs once what `pins` name: another process that wants the same waits.
fn install(name: &str, pins: &[&str], steps: impl Fn(&Path) -> Vec<Command>) -> Result<PathBuf, String> {
    let folder = cache().ok_or("there is neither XDG_CACHE_HOME nor HOME")?.join(name);
    let io = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&folder).map_err(io)?;
    let lock = File::create(folder.join("lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    let (marker, wanted) = (folder.join("installed"), pins.join("\n"));
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    for mut step in steps(&folder) {
        let done = step.output().map_err(|error| format!("{} does not run: {error}", step.get_program().display()))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            let why = said.lines().find(|line| line.to_lowercase().contains("error")).unwrap_or("it did not say why");
            return Err(format!("{} failed: {why}", step.get_program().display()));
        }
    }
    std::fs::write(marker, wanted).map_err(io)?;
    Ok(folder)
}

fn ask(mut command: Command, questions: &[Value]) -> Vec<Value> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the judge was installed");
    let text = serde_json::to_vec(questions).expect("questions are JSON");
    child.stdin.take().expect("it is piped").write_all(&text).expect("the judge reads its questions");
    let answer = child.wait_with_output().expect("the judge ends");
    assert!(answer.status.success(), "the judge failed; what it said stands above");
    serde_json::from_slice(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer.stdout)))
}

fn script(name: &str) -> PathBuf {
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    PathBuf::from(crate_folder).join("tests/judges").join(name)
}

#[test]
fn packages_in_python_and_we_agree_on_signatures() {
    let installed = install("python", &PYTHON, |folder| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder.join("venv"));
        let mut pip = Command::new(folder.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "15", "--retries", "1"])
            .args(PYTHON);
        vec![venv, pip]
    });
    let folder = match installed {
        Ok(folder) => folder,
        Err(why) => return PYTHON.iter().for_each(|package| say(&format!("{package} was not asked: {why}"))),
    };
    judge_all(&PYTHON_JUDGES, |questions| {
        let mut python = Command::new(folder.join("venv/bin/python"));
        python.arg(script("hooks.py"));
        ask(python, questions)
    });
}

#[test]
fn packages_in_javascript_and_we_agree_on_signatures() {
    let installed = install("node", &NODE, |folder| {
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-timeout=15000",
            "--fetch-retries=1",
            "--prefix",
        ])
        .arg(folder)
        .args(NODE);
        vec![npm]
    });
    // A script finds packages beside itself only.
    let beside = |folder: PathBuf| {
        let copy = folder.join("hooks.mjs");
        std::fs::copy(script("hooks.mjs"), &copy).map(|_| copy).map_err(|error| error.to_string())
    };
    let copy = match installed.and_then(beside) {
        Ok(copy) => copy,
        Err(why) => return NODE.iter().for_each(|package| say(&format!("{package} was not asked: {why}"))),
    };
    judge_all(&NODE_JUDGES, |questions| {
        let mut node = Command::new("node");
        node.arg(&copy);
        ask(node, questions)
    });
}
