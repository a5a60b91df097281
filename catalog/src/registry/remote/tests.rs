//! A registry that misbehaves in every way, played by a small server.

mod large;
mod secure;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::testing::Scratch;
use crate::{Formats, Resolved, SchemaRef, Schemas, Tree};

/// How a path is answered.
#[derive(Clone)]
enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// Never, and the connection stays open.
    Silence,
}

#[derive(Default)]
struct Served {
    replies: HashMap<String, Reply>,
    asked: Vec<String>,
    authorizations: Vec<Option<String>>,
    held: Vec<Box<dyn Send>>,
}

/// A registry on a port of its own, gone when dropped.
struct Server {
    url: String,
    served: Arc<Mutex<Served>>,
    stop: mpsc::Sender<()>,
}

impl Server {
    fn start() -> Self {
        Self::behind("http", serve)
    }

    /// One that is reached by that scheme, which `serve` speaks.
    fn behind(scheme: &str, serve: impl Fn(TcpStream, &Mutex<Served>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}/base", listener.local_addr().unwrap());
        let served = Arc::new(Mutex::new(Served::default()));
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.try_recv().is_ok() {
                    return;
                }
                serve(stream.unwrap(), &shared);
            }
        });
        let server = Self { url, served, stop };
        server.put("/subjects", Reply::Json(200, json!([])));
        server
    }

    fn put(&self, path: &str, reply: Reply) {
        self.served.lock().unwrap().replies.insert(format!("/base{path}"), reply);
    }

    /// Registers a version of an event type; gives its path.
    fn register(&self, subject: &str, version: u32, answer: &Value) -> String {
        let mut served = self.served.lock().unwrap();
        let mut add = |path: String, entry: Value| {
            let list = served.replies.entry(path).or_insert(Reply::Json(200, json!([])));
            let Reply::Json(_, Value::Array(list)) = list else { panic!("a list") };
            if !list.contains(&entry) {
                list.push(entry);
            }
        };
        add("/base/subjects".to_owned(), json!(subject));
        add(format!("/base/subjects/{subject}/versions"), json!(version));
        let path = format!("/subjects/{subject}/versions/{version}");
        served.replies.insert(format!("/base{path}"), Reply::Json(200, answer.clone()));
        path
    }

    /// What was asked since the last time, without the base.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.served.lock().unwrap().asked)
    }

    fn options(&self) -> RegistryOptions {
        RegistryOptions {
            urls: vec![format!("{}/", self.url)],
            timeout: Duration::from_secs(60),
            fetch_timeout: Duration::from_secs(60),
            ..RegistryOptions::default()
        }
    }

    fn registry(&self) -> Registry {
        Registry::new(&self.options()).unwrap()
    }

    /// One that waits so long for what never comes that what comes is in time on a busy machine.
    fn impatient(&self) -> Registry {
        let timeout = Duration::from_secs(2);
        Registry::new(&RegistryOptions { timeout, ..self.options() }).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        // Wakes the one that accepts.
        let address = self.url.split("://").nth(1).unwrap().trim_end_matches("/base");
        let _ = TcpStream::connect(address);
    }
}

fn serve<S: Read + Write + Send + 'static>(stream: S, served: &Mutex<Served>) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut authorization) = (String::new(), None);
    // Who does not trust the server asks nothing.
    let Ok(1..) = reader.read_line(&mut line) else { return };
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(("authorization", value)) = header.trim().split_once(": ") {
            authorization = Some(value.to_owned());
        }
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut served = served.lock().unwrap();
    served.asked.push(path.trim_start_matches("/base").to_owned());
    served.authorizations.push(authorization);
    let nothing = Reply::Json(404, json!({"error_code": 40401, "message": "no such subject"}));
    let (status, body) = match served.replies.get(&path).cloned().unwrap_or(nothing) {
        Reply::Json(status, body) => (status, body.to_string()),
        Reply::Text(status, body) => (status, body),
        Reply::Silence => {
            served.held.push(Box::new(reader));
            return;
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // Who found the answer too long has hung up.
    let _ = reader.get_mut().write_all((head + &body).as_bytes());
    let _ = reader.get_mut().flush();
    // Until the other side has closed.
    let _ = reader.read(&mut [0]);
}

/// What stands once the registry was asked.
fn fetch(registry: &Registry) -> Fetched {
    registry.refresh();
    registry.fetch().unwrap()
}

/// The schemas of a registry that was asked.
fn opened(registry: &Arc<Registry>) -> (Schemas, Vec<Refusal>) {
    registry.refresh();
    let sources: Vec<Box<dyn SchemaSource>> = vec![Box::new(Arc::clone(registry))];
    Schemas::open_with(sources, Formats::Assert).unwrap()
}

/// A registered version of a schema that takes an object with this property only.
fn requiring(id: u32, property: &str) -> Value {
    let schema = json!({"type": "object", "required": [property]});
    json!({"id": id, "schema": schema.to_string(), "schemaType": "JSON"})
}

fn versions(fetched: &Fetched) -> Vec<(String, u32, Option<u32>)> {
    let triple = |text: &crate::SchemaText| (text.kind.clone(), text.version, text.id);
    fetched.schemas.iter().map(triple).collect()
}

fn wish(version: u32, id: u32) -> (String, u32, Option<u32>) {
    ("wish".to_owned(), version, Some(id))
}

#[test]
fn only_what_is_new_is_asked_for() {
    let server = Server::start();
    let registry = server.registry();
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    server.register("web.clicks.raw.pii.v1-value", 1, &requiring(12, "a"));
    let first = fetch(&registry);
    assert_eq!((versions(&first), first.refused), (vec![wish(1, 11)], vec![]));
    assert_eq!(
        server.asked(),
        ["/subjects", "/subjects/web.clicks.wish/versions", "/subjects/web.clicks.wish/versions/1"]
    );
    fetch(&registry);
    assert_eq!(server.asked(), ["/subjects", "/subjects/web.clicks.wish/versions"]);

    let second = server.register("web.clicks.wish", 2, &requiring(13, "b"));
    assert_eq!(versions(&fetch(&registry)), [wish(1, 11), wish(2, 13)]);
    assert_eq!(server.asked()[2..], [second]);
    assert_eq!(registry.standing(), Standing { held: true, ..Standing::default() });
}

#[test]
fn a_version_that_is_deleted_is_gone() {
    let server = Server::start();
    let registry = server.registry();
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    server.register("web.clicks.wish", 2, &requiring(12, "b"));
    fetch(&registry);
    server.put("/subjects/web.clicks.wish/versions", Reply::Json(200, json!([2])));
    assert_eq!(versions(&fetch(&registry)), [wish(2, 12)]);
    // The same version registered anew is another schema.
    server.register("web.clicks.wish", 1, &requiring(14, "c"));
    assert_eq!(versions(&fetch(&registry)), [wish(1, 14), wish(2, 12)]);
}

#[test]
fn references_are_fetched_with_their_own() {
    let server = Server::start();
    let refers = |id: u32, to: &str| {
        let references = json!([{"name": "next.json", "subject": to, "version": 3}]);
        json!({"id": id, "schema": "{\"$ref\":\"next.json\"}", "schemaType": "JSON",
            "references": references})
    };
    server.register("web.clicks.wish", 1, &refers(11, "shop/common"));
    let encoded = "/subjects/shop%2Fcommon/versions/3";
    server.put(encoded, Reply::Json(200, requiring(12, "a")));
    let (schemas, refused) = opened(&Arc::new(server.registry()));
    assert_eq!(refused, []);
    let wish = newest(&schemas);
    let judge = |props: Value| wish.validate(&Tree::from(&props)).is_ok();
    assert!(judge(json!({"a": 1})) && !judge(json!({})));
    assert!(server.asked().contains(&encoded.to_owned()));
}

fn newest(schemas: &Schemas) -> Arc<SchemaRef> {
    match schemas.load().resolve("wish", None) {
        Resolved::Schema(schema) => Arc::clone(schema),
        other => panic!("{other:?}"),
    }
}

#[test]
fn while_the_registry_misbehaves_the_last_set_stands() {
    let server = Server::start();
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let registry = server.impatient();
    fetch(&registry);
    server.put("/subjects", Reply::Silence);
    fetch(&registry);
    let standing = registry.standing();
    assert!(standing.held && standing.away.as_ref().unwrap().contains("timeout"), "{standing:?}");

    let server = Server::start();
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let registry = server.registry();
    fetch(&registry);
    let huge = Reply::Text(200, format!("[\"{}\"]", "x".repeat(17 << 20)));
    let refusal = |status, code| Reply::Json(status, json!({"error_code": code, "message": "no!"}));
    for (reply, says) in [
        (huge, "longer than"),
        (Reply::Text(200, "<html>sign in</html>".to_owned()), "not a registry's"),
        (Reply::Json(200, json!({"subjects": 1})), "not a registry's"),
        (Reply::Text(503, "busy".to_owned()), "503: no reason given"),
        (refusal(500, 50001), "500: no!"),
        (refusal(401, 40101), "401: no!"),
        (Reply::Text(302, String::new()), "302"),
        (Reply::Json(200, json!([])), "no schema of ours"),
    ] {
        server.put("/subjects", reply);
        let fetched = fetch(&registry);
        assert_eq!(versions(&fetched), [wish(1, 11)], "{says}");
        let standing = registry.standing();
        let away = standing.away.unwrap();
        assert!(standing.held && away.contains(says), "{away} / {says}");
    }
    server.put("/subjects", Reply::Json(200, json!(["web.clicks.wish"])));
    fetch(&registry);
    assert_eq!(registry.standing().away, None);
    drop(server);
    assert_eq!(versions(&fetch(&registry)), [wish(1, 11)]);
    assert!(registry.standing().away.unwrap().contains("http://127.0.0.1"));
}

#[test]
fn a_bad_version_costs_only_itself() {
    let server = Server::start();
    let registry = Arc::new(server.registry());
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let (schemas, _) = opened(&registry);

    let path = server.register("web.clicks.wish", 2, &requiring(12, "b"));
    let no = json!({"error_code": 50001, "message": "no!"});
    let large = json!({"id": 1, "schema": " ".repeat(2 << 20), "schemaType": "JSON"});
    let huge = json!({"id": 1, "schema": " ".repeat(5 << 20), "schemaType": "JSON"});
    let avro = json!({"id": 1, "schema": "\"string\""});
    let broken = json!({"id": 1, "schema": "{\"type\":7}", "schemaType": "JSON"});
    for (reply, says) in [
        (Reply::Json(500, no), "500: no!"),
        (Reply::Text(200, "{".to_owned()), "not a registry's"),
        (Reply::Json(200, large), "larger than"),
        (Reply::Json(200, huge), "longer than"),
        (Reply::Json(200, avro), "AVRO"),
        (Reply::Json(200, broken), "no valid JSON Schema"),
    ] {
        server.put(&path, reply);
        let (schemas, refused) = opened(&Arc::new(server.registry()));
        let [refused] = refused.as_slice() else { panic!("{says}: {refused:?}") };
        let text = refused.to_string();
        assert!(text.starts_with("the registry's web.clicks.wish version 2: "), "{text}");
        assert!(text.contains(says), "{text} / {says}");
        assert_eq!(newest(&schemas).version(), 1);
    }
    let reload = || {
        registry.refresh();
        schemas.reload().unwrap()
    };
    // Where it was good before, the last good one goes on.
    server.put(&path, Reply::Json(200, requiring(12, "b")));
    reload();
    let no = json!({"error_code": 50001, "message": "no!"});
    server.put("/subjects/web.clicks.wish/versions", Reply::Json(500, no));
    let refused = reload();
    assert!(refused[0].to_string().contains("cannot be listed"), "{refused:?}");
    assert_eq!(newest(&schemas).version(), 2);
    assert_eq!(newest(&schemas).id(), clickmill_kafka::SchemaId::Number(12));
    // A version that is gone between the list and the question is gone.
    server.put("/subjects/web.clicks.wish/versions", Reply::Json(200, json!([1, 2, 3])));
    assert_eq!(reload(), []);
}

#[test]
fn what_a_failed_fetch_was_answered_is_not_asked_again() {
    let server = Server::start();
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let good = server.register("web.clicks.wish", 2, &requiring(12, "b"));
    server.put("/subjects/web.clicks.wish/versions/1", Reply::Silence);
    let registry = server.impatient();
    assert!(fetch(&registry).schemas.is_empty());
    let standing = registry.standing();
    assert!(!standing.held && standing.away.is_some(), "{standing:?}");
    assert!(server.asked().contains(&good));
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    assert_eq!(fetch(&registry).schemas.len(), 2);
    assert!(!server.asked().contains(&good));
}

#[test]
fn one_fetch_is_bounded_in_time() {
    let server = Server::start();
    server.put("/subjects", Reply::Silence);
    let options = RegistryOptions {
        timeout: Duration::from_secs(600),
        fetch_timeout: Duration::from_millis(200),
        ..server.options()
    };
    let start = Instant::now();
    fetch(&Registry::new(&options).unwrap());
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn the_next_address_answers_where_one_fails() {
    let (bad, good) = (Server::start(), Server::start());
    bad.put("/subjects", Reply::Text(503, String::new()));
    good.register("web.clicks.wish", 1, &requiring(11, "a"));
    let urls = vec![bad.url.clone(), good.url.clone()];
    let registry = Registry::new(&RegistryOptions { urls, ..good.options() }).unwrap();
    assert_eq!(versions(&fetch(&registry)), [wish(1, 11)]);
    assert_eq!(bad.asked(), ["/subjects"], "who answered is asked first");
    // A plain no is an answer, too.
    good.put("/subjects", Reply::Json(403, json!({"error_code": 40301, "message": "no!"})));
    fetch(&registry);
    assert!(registry.standing().away.unwrap().contains("403"));
    assert!(bad.asked().is_empty());
}

#[test]
fn credentials_are_sent() {
    let server = Server::start();
    let basic = Credentials::Basic { user: "me".to_owned(), password: "pass".to_owned() };
    for (credentials, sent) in
        [(basic, "Basic bWU6cGFzcw=="), (Credentials::Bearer("t0".to_owned()), "Bearer t0")]
    {
        let options = RegistryOptions { credentials: Some(credentials), ..server.options() };
        fetch(&Registry::new(&options).unwrap());
        let sent = Some(sent.to_owned());
        assert_eq!(server.served.lock().unwrap().authorizations.pop().unwrap(), sent);
    }
    fetch(&server.registry());
    assert_eq!(server.served.lock().unwrap().authorizations.pop().unwrap(), None);
}

#[test]
fn a_cold_start_without_the_registry_takes_the_copy() {
    let (server, scratch) = (Server::start(), Scratch::new());
    let options =
        RegistryOptions { cache_dir: Some(scratch.path().to_owned()), ..server.options() };
    let start = || Registry::new(&options).unwrap();

    server.put("/subjects", Reply::Text(503, String::new()));
    let first = start();
    assert!(fetch(&first).schemas.is_empty());
    assert!(!first.standing().held);

    server.put("/subjects", Reply::Json(200, json!([])));
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let before = fetch(&first);
    server.put("/subjects", Reply::Text(503, String::new()));
    let second = start();
    let after = fetch(&second);
    assert_eq!((versions(&after), after.schemas), (vec![wish(1, 11)], before.schemas));
    let standing = second.standing();
    assert!(standing.held && standing.away.is_some() && standing.copy_problem.is_none());

    // Once the registry is back it alone counts, also over what the copy says of a version.
    server.put("/subjects", Reply::Json(200, json!(["web.clicks.wish"])));
    server.register("web.clicks.wish", 1, &requiring(21, "z"));
    assert_eq!(versions(&fetch(&second)), [wish(1, 21)]);

    let [file] = std::fs::read_dir(scratch.path()).unwrap().collect::<Vec<_>>().try_into().unwrap();
    let file = file.unwrap().path();
    let mut damaged = std::fs::read(&file).unwrap();
    damaged.pop();
    std::fs::write(&file, damaged).unwrap();
    server.put("/subjects", Reply::Text(503, String::new()));
    let third = start();
    assert!(fetch(&third).schemas.is_empty());
    let standing = third.standing();
    assert!(!standing.held && standing.copy_problem.as_ref().unwrap().contains("damaged"));
    server.put("/subjects", Reply::Json(200, json!(["web.clicks.wish"])));
    fetch(&third);
    assert_eq!(third.standing(), Standing { held: true, ..Standing::default() });
    server.put("/subjects", Reply::Text(503, String::new()));
    assert_eq!(versions(&fetch(&start())), [wish(1, 21)], "a good copy is there again");
}
