//! Whether `auth` names what there is: fields of `credential`, settings, and what the templates of each kind know.

use crate::auth::sign::{NAMES as REQUEST_NAMES, SIGNATURE, TIMESTAMP};
use crate::manifest::{
    Assertion, Auth, ClientAuth, Grant, KeyEncoding, Manifest, Oauth2, Session, Sign, SignAlgorithm, TOKEN_PATHS,
};
use crate::parse::nearest;
use crate::template::names;

/// Further names of a template, beside those of every request, `settings.*` and `credential.*`.
type More<'n> = &'n [&'n str];

struct Check<'m, 'e> {
    manifest: &'m Manifest,
    errors: &'e mut Vec<String>,
}

pub(super) fn check_auth(manifest: &Manifest, errors: &mut Vec<String>) {
    Check { manifest, errors }.auth("auth", &manifest.auth);
}

impl Check<'_, '_> {
    fn auth(&mut self, at: &str, auth: &Auth) {
        match auth {
            Auth::None => {}
            Auth::ApiKey(key) => {
                if key.header.is_none() && key.query.is_none() {
                    self.fail(format!("{at}.api_key needs header or query: where does the key go?"));
                }
                self.field(&format!("{at}.api_key.secret"), &key.secret);
            }
            Auth::Bearer { secret } => self.field(&format!("{at}.bearer.secret"), secret),
            Auth::Basic { user, password } => {
                if user.is_none() && password.is_none() {
                    self.fail(format!("{at}.basic needs user or password"));
                }
                self.fields(&format!("{at}.basic"), [("user", user), ("password", password)]);
            }
            Auth::Oauth1(oauth1) => {
                let at = format!("{at}.oauth1");
                self.field(&format!("{at}.consumer_key"), &oauth1.consumer_key);
                self.field(&format!("{at}.consumer_secret"), &oauth1.consumer_secret);
                self.fields(&at, [("token", &oauth1.token), ("token_secret", &oauth1.token_secret)]);
                if oauth1.token.is_some() != oauth1.token_secret.is_some() {
                    self.fail(format!("{at} needs both token and token_secret, or neither"));
                }
                self.templates(&format!("{at}.realm"), &oauth1.realm, Secrets::Unknown, &[]);
            }
            Auth::Oauth2(oauth2) => self.oauth2(&format!("{at}.oauth2"), oauth2),
            Auth::Jwt(assertion) => self.assertion(&format!("{at}.jwt"), assertion, &REQUEST_NAMES),
            Auth::Sigv4(sigv4) => {
                let at = format!("{at}.sigv4");
                self.field(&format!("{at}.access_key"), &sigv4.access_key);
                self.field(&format!("{at}.secret_key"), &sigv4.secret_key);
                self.fields(&at, [("session_token", &sigv4.session_token)]);
                self.templates(&at, [&sigv4.region, &sigv4.service], Secrets::Unknown, &[]);
            }
            Auth::Sign(sign) => self.sign(&format!("{at}.sign"), sign),
            Auth::Session(session) => self.session(&format!("{at}.session"), session),
            Auth::Sftp(sftp) => {
                let at = format!("{at}.sftp");
                self.fields(&at, [("password", &sftp.password), ("key", &sftp.key), ("passphrase", &sftp.passphrase)]);
                self.templates(&at, [&sftp.user, &sftp.host_key], Secrets::Unknown, &[]);
                if sftp.password.is_none() && sftp.key.is_none() {
                    self.fail(format!("{at} needs password or key"));
                }
            }
            Auth::MutualTls(tls) => {
                let at = format!("{at}.mutual_tls");
                self.field(&format!("{at}.certificate"), &tls.certificate);
                self.field(&format!("{at}.key"), &tls.key);
                match tls.with.as_deref() {
                    Some(Auth::MutualTls(_)) => {
                        self.fail(format!("{at}.with is a second client certificate, and a connection has one"))
                    }
                    Some(with) => self.auth(&format!("{at}.with"), with),
                    None => {}
                }
            }
        }
    }

    fn oauth2(&mut self, at: &str, oauth2: &Oauth2) {
        let token = &oauth2.token;
        match (oauth2.grant, &oauth2.authorize) {
            (Grant::AuthorizationCode, None) => {
                self.fail(format!("{at}.grant is authorization_code, but authorize does not say where a person consents"));
            }
            (Grant::AuthorizationCode, Some(_)) | (_, None) => {}
            (_, Some(_)) => self.fail(format!("{at}.authorize is for authorization_code, and grant is another")),
        }
        let proves_by_assertion = token.client == ClientAuth::Assertion;
        if oauth2.assertion.is_none() && (proves_by_assertion || oauth2.grant == Grant::JwtBearer) {
            self.fail(format!("{at} needs assertion: what is signed, and with which key?"));
        }
        if oauth2.assertion.is_some() && !proves_by_assertion && oauth2.grant != Grant::JwtBearer {
            self.fail(format!(
                "{at}.assertion is used by the grant jwt_bearer and by token.client: assertion, and here is neither"
            ));
        }
        if token.client == ClientAuth::Basic && (token.client_id.is_none() || token.client_secret.is_none()) {
            self.fail(format!("{at}.token.client is basic, which needs client_id and client_secret"));
        }
        if oauth2.grant == Grant::AuthorizationCode && token.client_id.is_none() {
            self.fail(format!("{at}.token needs client_id: who asks for the consent?"));
        }
        if oauth2.grant == Grant::RefreshToken && token.refresh_token.is_none() {
            self.fail(format!(
                "{at}.grant is refresh_token, but token.refresh_token does not say which field of credential it is"
            ));
        }
        let fields = [
            ("client_id", &token.client_id),
            ("client_secret", &token.client_secret),
            ("refresh_token", &token.refresh_token),
            ("user", &token.user),
            ("password", &token.password),
        ];
        self.fields(&format!("{at}.token"), fields);
        for name in token.paths.keys().filter(|name| !TOKEN_PATHS.contains(&name.as_str())) {
            let hint = match nearest(name, TOKEN_PATHS.into_iter()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are {}; other values become settings by keep", TOKEN_PATHS.join(", ")),
            };
            self.fail(format!("{at}.token.paths knows no \"{name}\"; {hint}"));
        }
        let worded = oauth2.scope_titles.keys().chain(oauth2.scope_implies.values().flatten());
        for scope in worded.filter(|scope| !oauth2.scopes.contains(*scope)) {
            let near = nearest(scope, oauth2.scopes.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            self.fail(format!("{at} says something of the scope \"{scope}\", which scopes does not ask for{hint}"));
        }
        let kept = oauth2.authorize.iter().flat_map(|authorize| authorize.keep.values()).chain(token.keep.values());
        for setting in kept.filter(|setting| !self.manifest.settings.contains_key(*setting)).collect::<Vec<_>>() {
            self.fail(format!("{at} keeps the setting \"{setting}\", which settings does not declare"));
        }
        self.templates(&format!("{at}.token.url"), [&token.url].into_iter().chain(&token.refresh_url), Secrets::Unknown, &[]);
        self.templates(&format!("{at}.token"), token.params.values().chain(token.headers.values()), Secrets::Known, &[]);
        if let Some(authorize) = &oauth2.authorize {
            let templates = authorize.params.values().chain([&authorize.url]).chain(&authorize.issuer);
            self.templates(&format!("{at}.authorize"), templates, Secrets::Unknown, &[]);
        }
        if let Some(assertion) = &oauth2.assertion {
            self.assertion(&format!("{at}.assertion"), assertion, &[]);
        }
    }

    fn assertion(&mut self, at: &str, assertion: &Assertion, more: More<'_>) {
        self.field(&format!("{at}.key"), &assertion.key);
        let mut texts = Vec::new();
        assertion.claims.values().for_each(|claim| super::tree_texts(claim, &mut texts));
        self.templates(&format!("{at}.claims"), &texts, Secrets::Known, more);
        self.templates(&format!("{at}.key_id"), &assertion.key_id, Secrets::Known, more);
        if assertion.lifetime_s == 0 {
            self.fail(format!("{at}.lifetime_s is 0: the token would have ended before it arrives"));
        }
    }

    fn sign(&mut self, at: &str, sign: &Sign) {
        let is_keyed = !matches!(sign.algorithm, SignAlgorithm::Sha256 | SignAlgorithm::Md5);
        if is_keyed && sign.key.is_none() {
            self.fail(format!("{at}.algorithm needs a key"));
        }
        if !is_keyed && (sign.key.is_some() || sign.key_encoding != KeyEncoding::Text) {
            self.fail(format!("{at}.algorithm takes no key: put the secret into canonical"));
        }
        let known: Vec<&str> = REQUEST_NAMES.into_iter().chain([TIMESTAMP]).collect();
        self.templates(at, [&sign.canonical].into_iter().chain(&sign.key), Secrets::Known, &known);
        let placed: Vec<&String> = sign.headers.values().chain(sign.query.values()).collect();
        let with_signature: Vec<&str> = known.iter().copied().chain([SIGNATURE]).collect();
        self.templates(at, placed.iter().copied(), Secrets::Known, &with_signature);
        if !placed.iter().any(|template| names(template).any(|name| name == SIGNATURE)) {
            self.fail(format!("{at} places {{{{ signature }}}} neither in headers nor in query"));
        }
    }

    fn session(&mut self, at: &str, session: &Session) {
        if session.token.is_none() && session.cookies.is_empty() {
            self.fail(format!("{at} needs token or cookies: what of the log-in's answer goes with every request?"));
        }
        if session.token.as_ref().is_some_and(|place| place.header.is_empty() && place.path.is_none()) {
            self.fail(format!("{at}.token needs header or path"));
        }
        self.templates(&format!("{at}.login"), &super::templates(&session.login), Secrets::Known, &["version"]);
    }

    fn fields<'f>(&mut self, at: &str, fields: impl IntoIterator<Item = (&'f str, &'f Option<String>)>) {
        for (name, field) in fields {
            if let Some(field) = field {
                self.field(&format!("{at}.{name}"), field);
            }
        }
    }

    fn field(&mut self, at: &str, field: &str) {
        if !self.manifest.credential.contains_key(field) {
            let near = nearest(field, self.manifest.credential.keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            self.fail(format!("{at} names the secret \"{field}\", which credential does not declare{hint}"));
        }
    }

    fn templates<'t>(&mut self, at: &str, templates: impl IntoIterator<Item = &'t String>, secrets: Secrets, more: More<'_>) {
        for template in templates {
            for name in names(template) {
                if let Some(field) = name.strip_prefix("credential.").filter(|_| secrets == Secrets::Known) {
                    self.field(at, field);
                    continue;
                }
                let is_known = match name.split_once('.') {
                    Some(("settings", setting)) => self.manifest.settings.contains_key(setting),
                    Some(("header", _)) => more.contains(&"method"),
                    _ => FOR_AUTH.contains(&name) || more.contains(&name),
                };
                if !is_known {
                    let own = self.manifest.settings.keys().map(|name| format!("settings.{name}")).collect::<Vec<_>>();
                    let known = FOR_AUTH.iter().copied().chain(more.iter().copied()).chain(own.iter().map(String::as_str));
                    let hint = nearest(name, known).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
                    self.fail(format!("there is no \"{name}\" to put into \"{template}\" of {at}{hint}"));
                }
            }
        }
    }

    fn fail(&mut self, error: String) {
        self.errors.push(error);
    }
}

/// Whether a template may name `credential.<field>`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Known,
    Unknown,
}

/// The names that do not belong to one call: a token is asked for before there is any.
const FOR_AUTH: [&str; 5] = ["external_key", "revision", "idempotency_key", "nonce", "now"];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::Connector;

    /// What is wrong with an `auth`, in YAML in one line.
    fn errors(auth: &str) -> String {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', settings: {{shop: {{title: S}}}},
              credential: {{id: {{title: I}}, secret: {{title: S}}}}, auth: {auth}}}"
        );
        let loaded = Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)]));
        loaded.err().map(|errors| errors.to_string().replace("x/connector.yaml: ", "")).unwrap_or_default()
    }

    #[test]
    fn what_cannot_work_is_said_when_the_connector_is_loaded() {
        let code = "grant: authorization_code, authorize: {url: 'https://x.example/a'}, token: {url: /t, client_id: id, client_secret: secret}";
        for (auth, expected) in [
            ("{api_key: {secret: secret}}".to_owned(), "auth.api_key needs header or query: where does the key go?"),
            ("{bearer: {secret: secrt}}".to_owned(), "auth.bearer.secret names the secret \"secrt\", which credential does not declare; did you mean \"secret\"?"),
            ("{basic: {}}".to_owned(), "auth.basic needs user or password"),
            ("{oauth1: {consumer_key: id, consumer_secret: secret, token: id}}".to_owned(), "auth.oauth1 needs both token and token_secret, or neither"),
            (format!("{{oauth2: {{{code}}}}}"), ""),
            (format!("{{oauth2: {{{}}}}}", code.replace("authorize: {url: 'https://x.example/a'}, ", "")), "auth.oauth2.grant is authorization_code, but authorize does not say where a person consents"),
            (format!("{{oauth2: {{{}}}}}", code.replace("authorization_code", "client_credentials")), "auth.oauth2.authorize is for authorization_code, and grant is another"),
            (format!("{{oauth2: {{{code}, scopes: [orders.read], scope_titles: {{orders.raed: read orders}}}}}}"), "auth.oauth2 says something of the scope \"orders.raed\", which scopes does not ask for; did you mean \"orders.read\"?"),
            (format!("{{oauth2: {{{}}}}}", code.replace("client_id: id, ", "")), "auth.oauth2.token needs client_id: who asks for the consent?"),
            (format!("{{oauth2: {{{}}}}}", code.replace("'https://x.example/a'", "'https://{{ credential.id }}/'")), "there is no \"credential.id\" to put into \"https://{{ credential.id }}/\" of auth.oauth2.authorize"),
            (format!("{{oauth2: {{{}}}}}", code.replace("/t,", "/t, paths: {acess_token: t}, ")), "auth.oauth2.token.paths knows no \"acess_token\"; did you mean \"access_token\"?"),
            (format!("{{oauth2: {{{}}}}}", code.replace("/t,", "/t, keep: {a: b}, ")), "auth.oauth2 keeps the setting \"b\", which settings does not declare"),
            ("{oauth2: {grant: jwt_bearer, token: {url: /t}}}".to_owned(), "auth.oauth2 needs assertion: what is signed, and with which key?"),
            ("{oauth2: {grant: refresh_token, token: {url: /t}}}".to_owned(), "auth.oauth2.grant is refresh_token, but token.refresh_token does not say which field of credential it is"),
            ("{oauth2: {grant: client_credentials, token: {url: /t, client: basic, client_id: id}}}".to_owned(), "auth.oauth2.token.client is basic, which needs client_id and client_secret"),
            ("{jwt: {algorithm: ES256, key: secret, lifetime_s: 60, claims: {iss: '{{ credential.nobody }}', path: '{{ path }}'}}}".to_owned(), "auth.jwt.claims names the secret \"nobody\", which credential does not declare"),
            ("{sigv4: {region: '{{ settings.shp }}', service: s, access_key: id, secret_key: secret}}".to_owned(), "there is no \"settings.shp\" to put into \"{{ settings.shp }}\" of auth.sigv4; did you mean \"settings.shop\"?"),
            ("{sign: {canonical: '{{ boddy }}', algorithm: hmac_sha256, key: '{{ credential.secret }}', encoding: hex, headers: {S: '{{ signature }}'}}}".to_owned(), "there is no \"boddy\" to put into \"{{ boddy }}\" of auth.sign; did you mean \"body\"?"),
            ("{sign: {canonical: '{{ body }}', algorithm: hmac_sha256, encoding: hex, headers: {S: '{{ signature }}'}}}".to_owned(), "auth.sign.algorithm needs a key"),
            ("{sign: {canonical: '{{ header.date }}{{ timestamp }}', algorithm: md5, encoding: hex, query: {t: x}}}".to_owned(), "auth.sign places {{ signature }} neither in headers nor in query"),
            ("{session: {login: {method: POST, path: /l, body: {json: {u: '{{ credential.user }}'}}}, cookies: [A], lifetime_s: 60}}".to_owned(), "auth.session.login names the secret \"user\", which credential does not declare"),
            ("{session: {login: {method: POST, path: /l}, lifetime_s: 60}}".to_owned(), "auth.session needs token or cookies: what of the log-in's answer goes with every request?"),
            ("{mutual_tls: {certificate: id, key: secret, with: {bearer: {secret: no}}}}".to_owned(), "auth.mutual_tls.with.bearer.secret names the secret \"no\", which credential does not declare"),
        ] {
            assert_eq!(errors(&auth), expected, "{auth}");
        }
    }
}
