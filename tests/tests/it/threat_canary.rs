//! A secret is where it must be and nowhere else: each of every kind is a word that occurs once in the world, everything that can go wrong with it goes
//! wrong, and then whatever the platform has written is read for those words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::id::MailId;
use domain::secret::ExposeSecret;
use infra::loopback::{Running, serve};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::client::{Client, http};
use tests::platform::{EMAIL, Options};
use tests::sample;
use tests::simulator::issuer::{CLIENT_SECRET, Person};
use url::Url;
use uuid::Uuid;

use crate::second_factor::set_up;
use crate::{World, eventually, impersonation, scim, sso, world_with};

/// What a log must not take for an event of its own, and a terminal not for an order.
const HOSTILE: &str = "hats\n{\"level\":\"INFO\",\"fields\":{\"message\":\"Signed in\"}}\r\n\u{1b}[2K\u{2028}\u{85}";
const MARK: &str = "you sent";

/// Secrets by what they are.
#[derive(Default)]
struct Canaries(BTreeMap<&'static str, String>);

impl Canaries {
    fn plant(&mut self, what: &'static str) -> String {
        self.keep(what, format!("canary-{}", Uuid::new_v4().simple()))
    }

    fn keep(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 12, "{what} is too short a word to be looked for");
        self.0.insert(what, secret.clone());
        secret
    }

    /// Which of them stand in a text, as they are, in base64 or in hexadecimal digits.
    fn found(&self, text: &str) -> Vec<&'static str> {
        let hex = |secret: &str| secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let stands =
            |secret: &str| [secret.to_owned(), STANDARD.encode(secret), hex(secret)].iter().any(|form| text.contains(form));
        self.0.iter().filter(|(_, secret)| stands(secret)).map(|(what, _)| *what).collect()
    }
}

/// What a vendor makes and gives to us.
#[derive(Clone)]
struct Made {
    token: String,
    refresh_token: String,
    hook_secret: String,
    key: String,
}

impl Made {
    fn new(canaries: &mut Canaries) -> Self {
        Self {
            token: canaries.plant("an access token of a vendor"),
            refresh_token: canaries.plant("a refresh token of a vendor"),
            hook_secret: canaries.plant("a hook secret that a vendor made"),
            key: canaries.plant("a key that a vendor made"),
        }
    }
}

/// A vendor that refuses everything, and says in its refusal all that it was sent.
struct Echo {
    running: Running,
    came: Arc<Mutex<String>>,
}

impl Echo {
    async fn start(status: u16, made: &Made) -> Self {
        let came = Arc::<Mutex<String>>::default();
        let (kept, made) = (came.clone(), made.clone());
        let handler = Arc::new(move |request: HttpRequest, _: usize| {
            let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let echo = format!(
                "{} {} {} {}",
                request.method.as_str(),
                request.url,
                headers.join(" "),
                String::from_utf8_lossy(&request.body)
            );
            kept.lock().unwrap().push_str(&echo);
            let (status, body) = match (request.method, request.url.rsplit('/').next()) {
                (Method::Post, Some("token")) => {
                    let (token, refresh_token) = (&made.token, &made.refresh_token);
                    (
                        200,
                        json!({"access_token": token, "refresh_token": refresh_token, "token_type": "bearer", "expires_in": 3600, "echo": echo}),
                    )
                }
                (Method::Get, Some(list)) if list.starts_with("webhooks") => (200, json!({"webhooks": [], "echo": echo})),
                (Method::Post, Some("webhooks")) => {
                    (200, json!({"webhook": {"id": "1", "secret": made.hook_secret}, "echo": echo}))
                }
                (Method::Get, Some("keys")) => (200, json!({"keys": [], "echo": echo})),
                (Method::Post, Some("keys")) => (200, json!({"made": {"id": "1", "secret": made.key}, "echo": echo})),
                _ => (status, json!({"error": {"code": "refused", "message": format!("{MARK} {echo} {HOSTILE}")}})),
            };
            let headers =
                vec![("content-type".to_owned(), "application/json".to_owned()), ("x-echo".to_owned(), headers.join(" "))];
            HttpAnswer { status, headers, body: Bytes::from(body.to_string()) }.into()
        });
        Self { running: serve(([127, 0, 0, 1], 0).into(), handler).await.unwrap(), came }
    }

    fn url(&self) -> String {
        self.running.url()
    }

    fn came(&self) -> String {
        self.came.lock().unwrap().clone()
    }
}

/// All that the database holds, as text; bytes as hexadecimal digits.
async fn database(world: &World) -> String {
    let mut connection = world.platform.database.connect().await.unwrap();
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() > 40, "{tables:?}");
    let mut all = String::new();
    for table in tables {
        let rows = format!("SELECT t::text FROM \"{table}\" t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
        all.push_str(&rows.join("\n"));
    }
    all
}

/// What Redis and RabbitMQ hold for this platform.
async fn beside(world: &World) -> String {
    let (options, prefix) = (&world.platform.options, format!("{}.", world.platform.database.name));
    let mut all = String::new();
    if let Some(url) = options.redis_url.as_deref().filter(|_| !options.all_in_one) {
        let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("*{prefix}*")).query_async(&mut redis).await.unwrap();
        for key in keys {
            let value: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut redis).await.unwrap();
            all.push_str(&key);
            all.push_str(&String::from_utf8_lossy(&value.unwrap_or_default()));
        }
    }
    if let Some(url) = options.amqp_url.as_deref().filter(|_| !options.all_in_one) {
        let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{}{prefix}dead", std::env::var("CROSSDOCK_PREFIX").unwrap_or_default());
        while let Some(task) = channel.basic_get(queue.clone().into(), lapin::options::BasicGetOptions::default()).await.unwrap()
        {
            all.push_str(&String::from_utf8_lossy(&task.delivery.data));
        }
    }
    all
}

/// What a person may look at who may look at everything.
async fn told(client: &Client) -> String {
    // One at a time, because all of it is more than one query may cost.
    let queries = [
        "connections(first: 20) { nodes { name settings credentialHint health } }",
        "connections(first: 20) { nodes { incidents { sentence } subscriptions { failure } } }",
        "deliveries(first: 5) { nodes { state attempts { url request answer outcome } } }",
        "connectionHealth(first: 20) { nodes { probe { sentence } rotation { newest { sentence reason nextStep } } connection { consent { last { sentence } } } } }",
        "exceptions(first: 20) { nodes { sentence nextStep value } }",
        "incidents(first: 20) { nodes { sentence } }",
        "messages(first: 20) { nodes { body } }",
        "alertReceivers { name address failure }",
        "alerts { nodes { subject failure } }",
        "apiKeys { name prefix }",
        "auditStreams { name address failure }",
        "identityProvider { issuer clientId }",
        "scimTokens { prefix }",
        "emailDomains { domain }",
        "invitations { email mailFailure { message } }",
        "account { email }",
        "sessions { device address }",
        "auditEvents(first: 100) { nodes { action actor detail } }",
        "auditEvents(first: 5, action: \"token.renewed\") { nodes { payload { text answer { text } } } }",
        "auditEvents(first: 5, action: \"connection.probed\") { nodes { payload { text answer { text } } } }",
        "auditEvents(first: 5, action: \"subscription.called\") { nodes { payload { text answer { text } } } }",
        "auditEvents(first: 5, action: \"consent.exchanged\") { nodes { payload { text answer { text } } } }",
        "auditEvents(first: 10, action: \"rotation.called\") { nodes { payload { text answer { text } } } }",
    ];
    let mut seen = String::new();
    for query in queries {
        let answer = client.ask(&format!("{{ {query} }}"), json!({})).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        seen.push_str(&answer.to_string());
    }
    seen
}

/// What tenants and people give us to keep, in a flow that each of them is used in.
async fn used(world: &World, canaries: &mut Canaries) -> Vec<Echo> {
    let client = &world.acme.client;
    let (made, mut echoes) = (Made::new(canaries), vec![]);
    for status in [400, 401, 401, 403] {
        echoes.push(Echo::start(status, &made).await);
    }
    let mut erp = world.erp.settings(5);
    erp["base_url"] = echoes[1].url().into();
    let to = [
        ("fell-ledger", json!({"base_url": echoes[0].url()}), json!({"key": canaries.plant("an API key at a vendor")})),
        (
            "netsuite",
            erp,
            json!({
            "consumer_key": canaries.plant("a consumer key"), "consumer_secret": canaries.plant("a consumer secret"),
            "token_id": canaries.plant("a token id"), "token_secret": canaries.plant("a token secret")}),
        ),
        (
            "harbor-desk",
            json!({"base_url": echoes[2].url()}),
            json!({
            "client_id": canaries.plant("a client id"), "client_secret": canaries.plant("a client secret")}),
        ),
    ];
    for (connector, settings, credential) in to {
        let (id, _) = client.connection_create(connector, &format!("{connector} {HOSTILE}"), settings, credential).await.unwrap();
        client
            .flow_publish(&format!("to {connector}"), &world.acme.source, &id, json!({"attempts_max": 2, "backoff_ms": 100}))
            .await
            .unwrap();
    }
    let secrets = json!({"key": canaries.plant("a key of a source"), "hook_secret": canaries.plant("a hook secret of a person")});
    let (source, _) =
        client.connection_create("ridge-shop", "Ridge", json!({"base_url": echoes[3].url()}), secrets).await.unwrap();
    client.flow_publish("from ridge", &source, &world.acme.destination, json!({})).await.unwrap();

    let signs = format!("whsec_{}", STANDARD.encode(canaries.plant("what signs alerts")));
    let chat = format!("{}/services/{}", echoes[0].url(), canaries.plant("the address of a chat"));
    let receiver = "mutation($i: AlertReceiverCreateInput!) { alertReceiverCreate(input: $i) { alertReceiver { id } userErrors { field message } } }";
    for input in [
        json!({"name": "hook", "kind": "WEBHOOK", "address": format!("{}/alerts", echoes[0].url()), "secret": signs}),
        json!({"name": "chat", "kind": "SLACK", "address": chat}),
    ] {
        let made = client.ask(receiver, json!({"i": input})).await.unwrap();
        let test = "mutation($id: ID!) { alertReceiverTest(id: $id) { userErrors { message } } }";
        client.ask(test, json!({"id": made["alertReceiverCreate"]["alertReceiver"]["id"]})).await.unwrap();
    }
    let provider = "mutation($s: String!, $u: String!) { identityProviderSet(input: {issuer: $u, clientId: \"us\", clientSecret: $s, roles: [{group: \"Operators\", role: OPERATOR}], defaultRole: AUDITOR}) { userErrors { message } } }";
    client.ask(provider, json!({"s": canaries.plant("our secret at a provider"), "u": echoes[0].url()})).await.unwrap();
    client.ask("mutation { identityProviderTest { findings { sentence } } }", json!({})).await.unwrap();
    echoes
}

/// A person lets us act for them at a vendor: by a way back that somebody made up, and by the one that they were sent.
async fn consented(world: &World, canaries: &mut Canaries, vendor: &Echo) {
    let client = &world.acme.client;
    let credential =
        json!({"client_id": canaries.plant("a client that asks people"), "client_secret": canaries.plant("its client secret")});
    let (id, _) = client.connection_create("moor-books", "Moor", json!({"base_url": vendor.url()}), credential).await.unwrap();
    client.flow_publish("to moor", &world.acme.source, &id, json!({"attempts_max": 2, "backoff_ms": 100})).await.unwrap();
    let begin = "mutation($id: ID!) { connectionConsentBegin(id: $id) { authorizeUrl userErrors { message } } }";
    // The address is what the person's browser is sent to, and what it keeps comes beside it: they are shown here, once.
    let (answer, cookies) = client.raw_with_cookies(begin, json!({"id": id})).await.unwrap();
    let there = Url::parse(answer["data"]["connectionConsentBegin"]["authorizeUrl"].as_str().unwrap()).unwrap();
    let state = there.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let cookie = cookies[0].split(';').next().unwrap();
    canaries.keep("what a browser keeps of a consent", cookie.split_once('=').unwrap().1);
    canaries.keep("the state of a consent", &state);
    let ways = [
        (canaries.plant("a state of nobody"), canaries.plant("a code of nobody"), "ended=not_begun_here"),
        (state, canaries.plant("the code of a consent"), "consent=given"),
    ];
    for (state, code, end) in &ways {
        let mut back = Url::parse(&format!("{}/oauth/callback/moor-books", world.platform.url)).unwrap();
        let said =
            [("code", code.as_str()), ("state", state.as_str()), ("realm", "1000001"), ("iss", "https://moor-books.example")];
        back.query_pairs_mut().extend_pairs(said);
        let browser = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = browser.get(back.as_str()).header("Cookie", cookie).send().await.unwrap();
        let to = answer.headers().get("location").unwrap().to_str().unwrap();
        assert!(answer.status() == 303 && to.ends_with(*end), "{to}");
    }
    let came = vendor.came();
    let (_, proof) = came.split_once("code_verifier=").expect("the code was traded");
    canaries.keep("the proof of a consent", &proof[..43]);
}

/// Secrets take the place of others: typed in, made by a vendor's API, and refused on the way.
async fn exchanged(world: &World, canaries: &mut Canaries, echoes: &[Echo]) {
    let client = &world.acme.client;
    let connect = async |connector: &str, name: &str, vendor: &Echo, credential: Value| {
        client.connection_create(connector, name, json!({"base_url": vendor.url()}), credential).await.unwrap().0
    };
    let key = json!({"key": canaries.plant("an API key that another took the place of")});
    let ledger = connect("fell-ledger", "Ledger", &echoes[0], key).await;
    let replace =
        "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { message } } }";
    client.ask(replace, json!({"id": ledger, "c": {"key": canaries.plant("an API key of later")}})).await.unwrap();
    let rotate = "mutation($i: HookSecretRotateInput!) { hookSecretRotate(input: $i) { userErrors { message } } }";
    let secret = canaries.plant("a hook secret of later");
    client.ask(rotate, json!({"i": {"connectionId": world.acme.source, "secret": secret, "overlapS": 3600}})).await.unwrap();

    let secret = canaries.plant("a client secret that is to be exchanged");
    let credential = json!({"client_id": canaries.plant("a client whose secret is exchanged"), "client_secret": secret});
    let desk = connect("harbor-desk", "Desk", &echoes[2], credential).await;
    let enter =
        "mutation($id: ID!, $s: JSON!) { rotationSecretEnter(connectionId: $id, secrets: $s) { userErrors { field message } } }";
    let secret = canaries.plant("a client secret of later");
    let refused = client.raw(enter, json!({"id": desk, "s": {"client_secret": secret}})).await.unwrap();
    assert_eq!(refused["data"]["rotationSecretEnter"]["userErrors"][0]["field"], json!(["secrets"]), "{refused}");
    assert_eq!(canaries.found(&refused.to_string()), Vec::<&str>::new(), "in why a secret was refused");

    let key = json!({"key": canaries.plant("a key that is to be exchanged")});
    let books = connect("tarn-books", "Books", &echoes[1], key).await;
    let begin = "mutation($id: ID!) { rotationBegin(connectionId: $id) { userErrors { message } } }";
    client.ask(begin, json!({"id": books})).await.unwrap();
}

/// What a mail to somebody says behind a mark. Mails wait sealed for their server, which is away: only the process reads them.
async fn mailed(world: &World, to: &str, mark: &str) -> String {
    let vault = world.platform.vault().unwrap();
    let mut database = world.platform.database.connect().await.unwrap();
    eventually(&format!("a mail to {to}"), async || {
        let rows: Vec<(Uuid, String, Vec<u8>)> =
            sqlx::query_as("SELECT id, master_key_id, sealed FROM mails").fetch_all(&mut database).await.unwrap();
        rows.into_iter().find_map(|(id, key, sealed)| {
            let mail = vault.open_of_mail(MailId(id), &key, &sealed).unwrap();
            let mail: Value = serde_json::from_str(mail.expose_secret()).unwrap();
            let text = mail["text"].as_str().filter(|_| mail["to"] == to)?;
            text.split_once(mark)?.1.split_whitespace().next().map(str::to_owned)
        })
    })
    .await
}

/// What is mailed to people and opens something: taken, made up, and left to wait.
async fn invited(world: &World, canaries: &mut Canaries) {
    let (owner, stranger) = (&world.acme.client, Client::new(&world.platform.url));
    let (taken, waits) = ("taken@crossdock.example", "waits@crossdock.example");
    let invite = "mutation($e: String!) { invitationCreate(email: $e, role: OPERATOR) { link userErrors { code } } }";
    for email in [taken, waits] {
        owner.ask(invite, json!({"e": email})).await.unwrap();
    }
    canaries.keep("the link of an invitation that waits", mailed(world, waits, "/invitation#").await);
    let token = canaries.keep("the link of an invitation", mailed(world, taken, "/invitation#").await);
    let offer = "query($t: String!) { invitation(token: $t) { email } }";
    stranger.ask(offer, json!({"t": token})).await.unwrap();
    let accept = "mutation($i: InvitationAcceptInput!) { invitationAccept(input: $i) { accepted userErrors { field code } } }";
    let (none, password) =
        (canaries.plant("the link of no invitation"), canaries.plant("a password of somebody who was invited"));
    stranger.raw(accept, json!({"i": {"token": none, "name": "Nia", "password": password}})).await.unwrap();
    stranger.ask(accept, json!({"i": {"token": token, "name": "Nia", "password": password}})).await.unwrap();

    let forgotten = "mutation($e: String!) { passwordResetAsk(email: $e) { done userErrors { code } } }";
    stranger.ask(forgotten, json!({"e": taken})).await.unwrap();
    let token = canaries.keep("the link of a password", mailed(world, taken, "/password#").await);
    let reset = "mutation($t: String!, $p: String!) { passwordReset(token: $t, password: $p) { done userErrors { code } } }";
    let (none, password) = (canaries.plant("the link of no password"), canaries.plant("a password that was set by mail"));
    stranger.raw(reset, json!({"t": none, "p": password})).await.unwrap();
    stranger.ask(reset, json!({"t": token, "p": password})).await.unwrap();
    stranger.sign_in(taken, &password).await.unwrap();

    owner.ask("mutation { emailVerificationAsk { done userErrors { code } } }", json!({})).await.unwrap();
    let token = canaries.keep("the link of an address", mailed(world, EMAIL, "/verify#").await);
    let verify = "mutation($t: String!) { emailVerify(token: $t) { done userErrors { code } } }";
    owner.raw(verify, json!({"t": canaries.plant("the link of no address")})).await.unwrap();
    owner.ask(verify, json!({"t": token})).await.unwrap();

    let claim = "mutation($d: String!) { a: emailDomainAdd(domain: $d) { userErrors { code } } c: emailDomainCodeSend(domain: $d) { userErrors { code } } }";
    owner.ask(claim, json!({"d": "acme.example"})).await.unwrap();
    let code = canaries.keep("the code of a domain", mailed(world, "postmaster@acme.example", "within a day:").await);
    let prove = "mutation($c: String!) { emailDomainProve(domain: \"acme.example\", code: $c) { userErrors { code } } }";
    owner.raw(prove, json!({"c": canaries.plant("the code of no domain")})).await.unwrap();
    owner.ask(prove, json!({"c": code})).await.unwrap();
}

/// People come by the tenant's provider and by its directory, and support comes in its place.
async fn came_by_others(world: &World, canaries: &mut Canaries) {
    let made = "mutation { scimTokenCreate { token url userErrors { message } } }";
    let made = world.acme.client.ask(made, json!({})).await.unwrap()["scimTokenCreate"].take();
    let url = made["url"].as_str().unwrap().to_owned();
    let token = canaries.keep("a token of a directory", made["token"].as_str().unwrap());
    let directory = scim::Directory { url: url.clone(), token };
    directory.make("/Users", scim::person("lee@acme.example")).await;
    let nobodys = scim::Directory { url, token: canaries.plant("a token of no directory") };
    assert_eq!(nobodys.get("/Users").await.0, 401);

    let staff = impersonation::staff(world).await;
    canaries.keep("the password of support", impersonation::PASSWORD);
    canaries.keep("an access token of support", staff.token().unwrap());
    impersonation::consent(world, true).await;
    let begun = impersonation::begin(world, &staff, true).await;
    canaries.keep("an access token in the place of a tenant", begun.client.token().unwrap());
    begun.client.ask("{ connections { nodes { id credentialHint } } }", json!({})).await.unwrap();
    let resume = "mutation { impersonationResume { accessToken userErrors { code } } }";
    let resumed = staff.ask(resume, json!({})).await.unwrap();
    let token = resumed["impersonationResume"]["accessToken"].as_str().unwrap();
    canaries.keep("the next access token in the place of a tenant", token);
}

/// Somebody whom the tenant's provider vouches for.
async fn vouched_for(world: &World, canaries: &mut Canaries) {
    let _issuer = sso::provider(world, Person::new("ann@acme.example", &["ops"])).await;
    canaries.keep("our client secret at a provider that works", CLIENT_SECRET);
    let mut browser = sso::Browser::default();
    let back = browser.leaves(&world.platform).await;
    let way = Url::parse(&back).unwrap();
    let said = |name: &str| way.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    canaries.keep("the state of a sign-in", said("state"));
    canaries.keep("the code of a sign-in", said("code"));
    let kept = |browser: &sso::Browser, cookie: &str| {
        browser.cookies.iter().find(|(name, _)| name.starts_with(cookie)).unwrap().1.clone()
    };
    canaries.keep("what a browser keeps of a sign-in", kept(&browser, "crossdock-sso"));
    assert_eq!(browser.comes_back(&world.platform, &back).await, "done");
    canaries.keep("what a browser keeps of a session", kept(&browser, "crossdock-session"));
    let person = browser.client(&world.platform).await.unwrap();
    canaries.keep("an access token of whom a provider vouches for", person.token().unwrap());
}

/// What people sign in with, right and wrong.
async fn signed_in(world: &World, canaries: &mut Canaries) {
    let (url, email) = (&world.platform.url, "canary@crossdock.example");
    let password = canaries.plant("a password");
    world.platform.user_create(email, &password).await.unwrap();
    canaries.keep("the password of the first person", &world.platform.password);
    let open =
        "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken refreshToken } userErrors { code } } }";
    let stranger = Client::new(url);
    let wrong = canaries.plant("a wrong password");
    stranger.raw(open, json!({"i": {"email": email, "password": wrong}})).await.unwrap();
    let opened = stranger.ask(open, json!({"i": {"email": email, "password": password}})).await.unwrap();
    let session = &opened["sessionOpen"]["session"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let refresh = canaries.keep("a refresh token", text(&session["refreshToken"]));
    let access = canaries.keep("an access token", text(&session["accessToken"]));
    let person = Client::new(url).with_token(&access);
    let query = "mutation($t: String!) { sessionRefresh(refreshToken: $t) { session { refreshToken } userErrors { code } } }";
    let again = stranger.ask(query, json!({"t": refresh})).await.unwrap();
    canaries.keep("the next refresh token", text(&again["sessionRefresh"]["session"]["refreshToken"]));
    stranger.raw(query, json!({"t": canaries.plant("a refresh token that is none")})).await.unwrap();
    Client::new(url)
        .with_token(&canaries.plant("an access token that is none"))
        .raw("{ viewer { id } }", json!({}))
        .await
        .unwrap();
    let (app, paper) = set_up(&person, email, &password).await;
    canaries.keep("the secret of an app", app.secret().to_base32());
    canaries.keep("a recovery code", &paper[0]);
    canaries.keep("a recovery code that was used", &paper[1]);
    for code in [canaries.plant("a recovery code that is none"), paper[1].clone()] {
        stranger.raw(open, json!({"i": {"email": email, "password": password, "code": code}})).await.unwrap();
    }
    // A query that is none, with a password in its text.
    let typed = canaries.plant("a password in a query that is none");
    let wrong = format!("mutation {{ sessionOpen(input: {{email: 1, password: \"{typed}\"}}) {{ session {{ accessToken }} }} }}");
    assert!(stranger.raw(&wrong, json!({})).await.unwrap()["errors"].is_array());
    let key = "mutation { apiKeyCreate(input: {name: \"k\", permissions: [READ_OPERATIONS]}) { key apiKey { id } userErrors { message } } }";
    let made = world.acme.client.ask(key, json!({})).await.unwrap()["apiKeyCreate"].take();
    let rotate = "mutation($id: ID!) { apiKeyRotate(id: $id, overlapHours: 1) { key userErrors { message } } }";
    let rotated = world.acme.client.ask(rotate, json!({"id": made["apiKey"]["id"]})).await.unwrap();
    for (what, key) in [("an API key", &made["key"]), ("an API key of ours of later", &rotated["apiKeyRotate"]["key"])] {
        let key = canaries.keep(what, text(key));
        Client::new(url).with_token(&key).ask("{ connections { nodes { id } } }", json!({})).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_canary_secrets_are_in_no_log_row_queue_cache_answer_or_export() {
    // As much as a process of ours ever says, and as machines read it.
    let said = "info,api=trace,connectors=trace,domain=trace,infra=trace,workers=trace";
    // The mail server is away, so that mails wait and each try to send one is told.
    let environment = vec![
        ("CROSSDOCK_LOG_JSON", "true"),
        ("RUST_LOG", said),
        ("CROSSDOCK_SMTP_URL", "smtp://127.0.0.1:9"),
        ("CROSSDOCK_MAIL_FROM", "Crossdock <people@crossdock.example>"),
    ];
    world_with(Options { has_own_connectors: true, environment, ..Options::default() }, async |world| {
        let mut canaries = Canaries::default();
        for (what, secret) in world.platform.secrets() {
            canaries.keep(what, secret);
        }
        canaries.keep("what the shop signs with", &world.acme.shop.secret);
        canaries.keep("the access token of the first person", world.acme.client.token().unwrap());
        vouched_for(world, &mut canaries).await;
        let echoes = used(world, &mut canaries).await;
        consented(world, &mut canaries, &echoes[2]).await;
        exchanged(world, &mut canaries, &echoes).await;
        invited(world, &mut canaries).await;
        came_by_others(world, &mut canaries).await;
        signed_in(world, &mut canaries).await;
        // Where the audit log goes as it grows: what comes there is no vendor's to see.
        let lake = Echo::start(200, &Made::new(&mut Canaries::default())).await;
        let signs = format!("whsec_{}", STANDARD.encode(canaries.plant("what signs the audit log")));
        let stream = "mutation($i: AuditStreamCreateInput!) { auditStreamCreate(input: $i) { userErrors { message } } }";
        for (name, address, secret) in [("lake", &lake, &signs), ("ledger", &echoes[0], &signs)] {
            let input = json!({"name": name, "kind": "HTTP", "address": format!("{}/audit", address.url()), "secret": secret, "fromStart": true});
            world.acme.client.ask(stream, json!({"i": input})).await.unwrap();
        }
        let mut forged = world.acme.shop.clone();
        forged.secret = canaries.plant("what a forger signs with");
        forged.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();

        let mut connection = world.platform.database.connect().await.unwrap();
        let stuck = "SELECT count(DISTINCT c.id) FROM connections c WHERE c.connector IN ('fell-ledger', 'netsuite', 'harbor-desk')
                     AND c.name NOT IN ('Acme ERP', 'Desk', 'Ledger') AND (EXISTS (SELECT FROM exceptions e WHERE e.connection_id = c.id) OR EXISTS (SELECT FROM incidents i WHERE i.connection_id = c.id))";
        eventually("each vendor's refusal came to something", async || {
            (sqlx::query_scalar::<_, i64>(stuck).fetch_one(&mut connection).await.unwrap() == 3).then_some(())
        })
        .await;
        eventually("a webhook that the vendor made a secret for is kept", async || {
            let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM hook_secrets").fetch_one(&mut connection).await.unwrap();
            (kept > 0).then_some(())
        })
        .await;
        for (what, vendor) in [
            ("a refresh token of a vendor", &echoes[2]),
            ("a key that a vendor made", &echoes[1]),
            ("a key of a source", &echoes[3]),
            ("the address of a chat", &echoes[0]),
        ] {
            eventually(&format!("{what} was used"), async || vendor.came().contains(&canaries.0[what]).then_some(())).await;
        }
        let export = |path: &str| {
            let request = tests::client::http().build().unwrap().get(format!("{}{path}", world.platform.url));
            let request = request.bearer_auth(world.acme.client.token().unwrap()).header("X-Crossdock-Tenant", "acme");
            async move { request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap() }
        };
        let exports = [export("/audit/export").await, export("/audit/events.csv").await].concat();
        let streamed = eventually("what the export sealed is streamed", async || {
            Some(lake.came()).filter(|came| came.contains("consent.given") && came.contains("scim_token.created"))
        })
        .await;

        // The vendors have seen them, and have said so: there was something to be leaked.
        let came: String = echoes.iter().map(Echo::came).collect();
        for used in ["an API key at a vendor", "a consumer key", "a token id", "a client id", "a client secret", "an access token of a vendor", "a key of a source", "the address of a chat", "the code of a consent", "the proof of a consent", "a client secret of later"] {
            assert!(came.contains(&canaries.0[used]), "{used} was used: {came}");
        }
        let rows = database(world).await;
        let mark: String = MARK.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(rows.contains(MARK) || rows.contains(&mark), "what vendors said is kept, without the secrets in it");

        let mut logs = String::new();
        for log in ["api.log", "workers.log", "cli.log"] {
            let text = std::fs::read_to_string(world.platform.logs.join(log)).unwrap_or_default();
            // A line that is being written is none yet.
            logs.push_str(&text[..text.rfind('\n').map_or(0, |end| end + 1)]);
        }
        let places = [("the logs", &logs), ("the database", &rows), ("the exports", &exports), ("the stream of the audit log", &streamed)];
        for (place, text) in places {
            assert!(text.len() > 1_000, "{place} hold something");
            assert_eq!(canaries.found(text), Vec::<&str>::new(), "in {place}");
        }
        assert_eq!(canaries.found(&beside(world).await), Vec::<&str>::new(), "in queues and caches");
        assert_eq!(canaries.found(&told(&world.acme.client).await), Vec::<&str>::new(), "in what the API tells");
        // And names and messages of others made no line of their own.
        for line in logs.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
        }
        assert!(!logs.contains(['\u{1b}', '\u{2028}', '\u{85}', '\r']));
        drop(connection);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_core_dump_of_a_process_with_secrets_is_never_written() {
    world_with(Options::default(), async |world| {
        let processes = world.platform.api.iter().chain(&world.platform.workers);
        let processes: Vec<u32> = processes.filter_map(tokio::process::Child::id).collect();
        assert!(!processes.is_empty());
        for process in processes {
            let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
            let core: Vec<&str> =
                limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
            assert_eq!(core[4..6], ["0", "0"], "{limits}");
            // What belongs to root is what the kernel would not dump, not even to a program that gathers dumps.
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{process}/environ")).unwrap());
            assert_eq!(owner, 0, "nobody but root reads its environment");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_secrets_at_rest_of_people_are_hashes_only() {
    world_with(Options::default(), async |world| {
        let mut connection = world.platform.database.connect().await.unwrap();
        let kept: Vec<String> = sqlx::query_scalar("SELECT password_hash FROM users WHERE email = $1")
            .bind(EMAIL)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert!(kept.len() == 1 && kept[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept:?}");
    })
    .await;
}
