//! A small vendor on loopback that writes down what it is asked. It answers the same question the same way, but for a few that fail first.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// A client that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// One request, in a form in which two that mean the same are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Sorted.
    pub query: Vec<(String, String)>,
    /// Authorization and those that begin with X-, sorted.
    pub headers: BTreeMap<String, String>,
    /// A form is sorted pairs.
    pub body: Value,
}

impl Asked {
    fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub struct World {
    pub base: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl World {
    pub fn new() -> World {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (writes, own) = (log.clone(), base.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (writes, own) = (writes.clone(), own.clone());
                std::thread::spawn(move || serve(stream, &writes, &own));
            }
        });
        World { base, log }
    }

    /// What was asked since the last time, by path.
    pub fn asked(&self) -> BTreeMap<String, Vec<Asked>> {
        let mut all: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
        for asked in std::mem::take(&mut *self.log.lock().unwrap()) {
            all.entry(asked.path.clone()).or_default().push(asked);
        }
        all
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn ok(body: &Value) -> Reply {
    Reply { status: 200, headers: vec![("Content-Type".into(), "application/json".into())], body: body.to_string() }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, base: &str) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(asked) = read(&mut reader) else { return };
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|known| **known == asked).count();
        log.push(asked.clone());
        before
    };
    let reply = answer(&asked, before, base);
    let mut text = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", reply.status, reply.body.len());
    reply.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    let _ = (&stream).write_all((text + "\r\n" + &reply.body).as_bytes());
}

fn read(reader: &mut impl std::io::BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut all = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        all.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: u64 = all.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).ok()?;
    let sorted = |text: &str| {
        let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        pairs.sort();
        pairs
    };
    let kind = all.get("content-type").map_or("", String::as_str);
    let body = match kind {
        kind if kind.starts_with("application/json") => serde_json::from_str(&body).unwrap(),
        kind if kind.starts_with("application/x-www-form-urlencoded") => json!(sorted(&body)),
        _ => json!(body),
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    all.retain(|name, _| name == "authorization" || name.starts_with("x-"));
    Some(Asked { method, path: path.to_owned(), query: sorted(query), headers: all.into_iter().collect(), body })
}

fn answer(asked: &Asked, before: usize, base: &str) -> Reply {
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    let number = |name: &str| asked.get(name).and_then(|text| text.trim_start_matches('c').parse::<usize>().ok());
    let within = |list: Value, field: &str| -> Value {
        let day = |text: &str| text.chars().take(10).collect::<String>();
        let (from, to) = (asked.get("from").unwrap_or("0"), asked.get("to").unwrap_or("9"));
        let is_in = |item: &Value| {
            let at = item[field].as_str().unwrap_or_default();
            day(at) >= day(from) && day(at) <= day(to)
        };
        list.as_array().unwrap().iter().filter(|item| is_in(item)).cloned().collect()
    };
    match parts.as_slice() {
        ["v1", what] => {
            let paging = &asked.body["paging"];
            let of_body = |name: &str| paging[name].as_u64().and_then(|n| usize::try_from(n).ok());
            let size = number("size").or(of_body("limit")).unwrap();
            let at = number("page").map_or(0, |page| (page - 1) * size) + of_body("offset").unwrap_or(0);
            let items: Vec<Value> = (1..=10).map(|id| json!({"id": id, "name": format!("n{id}")})).skip(at).take(size).collect();
            ok(&json!({"data": {if *what == "offsets" { "offsets" } else { "numbers" }: items}}))
        }
        ["cursors", name] => {
            let at = number("after").or(asked.headers.get("x-after").and_then(|at| at.parse().ok())).unwrap_or(0);
            let items: Vec<Value> = (1..=5).map(|id| json!({"node": {"id": id}})).skip(at).take(2).collect();
            let next = Some(at + 2).filter(|next| *next < 5);
            let mut body = json!({"edges": items});
            let mut reply_headers = Vec::new();
            match (*name, next) {
                ("by_value", Some(next)) => body["next"] = json!({"cursor": format!("c{next}")}),
                ("by_header", Some(next)) => reply_headers.push(("X-Next".to_owned(), next.to_string())),
                ("by_link", Some(next)) => {
                    let first = "</cursors/by_link?shape=edges>; rel=\"first\"";
                    reply_headers
                        .push(("Link".to_owned(), format!("{first}, </cursors/by_link?shape=edges&after={next}>; rel=\"next\"")));
                }
                ("by_address", Some(next)) => {
                    body["links"] = json!({"next": format!("{base}/cursors/by_address?shape=edges&after={next}")})
                }
                ("by_address", None) => body["links"] = json!({"next": null}),
                _ => {}
            }
            let mut reply = ok(&body);
            reply.headers.extend(reply_headers);
            reply
        }
        ["times", "stepped"] => ok(&within(
            json!([
                {"id": 1, "updated_at": "2024-01-03T10:00:00Z"},
                {"id": 2, "updated_at": "2024-01-15T12:00:00.250Z"},
                {"id": 3, "updated_at": "2024-01-15T11:00:00Z"},
                {"id": 4, "updated_at": "2024-01-29T00:00:00Z"},
                {"id": 5, "updated_at": "2024-02-10T00:00:00Z"},
            ]),
            "updated_at",
        )),
        ["times", "whole"] => ok(&json!([{"id": 1, "changed": 1_704_500_000}, {"id": 2, "changed": "1706000000"}, {"id": 3}])),
        ["times", "months"] => ok(&within(json!([{"id": 1, "day": "2024-02-11"}, {"id": 2, "day": "2024-04-01"}]), "day")),
        ["times", "client_side"] => ok(&json!([
            {"id": 1, "at": "2023-12-31T23:59:59+0000"},
            {"id": 2, "at": "2024-01-05T10:00:00+0200"},
            {"id": 3, "at": "2024-02-01T00:00:00Z"},
            {"id": 4},
            {"id": 5, "at": "2024-03-05T00:00:00Z"},
        ])),
        ["times", "feed"] => {
            let days = ["2024-02-20", "2024-02-10", "2024-01-20", "2024-01-04", "2024-01-03", "2024-01-02"];
            let page = days.iter().skip(number("page").unwrap_or(0) * 2).take(2);
            ok(&page.map(|day| json!({"at": day})).collect())
        }
        ["times", "counted"] => ok(&json!([{"id": 1, "seq": 6}, {"id": 2, "seq": 9}, {"id": 3, "seq": 7}])),
        ["parts", "listed", colour] => ok(&json!({"items": [{"id": 1, "is": colour}]})),
        ["parts", "product"] => ok(&json!({"items": [{"colour": asked.get("colour"), "size": asked.headers.get("x-size")}]})),
        ["parts", "shops"] => ok(&json!({"items": match number("page") {
            None => json!([{"id": 1, "owner": {"name": "Ada"}}, {"id": "two", "owner": {}}]),
            Some(1) => json!([{"id": 3, "owner": {"name": "Bo"}}, {"owner": {"name": "no id"}}, {"id": 1, "owner": {"name": "again"}}]),
            Some(_) => json!([]),
        }})),
        ["parts", "shops", shop, "orders"] => ok(&json!({"items": [{"id": format!("{shop}-1")}, {"id": format!("{shop}-2")}]})),
        ["parts", "shops", shop, "events"] => {
            let at = if *shop == "3" {
                json!([])
            } else {
                json!([{"id": shop, "at": "2024-01-05"}, {"id": shop, "at": "2024-02-03"}])
            };
            ok(&json!({"items": within(at, "at")}))
        }
        ["parts", "dated_shops"] => {
            let shops = json!([{"id": 1, "at": "2024-01-02"}, {"id": 2, "at": "2024-01-30"}, {"id": 3, "at": "2024-02-20"}]);
            ok(&json!({"items": within(shops, "at")}))
        }
        ["parts", "changes"] => {
            let all = json!([{"shop": asked.get("shop"), "at": "2024-01-10"}, {"shop": asked.get("shop"), "at": "2024-02-15"}]);
            ok(&json!({"items": within(all, "at")}))
        }
        ["changed", "changed"] => ok(&json!([
            {"id": 1, "price": 1.10, "name": "O'Hara \"x\"", "tags": ["a", "b"], "when": "2024-01-05T10:00:00+02:00", "secret": 1,
             "lines": [{"cost": 1, "sku": "s"}], "deep": {"drop": true, "keep": null}},
            {"id": 9_007_199_254_740_993_i64, "price": 2.5, "name": "ü", "tags": [], "when": "2024-01-05", "lines": []},
        ])),
        ["changed", "lowered"] => ok(&json!([{"ID": 1, "Name": {"Inner": 2}, "ÄB": null}])),
        ["changed", "flattened"] => {
            ok(&json!([{"id": 1, "a": {"b": {"c": 2}, "id": 3}, "list": [{"x": 1}, {"x": 2}], "none": null, "empty": {}}]))
        }
        ["changed", "lines"] => Reply { status: 200, headers: Vec::new(), body: "{\"id\":1}\n\n{\"id\":2,\"a\":[1]}\n".into() },
        ["changed", "table"] => {
            Reply { status: 200, headers: Vec::new(), body: "id;name\r\n1;\"a;\"\"b\"\"\"\r\n2;-\r\n".into() }
        }
        ["errors", name] => {
            let items = ok(&json!({"items": [{"id": asked.get("part")}]}));
            let failing = |status: u16, body: Value| Reply {
                status,
                headers: vec![("X-Wait".into(), "0.05 s".into())],
                body: body.to_string(),
            };
            match (*name, asked.get("part").unwrap_or_default(), before) {
                ("flaky", "a", 0) => failing(503, json!({})),
                ("flaky", "b", 0) => failing(200, json!({"code": "busy"})),
                ("flaky", "c", 0 | 1) => Reply { status: 500, headers: Vec::new(), body: "<html>".into() },
                ("passed_over", "a", _) => failing(404, json!({})),
                ("passed_over", "b", _) => failing(403, json!({"errors": [{"message": "there is no such plan"}]})),
                ("exhausted", _, _) => failing(502, json!({})),
                ("refused", _, _) => failing(400, json!({"error": "which part?"})),
                _ => items,
            }
        }
        ["token", "client_credentials"] => ok(&json!({"access_token": "tok-1", "expires_in": 3600})),
        ["token", "renewed"] => ok(&json!({"access_token": format!("tok-{before}"), "expires_in": 3600})),
        ["secured", "renewed"] if asked.headers.get("authorization").is_some_and(|token| token == "Bearer tok-0") => {
            Reply { status: 401, headers: Vec::new(), body: String::new() }
        }
        ["older", "login"] => ok(&json!({"id": "ses-2"})),
        ["token", "refresh"] => ok(&json!({"data": {"accessToken": "tok-2", "expires_in": "60"}})),
        ["login"] => ok(&json!({"auth": {"token": "ses-1"}})),
        ["secured", name] => {
            let page = number("page").unwrap_or(0);
            ok(
                &json!({"items": (0..2_usize.saturating_sub(page)).map(|at| json!({"id": format!("{name}-{page}-{at}")})).collect::<Vec<_>>()}),
            )
        }
        _ => Reply { status: 404, headers: Vec::new(), body: String::new() },
    }
}

/// The one thing that a test needs of an HTTP client.
pub fn send(request: &domain::http::HttpRequest) -> domain::http::HttpAnswer {
    let url = url::Url::parse(&request.url).unwrap();
    let address = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut text = format!(
        "{} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
        request.method.as_str(),
        address.0,
        request.body.len()
    );
    request.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all((text + "\r\n").as_bytes()).unwrap();
    stream.write_all(&request.body).unwrap();
    let mut answer = Vec::new();
    BufReader::new(stream).read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    domain::http::HttpAnswer { status, headers, body: body.as_bytes().to_vec().into() }
}
