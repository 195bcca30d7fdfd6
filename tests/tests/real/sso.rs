//! Signing in by a provider that we did not write: oidc-provider from npm, certified by the OpenID Foundation, with the whole platform before it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tests::client::{Client, http};
use tests::platform::{Options, Platform};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../real/oidc-provider/package.json")),
    ("package-lock.json", include_str!("../../real/oidc-provider/package-lock.json")),
    ("server.mjs", include_str!("../../real/oidc-provider/server.mjs")),
];
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT_ID: &str = "crossdock";
const CLIENT_SECRET: &str = "a-secret: of the client +";
/// From our page to the provider, through its own and back.
const HOPS_MAX: usize = 10;
const SET: &str = "mutation($i: IdentityProviderSetInput!) { identityProviderSet(input: $i) { userErrors { field message } } }";
const TEST: &str = "mutation { identityProviderTest { findings { step result sentence } } }";

/// The folder with everything installed: found, or made after saying so.
async fn install() -> PathBuf {
    let version: String = Sha256::digest(FILES[1].1).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = || PathBuf::from(std::env::var_os("HOME").expect("there is a home folder to install into")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(home);
    let folder = cache.join("crossdock").join(format!("oidc-provider-{version}"));
    if !folder.is_dir() {
        println!("\n  oidc-provider from npm (some seconds, once), into {}", folder.display());
        // Made aside and renamed when it is whole: an install that broke off is never taken for one.
        let partial = folder.with_extension(std::process::id().to_string());
        write(&partial);
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&partial).stdin(Stdio::null());
        let output = npm.output().await.unwrap();
        assert!(output.status.success(), "npm ci failed, so nothing was proven: {}", String::from_utf8_lossy(&output.stderr));
        if std::fs::rename(&partial, &folder).is_err() {
            // Somebody else was faster.
            std::fs::remove_dir_all(&partial).unwrap();
        }
    }
    // The packages are kept; our own files are today's.
    write(&folder);
    folder
}

fn write(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The running provider.
struct Provider {
    url: String,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Provider {
    async fn start(redirect_uri: &str) -> Self {
        let folder = install().await;
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider.log");
        let mut command = Command::new("node");
        command.args(["server.mjs", redirect_uri, CLIENT_ID, CLIENT_SECRET]).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut provider = Self { url: String::new(), stdin: child.stdin.take().unwrap(), lines, _child: child };
        let said = provider.said("url").await;
        provider.url = said.unwrap_or_else(|| panic!("it did not start; its log is {}", log.display()));
        provider
    }

    /// Whoever comes from now on.
    async fn knows(&mut self, person: Json) {
        self.stdin.write_all(format!("{person}\n").as_bytes()).await.unwrap();
        self.said("answer").await.expect("it answers");
    }

    /// What it says next under this name; it warns between the lines.
    async fn said(&mut self, name: &str) -> Option<String> {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.ok()?.ok()??;
            if let Ok(said) = serde_json::from_str::<Json>(&line) {
                return said[name].as_str().map(str::to_owned);
            }
        }
    }
}

/// A browser that goes wherever it is sent and keeps the cookies of each place.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<(u16, String), String>,
}

impl Browser {
    /// From acme's page all the way: how it ended, says our own.
    async fn signs_in(&mut self, platform: &Platform) -> String {
        let client = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut address = Url::parse(&format!("{}/sso/acme/start", platform.url)).unwrap();
        for _ in 0..HOPS_MAX {
            if address.path() == "/sign-in" {
                return address.query_pairs().find(|(name, _)| name == "sso").unwrap().1.into_owned();
            }
            let port = address.port().unwrap();
            let kept = self.cookies.iter().filter(|((of, _), _)| *of == port);
            let cookies: Vec<String> = kept.map(|((_, name), value)| format!("{name}={value}")).collect();
            let answer = client.get(address.clone()).header("Cookie", cookies.join("; ")).send().await.unwrap();
            for set in answer.headers().get_all("set-cookie") {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert((port, name.to_owned()), value.to_owned());
            }
            let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
            let status = answer.status();
            let Some(to) = to else { panic!("{address} answered {status}: {}", answer.text().await.unwrap()) };
            address = address.join(&to).unwrap();
        }
        panic!("it was sent from page to page, and is at {address}");
    }

    async fn role(&self, platform: &Platform) -> Json {
        let (_, token) = self.cookies.iter().find(|((_, name), _)| name == "crossdock-session").unwrap();
        let request = http().build().unwrap().post(format!("{}/session/refresh", platform.url)).json(&json!({}));
        let request = request.header("Sec-Fetch-Site", "same-origin").header("Cookie", format!("crossdock-session={token}"));
        let answer: Json = request.send().await.unwrap().json().await.unwrap();
        let client = Client::new(&platform.url).with_token(answer["session"]["accessToken"].as_str().unwrap());
        client.ask("{ viewer { memberships { role } } }", json!({})).await.unwrap()["viewer"]["memberships"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs and runs software of others: cargo xtask test --real"]
async fn sso() {
    let platform = Platform::start(Options::default()).await.unwrap();
    let outcome = AssertUnwindSafe(visit(&platform)).catch_unwind().await;
    platform.stop().await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn visit(platform: &Platform) {
    let owner = platform.sign_in().await.unwrap();
    let tenant = owner.tenant_create("acme").await.unwrap();
    let owner = owner.of_tenant(&tenant);
    let mut provider = Provider::start(&format!("{}/sso/callback", platform.url)).await;
    let settings = |secret: &str| {
        let roles = json!([{"group": "ops", "role": "OPERATOR"}, {"group": "it", "role": "ADMIN"}]);
        json!({"i": {"issuer": provider.url, "clientId": CLIENT_ID, "clientSecret": secret, "scopes": ["email", "profile", "groups"], "roles": roles}})
    };
    let (right, wrong) = (settings(CLIENT_SECRET), settings("another"));
    owner.ask(SET, wrong).await.unwrap();
    let results = async || {
        let found = owner.ask(TEST, json!({})).await.unwrap();
        let findings = found["identityProviderTest"]["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .map(|it| (it["step"].as_str().unwrap().to_owned(), it["result"].as_str().unwrap().to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(results().await["CLIENT"], "WRONG");
    let ann = |groups: &[&str]| json!({"sub": "ann", "email": "ann@acme.example", "email_verified": true, "name": "Ann", "groups": groups});
    provider.knows(ann(&["ops"])).await;
    assert_eq!(Browser::default().signs_in(platform).await, "client_refused");
    owner.ask(SET, right).await.unwrap();
    let found = results().await;
    assert!(found.len() == 5 && found.values().all(|result| result == "GOOD"), "{found:?}");

    // Its ID token holds the subject alone: the rest is asked of its user info.
    let mut browser = Browser::default();
    assert_eq!(browser.signs_in(platform).await, "done");
    assert_eq!(browser.role(platform).await, json!([{"role": "operator"}]));
    provider.knows(ann(&["it", "ops"])).await;
    let mut browser = Browser::default();
    assert_eq!(browser.signs_in(platform).await, "done");
    assert_eq!(browser.role(platform).await, json!([{"role": "admin"}]));
    provider.knows(ann(&["everyone"])).await;
    assert_eq!(Browser::default().signs_in(platform).await, "no_role");
    provider.knows(json!({"sub": "bob", "email": "bob@acme.example", "email_verified": false, "groups": ["ops"]})).await;
    assert_eq!(Browser::default().signs_in(platform).await, "email_not_verified");
}
