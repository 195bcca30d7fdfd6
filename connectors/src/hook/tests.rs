//! Known values (OpenSSL 3.0 and Python's hmac made them), then what must be refused.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use domain::secret::SecretString;
use proptest::prelude::*;

use super::*;
use crate::Catalog;

const BODY: &str = r#"{"id":1042,"name":"Grün €"}"#;
/// 2026-09-21T13:33:20Z
const SIGNED_S: i64 = 1_790_000_000;
const RSA_PRIVATE: &str = include_str!("../../tests/keys/rsa_private.pem");
const RSA_PUBLIC: &str = include_str!("../../tests/keys/rsa_public.pem");
const RSA_PUBLIC_PKCS1: &str = include_str!("../../tests/keys/rsa_public_pkcs1.pem");
const ECDSA_PRIVATE: &str = include_str!("../../tests/keys/ecdsa_private.pem");
const ECDSA_PUBLIC: &str = include_str!("../../tests/keys/ecdsa_public.pem");

const STRIPE: &str = r#"signature: {header: [X-Sig], encoding: hex, secrets: [new, old], signed: "{{ timestamp }}.{{ body }}",
    items: {separator: ",", assign: "=", name: v1}, timestamp: {item: t, unit: unix_s, tolerance_s: 300}}"#;
const STANDARD_WEBHOOKS: &str = r#"signature: {header: [webhook-signature], secrets: [new, old], secret_encoding: base64, secret_prefix: whsec_,
    signed: "{{ header.webhook-id }}.{{ timestamp }}.{{ body }}", items: {separator: " ", assign: ",", name: v1},
    timestamp: {header: webhook-timestamp, unit: unix_s, tolerance_s: 300}}"#;
const HUBSPOT: &str = r#"signature: {header: [X-Sig], secrets: [new], signed: "{{ method }}{{ url }}{{ body }}{{ timestamp }}",
    timestamp: {header: X-At, unit: unix_ms, tolerance_s: 300}}"#;

/// `webhooks` is YAML; a topic stands in the header X-Topic where it says nothing else.
fn load(webhooks: &str) -> Result<Connector, String> {
    let topic = if webhooks.contains(" topic: {") { "" } else { ", topic: {header: [X-Topic]}" };
    let topics = if webhooks.contains(" topics: {") { "" } else { ", topics: {made: {kind: order, id: id}}" };
    let yaml = format!(
        "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', settings: {{shop: {{title: S}}}},
          credential: {{new: {{title: N}}, old: {{title: O}}}}, webhooks: {{{webhooks}{topic}{topics}}}}}"
    );
    Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).map_err(|errors| errors.to_string())
}

fn signature(rest: &str) -> Connector {
    load(&format!("signature: {{header: [X-Sig], secrets: [new, old]{rest}}}")).unwrap()
}

fn fields(secrets: &[(&str, &str)]) -> SecretFields {
    secrets.iter().map(|(name, secret)| ((*name).to_owned(), SecretString::from(*secret))).collect()
}

fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn at(offset_s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(SIGNED_S, 0).unwrap() + TimeDelta::seconds(offset_s)
}

struct Sent<'t> {
    connector: &'t Connector,
    headers: Vec<(String, String)>,
    body: &'t [u8],
    now: DateTime<Utc>,
}

impl Sent<'_> {
    fn call(&self) -> HookCall<'_> {
        let url = "https://us.example/hooks/t?a=1";
        HookCall { method: "POST", url, headers: &self.headers, body: self.body, now: self.now }
    }

    fn verify(&self, secrets: &[(&str, &str)]) -> Result<Vec<HookInfo>, HookRefusal> {
        self.connector.verify_hook(&self.call(), &fields(secrets), &serde_json::json!({"shop": "acme"}))
    }

    /// As the vendor would send it.
    fn signed(mut self, secrets: &[(&str, &str)]) -> Self {
        let added = self.connector.sign_hook(&self.call(), &fields(secrets)).unwrap();
        self.headers.extend(added);
        self
    }
}

fn sent<'t>(connector: &'t Connector, headers: &[(&str, &str)]) -> Sent<'t> {
    let headers = pairs(headers).into_iter().chain(pairs(&[("X-Topic", "made")])).collect();
    Sent { connector, headers, body: BODY.as_bytes(), now: at(0) }
}

#[test]
fn an_address_is_signed_with_its_query_as_the_vendor_writes_it() {
    let [plain, as_sent] = ["{{ url | plain_query }}", "{{ url }}"]
        .map(|url| signature(&format!(", signed: '{{{{ method }}}}{url}{{{{ body }}}}'")));
    let sign = |connector: &Connector, url: &str| {
        let call = HookCall { method: "POST", url, headers: &[], body: BODY.as_bytes(), now: at(0) };
        connector.sign_hook(&call, &fields(&[("new", "s3cret")])).unwrap()
    };
    let (encoded, written) = ("https://us.example/h%3A?to=%2Fa%3Fb%40c&d=%26", "https://us.example/h%3A?to=/a?b@c&d=%26");
    assert_eq!(sign(&plain, encoded), sign(&as_sent, written));
    assert_ne!(sign(&as_sent, encoded), sign(&as_sent, written));
}

#[test]
fn the_signatures_are_those_that_others_make() {
    let rsa = "FHcrygOuvi1NwizlOLsK0JbjKypjtuAIyxMgVLrYTJIWsRQHC58Ihbz1xiFBzycN74nWe74lvm1Yz4C6rc3+mwAspSsYkMNfJGCXpv6DSjHJzFFr4EUPwlW8\
               DusyboEU3kZER1U+e/UTK+15RmufqWuAGTE5iCWjcosYiY5WCaiYaifP3P++sYiVVxeha/a1C8j2wgvnpdXZFuebzOHovqFaC2AuNu3A+JUNk7YwuiB2/18/\
               nTFuB+3PuqogiBo3Pl2cEWsI+C80Bi3QUEgiopqamD6HlZW1Hp76E50tOJe1XwQrpwWKaKZx38G7iVqzsc/DUGHaI9g2Ccr4z6MMRg==";
    let ecdsa = "MEUCIAGbFeKNGqZ8QXeoiclcw2xchl8PgNZrRyruvVv3DrCzAiEAnKhof+s/+0ilPmuOnUUHc0JXg7kxYCj5ssRkSDfGR2s=";
    let one_line = RSA_PUBLIC.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    for (rule, secret, header) in [
        ("", "s3cret", "rRETqtQpR5s0WcbvFuI9+Og1RsaHUVBbWFiTIxvYZdo="),
        (", algorithm: hmac_sha1, encoding: hex, prefix: 'sha1='", "s3cret", "sha1=65d3cf77bad6348ec51f26c4ac221f4b7f55212b"),
        (
            ", algorithm: hmac_sha512",
            "s3cret",
            "4CACUUsSz1wm6q0I59K7Xcq8CWzH6sxlr6N2NsON/vighWyv0g/l3csATqbE7DSBUJ4rY44RbH6MiNQ48ri2fQ==",
        ),
        (", encoding: hex, secret_encoding: hex", "00FF10", "75d3b2a083dc92377733d533fed97fb3f893e8c4468316090a1aed895679f845"),
        (", encoding: hex, secret_encoding: base64", "AP8Q", "75D3B2A083DC92377733D533FED97FB3F893E8C4468316090A1AED895679F845"),
        (
            ", encoding: hex, secret_encoding: nfkd",
            "Ünïcode-ﬁ-Å",
            "390278fec5a6b15902b440a0889dab4ce841790474a6a4f3350e1ec33e7000f6",
        ),
        (", algorithm: rsa_sha256", RSA_PUBLIC, rsa),
        (", algorithm: rsa_sha256", RSA_PUBLIC_PKCS1, rsa),
        (", algorithm: rsa_sha256", one_line.as_str(), rsa),
        (", algorithm: ecdsa_sha256", ECDSA_PUBLIC, ecdsa),
        (", algorithm: shared, prefix: 'Token '", "s3cret", "Token s3cret"),
    ] {
        let connector = signature(rule);
        let sent = sent(&connector, &[("X-Sig", header)]);
        assert!(sent.verify(&[("new", secret)]).is_ok(), "{rule}: {:?}", sent.verify(&[("new", secret)]));
        let wrong: &[(&str, &str)] = match secret {
            s if s.contains("BEGIN") || s.len() > 100 => &[("new", "MAMBAgM=")],
            _ => &[("new", "MDAw"), ("old", "abcd")],
        };
        assert!(sent.verify(wrong).unwrap_err().is_forged(), "{rule}");
    }
}

#[test]
fn signatures_over_more_than_the_body_are_those_that_others_make() {
    let stripe = "t=1790000000,v1=716b1ea4be532abe6ba6e56615e92d3e8e0ef0691ddcab0464eda2c3386693b3,v0=00";
    let connector = load(STRIPE).unwrap();
    assert!(sent(&connector, &[("X-Sig", stripe)]).verify(&[("new", "whsec_s3cret")]).is_ok());

    let connector = load(STANDARD_WEBHOOKS).unwrap();
    let sig = "v1,B7Zj+ykncwzJnF/YIoxng2sr5riFy6pNRqFMoG4+bdY=";
    let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", "1790000000"), ("webhook-signature", sig)];
    assert!(sent(&connector, &headers).verify(&[("new", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).is_ok());
    assert!(sent(&connector, &headers).verify(&[("new", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).is_ok());

    let connector = load(HUBSPOT).unwrap();
    let headers = [("X-Sig", "QZ+AzAiTIN2h26YyUtEwwD2yaNi8qppVlnHNTlXM6J4="), ("X-At", "1790000000000")];
    assert!(sent(&connector, &headers).verify(&[("new", "s3cret")]).is_ok());
}

#[test]
fn what_we_sign_verifies_and_another_secret_does_not_fit() {
    let public_of = |secret| match secret {
        RSA_PRIVATE => RSA_PUBLIC,
        ECDSA_PRIVATE => ECDSA_PUBLIC,
        other => other,
    };
    let rules = |rest: &str| format!("signature: {{header: [X-Sig], secrets: [new, old]{rest}}}");
    for (webhooks, secret) in [
        (rules(""), "s3cret"),
        (rules(", algorithm: hmac_sha1, encoding: hex, prefix: 'sha1='"), "s3cret"),
        (rules(", algorithm: hmac_sha512"), "s3cret"),
        (rules(", algorithm: rsa_sha256"), RSA_PRIVATE),
        (rules(", algorithm: ecdsa_sha256, signed: '{{ url }}{{ body }}'"), ECDSA_PRIVATE),
        (rules(", algorithm: shared"), "s3cret"),
        (rules(", signed: '{{ header.at }}{{ body }}', timestamp: {header: at, unit: rfc3339, tolerance_s: 5}"), "s3cret"),
        (STRIPE.to_owned(), "s3cret"),
        (STANDARD_WEBHOOKS.to_owned(), "whsec_c2VjcmV0"),
        (HUBSPOT.to_owned(), "s3cret"),
    ] {
        let connector = load(&webhooks).unwrap();
        let delivery = sent(&connector, &[("webhook-id", "msg_1")]).signed(&[("new", secret)]);
        let infos = delivery.verify(&[("new", public_of(secret))]).unwrap_or_else(|refusal| panic!("{webhooks}: {refusal}"));
        assert_eq!(infos[0].source_id.as_deref(), Some("1042"));
        if !secret.contains("BEGIN") {
            assert_eq!(delivery.verify(&[("new", "b3RoZXI=")]), Err(HookRefusal::BadSignature), "{webhooks}");
        }
    }
}

#[test]
fn while_a_secret_is_rotated_the_old_and_the_new_one_fit() {
    for webhooks in [STRIPE, STANDARD_WEBHOOKS, "signature: {header: [X-Sig], secrets: [new, old]}"] {
        let connector = load(webhooks).unwrap();
        let (first, second) = ("Zmlyc3Q=", "c2Vjb25k");
        let of_first = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", first)]);
        assert!(of_first.verify(&[("new", second), ("old", first)]).is_ok());
        assert!(of_first.verify(&[("new", second)]).is_err());
        if webhooks.contains("items") {
            let of_both = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", second), ("old", first)]);
            for secret in [first, second] {
                assert!(of_both.verify(&[("new", secret)]).is_ok(), "{webhooks}");
            }
        }
    }
    // One that cannot be read any more stops no other; alone it is named.
    let connector = load(STANDARD_WEBHOOKS).unwrap();
    let delivery = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", "Zmlyc3Q=")]);
    assert!(delivery.verify(&[("new", "no base64!"), ("old", "Zmlyc3Q=")]).is_ok());
    assert_eq!(delivery.verify(&[("new", "no base64!")]), Err(HookRefusal::BadSecret("new".into())));
    assert_eq!(delivery.verify(&[("new", "")]), Err(HookRefusal::NoSecret));
    // A stranger has the empty key too.
    assert_eq!(delivery.verify(&[("new", "whsec_")]), Err(HookRefusal::BadSecret("new".into())));
}

#[test]
fn an_old_delivery_is_refused_and_the_sentence_says_by_how_much() {
    for webhooks in [STRIPE, STANDARD_WEBHOOKS, HUBSPOT] {
        let connector = load(webhooks).unwrap();
        let mut delivery = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", "Zmlyc3Q=")]);
        for (offset_s, said) in [
            (0, None),
            (300, None),
            (-300, None),
            (301, Some("signed 301 s ago, and 300 s are allowed")),
            (-400, Some("signed 400 s ahead of our time")),
            (1_000_000, Some("1000000 s ago")),
        ] {
            delivery.now = at(offset_s);
            let refusal = delivery.verify(&[("new", "Zmlyc3Q=")]).err().map(|refusal| refusal.to_string());
            assert_eq!(refusal.is_some(), said.is_some(), "{webhooks} {offset_s}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(said.unwrap_or_default()));
        }
        // Whoever cannot sign learns nothing of our time.
        assert_eq!(delivery.verify(&[("new", "b3RoZXI=")]), Err(HookRefusal::BadSignature));
    }
}

#[test]
fn a_header_that_is_not_as_the_vendor_writes_it_is_refused_with_what_is_wrong() {
    let connector = load(STRIPE).unwrap();
    let many = format!("t=1790000000{}", ",v1=00".repeat(40));
    for (header, said) in [
        ("", "no signature in hexadecimal"),
        ("t=1790000000", "no signature in hexadecimal"),
        ("t=1790000000,v0=00", "no signature in hexadecimal"),
        ("v1=00", "does not say when"),
        ("t=1790000000,t=1790000001,v1=00", "says twice when"),
        ("t=1790000000,v1=zz", "no signature in hexadecimal"),
        (many.as_str(), "more than 32 items"),
        (&"x".repeat(9_000), "9000 bytes"),
    ] {
        let refusal = sent(&connector, &[("X-Sig", header)]).verify(&[("new", "s")]).unwrap_err();
        assert!(refusal.is_forged() && refusal.to_string().contains(said), "{header}: {refusal}");
    }
    let refusal = |headers: &[(&str, &str)]| sent(&connector, headers).verify(&[("new", "s")]).unwrap_err();
    assert_eq!(refusal(&[]), HookRefusal::MissingHeader("X-Sig".into()));
    let good = sent(&connector, &[]).signed(&[("new", "s")]).headers.pop().unwrap().1;
    assert_eq!(refusal(&[("X-Sig", &good), ("x-sig", &good)]), HookRefusal::Doubled("X-Sig".into()));
    assert!(sent(&connector, &[("x-sig", &good)]).verify(&[("new", "s")]).is_ok());

    let connector = load(STANDARD_WEBHOOKS).unwrap();
    let good = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", "s3cr")]);
    for doubled in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut headers = good.headers.clone();
        headers.push((doubled.to_uppercase(), "1790000000".into()));
        let twice = Sent { headers, ..sent(&connector, &[]) };
        assert!(matches!(twice.verify(&[("new", "s3cr")]), Err(HookRefusal::Doubled(name)) if name == doubled));
        let without = good.headers.iter().filter(|(name, _)| name != doubled).cloned().collect();
        let without = Sent { headers: without, ..sent(&connector, &[]) };
        assert_eq!(without.verify(&[("new", "s3cr")]), Err(HookRefusal::MissingHeader(doubled.into())));
    }
}

#[test]
fn what_is_signed_is_bytes_and_what_is_no_json_is_unreadable_and_not_forged() {
    for webhooks in [STRIPE, HUBSPOT, "signature: {header: [X-Sig], secrets: [new]}"] {
        let connector = load(webhooks).unwrap();
        for body in [&b""[..], b"\xff\xfe{{ url }}", b"id=1"] {
            let delivery = Sent { body, ..sent(&connector, &[]) }.signed(&[("new", "s")]);
            let refusal = delivery.verify(&[("new", "s")]).unwrap_err();
            assert!(matches!(refusal, HookRefusal::Unreadable(_)), "{webhooks}: {refusal}");
            assert!(delivery.verify(&[("new", "other")]).unwrap_err().is_forged());
        }
    }
}

#[test]
fn a_list_of_events_is_read_as_if_each_had_come_alone() {
    let rule = "signature: {header: [X-Sig], secrets: [new]}, topic: {path: type}, topics: {made: {kind: order, id: about.id}}";
    let read = |rest: &str, body: &str| {
        let connector = load(&format!("{rule}{rest}")).unwrap();
        let delivery = Sent { body: body.as_bytes(), ..sent(&connector, &[("X-Id", "d1")]) }.signed(&[("new", "s")]);
        delivery.verify(&[("new", "s")])
    };
    let body = r#"[{"type":"made","about":{"id":12345678901234567890},"at":1.50}, {"type":"else", "about":{"id":"b"}}]"#;
    let infos = read(", events: ''", body).unwrap();
    let said: Vec<_> = infos.iter().map(|info| (info.topic.as_str(), info.kind, info.source_id.as_deref())).collect();
    assert_eq!(said, [("made", Some(RecordKind::Order), Some("12345678901234567890")), ("else", None, None)]);
    assert_eq!(infos[0].event.as_deref(), Some(&br#"{"type":"made","about":{"id":12345678901234567890},"at":1.50}"#[..]));
    // The same event in another delivery is the same; another event is not.
    assert_ne!(infos[0].dedupe_key, infos[1].dedupe_key);
    let swapped =
        r#"{"a":{"list":[{"type":"else","about":{"id":"b"}},{"type":"made","about":{"id":12345678901234567890},"at":1.50}]}}"#;
    let again = read(", events: a.list", swapped).unwrap();
    assert_eq!(again[1].dedupe_key, infos[0].dedupe_key);
    // An id of an event is its key; an id of the delivery is not the key of each of its events.
    let keys = |rest: &str| read(rest, body).unwrap().into_iter().map(|info| info.dedupe_key).collect::<Vec<_>>();
    assert_eq!(keys(", events: '', dedupe: {path: about.id}"), ["12345678901234567890", "b"]);
    let of_delivery = keys(", events: '', dedupe: {header: [X-Id]}");
    assert!(of_delivery[0] != of_delivery[1] && of_delivery.iter().all(|key| key.starts_with("sha256:")));
    // Some vendors send an empty list to see whether we verify.
    assert_eq!(read(", events: a", r#"{"a":[]}"#), Ok(vec![]));
    for (events, body, said) in [
        ("a", "{}".to_owned(), "no events at \"a\""),
        ("''", r#"[{"type":"made"},{"about":1}]"#.to_owned(), "event 2: it has no topic at \"type\""),
        ("''", format!("[{}1]", "1,".repeat(1_000)), "1001 events"),
    ] {
        let refusal = read(&format!(", events: {events}"), &body).unwrap_err();
        assert!(!refusal.is_forged() && refusal.to_string().contains(said), "{refusal}");
    }
}

#[test]
fn a_body_that_is_one_event_is_one_event() {
    let connector = load("signature: {header: [X-Sig], secrets: [new]}").unwrap();
    let infos = sent(&connector, &[]).signed(&[("new", "s")]).verify(&[("new", "s")]).unwrap();
    assert_eq!((infos.len(), infos[0].event.as_ref()), (1, None));
    // The SHA-256 of topic, NUL and body: another spelling would make every retry of yesterday's deliveries a new message.
    assert_eq!(infos[0].dedupe_key, "sha256:6ad930be3a77a17806ab05199542c6de0cc399e5aff75546d33528949b168a63");
}

#[test]
fn rules_that_let_a_stranger_in_or_nobody_are_refused_when_they_are_loaded() {
    let sig = |rest: &str| format!("signature: {{header: [X-Sig], secrets: [new]{rest}}}");
    let subscriptions = |rest: &str| {
        let request = "subscribe: {request: {method: POST, path: '/hooks?to={{ hook_url }}'}, id: {path: id}}";
        format!("{}, subscriptions: {{{request}{rest}}}", sig(""))
    };
    let stamp = |rest: &str| sig(&format!(", signed: '{{{{ timestamp }}}}{{{{ body }}}}', timestamp: {{unit: unix_s, {rest}}}"));
    for (webhooks, said) in [
        (
            "signature: {header: [X-Sig], secrets: [nwe]}".to_owned(),
            "names the secret \"nwe\", which credential does not declare",
        ),
        ("signature: {header: [X-Sig], secrets: []}".to_owned(), ".secrets has 0 fields"),
        ("signature: {header: [], secrets: [new]}".to_owned(), ".header is empty"),
        (format!("{}, topic: {{}}", sig("")), "webhooks.topic needs header or path"),
        (format!("{}, dedupe: {{}}", sig("")), "webhooks.dedupe needs header or path"),
        (format!("{}, topics: {{}}", sig("")), "webhooks.topics is empty"),
        (format!("{}, topics: {{a: {{kind: order, id: ''}}}}", sig("")), "webhooks.topics.a.id is empty"),
        (format!("{}, source: {{header: [X], equals: '{{{{ settings.shpo }}}}'}}", sig("")), "\"settings.shpo\""),
        (sig(", signed: '{{ bodi }}'"), "there is no \"bodi\" to put into \"{{ bodi }}\"; did you mean \"body\"?"),
        (sig(", signed: '{{ url }}'"), "anybody could change what is delivered"),
        (sig(", signed: '{{ body'"), "cannot be read"),
        (sig(", signed: '{{ body | lower }}'"), "without a filter"),
        (sig(", signed: '{{ method | small }}{{ body }}'"), "there is no filter \"small\""),
        (sig(", signed: '{{ timestamp }}{{ body }}'"), "timestamp does not say where it stands"),
        (sig(", timestamp: {header: X, unit: unix_s, tolerance_s: 300}"), "an old delivery with a new time"),
        (stamp("header: X, tolerance_s: 0"), "tolerance_s is 0; it takes 1 to 86400"),
        (stamp("header: X, tolerance_s: 86401"), "tolerance_s is 86401"),
        (stamp("tolerance_s: 300"), "needs header or item"),
        (stamp("item: t, tolerance_s: 300"), "items does not say how the header is divided"),
        (sig(", items: {separator: ',', assign: ',', name: v1}"), ".items needs"),
        (sig(", algorithm: shared, signed: '{{ body }}'"), "where nothing is signed"),
        (sig(", algorithm: rsa_sha256, secret_encoding: hex"), "which is PEM"),
        (subscriptions(", delete: {method: DELETE, path: /hooks}"), "delete does not say {{ subscription_id }}"),
        (subscriptions(", lifetime_s: 0"), "lifetime_s is 0"),
        (subscriptions(", renew: {method: POST, path: '/{{ subscription_id }}'}"), "needs lifetime_s"),
        (
            subscriptions(", list: {read: {request: {method: GET, path: /}}, id: id, topic: '', url: url, active: '1 +'}"),
            "list.topic is empty",
        ),
        (
            subscriptions(", list: {read: {request: {method: GET, path: /}}, id: id, topic: t, url: url, active: '1 +'}"),
            "list.active cannot be read",
        ),
        (subscriptions("").replace("{{ hook_url }}", ""), "subscribe.request does not say {{ hook_url }}"),
    ] {
        let errors = load(&webhooks).err().unwrap_or_default();
        assert!(errors.contains(said), "{webhooks}: {errors}");
    }
}

fn shopify(body: &str) -> Result<HookInfo, HookRefusal> {
    let connector = Catalog::embedded().get("shopify").unwrap();
    let headers = pairs(&[("X-Shopify-Shop-Domain", "acme.myshopify.com"), ("X-Shopify-Topic", "orders/create")]);
    let delivery = Sent { connector, headers, body: body.as_bytes(), now: at(0) }.signed(&[("hook_secret", "s3cret")]);
    let settings = serde_json::json!({"shop": "acme.myshopify.com"});
    let infos = connector.verify_hook(&delivery.call(), &fields(&[("hook_secret", "s3cret")]), &settings)?;
    assert_eq!(infos.len(), 1);
    Ok(infos.into_iter().next().unwrap())
}

#[test]
fn an_id_that_cannot_be_stored_is_unreadable_and_not_forged() {
    assert_eq!(shopify(r#"{"id":1042}"#).unwrap().source_id.as_deref(), Some("1042"));
    assert!(shopify(&format!(r#"{{"id":"{}"}}"#, "9".repeat(200))).is_ok());
    for (body, what) in [
        (format!(r#"{{"id":"{}"}}"#, "9".repeat(201)), "201 bytes"),
        (r#"{"id":"a\u0007b"}"#.to_owned(), "control character"),
        (r#"{"id":"a\nb"}"#.to_owned(), "control character"),
        (r#"{"id":"\u0000"}"#.to_owned(), "U+0000, which cannot be stored, at line 1, column 8"),
    ] {
        let refusal = shopify(&body).unwrap_err();
        assert!(!refusal.is_forged() && refusal.to_string().contains(what), "{refusal}");
    }
}

proptest! {
    #[test]
    fn a_changed_bit_of_the_body_is_refused(body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        for webhooks in [STRIPE, STANDARD_WEBHOOKS, HUBSPOT, "signature: {header: [X-Sig], secrets: [new]}"] {
            let connector = load(webhooks).unwrap();
            let delivery = Sent { body: &body, ..sent(&connector, &[("webhook-id", "1")]) }.signed(&[("new", "s3cr")]);
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            let forged = Sent { body: &changed, headers: delivery.headers.clone(), ..sent(&connector, &[]) };
            prop_assert_eq!(forged.verify(&[("new", "s3cr")]), Err(HookRefusal::BadSignature));
        }
    }

    #[test]
    fn a_changed_byte_of_the_signature_or_of_what_is_signed_is_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let rules = [
            (STRIPE, "s3cr", "s3cr"),
            (STANDARD_WEBHOOKS, "s3cr", "s3cr"),
            (HUBSPOT, "s3cr", "s3cr"),
            ("signature: {header: [X-Sig], secrets: [new], algorithm: ecdsa_sha256}", ECDSA_PRIVATE, ECDSA_PUBLIC),
        ];
        for (webhooks, private, public) in rules {
            let connector = load(webhooks).unwrap();
            let mut delivery = sent(&connector, &[("webhook-id", "1")]).signed(&[("new", private)]);
            // All headers but the topic, which no vendor signs here.
            let mut signed: Vec<&mut (String, String)> = delivery.headers.iter_mut().filter(|(name, _)| name != "X-Topic").collect();
            if connector.manifest.webhooks.as_ref().unwrap().signature.signed.is_none() {
                signed.retain(|(name, _)| name == "X-Sig");
            }
            if webhooks != STANDARD_WEBHOOKS {
                signed.retain(|(name, _)| name != "webhook-id");
            }
            let count = signed.len();
            let value = &mut signed[which.index(count)].1;
            let mut bytes = value.clone().into_bytes();
            let at = at.index(bytes.len());
            let before = bytes[at];
            bytes[at] = before.wrapping_add(by);
            // Hexadecimal digits say the same in both cases.
            prop_assume!(!bytes[at].eq_ignore_ascii_case(&before));
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            *value = changed;
            let refusal = delivery.verify(&[("new", public)]);
            prop_assert!(refusal.as_ref().is_err_and(HookRefusal::is_forged), "{}: {:?}", webhooks, refusal);
        }
    }

    #[test]
    fn no_header_makes_it_panic(header in ".{0,60}|(t=[0-9]{0,20}|v1=[0-9a-f]{0,8}|,|=){0,12}", body in prop::collection::vec(any::<u8>(), 0..40)) {
        for webhooks in [STRIPE, STANDARD_WEBHOOKS, HUBSPOT] {
            let connector = load(webhooks).unwrap();
            let headers = [("X-Sig", header.as_str()), ("webhook-signature", &header), ("webhook-timestamp", &header), ("X-At", &header), ("webhook-id", "1")];
            let delivery = Sent { body: &body, ..sent(&connector, &headers) };
            prop_assert!(delivery.verify(&[("new", "s3cr")]).is_err());
        }
    }
}

#[test]
fn a_base64_signature_has_one_spelling() {
    // The last digit of 32 bytes in base64 has two bits that say nothing; a second spelling would be a second signature.
    let connector = load("signature: {header: [X-Sig], secrets: [new]}").unwrap();
    let good = sent(&connector, &[]).signed(&[("new", "s")]).headers.pop().unwrap().1;
    assert_eq!(STANDARD.decode(&good).unwrap().len(), 32);
    let last = good.as_bytes()[42];
    let other = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').filter(|digit| *digit != last);
    for digit in other {
        let header = format!("{}{}=", &good[..42], char::from(digit));
        assert!(sent(&connector, &[("X-Sig", &header)]).verify(&[("new", "s")]).is_err(), "{header}");
    }
}
