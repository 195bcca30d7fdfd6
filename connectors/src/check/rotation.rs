//! Whether `rotation` can be gone through: the secrets that it names, what its calls must say, and that people are told enough.

use domain::rotation::EVERY_DAYS_MAX;

use super::template::{Scope, check_template};
use super::{check_expression, names_of, templates};
use crate::manifest::{AutomaticRotation, GuidedRotation, Manifest};
use crate::parse::nearest;

/// As the manifest counts.
const DAYS_MAX: u32 = EVERY_DAYS_MAX.unsigned_abs();
/// Hours that two secrets stand: a month.
const OVERLAP_HOURS_MAX: u32 = 720;
const STEPS_MAX: usize = 10;

pub(super) fn check_rotation(manifest: &Manifest, errors: &mut Vec<String>) {
    let Some(rotation) = &manifest.rotation else { return };
    if !(1..=DAYS_MAX).contains(&rotation.max_age_days) {
        errors.push(format!(
            "rotation.max_age_days is {}, but a secret is exchanged after 1 to {DAYS_MAX} days",
            rotation.max_age_days
        ));
    }
    for page in rotation.source.iter().chain(rotation.guided.as_ref().map(|guided| &guided.page)) {
        if !page.starts_with("https://") {
            errors.push(format!("rotation names the page \"{page}\", which is no https address"));
        }
    }
    if is_consented(manifest) {
        errors.push(
            "rotation is for secrets that stay as they were entered; what a person consents to, and a refresh token that changes with each use, goes on with the credential that it was given to"
                .into(),
        );
    }
    let reads = manifest.resources.values().any(|resource| resource.read.is_some());
    if manifest.probe.is_none() && !reads {
        errors.push("rotation needs a probe: how is a new secret tried before it is used?".into());
    }
    match (&rotation.automatic, &rotation.guided) {
        (Some(automatic), None) => check_automatic(manifest, automatic, errors),
        (None, Some(guided)) => check_guided(manifest, guided, errors),
        _ => errors.push("rotation needs automatic or guided, and not both: who makes the new secret?".into()),
    }
}

fn is_consented(manifest: &Manifest) -> bool {
    use crate::manifest::{Auth, Grant};
    fn of(auth: &Auth) -> bool {
        match auth {
            Auth::Oauth2(oauth2) => {
                oauth2.grant == Grant::AuthorizationCode || (oauth2.grant == Grant::RefreshToken && oauth2.refresh.rotates)
            }
            Auth::MutualTls(tls) => tls.with.as_deref().is_some_and(of),
            _ => false,
        }
    }
    of(&manifest.auth)
}

fn check_automatic(manifest: &Manifest, automatic: &AutomaticRotation, errors: &mut Vec<String>) {
    let at = "rotation.automatic";
    check_overlap(at, automatic.overlap_hours, errors);
    if automatic.held_at_most.is_some_and(|most| most < 2) {
        errors.push(format!(
            "{at}.held_at_most is less than 2: a vendor that holds one secret cannot be asked for a second one; use guided"
        ));
    }
    if automatic.create.keep.is_empty() {
        errors.push(format!("{at}.create.keep is empty: which secret is new?"));
    }
    for field in automatic.create.keep.keys() {
        check_field(manifest, &format!("{at}.create.keep"), field, errors);
    }
    check_expression(automatic.list.over.as_deref(), &format!("{at}.list.over"), errors);
    if !names_of(&automatic.create.request).contains("key_label") {
        errors.push(format!(
            "{at}.create.request does not say {{{{ key_label }}}}: how is a key found again that a broken try has left?"
        ));
    }
    if !names_of(&automatic.retire).contains("key_id") {
        errors.push(format!("{at}.retire does not say {{{{ key_id }}}}: which key is removed?"));
    }
    for (request, key) in [(&automatic.create.request, "key_label"), (&automatic.list.request, ""), (&automatic.retire, "key_id")]
    {
        for template in templates(request) {
            check_template(manifest, &template, &Scope { key: Some(key), ..Scope::default() }, errors);
        }
    }
}

fn check_guided(manifest: &Manifest, guided: &GuidedRotation, errors: &mut Vec<String>) {
    let at = "rotation.guided";
    if guided.secrets.is_empty() {
        errors.push(format!("{at}.secrets is empty: which secret is new?"));
    }
    for field in &guided.secrets {
        check_field(manifest, &format!("{at}.secrets"), field, errors);
    }
    if guided.steps.is_empty() || guided.steps.len() > STEPS_MAX {
        errors.push(format!("{at}.steps are {}, but people are told 1 to {STEPS_MAX}", guided.steps.len()));
    }
    for step in guided.steps.iter().chain(&guided.remove).filter(|step| !step.trim_end().ends_with('.')) {
        errors.push(format!("{at} has a step that is no sentence: \"{step}\""));
    }
    match (guided.overlap_hours, &guided.remove) {
        (Some(hours), Some(_)) => check_overlap(at, hours, errors),
        (Some(_), None) => errors.push(format!("{at} lets both secrets stand; remove must say how the old one is removed then")),
        (None, Some(_)) => {
            errors.push(format!(
                "{at}.remove is for vendors where both secrets stand, and overlap_hours does not say for how long"
            ));
        }
        (None, None) => {}
    }
}

fn check_overlap(at: &str, hours: u32, errors: &mut Vec<String>) {
    if !(1..=OVERLAP_HOURS_MAX).contains(&hours) {
        errors.push(format!("{at}.overlap_hours is {hours}, but two secrets stand for 1 to {OVERLAP_HOURS_MAX}"));
    }
}

fn check_field(manifest: &Manifest, at: &str, field: &str, errors: &mut Vec<String>) {
    if !manifest.credential.contains_key(field) {
        let near = nearest(field, manifest.credential.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
        errors.push(format!("{at} names the secret \"{field}\", which credential does not declare{hint}"));
    }
    if manifest.webhooks.as_ref().is_some_and(|hook| hook.signature.secrets.iter().any(|secret| secret == field)) {
        errors.push(format!("{at} names \"{field}\", which webhooks are signed with: of these two stand in the credential while they are exchanged"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::Connector;

    /// What is wrong with a `rotation`, in YAML in one line.
    fn errors(rotation: &str, more: &str) -> String {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', credential: {{key: {{title: K}}}},
              auth: {{bearer: {{secret: key}}}}, {more} rotation: {rotation}}}"
        );
        let loaded = Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)]));
        loaded.err().map(|errors| errors.to_string().replace("x/connector.yaml: ", "")).unwrap_or_default()
    }

    #[test]
    fn a_rotation_that_cannot_be_gone_through_is_refused_when_the_connector_is_loaded() {
        let probe = "probe: {method: GET, path: /me},";
        let automatic = "{max_age_days: 90, automatic: {overlap_hours: 24, create: {request: {method: POST, path: /keys, body: {json: {name: '{{ key_label }}'}}}, keep: {key: token}, id: id}, list: {request: {method: GET, path: /keys}, keys: keys, id: id, label: name}, retire: {method: DELETE, path: '/keys/{{ key_id }}'}}}";
        let guided = "{max_age_days: 90, guided: {secrets: [key], steps: [Make a key.], page: 'https://x.example/keys', overlap_hours: 24, remove: Delete the old key.}}";
        assert_eq!((errors(automatic, probe), errors(guided, probe)), (String::new(), String::new()));
        for (rotation, expected) in [
            (guided.replace("90", "900"), "rotation.max_age_days is 900, but a secret is exchanged after 1 to 730 days"),
            ("{max_age_days: 90}".into(), "rotation needs automatic or guided, and not both: who makes the new secret?"),
            (
                guided.replace("[key]", "[kye]"),
                "rotation.guided.secrets names the secret \"kye\", which credential does not declare; did you mean \"key\"?",
            ),
            (
                guided.replace("https://x.example/keys", "x.example/keys"),
                "rotation names the page \"x.example/keys\", which is no https address",
            ),
            (guided.replace("Make a key.", "Make a key"), "rotation.guided has a step that is no sentence: \"Make a key\""),
            (guided.replace("[Make a key.]", "[]"), "rotation.guided.steps are 0, but people are told 1 to 10"),
            (
                guided.replace(", remove: Delete the old key.", ""),
                "rotation.guided lets both secrets stand; remove must say how the old one is removed then",
            ),
            (
                guided.replace("overlap_hours: 24, ", ""),
                "rotation.guided.remove is for vendors where both secrets stand, and overlap_hours does not say for how long",
            ),
            (
                automatic.replace("overlap_hours: 24", "overlap_hours: 0"),
                "rotation.automatic.overlap_hours is 0, but two secrets stand for 1 to 720",
            ),
            (
                automatic.replace("24,", "24, held_at_most: 1,"),
                "rotation.automatic.held_at_most is less than 2: a vendor that holds one secret cannot be asked for a second one; use guided",
            ),
            (automatic.replace("{key: token}", "{}"), "rotation.automatic.create.keep is empty: which secret is new?"),
            (
                automatic.replace("{key: token}", "{kex: token}"),
                "rotation.automatic.create.keep names the secret \"kex\", which credential does not declare; did you mean \"key\"?",
            ),
            (
                automatic.replace("'{{ key_label }}'", "x"),
                "rotation.automatic.create.request does not say {{ key_label }}: how is a key found again that a broken try has left?",
            ),
            (
                automatic.replace("'/keys/{{ key_id }}'", "/keys/1"),
                "rotation.automatic.retire does not say {{ key_id }}: which key is removed?",
            ),
            (
                automatic.replace("'{{ key_label }}'", "'{{ key_label }}{{ key_id }}'"),
                "\"{{ key_label }}{{ key_id }}\" names key_id, which only rotation.automatic.retire knows",
            ),
            (
                automatic.replace("'{{ key_label }}'", "'{{ key_label }}{{ credential.key }}'"),
                "\"{{ key_label }}{{ credential.key }}\" names a secret; only auth and webhooks.subscriptions.subscribe may, so that none leaks",
            ),
        ] {
            assert_eq!(errors(&rotation, probe), expected, "{rotation}");
        }
        assert_eq!(errors(guided, ""), "rotation needs a probe: how is a new secret tried before it is used?");
        let elsewhere = "probe: {method: GET, path: '/me/{{ key_id }}'},";
        assert_eq!(errors(guided, elsewhere), "\"/me/{{ key_id }}\" names key_id, which only rotation.automatic.retire knows");
    }

    #[test]
    fn a_consent_is_not_rotated() {
        let yaml = "{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', probe: {method: GET, path: /me},
            credential: {id: {title: I}, secret: {title: S}},
            auth: {oauth2: {grant: authorization_code, authorize: {url: 'https://x.example/a'}, token: {url: /t, client_id: id, client_secret: secret}}},
            rotation: {max_age_days: 90, guided: {secrets: [secret], steps: [Make one.], page: 'https://x.example'}}}";
        let loaded = Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml.to_owned())]));
        assert!(loaded.unwrap_err().to_string().contains("what a person consents to"));
    }
}
