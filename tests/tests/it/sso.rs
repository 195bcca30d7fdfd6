//! Single sign-on by a tenant's own provider: who it vouches for comes in as what their groups give, and nobody comes in by what it did not sign for them,
//! at this moment, in this browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest};
use infra::loopback::serve;
use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::{EMAIL, Options, Platform};
use tests::simulator::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer, Person, Wrong};

use crate::{World, scim, second_factor, world, world_with, world_with_mail};

const SET: &str = "mutation($i: IdentityProviderSetInput!) { identityProviderSet(input: $i) { identityProvider { issuer redirectUri startUrl sessionHours }
    userErrors { field code message } } }";
const TEST: &str = "mutation { identityProviderTest { findings { step result sentence } userErrors { code } } }";
const REMOVE: &str = "mutation { identityProviderRemove { done userErrors { code message } } }";
const ADD: &str = "mutation($d: String!) { emailDomainAdd(domain: $d) { emailDomain { domain provenAt } userErrors { code } } }";
const ENFORCE: &str =
    "mutation($d: String!) { emailDomainEnforce(domain: $d) { emailDomain { enforcedAt } userErrors { code message } } }";
const VIEWER: &str = "{ viewer { id memberships { tenant { slug } role } } }";

/// What a tenant says of its provider.
fn settings(issuer: &str, roles: &[(&str, &str)]) -> Value {
    let roles: Vec<Value> = roles.iter().map(|(group, role)| json!({"group": group, "role": role})).collect();
    json!({"issuer": issuer, "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "roles": roles})
}

/// A provider that acme uses: "ops" are operators, "it" are admins.
pub(crate) async fn provider(world: &World, person: Person) -> Issuer {
    let issuer = Issuer::start(&format!("{}/sso/callback", world.platform.url), person).await;
    let input = settings(&issuer.url(), &[("ops", "OPERATOR"), ("it", "ADMIN")]);
    world.acme.client.ask(SET, json!({"i": input})).await.unwrap();
    issuer
}

/// A browser: it keeps the cookies, and follows where it is told to go.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    /// Status and where to go from there.
    async fn get(&mut self, address: &str) -> (u16, String) {
        let client = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut request = client.get(address);
        let path = url::Url::parse(address).unwrap().path().to_owned();
        let sent: Vec<String> =
            self.cookies.iter().filter(|_| path.starts_with("/sso")).map(|(name, value)| format!("{name}={value}")).collect();
        if !sent.is_empty() {
            request = request.header("Cookie", sent.join("; "));
        }
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            // One is for the page to read, and says nothing but that a session was opened.
            let is_told = set == "crossdock-signed-in=1; Path=/; Max-Age=60; SameSite=Strict";
            assert!(is_told || set.contains("; HttpOnly; SameSite="), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default())
    }

    /// From our page to the provider's and back: the address of the way back, which nobody has gone yet.
    pub(crate) async fn leaves(&mut self, platform: &Platform) -> String {
        let (status, to) = self.get(&format!("{}/sso/acme/start", platform.url)).await;
        assert_eq!(status, 303, "{to}");
        let (status, back) = self.get(&to).await;
        assert_eq!(status, 302, "{to}");
        back
    }

    /// All the way: "done", or why not.
    async fn signs_in(&mut self, platform: &Platform) -> String {
        let back = self.leaves(platform).await;
        self.comes_back(platform, &back).await
    }

    pub(crate) async fn comes_back(&mut self, platform: &Platform, back: &str) -> String {
        let (status, to) = self.get(back).await;
        assert_eq!(status, 303, "{to}");
        to.strip_prefix(&format!("{}/sign-in?sso=", platform.url)).unwrap_or_else(|| panic!("{to}")).to_owned()
    }

    /// What the page does with its cookie.
    pub(crate) async fn client(&self, platform: &Platform) -> Option<Client> {
        let (name, value) = self.cookies.iter().find(|(name, _)| name == "crossdock-session")?;
        let request = http().build().unwrap().post(format!("{}/session/refresh", platform.url)).json(&json!({}));
        let request = request.header("Sec-Fetch-Site", "same-origin").header("Cookie", format!("{name}={value}"));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let token = answer["session"]["accessToken"].as_str()?;
        Some(Client::new(&platform.url).with_token(token))
    }
}

/// What the audit log of acme tells, oldest first.
async fn told(world: &World, like: &str) -> Vec<(String, String)> {
    let mut database = world.platform.database.connect().await.unwrap();
    let query = "SELECT action, coalesce(detail, '') FROM audit_events WHERE action LIKE $1 ORDER BY id";
    sqlx::query_as(query).bind(like).fetch_all(&mut database).await.unwrap()
}

async fn count(world: &World, query: &'static str) -> i64 {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut database).await.unwrap()
}

/// As if the code that was mailed had been typed in.
async fn proven(world: &World, domain: &str) {
    world.acme.client.ask(ADD, json!({"d": domain})).await.unwrap();
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query("UPDATE email_domains SET proven_at = now() WHERE domain = $1")
        .bind(domain)
        .execute(&mut database)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_lets_people_in_as_what_their_groups_give_and_out_when_they_leave_them() {
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops", "everyone"])).await;
        let platform = &world.platform;
        let mut browser = Browser::default();
        assert_eq!(browser.signs_in(platform).await, "done");
        let is_told_in = |browser: &Browser| browser.cookies.iter().any(|(name, _)| name == "crossdock-signed-in");
        assert!(is_told_in(&browser), "the page is told that the session is a new one");
        let ann = browser.client(platform).await.unwrap();
        let viewer = ann.ask(VIEWER, json!({})).await.unwrap();
        assert_eq!(viewer["viewer"]["memberships"], json!([{"tenant": {"slug": "acme"}, "role": "operator"}]));
        let account = ann.ask("{ account { email emailVerifiedAt } }", json!({})).await.unwrap();
        assert_eq!(account["account"], json!({"email": "ann@acme.example", "emailVerifiedAt": null}), "no domain is proven");

        // What is the tenant's, and nothing beyond.
        let made = ann.raw("mutation { tenantCreate(input: {slug: \"mine\", name: \"mine\"}) { tenant { id } } }", json!({})).await.unwrap();
        assert_eq!(made["errors"][0]["extensions"]["code"], "FORBIDDEN", "{made}");
        // Nor is anybody staff by the word of a tenant's provider, whoever they are.
        assert!(platform.run(&["user", "staff-grant", "--email", "ann@acme.example"]).await.unwrap().status.success());
        let desk = ann.raw("{ supportDesk { __typename } }", json!({})).await.unwrap();
        assert!(desk["errors"][0]["message"].as_str().unwrap().starts_with("your company signed you in"), "{desk}");
        let sessions = ann.ask("{ sessions { isCurrent } }", json!({})).await.unwrap();
        assert_eq!(sessions["sessions"], json!([{"isCurrent": true}]));
        let lasts = "SELECT extract(epoch FROM ends_at - created_at)::bigint FROM sessions WHERE tenant_id IS NOT NULL";
        assert_eq!(count(world, lasts).await, 12 * 60 * 60);

        // The role follows the groups, for the same person whatever their address is now.
        issuer.knows(Person { subject: "sub-of-ann@acme.example".into(), ..Person::new("ann.lee@acme.example", &["it", "ops"]) });
        assert_eq!(Browser::default().signs_in(platform).await, "done");
        let again = ann.ask(VIEWER, json!({})).await.unwrap();
        assert_eq!((&again["viewer"]["id"], &again["viewer"]["memberships"][0]["role"]), (&viewer["viewer"]["id"], &json!("admin")));
        let invite = "mutation { invitationCreate(email: \"ann@elsewhere.example\", role: ADMIN) { userErrors { code } } }";
        ann.ask(invite, json!({})).await.unwrap();

        // Who is in none of the groups any more is no member any more, and is signed out.
        issuer.knows(Person { subject: "sub-of-ann@acme.example".into(), ..Person::new("ann@acme.example", &["everyone"]) });
        let mut late = Browser::default();
        assert_eq!(late.signs_in(platform).await, "no_role");
        assert!(!is_told_in(&late));
        assert!(late.client(platform).await.is_none() && browser.client(platform).await.is_none());
        assert!(ann.raw(VIEWER, json!({})).await.unwrap()["data"]["viewer"].is_null());
        assert_eq!(count(world, "SELECT count(*) FROM members").await, 1);

        let actions = |events: &[(String, String)]| events.iter().map(|(action, _)| action.clone()).collect::<Vec<_>>();
        assert_eq!(actions(&told(world, "sso.%").await), ["sso.signed_in", "sso.signed_in", "sso.refused"]);
        let places = ["member.joined", "member.role_set", "member.invited", "member.removed"];
        assert_eq!(actions(&told(world, "member.%").await), places);
        assert_eq!(actions(&told(world, "invitation.%").await), ["invitation.withdrawn"], "she could have come back by it");
        assert!(told(world, "sso.refused").await[0].1.contains("\"reason\":\"no_role\""));
        // Nothing of a sign-in is kept that could end another one.
        let mut database = platform.database.connect().await.unwrap();
        let kept: String = sqlx::query_scalar("SELECT (SELECT string_agg(s::text, '') FROM sso_sign_ins s) || (SELECT string_agg(p::text, '') FROM identity_providers p)")
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert!(!kept.contains(CLIENT_SECRET), "{kept}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_believes_nothing_that_the_provider_did_not_sign_for_us_and_this_sign_in() {
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        for (wrong, why) in [
            (Wrong::NoSignature, "not signed as we take it"),
            (Wrong::PublicKeyAsSecret, "not signed as we take it"),
            (Wrong::Audience, "for another client"),
            (Wrong::SharedAudience, "for another client"),
            (Wrong::Party, "for another client"),
            (Wrong::Issuer, "of another issuer"),
            (Wrong::Expired, "has expired"),
            (Wrong::Nonce, "of another sign-in"),
            (Wrong::NoNonce, "of another sign-in"),
            (Wrong::UnknownKey, "by a key that the provider does not list"),
            (Wrong::Altered, "signature does not fit"),
            (Wrong::ReturnedIssuer, "the answer is of another issuer"),
            (Wrong::NoReturnedIssuer, "the answer is of another issuer"),
        ] {
            issuer.is_wrong(Some(wrong));
            let mut browser = Browser::default();
            assert_eq!(browser.signs_in(&world.platform).await, "not_believed", "{wrong:?}");
            assert!(browser.client(&world.platform).await.is_none());
            let last = told(world, "sso.refused").await.pop().unwrap().1;
            assert!(last.contains(why), "{wrong:?}: {last}");
        }
        assert_eq!(issuer.asked("/keys"), 2, "once, and once again for the key that was not among them");
        let nobody = "SELECT (SELECT count(*) FROM sso_identities) + (SELECT count(*) FROM members WHERE role <> 'owner')";
        assert_eq!(count(world, nobody).await, 0);

        // A key that is new is found; one that never was asks no more often than that.
        issuer.is_wrong(None);
        assert_eq!(Browser::default().signs_in(&world.platform).await, "done");
        issuer.is_wrong(Some(Wrong::UnknownKey));
        for _ in 0..3 {
            assert_eq!(Browser::default().signs_in(&world.platform).await, "not_believed");
        }
        assert_eq!(issuer.asked("/keys"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_finds_a_key_that_is_new_and_what_only_the_user_info_says() {
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        assert_eq!(Browser::default().signs_in(&world.platform).await, "done");
        issuer.rotates();
        issuer.is_thin(true);
        assert_eq!(Browser::default().signs_in(&world.platform).await, "done");
        assert_eq!((issuer.asked("/keys"), issuer.asked("/userinfo")), (2, 1));
        issuer.is_wrong(Some(Wrong::OtherSubject));
        assert_eq!(Browser::default().signs_in(&world.platform).await, "not_believed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_ends_a_sign_in_once_in_the_browser_that_began_it() {
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        let platform = &world.platform;
        // Somebody else's browser, with a sign-in of its own under way, and without.
        let (mut ann, mut eve, mut nobody) = (Browser::default(), Browser::default(), Browser::default());
        let back = ann.leaves(platform).await;
        let own = eve.leaves(platform).await;
        assert_eq!(eve.comes_back(platform, &back).await, "not_begun_here");
        assert_eq!(nobody.comes_back(platform, &back).await, "not_begun_here");
        // Her own state with his code: the provider holds the code to the proof that is his.
        let code =
            |back: &str| url::Url::parse(back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let mixed = own.replace(&code(&own), &code(&back));
        assert_eq!(eve.comes_back(platform, &mixed).await, "provider_failed");
        assert_eq!(eve.comes_back(platform, &own).await, "not_begun_here", "and that state is used up");
        // The code is used up, too; the sign-in is begun anew.
        let mut ann = Browser::default();
        let back = ann.leaves(platform).await;
        let kept = ann.cookies.clone();
        assert_eq!(ann.comes_back(platform, &back).await, "done");
        let mut copy = Browser { cookies: kept };
        assert_eq!(copy.comes_back(platform, &back).await, "not_begun_here", "a way back is gone once");

        // What comes back without a code, twice the same, or too late.
        let mut browser = Browser::default();
        let back = browser.leaves(platform).await;
        let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let callback = format!("{}/sso/callback", platform.url);
        for query in ["", "?code=x", "?state=nobodys&code=x", &format!("?state={state}&state={state}&code=x")] {
            assert_eq!(browser.comes_back(platform, &format!("{callback}{query}")).await, "not_begun_here", "{query}");
        }
        let denied = format!("{callback}?error=access_denied&error_description=%3Cscript%3E&state={state}");
        assert_eq!(browser.comes_back(platform, &denied).await, "denied");
        let back = browser.leaves(platform).await;
        let mut database = platform.database.connect().await.unwrap();
        sqlx::query("UPDATE sso_sign_ins SET expires_at = now()").execute(&mut database).await.unwrap();
        assert_eq!(browser.comes_back(platform, &back).await, "not_begun_here");

        // The provider was set anew while somebody was there.
        let back = browser.leaves(platform).await;
        let other = Issuer::start(&callback, Person::new("ann@acme.example", &["ops"])).await;
        world.acme.client.ask(SET, json!({"i": settings(&other.url(), &[("ops", "OPERATOR")])})).await.unwrap();
        assert_eq!(browser.comes_back(platform, &back).await, "changed");
        assert_eq!((issuer.asked("/token"), other.asked("/token")), (2, 0), "no code was shown to the other one");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_sends_nobody_anywhere_but_to_the_tenants_provider_and_our_own_pages() {
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        let (url, mut browser) = (world.platform.url.clone(), Browser::default());
        for address in [
            "/sso/nobody/start",
            "/sso/start?who=nobody",
            "/sso/start?who=ann@nobody.example",
            "/sso/start",
            "/sso/start?who=https://evil.example",
        ] {
            assert_eq!(browser.get(&format!("{url}{address}")).await, (303, format!("{url}/sign-in?sso=unknown")), "{address}");
        }
        let start = (303, format!("{url}/sso/acme/start"));
        assert_eq!(browser.get(&format!("{url}/sso/start?who=ACME")).await, start);
        proven(world, "acme.example").await;
        let of_address = format!("{url}/sso/start?who=Ann@Acme.example");
        assert_eq!(
            browser.get(&of_address).await.1,
            format!("{url}/sign-in?sso=unknown"),
            "a domain that is not enforced tells nobody whose it is"
        );
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE email_domains SET enforced_at = now()").execute(&mut database).await.unwrap();
        assert_eq!(browser.get(&of_address).await, start);
        let (_, to) = browser.get(&format!("{url}/sso/acme/start?redirect_uri=https://evil.example&next=//evil.example")).await;
        assert!(to.starts_with(&format!("{}/authorize?response_type=code&", issuer.url())) && !to.contains("evil"), "{to}");
        assert!(to.contains("code_challenge_method=S256") && to.contains("scope=openid+email+profile"), "{to}");
        // Another site's page sends nobody to a provider of its choice without a word of theirs.
        let client = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.get(format!("{url}/sso/acme/start")).header("Sec-Fetch-Site", "cross-site").send().await.unwrap();
        assert_eq!(answer.headers()["location"], format!("{url}/company?who=acme"));
        assert!(answer.headers().get("set-cookie").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_takes_an_address_for_somebody_here_only_where_it_is_vouched_for_and_the_domain_is_proven() {
    world(async |world| {
        let platform = &world.platform;
        let issuer = provider(world, Person { is_verified: false, ..Person::new("ann@acme.example", &["ops"]) }).await;
        assert_eq!(Browser::default().signs_in(platform).await, "email_not_verified");

        // A person who is here already, and a member of nothing.
        platform.user_create("bob@acme.example", "the-password-of-bob").await.unwrap();
        let bob = Client::new(&platform.url).sign_in("bob@acme.example", "the-password-of-bob").await.unwrap();
        let own = bob.tenant_create("bobs").await.unwrap();
        issuer.knows(Person::new("bob@acme.example", &["ops"]));
        assert_eq!(Browser::default().signs_in(platform).await, "domain_not_proven");
        world.acme.client.ask(ADD, json!({"d": "acme.example"})).await.unwrap();
        assert_eq!(Browser::default().signs_in(platform).await, "domain_not_proven", "that it was added proves nothing");
        let mut database = platform.database.connect().await.unwrap();
        sqlx::query("UPDATE email_domains SET proven_at = now()").execute(&mut database).await.unwrap();
        let mut browser = Browser::default();
        assert_eq!(browser.signs_in(platform).await, "done");
        let linked = browser.client(platform).await.unwrap();
        let by_password = bob.ask(VIEWER, json!({})).await.unwrap();
        let viewer = linked.ask(VIEWER, json!({})).await.unwrap();
        assert_eq!(viewer["viewer"]["id"], by_password["viewer"]["id"]);
        assert_eq!(
            viewer["viewer"]["memberships"],
            json!([{"tenant": {"slug": "acme"}, "role": "operator"}]),
            "of acme, and not of theirs"
        );
        let foreign = linked.of_tenant(&own).raw("{ connections { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(foreign["errors"][0]["extensions"]["code"], "NO_TENANT", "{foreign}");

        // An owner is not the provider's to let in, unless an owner says that it makes owners; and the last one stays.
        proven(world, "crossdock.example").await;
        issuer.knows(Person::new(EMAIL, &["it"]));
        assert_eq!(Browser::default().signs_in(platform).await, "owner");
        let input = settings(&issuer.url(), &[("ops", "OPERATOR"), ("it", "ADMIN"), ("board", "OWNER")]);
        world.acme.client.ask(SET, json!({"i": input})).await.unwrap();
        assert_eq!(Browser::default().signs_in(platform).await, "last_owner");
        issuer.knows(Person::new(EMAIL, &["board"]));
        assert_eq!(Browser::default().signs_in(platform).await, "done");

        // Another tenant's provider of the same address vouches for nobody of acme.
        let other = world.acme.client.tenant_create("other").await.unwrap();
        let other = world.acme.client.clone().of_tenant(&other);
        let input = settings(&issuer.url(), &[("board", "ADMIN")]);
        other.ask(SET, json!({"i": input})).await.unwrap();
        let mut browser = Browser::default();
        let (_, to) = browser.get(&format!("{}/sso/other/start", platform.url)).await;
        let (_, back) = browser.get(&to).await;
        assert_eq!(browser.comes_back(platform, &back).await, "domain_not_proven");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_is_enforced_for_a_proven_domain_but_for_an_owner_with_a_second_factor() {
    world(async |world| {
        let (platform, owner) = (&world.platform, &world.acme.client);
        let enforce = async |owner: &Client| {
            owner.raw(ENFORCE, json!({"d": "crossdock.example"})).await.unwrap()["data"]["emailDomainEnforce"].clone()
        };
        let why = |answer: &Value| answer["userErrors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(why(&enforce(owner).await).contains("add it with emailDomainAdd"));
        owner.ask(ADD, json!({"d": "Crossdock.example"})).await.unwrap();
        assert!(why(&enforce(owner).await).contains("prove first"));
        let mut database = platform.database.connect().await.unwrap();
        sqlx::query("UPDATE email_domains SET proven_at = now()").execute(&mut database).await.unwrap();
        assert!(why(&enforce(owner).await).contains("set the provider first"));
        let issuer = provider(world, Person::new("ann@crossdock.example", &["ops"])).await;
        assert!(why(&enforce(owner).await).contains("an owner sets up a second factor first"));

        // A member by password, and one who is a member elsewhere, too.
        for email in ["ann@crossdock.example", "both@crossdock.example"] {
            world.joins(email, "a-password-of-members", "developer").await;
        }
        let person = async |email: &str| Client::new(&platform.url).sign_in(email, "a-password-of-members").await;
        let (ann, both) = (person("ann@crossdock.example").await.unwrap(), person("both@crossdock.example").await.unwrap());
        both.tenant_create("elsewhere").await.unwrap();
        let app = second_factor::Person::with_an_app(world).await;
        // The owner's other sessions have ended with that.
        let owner = app.client.clone().of_tenant(&world.acme.id);
        assert!(enforce(&owner).await["emailDomain"]["enforcedAt"].is_string());

        // By password: not she, not even in the session that she has; he elsewhere; the owner with a code.
        let refused = person("ann@crossdock.example").await.err().unwrap().to_string();
        assert!(refused.contains("SSO_NEEDED") || refused.contains("your company signs you in"), "{refused}");
        assert_eq!(ann.ask(VIEWER, json!({})).await.unwrap()["viewer"]["memberships"], json!([]));
        for client in [&both, &person("both@crossdock.example").await.unwrap()] {
            let memberships = client.ask(VIEWER, json!({})).await.unwrap()["viewer"]["memberships"].clone();
            assert_eq!(memberships, json!([{"tenant": {"slug": "elsewhere"}, "role": "owner"}]));
        }
        let asked = second_factor::open(platform, None).await;
        assert_eq!(asked["userErrors"][0]["code"], "SECOND_FACTOR_NEEDED", "{asked}");
        assert!(second_factor::is_open(&second_factor::open(platform, Some(&second_factor::code(&app.app, 1))).await));
        let body = json!({"email": "ann@crossdock.example", "password": "a-password-of-members"});
        let request = http().build().unwrap().post(format!("{}/session/open", platform.url)).json(&body);
        let answer: Value = request.header("Sec-Fetch-Site", "same-origin").send().await.unwrap().json().await.unwrap();
        assert_eq!((&answer["session"], &answer["needs"]), (&Value::Null, &json!("sso")));
        // A wrong password tells nobody that.
        let wrong = Client::new(&platform.url)
            .sign_in("ann@crossdock.example", "not-the-password-at-all")
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(!wrong.contains("company"), "{wrong}");

        // By the provider: as the same person.
        let mut browser = Browser::default();
        assert_eq!(browser.signs_in(platform).await, "done");
        let by_sso = browser.client(platform).await.unwrap().ask(VIEWER, json!({})).await.unwrap();
        assert_eq!(by_sso["viewer"]["memberships"], json!([{"tenant": {"slug": "acme"}, "role": "operator"}]));

        // It is not taken away while people depend on it; and when it goes, so do those that it vouched for.
        let blocked = owner.raw(REMOVE, json!({})).await.unwrap();
        assert_eq!(blocked["data"]["identityProviderRemove"]["userErrors"][0]["code"], "BLOCKED", "{blocked}");
        owner
            .ask("mutation { emailDomainRelease(domain: \"crossdock.example\") { userErrors { code } } }", json!({}))
            .await
            .unwrap();
        assert_eq!(owner.ask(REMOVE, json!({})).await.unwrap()["identityProviderRemove"]["done"], true);
        assert!(browser.client(platform).await.is_none());
        assert!(person("ann@crossdock.example").await.is_ok());
        let events: Vec<String> = told(world, "%domain.%").await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(events, ["email_domain.added", "email_domain.enforced", "email_domain.released"]);
        let events: Vec<String> = told(world, "identity_provider.%").await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(events, ["identity_provider.set", "identity_provider.removed"]);
        drop(issuer);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_domains_are_proven_by_a_code_that_is_mailed_to_who_answers_for_them() {
    world_with_mail(async |world, server| {
        let owner = &world.acme.client;
        let send = "mutation($d: String!, $m: EmailDomainMailbox! = POSTMASTER) { emailDomainCodeSend(domain: $d, mailbox: $m) { emailDomain { mailedAt } userErrors { code } } }";
        let prove = "mutation($d: String!, $c: String!) { emailDomainProve(domain: $d, code: $c) { emailDomain { provenAt } userErrors { code } } }";
        let code_of = |answer: &Value, field: &str| answer["data"][field]["userErrors"][0]["code"].as_str().map(str::to_owned);
        for wrong in ["", "com", "a b.com", "a@b.com"] {
            let refused = owner.raw(ADD, json!({"d": wrong})).await.unwrap();
            assert_eq!(code_of(&refused, "emailDomainAdd").as_deref(), Some("INVALID"), "{wrong}");
        }
        let absent = owner.raw(send, json!({"d": "example.com"})).await.unwrap();
        assert_eq!(code_of(&absent, "emailDomainCodeSend").as_deref(), Some("NOT_FOUND"));
        owner.ask(ADD, json!({"d": "example.com"})).await.unwrap();
        owner.ask(send, json!({"d": "example.com", "m": "ADMIN"})).await.unwrap();
        let again = owner.raw(send, json!({"d": "example.com"})).await.unwrap();
        assert_eq!(code_of(&again, "emailDomainCodeSend").as_deref(), Some("TOO_MANY"));
        let mail = crate::eventually("the mail comes", async || server.mails().into_iter().find(|mail| mail["to"] == json!(["admin@example.com"]))).await;
        let text = mail["text"].as_str().unwrap();
        let code = text.lines().map(str::trim).find(|line| line.len() == 43 && !line.contains(' ')).unwrap_or_else(|| panic!("{text}"));
        let wrong = owner.raw(prove, json!({"d": "example.com", "c": "x".repeat(43)})).await.unwrap();
        assert_eq!(code_of(&wrong, "emailDomainProve").as_deref(), Some("INVALID"));
        // The code is of this tenant and this domain.
        let other = owner.clone().of_tenant(&owner.tenant_create("other").await.unwrap());
        other.ask(ADD, json!({"d": "example.com"})).await.unwrap();
        let foreign = other.raw(prove, json!({"d": "example.com", "c": code})).await.unwrap();
        assert_eq!(code_of(&foreign, "emailDomainProve").as_deref(), Some("INVALID"));
        let proven = owner.ask(prove, json!({"d": "example.com", "c": code})).await.unwrap();
        assert!(proven["emailDomainProve"]["emailDomain"]["provenAt"].is_string());
        let twice = owner.raw(prove, json!({"d": "example.com", "c": code})).await.unwrap();
        assert_eq!(code_of(&twice, "emailDomainProve").as_deref(), Some("INVALID"), "it works once");
        let remove = "mutation($d: String!) { emailDomainRemove(domain: $d) { userErrors { code } } }";
        owner.ask(remove, json!({"d": "example.com"})).await.unwrap();
        let events: Vec<String> = told(world, "email_domain.%").await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(events, ["email_domain.added", "email_domain.added", "email_domain.proven", "email_domain.removed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_settings_are_checked_in_plain_words_and_the_secret_is_told_to_nobody_else() {
    world(async |world| {
        let owner = &world.acme.client;
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        let findings = async || {
            let answer = owner.ask(TEST, json!({})).await.unwrap();
            let findings = answer["identityProviderTest"]["findings"].as_array().unwrap().clone();
            findings
                .into_iter()
                .map(|it| {
                    (
                        it["step"].as_str().unwrap().to_owned(),
                        it["result"].as_str().unwrap().to_owned(),
                        it["sentence"].as_str().unwrap().to_owned(),
                    )
                })
                .collect::<Vec<_>>()
        };
        let good = findings().await;
        assert!(good.len() == 5 && good.iter().all(|(_, result, _)| result == "GOOD"), "{good:?}");
        let set = async |change: Value| {
            let mut input = settings(&issuer.url(), &[("ops", "OPERATOR")]);
            for (name, value) in change.as_object().unwrap() {
                input[name] = value.clone();
            }
            owner.raw(SET, json!({"i": input})).await.unwrap()["data"]["identityProviderSet"].clone()
        };
        let at = |found: &[(String, String, String)], step: &str| found.iter().find(|(it, ..)| it == step).cloned().unwrap();
        set(json!({"clientSecret": "another"})).await;
        let (_, result, sentence) = at(&findings().await, "CLIENT");
        assert!(result == "WRONG" && sentence.contains("check the client id and the secret"), "{sentence}");
        assert_eq!(Browser::default().signs_in(&world.platform).await, "client_refused");
        set(json!({"groupsClaim": "departments"})).await;
        let (_, result, sentence) = at(&findings().await, "GROUPS");
        assert!(result == "WRONG" && sentence.contains("no groups claim \"departments\""), "{sentence}");
        assert_eq!(Browser::default().signs_in(&world.platform).await, "no_role");
        issuer.is_wrong(Some(Wrong::Discovered));
        let (_, result, sentence) = at(&findings().await, "DISCOVERY");
        assert!(result == "WRONG" && sentence.contains("it calls itself \"https://another.example.com\""), "{sentence}");

        for (change, field, code) in [
            (json!({"issuer": "http://id.example.com"}), "issuer", "INVALID"),
            (json!({"issuer": "https://id.example.com/?x=1"}), "issuer", "INVALID"),
            (json!({"issuer": "https://user:secret@id.example.com"}), "issuer", "INVALID"),
            (json!({"issuer": "javascript:alert(1)"}), "issuer", "INVALID"),
            (json!({"clientId": ""}), "clientId", "INVALID"),
            (json!({"clientSecret": ""}), "clientSecret", "INVALID"),
            (json!({"scopes": ["a b"]}), "scopes", "INVALID"),
            (json!({"roles": []}), "roles", "REQUIRED"),
            (json!({"roles": [{"group": "a", "role": "ADMIN"}, {"group": "a", "role": "AUDITOR"}]}), "roles", "INVALID"),
            (json!({"sessionHours": 721}), "sessionHours", "INVALID"),
            // The secret that is kept goes to no other address.
            (json!({"issuer": "https://evil.example.com", "clientSecret": null}), "clientSecret", "REQUIRED"),
            (json!({"clientId": "another", "clientSecret": null}), "clientSecret", "REQUIRED"),
        ] {
            let refused = set(change.clone()).await;
            assert_eq!(
                (&refused["userErrors"][0]["field"], &refused["userErrors"][0]["code"]),
                (&json!([field]), &json!(code)),
                "{change}: {refused}"
            );
        }
        let kept = set(json!({"clientSecret": null, "sessionHours": 2})).await;
        assert_eq!(kept["identityProvider"]["sessionHours"], 2, "{kept}");
        assert_eq!(kept["identityProvider"]["startUrl"], json!(format!("{}/sso/acme/start", world.platform.url)));

        // An admin may set it, and may make no owners by it, nor change one that does.
        let admin = world.member("admin@crossdock.example", "a-password-of-an-admin", "admin").await;
        let makes_owners = json!({"i": settings(&issuer.url(), &[("ops", "OWNER")])});
        let makes_none = json!({"i": settings(&issuer.url(), &[("ops", "ADMIN")])});
        assert_eq!(admin.raw(SET, makes_owners.clone()).await.unwrap()["errors"][0]["extensions"]["code"], "FORBIDDEN");
        admin.ask(SET, makes_none.clone()).await.unwrap();
        owner.ask(SET, makes_owners).await.unwrap();
        for (query, variables) in [(SET, makes_none), (REMOVE, json!({}))] {
            assert_eq!(admin.raw(query, variables).await.unwrap()["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sso_reaches_nothing_inside_our_walls_and_follows_no_redirect() {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = hits.clone();
    let handler = move |_: HttpRequest, _: usize| {
        seen.fetch_add(1, Ordering::SeqCst);
        HttpAnswer { status: 200, headers: vec![], body: Bytes::from_static(b"{}") }.into()
    };
    let canary = serve(([127, 0, 0, 1], 0).into(), Arc::new(handler)).await.unwrap();
    // As in production: nothing inside is opened.
    world_with(Options { allow: String::new(), ..Options::default() }, async |world| {
        let owner = &world.acme.client;
        let set = async |issuer: String| owner.raw(SET, json!({"i": settings(&issuer, &[("ops", "OPERATOR")])})).await.unwrap();
        let port = canary.address.port();
        for issuer in
            [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"), "http://169.254.169.254".to_owned()]
        {
            let refused = set(issuer.clone()).await;
            assert_eq!(refused["data"]["identityProviderSet"]["userErrors"][0]["code"], "INVALID", "{issuer}: {refused}");
        }
        for issuer in [
            format!("https://127.0.0.1:{port}"),
            format!("https://localhost:{port}"),
            format!("https://[::1]:{port}"),
            format!("https://2130706433:{port}"),
            "https://169.254.169.254".to_owned(),
        ] {
            assert!(set(issuer.clone()).await["data"]["identityProviderSet"]["identityProvider"].is_object());
            let found = owner.ask(TEST, json!({})).await.unwrap();
            let finding = &found["identityProviderTest"]["findings"][0];
            assert!(
                finding["result"] == "WRONG" && finding["sentence"].as_str().unwrap().contains("is not a public one"),
                "{issuer}: {finding}"
            );
            let (_, to) = Browser::default().get(&format!("{}/sso/acme/start", world.platform.url)).await;
            assert_eq!(to, format!("{}/sign-in?sso=provider_away", world.platform.url));
        }
    })
    .await;
    // A provider that may be asked sends us elsewhere.
    world(async |world| {
        let issuer = provider(world, Person::new("ann@acme.example", &["ops"])).await;
        issuer.is_wrong(Some(Wrong::Redirect(canary.address.port())));
        let found = world.acme.client.ask(TEST, json!({})).await.unwrap();
        let sentence = found["identityProviderTest"]["findings"][0]["sentence"].as_str().unwrap().to_owned();
        assert!(sentence.contains("answered with a redirect (302), which is not followed"), "{sentence}");
        let (_, to) = Browser::default().get(&format!("{}/sso/acme/start", world.platform.url)).await;
        assert_eq!(to, format!("{}/sign-in?sso=provider_away", world.platform.url));
    })
    .await;
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_provider_signs_in_is_by_its_policy_where_a_second_factor_is_demanded() {
    world(async |world| {
        let _issuer = provider(world, Person::new("ann@acme.example", &["it"])).await;
        let owner = &world.acme.client;
        second_factor::set_up(owner, EMAIL, &world.platform.password).await;
        let set =
            "mutation { signInPolicySet(secondFactor: true) { signInPolicy { without { email } } userErrors { message } } }";
        owner.ask(set, json!({})).await.unwrap();
        let mut browser = Browser::default();
        assert_eq!(browser.signs_in(&world.platform).await, "done");
        let ann = browser.client(&world.platform).await.unwrap();
        let seen = ann.ask("{ members { email } viewer { memberships { needsSecondFactor } } }", json!({})).await.unwrap();
        assert_eq!(seen["viewer"]["memberships"], json!([{"needsSecondFactor": false}]), "{seen}");
        // She is an admin, and has none of ours to set up: the provider asks her for its own.
        let policy = ann.ask("{ signInPolicy { without { email } } }", json!({})).await.unwrap();
        assert_eq!(policy["signInPolicy"]["without"], json!([]));
        ann.ask(set, json!({})).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_directory_says_is_gone_does_not_come_in_by_the_provider() {
    world(async |world| {
        let _issuer = provider(world, Person::new("ann@acme.example", &["it"])).await;
        let owner = &world.acme.client;
        proven(world, "acme.example").await;
        let token = "mutation { scimTokenCreate { token url userErrors { code message } } }";
        let made = owner.ask(token, json!({})).await.unwrap()["scimTokenCreate"].take();
        let directory =
            scim::Directory { url: made["url"].as_str().unwrap().into(), token: made["token"].as_str().unwrap().into() };
        let role = async || {
            let mut browser = Browser::default();
            let end = browser.signs_in(&world.platform).await;
            let Some(client) = browser.client(&world.platform).await else { return json!(end) };
            client.ask(VIEWER, json!({})).await.unwrap()["viewer"]["memberships"][0]["role"].clone()
        };
        // As long as the directory tells of no groups, those of the token decide.
        let id = directory.make("/Users", scim::person("ann@acme.example")).await;
        assert_eq!(role().await, "admin");
        directory.make("/Groups", json!({"displayName": "ops", "members": [{"value": id}]})).await;
        assert_eq!(role().await, "operator", "from then on its own do");
        let mut open = Browser::default();
        assert_eq!(open.signs_in(&world.platform).await, "done");
        let session = open.client(&world.platform).await.unwrap();
        let off = json!([{"op": "replace", "path": "active", "value": false}]);
        assert_eq!(directory.patch(&format!("/Users/{id}"), off).await.0, 200);
        assert!(session.raw(VIEWER, json!({})).await.unwrap()["data"]["viewer"].is_null(), "her session is over");
        assert_eq!(role().await, "inactive", "whatever the provider says");
        assert!(told(world, "sso.refused").await[0].1.contains("\"reason\":\"inactive\""));
    })
    .await;
}
