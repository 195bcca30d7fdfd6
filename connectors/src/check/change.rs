//! Writes, updates and actions: what is looked up before, which of a list is ours, which version is named.

use domain::fault::FaultClass;

use super::names_of;
use super::template::{Scope, check_template};
use crate::manifest::{ErrorRule, LookUp, Manifest, Method, OnMissing, ReceiptRule, Resource};

pub(super) fn check_stale(manifest: &Manifest, rule: &ErrorRule, errors: &mut Vec<String>) {
    if !rule.stale {
        return;
    }
    if rule.class != FaultClass::Conflict {
        errors.push(format!("a rule of errors that is stale is of the class conflict, not {}", rule.class.as_str()));
    }
    if manifest.resources.values().all(|resource| resource.version.is_none()) {
        errors.push("a rule of errors is stale, but no resource says where its version stands".into());
    }
}

pub(super) fn check_change(at: &str, manifest: &Manifest, resource: &Resource, errors: &mut Vec<String>) {
    let writes = resource.write.iter().map(|write| ("write".to_owned(), &write.before, Some(&write.receipt)));
    let updates = resource.update.iter().map(|write| ("update".to_owned(), &write.before, Some(&write.receipt)));
    let actions =
        resource.actions.iter().map(|(name, action)| (format!("actions.{name}"), &action.before, action.receipt.as_ref()));
    for (name, before, receipt) in writes.chain(updates).chain(actions) {
        check_before(&format!("{at}.{name}.before"), manifest, before, errors);
        if let Some(receipt) = receipt {
            check_among(&format!("{at}.{name}.receipt"), receipt, errors);
        }
    }
    if let Some(proof) = &resource.proof {
        check_among(&format!("{at}.proof.receipt"), &proof.receipt, errors);
    }
    for (name, action) in &resource.actions {
        if action.proof.as_ref().is_some_and(|proof| proof.among.is_some() != proof.key.is_some()) {
            errors.push(format!("{at}.actions.{name}.proof has one of among and key: the list, and where each of it has its id"));
        }
    }
    let changes = resource.update.iter().map(|update| &update.request).chain(resource.actions.values().map(|a| &a.request));
    if resource.version.is_none() && changes.into_iter().any(|request| names_of(request).contains("receipt_version")) {
        errors.push(format!("{at} names receipt_version, but version does not say where a record has it"));
    }
    if resource.version.is_some() && resource.get.is_none() {
        errors.push(format!("{at}.version needs get: how is a version read again that is stale?"));
    }
}

fn check_among(at: &str, receipt: &ReceiptRule, errors: &mut Vec<String>) {
    if receipt.among.is_some() != receipt.key.is_some() {
        errors.push(format!("{at} has one of among and key: the list, and where each of it has our key"));
    }
    if receipt.among.is_some() && receipt.path.is_none() {
        errors.push(format!("{at}.among needs path: where does the one that is ours have its id?"));
    }
}

fn check_before(at: &str, manifest: &Manifest, before: &[LookUp], errors: &mut Vec<String>) {
    let mut found: Vec<&str> = Vec::new();
    for look_up in before {
        let name = look_up.name.as_str();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || found.contains(&name) {
            errors.push(format!("{at}: \"{name}\" is no name, or one that is there already; letters, digits and _ make one"));
        }
        if !matches!(look_up.request.method, Method::Get | Method::Post) {
            errors.push(format!("{at}.{name}: a look-up only reads, so that it may be made again"));
        }
        if look_up.value.is_empty() {
            errors.push(format!("{at}.{name}.value is empty: where does what is looked for stand?"));
        }
        let parts = [look_up.among.is_some(), look_up.key.is_some(), look_up.equals.is_some()];
        if parts.contains(&true) && parts.contains(&false) {
            errors.push(format!("{at}.{name} needs all of among, key and equals, or none of them"));
        }
        let scope = Scope { found: found.clone(), ..Scope::default() };
        let mut templates: Vec<&String> = look_up.equals.iter().collect();
        if let OnMissing::Exception(missing) = &look_up.on_missing {
            templates.extend([&missing.reason, &missing.fix]);
            if missing.reason.trim().is_empty() || missing.fix.trim().is_empty() {
                errors.push(format!("{at}.{name}.on_missing needs a reason and a fix that a person understands"));
            }
        }
        for template in templates {
            check_template(manifest, template, &scope, errors);
        }
        found.push(name);
    }
}

#[cfg(test)]
mod tests {
    use crate::Connector;

    /// What is wrong with a connector whose orders say this.
    fn wrong(order: &str, errors: &str) -> String {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', credential: {{secret: {{title: S}}}},
              errors: [{errors}], resources: {{order: {{{order}}}}}}}"
        );
        let loaded = Connector::from_files("x", [("connector.yaml".to_owned(), yaml)].into());
        loaded.err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    fn write(before: &str, request: &str) -> String {
        format!("write: {{before: [{before}], request: {{method: POST, path: /o{request}}}, receipt: {{path: id}}}}")
    }

    const SKIP: &str = "value: id, on_missing: skip";
    const ASK: &str = "{name: a, request: {method: GET, path: /a}, value: id, on_missing: skip}";

    #[test]
    fn what_is_right_is_let_in() {
        let found = ", body: {json: {a: '{{ found.a }}', b: '{{ found.b }}'}}";
        let second = format!("{{name: b, request: {{method: GET, path: '/b/{{{{ found.a }}}}'}}, {SKIP}}}");
        assert_eq!(wrong(&write(&format!("{ASK}, {second}"), found), ""), "");
    }

    #[test]
    fn what_could_write_something_else_than_was_meant_is_refused_when_it_is_loaded() {
        let rule = "{class: conflict, reason: r, owner: vendor, fix: f, stale: true}";
        let get = "get: {request: {method: GET, path: '/o/{{ source_id }}'}}";
        let update = "update: {request: {method: POST, path: /o, query: {v: '{{ receipt_version }}'}}, receipt: {path: id}}";
        let exception = "{name: a, request: {method: GET, path: /a}, value: id, on_missing: {exception: {reason: '{{ found.z }}', owner: vendor, fix: ''}}}";
        for (order, errors, what) in [
            (write("", ", query: {a: '{{ found.a }}'}"), "", "there is no \"found.a\" to put into \"{{ found.a }}\""),
            (write(ASK, ", query: {a: '{{ found.aa }}'}"), "", "did you mean \"found.a\"?"),
            (write(&format!("{ASK}, {ASK}"), ""), "", "\"a\" is no name, or one that is there already"),
            (write(&ASK.replace("GET", "PUT"), ""), "", "a look-up only reads"),
            (write(&ASK.replace("value: id", "value: ''"), ""), "", "where does what is looked for stand?"),
            (write(&ASK.replace("value: id", "value: id, among: list"), ""), "", "needs all of among, key and equals"),
            (write(exception, ""), "", "there is no \"found.z\""),
            (write(exception, ""), "", "needs a reason and a fix"),
            (write("", ", query: {v: '{{ receipt_version }}'}"), "", "which only update and actions know"),
            (update.to_owned(), "", "version does not say where a record has it"),
            (format!("version: v, {update}"), "", "version needs get"),
            (format!("version: v, {get}"), &rule.replace("conflict", "limit"), "is of the class conflict, not limit"),
            (get.to_owned(), rule, "no resource says where its version stands"),
            (write("", "").replace("path: id", "path: id, among: list"), "", "has one of among and key"),
            (write("", "").replace("path: id", "header: X, among: list, key: k"), "", "among needs path"),
            (write("", ", query: {s: '{{ credential.secret }}'}"), "", "so that none leaks"),
            (write("", ", query: {s: '{{ external_key | uper }}'}"), "", "there is no filter \"uper\""),
        ] {
            let said = wrong(&order, errors);
            assert!(said.contains(what), "{order}\n{said}\n{what}");
        }
    }
}
