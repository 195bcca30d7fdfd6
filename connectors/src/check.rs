//! What serde cannot see: names that point nowhere, patterns and expressions that cannot be read.

mod auth;
mod change;
mod rotation;
mod template;

use std::collections::BTreeSet;

use domain::mapping::Filter;

use crate::manifest::{FORMAT, Include, Manifest, Read, Request, Resource};
use crate::template::names;

pub(crate) fn check(folder: &str, manifest: &Manifest) -> Vec<String> {
    let mut errors = Vec::new();
    if manifest.format != FORMAT {
        errors.push(format!("format is {}, but this build reads {FORMAT}", manifest.format));
    }
    if manifest.name != folder {
        errors.push(format!("name is \"{}\", but the folder is \"{folder}\"", manifest.name));
    }
    if !manifest.versions.is_empty() && manifest.versions.iter().filter(|version| version.current).count() != 1 {
        errors.push("exactly one of versions is current".into());
    }
    for (name, field) in manifest.settings.iter().chain(&manifest.credential) {
        if let Some(Err(error)) = field.pattern.as_deref().map(regex::Regex::new) {
            errors.push(format!("the pattern of {name} cannot be read: {error}"));
        }
    }
    if let Some(hook) = &manifest.webhooks {
        crate::hook::check(manifest, hook, &mut errors);
        if let Some(list) = hook.subscriptions.as_ref().and_then(|subscriptions| subscriptions.list.as_ref()) {
            check_read("webhooks.subscriptions.list.read", &Resource::default(), &list.read, &mut errors);
            check_expression(list.active.as_deref(), "webhooks.subscriptions.list.active", &mut errors);
        }
        for (topic, fetch) in hook.topics.iter().filter_map(|(name, topic)| Some((name, topic.fetch.as_ref()?))) {
            check_includes(&format!("webhooks.topics.{topic}.fetch"), &Resource::default(), &fetch.include, &mut errors);
        }
    }
    for rule in &manifest.errors {
        let is_status = |status: &u16| (100..600).contains(status);
        let are_statuses = rule.statuses().is_some_and(|range| is_status(range.start()) && is_status(range.end()));
        if rule.status.is_some() && !are_statuses {
            errors.push(format!(
                "the status \"{}\" in errors is neither one like \"404\" nor a range like \"500-599\"",
                rule.status.as_deref().unwrap_or_default()
            ));
        }
        if let Some(Err(error)) = rule.header.as_ref().and_then(|h| h.pattern.as_deref()).map(regex::Regex::new) {
            errors.push(format!("the pattern of a header in errors cannot be read: {error}"));
        }
        check_expression(rule.when.as_deref(), "errors.when", &mut errors);
        change::check_stale(manifest, rule, &mut errors);
    }
    for (kind, resource) in &manifest.resources {
        check_resource(&format!("resources.{kind}"), manifest, resource, &mut errors);
    }
    check_x12(manifest, &mut errors);
    template::check_templates(manifest, &mut errors);
    auth::check_auth(manifest, &mut errors);
    rotation::check_rotation(manifest, &mut errors);
    errors
}

fn check_x12(manifest: &Manifest, errors: &mut Vec<String>) {
    let Some(x12) = &manifest.x12 else {
        if requests(manifest).iter().any(|request| matches!(request.body, Some(crate::manifest::Body::X12))) {
            errors.push("a request has the body x12, but there is no x12 that says what is agreed on with the partner".into());
        }
        return;
    };
    for (set, kind) in &x12.takes {
        if !matches!(crate::x12::Guide::find(set), Some(Ok(_))) {
            errors.push(format!("x12.takes names the set {set}, for which there is no guide"));
        }
        if manifest.resources.get(kind).is_none_or(|resource| resource.files.is_none()) {
            errors.push(format!(
                "x12.takes makes records of the kind {kind}, but resources.{kind}.files does not say where they come from"
            ));
        }
    }
}

fn check_expression(expression: Option<&str>, whose: &str, errors: &mut Vec<String>) {
    if let Some(Err(error)) = expression.map(Filter::compile) {
        errors.push(format!("{whose} cannot be read: {error}"));
    }
}

fn check_resource(at: &str, manifest: &Manifest, resource: &Resource, errors: &mut Vec<String>) {
    check_expression(resource.deleted.as_deref(), &format!("{at}.deleted"), errors);
    let lists_some = |read: &Read| read.since.is_some() || read.filter.is_some();
    let is_part = |read: &Read| lists_some(read) || read.parent.as_ref().is_some_and(|parent| lists_some(&parent.read));
    if resource.absent_is_deleted && resource.read.as_ref().is_none_or(is_part) {
        errors.push(format!("{at}.absent_is_deleted needs a read that always lists all of them: without since and filter"));
    }
    if let Some(proof) = &resource.proof {
        if manifest.error.code.is_empty() && proof.absent.iter().any(|absent| !absent.code.is_empty()) {
            errors.push(format!("{at}.proof.absent names codes, but error.code does not say where they stand"));
        }
        if proof.absent.is_empty() && proof.found.is_none() && proof.receipt.among.is_none() {
            errors.push(format!(
                "{at}.proof needs absent, found or receipt.among: without one, nothing ever says that a record is not there"
            ));
        }
    }
    if resource.proof.is_none() && resource.write.as_ref().is_some_and(|write| write.search_first) {
        errors.push(format!("{at}.write.search_first needs proof: how is a record found that is there already?"));
    }
    if resource.update.as_ref().is_some_and(|update| update.search_first) {
        errors.push(format!("{at}.update has search_first, but what is updated was found already"));
    }
    for write in resource.write.iter().chain(&resource.update) {
        for action in write.then.iter().filter(|action| !resource.actions.contains_key(*action)) {
            errors.push(format!("{at}.write.then names the action \"{action}\", which actions does not declare"));
        }
        if write.receipt.header.is_none() && write.receipt.path.is_none() {
            errors.push(format!("{at}.write.receipt needs header or path: where does the destination's id stand?"));
        }
    }
    change::check_change(at, manifest, resource, errors);
    for (name, action) in &resource.actions {
        check_expression(
            action.proof.as_ref().map(|proof| proof.done.as_str()),
            &format!("{at}.actions.{name}.proof.done"),
            errors,
        );
    }
    check_expression(resource.batch.as_ref().map(|batch| batch.refused.as_str()), &format!("{at}.batch.refused"), errors);
    if let Some(read) = &resource.read {
        check_read(&format!("{at}.read"), resource, read, errors);
    }
    if let Some(get) = &resource.get {
        check_includes(&format!("{at}.get"), resource, &get.include, errors);
    }
}

fn check_includes(at: &str, resource: &Resource, includes: &[Include], errors: &mut Vec<String>) {
    for include in includes {
        check_read(&format!("{at}.include.{}", include.into), resource, &include.read, errors);
    }
}

fn check_read(at: &str, resource: &Resource, read: &Read, errors: &mut Vec<String>) {
    check_expression(read.filter.as_deref(), &format!("{at}.filter"), errors);
    if let Some(since) = &read.since
        && since.field.is_none()
        && resource.updated_at.is_none()
    {
        errors.push(format!("{at}.since needs a field, or the resource an updated_at"));
    }
    if let Some(parent) = &read.parent {
        check_read(&format!("{at}.parent.read"), resource, &parent.read, errors);
    }
    check_includes(at, resource, &read.include, errors);
}

/// Every request that a manifest declares.
pub(crate) fn requests(manifest: &Manifest) -> Vec<&Request> {
    fn of_read<'m>(read: &'m Read, out: &mut Vec<&'m Request>) {
        out.push(&read.request);
        if let Some(parent) = &read.parent {
            of_read(&parent.read, out);
        }
        read.include.iter().for_each(|include| of_read(&include.read, out));
    }
    let mut out = Vec::new();
    for resource in manifest.resources.values() {
        if let Some(read) = &resource.read {
            of_read(read, &mut out);
        }
        if let Some(get) = &resource.get {
            out.push(&get.request);
            get.include.iter().for_each(|include| of_read(&include.read, &mut out));
        }
        for write in resource.write.iter().chain(&resource.update) {
            out.push(&write.request);
            out.extend(write.before.iter().map(|look_up| &look_up.request));
        }
        out.extend(resource.batch.as_ref().map(|batch| &batch.request));
        out.extend(resource.proof.as_ref().map(|proof| &proof.request));
        for action in resource.actions.values() {
            out.push(&action.request);
            out.extend(action.before.iter().map(|look_up| &look_up.request));
            out.extend(action.proof.as_ref().map(|proof| &proof.request));
        }
    }
    out.extend(&manifest.probe);
    if let Some(hook) = &manifest.webhooks {
        if let Some(subscriptions) = &hook.subscriptions {
            out.push(&subscriptions.subscribe.request);
            out.extend(subscriptions.renew.iter().chain(&subscriptions.delete));
            if let Some(list) = &subscriptions.list {
                of_read(&list.read, &mut out);
            }
        }
        for fetch in hook.topics.values().filter_map(|topic| topic.fetch.as_ref()) {
            out.push(&fetch.request);
            fetch.include.iter().for_each(|include| of_read(&include.read, &mut out));
        }
    }
    out
}

/// The names that the templates of a request use.
pub(crate) fn names_of(request: &Request) -> BTreeSet<String> {
    templates(request).iter().flat_map(|template| names(template)).map(str::to_owned).collect()
}

/// All templates of a request.
pub(crate) fn templates(request: &Request) -> Vec<String> {
    let mut out = vec![request.path.clone()];
    out.extend(request.query.values().chain(request.headers.values()).cloned());
    texts(&request.body, &mut out);
    out
}

/// All texts of a body, which may be templates.
fn texts(body: &Option<crate::manifest::Body>, out: &mut Vec<String>) {
    use crate::manifest::Body;
    match body {
        Some(Body::Json(tree) | Body::Form(tree)) => tree_texts(tree, out),
        Some(Body::Graphql(graphql)) => graphql.variables.values().for_each(|value| tree_texts(value, out)),
        Some(Body::Text(text)) => out.push(text.clone()),
        Some(Body::X12) | None => {}
    }
}

fn tree_texts(tree: &serde_json::Value, out: &mut Vec<String>) {
    match tree {
        serde_json::Value::String(text) => out.push(text.clone()),
        serde_json::Value::Array(list) => list.iter().for_each(|value| tree_texts(value, out)),
        serde_json::Value::Object(map) => map.values().for_each(|value| tree_texts(value, out)),
        _ => {}
    }
}
