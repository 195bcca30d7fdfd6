//! Which operation a request is of: every request that the manifest declares, read backwards. The one that fits best is it.

use std::borrow::Cow;

use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use domain::value::Value;

use super::incoming::Incoming;
use super::operation::Operation;
use super::pattern::{Fit, Found, Pattern, Tree, fit};
use crate::connector::Connector;
use crate::manifest::{Auth, Body, Include, Method, Page, Read, Request, Slot};

#[derive(Debug)]
enum BodyShape {
    /// The whole body is the payload.
    Payload,
    Tree(Tree),
    Graphql {
        query: String,
        variables: Tree,
    },
    Text(Pattern),
}

/// One declared request, ready to be read backwards.
#[derive(Debug)]
pub(super) struct Route {
    pub operation: Operation,
    method: &'static str,
    paths: Vec<Pattern>,
    query: Vec<(String, Pattern)>,
    headers: Vec<(String, Pattern)>,
    body: BodyShape,
    /// Where pages put their number, size and cursor: what the template says there is only a start.
    slots: Vec<Slot>,
}

impl Route {
    fn fit(&self, incoming: &Incoming<'_>, found: &mut Found) -> Fit {
        if self.method != incoming.request.method.as_str() {
            return None;
        }
        self.paths.iter().find(|path| {
            let mut trial = found.clone();
            let fits = path.read(&incoming.path, &mut trial);
            if fits {
                *found = trial;
            }
            fits
        })?;
        // The body first: what it names says which of several readings of an address is meant.
        let mut score = 0;
        let body = incoming.body.as_ref();
        score += match &self.body {
            BodyShape::Payload => {
                found.is_body = body.is_some();
                0
            }
            BodyShape::Tree(tree) => tree.fit(body, found)?,
            BodyShape::Graphql { query, variables } => {
                let asked = body.and_then(|body| body.get("query")).and_then(Value::as_str)?;
                if one_line(asked) != *query {
                    return None;
                }
                10 + variables.fit(body.and_then(|body| body.get("variables")), found)?
            }
            BodyShape::Text(pattern) => {
                let text = std::str::from_utf8(&incoming.request.body).ok()?;
                let mut trial = found.clone();
                if !pattern.read(text, &mut trial) {
                    return None;
                }
                *found = trial;
                5
            }
        };
        for (name, pattern) in self.query.iter().filter(|(name, _)| !self.slots.contains(&Slot::Query(name.clone()))) {
            score += fit(pattern, incoming.parameter(name), found)?;
        }
        for (name, pattern) in &self.headers {
            score += fit(pattern, incoming.header(name), found)?;
        }
        score += i32::from(self.slots.iter().any(|slot| incoming.slot(slot).is_some()));
        Some(score)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All that the vendor answers to.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

impl Routes {
    pub fn new(connector: &Connector, settings: &serde_json::Value, credential: &SecretFields) -> Self {
        let maker = Maker { connector, settings, credential };
        let mut routes = Vec::new();
        let manifest = &connector.manifest;
        for (kind, resource) in &manifest.resources {
            let kind = *kind;
            let mut add = |operation, request: &Request| routes.push(maker.route(operation, request, None));
            // What a request is of where several fit alike: the first of these.
            if let Some(proof) = &resource.proof {
                add(Operation::Proof(kind), &proof.request);
            }
            if let Some(get) = &resource.get {
                add(Operation::Get(kind), &get.request);
            }
            if let Some(write) = &resource.write {
                add(Operation::Write(kind), &write.request);
            }
            if let Some(update) = &resource.update {
                add(Operation::Update(kind), &update.request);
            }
            if let Some(batch) = &resource.batch {
                add(Operation::Batch(kind), &batch.request);
            }
            for (name, action) in &resource.actions {
                add(Operation::Action(kind, name.clone()), &action.request);
                if let Some(proof) = &action.proof {
                    add(Operation::ActionProof(kind, name.clone()), &proof.request);
                }
            }
            if let Some(read) = &resource.read {
                routes.push(maker.route(Operation::List(kind), &read.request, Some(read)));
                routes.extend(maker.includes(kind, &read.include));
            }
        }
        // Parents last: where they are a kind of their own, its list is what is asked for.
        for (kind, resource) in &manifest.resources {
            if let Some(parent) = resource.read.as_ref().and_then(|read| read.parent.as_ref()) {
                routes.push(maker.route(Operation::Parents(*kind), &parent.read.request, Some(&parent.read)));
            }
        }
        // Look-ups ask for what lists have too, so they are it only where nothing else is.
        for (kind, resource) in &manifest.resources {
            if let Some(get) = &resource.get {
                routes.extend(maker.includes(*kind, &get.include));
            }
            let before = resource.write.iter().chain(&resource.update).flat_map(|write| &write.before);
            for look_up in before.chain(resource.actions.values().flat_map(|action| &action.before)) {
                let operation = Operation::LookUp(*kind, look_up.name.clone());
                routes.push(maker.route(operation, &look_up.request, None));
            }
        }
        if let Some(hook) = &manifest.webhooks {
            for (name, topic) in &hook.topics {
                if let Some(fetch) = &topic.fetch {
                    routes.push(maker.route(Operation::Fetch(name.clone()), &fetch.request, None));
                    routes.extend(maker.includes(topic.kind, &fetch.include));
                }
            }
            if let Some(subscriptions) = &hook.subscriptions {
                // Whatever secret it is told is the one that it signs with.
                let mut untold = credential.clone();
                untold.0.retain(|field, _| !hook.signature.secrets.contains(field));
                let maker = Maker { credential: &untold, ..maker };
                routes.push(maker.route(Operation::Subscribe, &subscriptions.subscribe.request, None));
                if let Some(list) = &subscriptions.list {
                    routes.push(maker.route(Operation::Subscriptions, &list.read.request, Some(&list.read)));
                }
                if let Some(renew) = &subscriptions.renew {
                    routes.push(maker.route(Operation::Renew, renew, None));
                }
                if let Some(delete) = &subscriptions.delete {
                    routes.push(maker.route(Operation::Unsubscribe, delete, None));
                }
            }
        }
        if let Some(rates) = &manifest.rates {
            routes.push(maker.route(Operation::Rates, &rates.read.request, None));
        }
        if let Some(probe) = &manifest.probe {
            routes.push(maker.route(Operation::Probe, probe, None));
        }
        if let Some(automatic) = manifest.rotation.as_ref().and_then(|rotation| rotation.automatic.as_deref()) {
            routes.push(maker.route(Operation::MakeKey, &automatic.create.request, None));
            routes.push(maker.route(Operation::ListKeys, &automatic.list.request, None));
            routes.push(maker.route(Operation::RetireKey, &automatic.retire, None));
        }
        routes.extend(maker.of_auth(&manifest.auth));
        Self(routes)
    }

    /// The operations that a request may be of, each with what the request carries for it. There are several where a manifest asks for
    /// different things in the same words: the lines of an order and of an invoice.
    pub fn find(&self, incoming: &Incoming<'_>) -> Vec<(Operation, Found)> {
        let (mut most, mut best) = (i32::MIN, Vec::new());
        for route in &self.0 {
            let mut found = Found::default();
            match route.fit(incoming, &mut found) {
                Some(score) if score >= most => {
                    if score > most {
                        best.clear();
                    }
                    most = score;
                    best.push((route.operation.clone(), found));
                }
                _ => {}
            }
        }
        best
    }
}

#[derive(Clone, Copy)]
struct Maker<'m> {
    connector: &'m Connector,
    settings: &'m serde_json::Value,
    credential: &'m SecretFields,
}

impl Maker<'_> {
    fn known(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(field) = name.strip_prefix("credential.") {
            return self.credential.get(field).map(|secret| secret.expose_secret().to_owned().into());
        }
        if name == "version" {
            return Some(self.connector.version().into());
        }
        let given = self.settings.get(name.strip_prefix("settings.")?)?.as_str()?;
        (!given.is_empty()).then(|| given.into())
    }

    fn includes(&self, kind: RecordKind, includes: &[Include]) -> Vec<Route> {
        let route = |include: &Include| {
            let operation = Operation::Include(kind, include.into.clone());
            self.route(operation, &include.read.request, Some(&include.read))
        };
        includes.iter().map(route).collect()
    }

    /// The path of an address, which may stand before those of its operations.
    fn prefix(&self, address: Option<&str>) -> String {
        let rest = address.and_then(|address| address.split_once("://")).map_or("", |(_, rest)| rest);
        let outside = rest.find("}}/").map(|at| at + 2).or_else(|| rest.find('/'));
        outside.map_or("", |at| &rest[at..]).trim_end_matches('/').to_owned()
    }

    fn route(&self, operation: Operation, request: &Request, read: Option<&Read>) -> Route {
        let known = |name: &str| self.known(name);
        let (path, in_path) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let is_address = path.starts_with("https://") || path.starts_with("http://");
        let mut templates = Vec::new();
        if is_address {
            templates.push(self.prefix(Some(path)));
        } else if let Some((_, after)) = path.strip_prefix("{{").and_then(|rest| rest.split_once("}}")) {
            // A setting that is an address: whatever path it has stands before.
            templates.push(after.to_owned());
        } else {
            let own = self.settings.get("base_url").and_then(serde_json::Value::as_str);
            for address in [self.connector.manifest.base_url.as_deref(), own, None] {
                templates.push(format!("{}{path}", self.prefix(address)));
            }
            templates.dedup();
        }
        let mut query: Vec<(String, Pattern)> =
            request.query.iter().map(|(name, template)| (name.clone(), Pattern::new(template, false, &known))).collect();
        for pair in in_path.split('&').filter(|pair| !pair.is_empty()) {
            let (name, template) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            query.push((decode(name), Pattern::new(&decode(template), false, &known)));
        }
        let body = match &request.body {
            None => BodyShape::Payload,
            Some(Body::Json(json) | Body::Form(json)) => BodyShape::Tree(Tree::new(json, &known)),
            Some(Body::Text(template)) => BodyShape::Text(Pattern::new(template, false, &known)),
            // What it says is not looked into.
            Some(Body::X12) => BodyShape::Text(Pattern::new("{{ payload }}", false, &known)),
            Some(Body::Graphql(graphql)) => {
                let variables = graphql.variables.iter().map(|(name, json)| (name.clone(), Tree::new(json, &known)));
                BodyShape::Graphql { query: one_line(&graphql.query), variables: Tree::Map(variables.collect()) }
            }
        };
        Route {
            operation,
            method: match request.method {
                Method::Get => "GET",
                Method::Post => "POST",
                Method::Put => "PUT",
                Method::Patch => "PATCH",
                Method::Delete => "DELETE",
            },
            paths: templates.iter().map(|template| Pattern::new(template, true, &known)).collect(),
            query,
            headers: request
                .headers
                .iter()
                .map(|(name, template)| (name.clone(), Pattern::new(template, false, &known)))
                .collect(),
            body,
            slots: read.and_then(|read| read.page.as_ref()).map(slots).unwrap_or_default(),
        }
    }

    /// Token endpoints and log-ins: any request to their path, for who may come in is decided later and answered in their own words.
    fn of_auth(&self, auth: &Auth) -> Vec<Route> {
        let open = |operation: Operation, url: &str| {
            let request = Request {
                // A person's browser comes with a GET.
                method: if operation == Operation::Authorize { Method::Get } else { Method::Post },
                path: url.to_owned(),
                query: Default::default(),
                headers: Default::default(),
                body: None,
            };
            self.route(operation, &request, None)
        };
        match auth {
            Auth::Oauth2(oauth) => {
                let urls = [Some(&oauth.token.url), oauth.token.refresh_url.as_ref()];
                let tokens = urls.into_iter().flatten().map(|url| open(Operation::Token, url));
                let authorize = oauth.authorize.iter().map(|authorize| open(Operation::Authorize, &authorize.url));
                tokens.chain(authorize).collect()
            }
            Auth::Session(session) => {
                // The log-in's own words are its secrets, so they are not what it is known by.
                let bare =
                    Request { query: Default::default(), headers: Default::default(), body: None, ..session.login.clone() };
                vec![self.route(Operation::LogIn, &bare, None)]
            }
            Auth::MutualTls(tls) => tls.with.as_deref().map(|inner| self.of_auth(inner)).unwrap_or_default(),
            _ => vec![],
        }
    }
}

fn slots(page: &Page) -> Vec<Slot> {
    let (slot, size) = match page {
        Page::Number(page) => (Some(&page.slot), page.size.as_ref()),
        Page::Offset(page) => (Some(&page.slot), Some(&page.size)),
        Page::Cursor(page) => (Some(&page.slot), page.size.as_ref()),
        Page::Link(page) => (None, page.size.as_ref()),
        Page::NextUrl(page) => (None, page.size.as_ref()),
    };
    slot.into_iter().chain(size.and_then(|size| size.slot.as_ref())).cloned().collect()
}

/// What a log-in must say, read backwards with the credential filled in: true where it does.
pub(super) fn says(
    connector: &Connector,
    settings: &serde_json::Value,
    credential: &SecretFields,
    request: &Request,
    incoming: &Incoming<'_>,
) -> bool {
    let maker = Maker { connector, settings, credential };
    let route = maker.route(Operation::LogIn, request, None);
    let mut found = Found::default();
    let literal = |pattern: &Pattern, text: Option<&str>| text.is_some_and(|text| pattern.read(text, &mut Found::default()));
    let body_fits = match &route.body {
        BodyShape::Tree(tree) => {
            tree.fit(incoming.body.as_ref(), &mut found).is_some_and(|score| score > 0) && exact(tree, incoming.body.as_ref())
        }
        BodyShape::Text(pattern) => literal(pattern, std::str::from_utf8(&incoming.request.body).ok()),
        BodyShape::Graphql { variables, .. } => exact(variables, incoming.body.as_ref().and_then(|body| body.get("variables"))),
        BodyShape::Payload => true,
    };
    body_fits
        && route.query.iter().all(|(name, pattern)| literal(pattern, incoming.parameter(name)))
        && route.headers.iter().all(|(name, pattern)| literal(pattern, incoming.header(name)))
}

/// True where every text of the tree is there as it must be.
fn exact(tree: &Tree, value: Option<&Value>) -> bool {
    match tree {
        Tree::Text(pattern) => value.and_then(Value::to_text).is_some_and(|text| pattern.read(&text, &mut Found::default())),
        Tree::Plain(plain) => value.is_some_and(|value| value.to_text() == plain.to_text()),
        Tree::List(trees) => {
            trees.iter().enumerate().all(|(at, tree)| exact(tree, value.and_then(|value| value.as_list()?.get(at))))
        }
        Tree::Map(trees) => trees.iter().all(|(name, tree)| exact(tree, value.and_then(|value| value.get(name)))),
        Tree::Payload(_) | Tree::Payloads => true,
    }
}
