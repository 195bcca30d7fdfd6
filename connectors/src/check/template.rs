//! Names and filters of templates: what each request may name.

use crate::check::{requests, templates};
use crate::manifest::{Manifest, Request};
use crate::parse::nearest;
use crate::request::NAMES;
use crate::template::{check, names};

/// What a template may name beside what every request may.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope<'m> {
    /// What was looked up before.
    pub found: Vec<&'m str>,
    pub version: bool,
    pub credential: bool,
    /// Which of the names of a key that is made or removed.
    pub key: Option<&'m str>,
}

pub(super) fn check_templates(manifest: &Manifest, errors: &mut Vec<String>) {
    let special = scopes(manifest);
    let nothing = Scope::default();
    for request in requests(manifest) {
        let scope = special.iter().find(|(own, _)| std::ptr::eq(*own, request)).map_or(&nothing, |(_, scope)| scope);
        for template in templates(request) {
            check_template(manifest, &template, scope, errors);
        }
    }
    for files in manifest.resources.values().filter_map(|resource| resource.files.as_ref()) {
        for template in files.templates() {
            check_template(manifest, template, &nothing, errors);
        }
    }
    for template in manifest.x12.iter().flat_map(|x12| x12.templates()) {
        check_template(manifest, template, &nothing, errors);
    }
    for template in manifest.base_url.iter().chain(manifest.headers.values()) {
        check_template(manifest, template, &nothing, errors);
    }
}

/// Requests that may name more than others.
fn scopes(manifest: &Manifest) -> Vec<(&Request, Scope<'_>)> {
    let mut scopes = Vec::new();
    for resource in manifest.resources.values() {
        let writes = resource.write.iter().map(|write| (&write.request, &write.before, false));
        let updates = resource.update.iter().map(|write| (&write.request, &write.before, true));
        let actions = resource.actions.values().map(|action| (&action.request, &action.before, true));
        for (request, before, version) in writes.chain(updates).chain(actions) {
            let mut found: Vec<&str> = Vec::new();
            for look_up in before {
                scopes.push((&look_up.request, Scope { found: found.clone(), ..Scope::default() }));
                found.push(&look_up.name);
            }
            scopes.push((request, Scope { found, version, ..Scope::default() }));
        }
    }
    let subscribe = manifest.webhooks.as_ref().and_then(|hook| hook.subscriptions.as_ref()).map(|rule| &rule.subscribe);
    scopes.extend(subscribe.map(|subscribe| (&subscribe.request, Scope { credential: true, ..Scope::default() })));
    scopes
}

pub(super) fn check_template(manifest: &Manifest, template: &str, scope: &Scope<'_>, errors: &mut Vec<String>) {
    for name in names(template) {
        let is_known = match name.split_once('.') {
            Some(("settings", setting)) => manifest.settings.contains_key(setting),
            Some(("found", name)) => scope.found.contains(&name),
            Some(("credential", field)) => {
                if !scope.credential {
                    errors.push(format!(
                        "\"{template}\" names a secret; only auth and webhooks.subscriptions.subscribe may, so that none leaks"
                    ));
                    continue;
                }
                manifest.credential.contains_key(field)
            }
            Some(("payload" | "payloads", _)) => true,
            _ if name == "receipt_version" && !scope.version => {
                errors.push(format!("\"{template}\" names receipt_version, which only update and actions know"));
                continue;
            }
            _ if matches!(name, "key_label" | "key_id") => {
                if scope.key != Some(name) {
                    let whose = if name == "key_id" { "retire" } else { "create" };
                    errors.push(format!("\"{template}\" names {name}, which only rotation.automatic.{whose} knows"));
                }
                continue;
            }
            _ => NAMES.contains(&name) || matches!(name, "payload" | "payloads"),
        };
        if !is_known {
            let settings = manifest.settings.keys().map(|name| format!("settings.{name}"));
            let more = settings.chain(scope.found.iter().map(|name| format!("found.{name}"))).collect::<Vec<_>>();
            let near = nearest(name, NAMES.iter().copied().chain(more.iter().map(String::as_str)));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            errors.push(format!("there is no \"{name}\" to put into \"{template}\"{hint}"));
        }
    }
    if let Err(error) = check(template) {
        errors.push(format!("\"{template}\" cannot be read: {error}"));
    }
}
