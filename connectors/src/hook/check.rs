//! What is wrong with `webhooks` that serde cannot see. Most of it would let a stranger in, or let nobody in.

use super::TOPIC_BYTES_MAX;
use crate::check::templates;
use crate::manifest::{Hook, KeyEncoding, Manifest, Place, Request, Signature, SignatureAlgorithm};
use crate::parse::nearest;
use crate::template::{fill, names};

/// Secrets that are tried on each delivery.
const SECRETS_MAX: usize = 8;
/// Longer would let a delivery be sent again long after anybody remembers it, s.
const TOLERANCE_MAX_S: u32 = 24 * 60 * 60;

pub(crate) fn check(manifest: &Manifest, hook: &Hook, errors: &mut Vec<String>) {
    check_signature(manifest, &hook.signature, errors);
    if let Some(source) = &hook.source {
        if source.header.is_empty() {
            errors.push("webhooks.source.header is empty: which header names the account?".into());
        }
        for name in names(&source.equals) {
            let is_known = name.strip_prefix("settings.").is_some_and(|setting| manifest.settings.contains_key(setting));
            if !is_known {
                errors.push(format!("webhooks.source.equals names \"{name}\", but only declared settings are known there"));
            }
        }
    }
    check_place(Some(&hook.topic), "webhooks.topic", errors);
    check_place(hook.dedupe.as_ref(), "webhooks.dedupe", errors);
    check_place(hook.version.as_ref(), "webhooks.version", errors);
    if hook.topics.is_empty() {
        errors.push("webhooks.topics is empty: no delivery would become a record".into());
    }
    for (topic, about) in &hook.topics {
        if topic.len() > TOPIC_BYTES_MAX {
            errors.push(format!("the topic \"{topic}\" is longer than the {TOPIC_BYTES_MAX} bytes that are compared"));
        }
        if about.id.is_empty() {
            errors.push(format!("webhooks.topics.{topic}.id is empty: where does the body carry the id of the thing?"));
        }
        if about.deleted && about.fetch.is_some() {
            errors.push(format!(
                "webhooks.topics.{topic} tells that the thing is deleted, and fetches it; leave one of the two out"
            ));
        }
    }
    check_subscriptions(hook, errors);
}

fn check_signature(manifest: &Manifest, rule: &Signature, errors: &mut Vec<String>) {
    let mut fail = |what: String| errors.push(format!("webhooks.signature{what}"));
    if rule.header.is_empty() {
        fail(".header is empty: which header carries the signature?".into());
    }
    if rule.secrets.is_empty() || rule.secrets.len() > SECRETS_MAX {
        fail(format!(".secrets has {} fields; it takes 1 to {SECRETS_MAX}", rule.secrets.len()));
    }
    for secret in rule.secrets.iter().filter(|secret| !manifest.credential.contains_key(*secret)) {
        fail(format!(" names the secret \"{secret}\", which credential does not declare"));
    }
    let is_public = matches!(rule.algorithm, SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256);
    if is_public && rule.secret_encoding != KeyEncoding::Text {
        fail(".secret_encoding says nothing of a public key, which is PEM".into());
    }
    let is_shared = rule.algorithm == SignatureAlgorithm::Shared;
    if is_shared && (rule.signed.is_some() || rule.items.is_some() || rule.timestamp.is_some()) {
        fail(".algorithm is shared, where nothing is signed: leave out signed, items and timestamp".into());
    }
    if let Some(items) = &rule.items
        && (items.separator.is_empty() || items.assign.is_empty() || items.name.is_empty() || items.separator == items.assign)
    {
        fail(".items needs a separator, another text for assign, and a name".into());
    }
    let signed: Vec<&str> = rule.signed.as_deref().map_or(vec!["body"], |signed| names(signed).collect());
    if let Some(template) = &rule.signed {
        check_signed(template, &signed, &mut fail);
    }
    let Some(at) = &rule.timestamp else {
        if signed.contains(&"timestamp") {
            fail(".signed names the timestamp, but timestamp does not say where it stands".into());
        }
        return;
    };
    if at.tolerance_s == 0 || at.tolerance_s > TOLERANCE_MAX_S {
        fail(format!(".timestamp.tolerance_s is {}; it takes 1 to {TOLERANCE_MAX_S}", at.tolerance_s));
    }
    if at.header.is_some() == at.item.is_some() {
        fail(".timestamp needs header or item, and not both".into());
    }
    if at.item.is_some() && rule.items.is_none() {
        fail(".timestamp.item names an item, but items does not say how the header is divided".into());
    }
    let own = at.header.as_ref().map(|header| format!("header.{}", header.to_lowercase()));
    if !signed.iter().any(|name| *name == "timestamp" || own.as_ref().is_some_and(|own| *own == name.to_lowercase())) {
        fail(".timestamp is not part of signed: a stranger could send an old delivery with a new time".into());
    }
}

fn check_signed(template: &str, signed: &[&str], fail: &mut impl FnMut(String)) {
    const NAMES: [&str; 4] = ["body", "method", "timestamp", "url"];
    for name in signed {
        if !NAMES.contains(name) && name.strip_prefix("header.").is_none_or(str::is_empty) {
            let near = nearest(name, NAMES.into_iter().chain(["header."]));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            fail(format!(".signed: there is no \"{name}\" to put into \"{template}\"{hint}"));
        }
    }
    if let Err(error) = fill(template, false, |_| Some("".into())) {
        fail(format!(".signed cannot be read: {error}"));
    }
    if template
        .split("{{")
        .skip(1)
        .any(|part| part.trim_start().starts_with("body") && part.split("}}").next().is_some_and(|p| p.contains('|')))
    {
        fail(".signed takes the body as it came, without a filter".into());
    }
    if !signed.contains(&"body") {
        fail(".signed has no {{ body }}: anybody could change what is delivered".into());
    }
}

fn check_subscriptions(hook: &Hook, errors: &mut Vec<String>) {
    let Some(rule) = &hook.subscriptions else { return };
    check_place(Some(&rule.subscribe.id), "webhooks.subscriptions.subscribe.id", errors);
    check_place(rule.subscribe.secret.as_ref(), "webhooks.subscriptions.subscribe.secret", errors);
    let mut needs = |request: Option<&Request>, whose: &str, name: &str| {
        if request.is_some_and(|request| !says(request, name)) {
            errors.push(format!("webhooks.subscriptions.{whose} does not say {{{{ {name} }}}}"));
        }
    };
    needs(Some(&rule.subscribe.request), "subscribe.request", "hook_url");
    needs(rule.renew.as_ref(), "renew", "subscription_id");
    needs(rule.delete.as_ref(), "delete", "subscription_id");
    if rule.lifetime_s == Some(0) {
        errors.push("webhooks.subscriptions.lifetime_s is 0; leave it out where a subscription lives for ever".into());
    }
    if rule.renew.is_some() && rule.lifetime_s.is_none() {
        errors.push("webhooks.subscriptions.renew needs lifetime_s: when is it time to renew?".into());
    }
    if let Some(list) = &rule.list {
        for (path, whose) in [(&list.id, "id"), (&list.topic, "topic"), (&list.url, "url")] {
            if path.is_empty() {
                errors.push(format!("webhooks.subscriptions.list.{whose} is empty: a path in a record of the list was expected"));
            }
        }
    }
}

fn says(request: &Request, wanted: &str) -> bool {
    templates(request).iter().flat_map(|template| names(template)).any(|name| name == wanted)
}

fn check_place(place: Option<&Place>, whose: &str, errors: &mut Vec<String>) {
    if place.is_some_and(|place| place.header.is_empty() && place.path.is_none()) {
        errors.push(format!("{whose} needs header or path: where does it stand?"));
    }
}
