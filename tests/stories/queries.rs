//! Web servers ask whichever relay they like, and get what the visitor's own relay remembers.

use std::collections::BTreeSet;
use std::time::Duration;

use clickmill_relay::peers::{PATH, pass};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::clock::{Clock as _, SystemClock};
use clickmill_server::config::Secret;
use clickmill_server::token::{Signer, SigningKey};
use clickmill_tests::service::{OTHERS_SERVER_KEY, PEER_KEY, Relay, SERVER_KEY};
use clickmill_tests::until::until;
use clickmill_tests::{Answer, Ask, Http, Page, World};
use serde_json::Value;
use tokio::time::Instant;

use crate::PATIENCE;

/// A visitor who is known, and where the newest event of theirs lies.
struct Known {
    page: Page,
    partition: i32,
    offset: i64,
    events: u64,
}

impl Known {
    /// Whom to ask for, with what must be in the answer.
    fn path(&self) -> String {
        format!("{}?after={}.{}", self.page.visitor(), self.partition, self.offset)
    }
}

fn bearer(ask: Ask, key: &str) -> Ask {
    ask.header("authorization", &format!("Bearer {key}"))
}

async fn get(relay: &Relay, path: &str, key: &str) -> Answer {
    let ask = Ask::get(format!("{}/v1/visitors/{path}", relay.url));
    Http::default().ask(bearer(ask, key)).await.expect("an answer")
}

async fn post(relay: &Relay, body: &str, key: &str) -> Answer {
    let ask = Ask::post(format!("{}/v1/visitors", relay.url), body.to_owned());
    Http::default().ask(bearer(ask, key)).await.expect("an answer")
}

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Visitors in every partition, each with one event.
async fn visitors(world: &World) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let all = |known: &[Known]| known.iter().map(|one| one.partition).collect::<BTreeSet<_>>();
    while known.len() < 12 || all(&known).len() < world.partitions() as usize {
        let page = world.page();
        assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
        known.push(Known { page, partition: 0, offset: 0, events: 1 });
        locate(world, &mut known).await;
    }
    known
}

/// Looks up where the newest event of each visitor lies.
async fn locate(world: &World, known: &mut [Known]) {
    let raw = world.kafka.records(Topic::ClicksRaw).await;
    for one in known {
        let id = one.page.visitor().to_string();
        let newest = raw.iter().rfind(|record| record.value.contains(&id));
        let newest = newest.expect("the event lies in Kafka");
        (one.partition, one.offset) = (newest.partition, newest.offset);
    }
}

/// Asks until there is an answer that is not "later"; every such word must name a wait. Returns the
/// answer and how often it was put off.
async fn patiently(relay: &Relay, path: &str) -> (Answer, usize) {
    let deadline = Instant::now() + PATIENCE;
    for put_off in 0.. {
        let answer = get(relay, path, SERVER_KEY).await;
        if answer.status != 503 {
            return (answer, put_off);
        }
        assert_eq!(answer.headers["retry-after"], "1", "{}", answer.body);
        assert!(Instant::now() < deadline, "{path} is put off for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("it returns or fails")
}

fn holds(one: &Known, told: &Value) {
    assert_eq!(told["visitor"], one.page.visitor().as_str());
    assert_eq!(told["partition"], one.partition);
    assert!(told["next_offset"].as_i64() > Some(one.offset), "{told}");
    assert_eq!(told["state"]["sessions"][0]["events"], one.events, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_relay_answers_for_every_visitor_also_after_one_was_killed() {
    let (mut world, second) = World::builder().two_relays(&[]).await;
    let mut known = visitors(&world).await;
    for relay in [&world.relay, &second] {
        for one in &known {
            let (answer, _) = patiently(relay, &one.path()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            holds(one, &read(&answer));
        }
        let forwarded = r#"clickmill_relay_visitors_asked_total{how="forwarded""#;
        assert!(relay.metric(forwarded).await > 0.0, "each asks the other for its visitors");
    }

    // More happens, and the relay that has some of it is killed: what the other one says is never
    // from before.
    world.relay.kill();
    for one in &mut known {
        assert_eq!(one.page.send(vec![one.page.views("mug")]).await.accepted, 1);
        one.events = 2;
    }
    locate(&world, &mut known).await;
    let mut put_off = 0;
    for one in &known {
        let (answer, times) = patiently(&second, &one.path()).await;
        put_off += times;
        assert_eq!(answer.status, 200, "{}", answer.body);
        holds(one, &read(&answer));
    }
    assert!(put_off > 0, "the visitors of the relay that is gone had to wait");

    // It comes back, and both answer again.
    world.restart_relay().await;
    for relay in [&world.relay, &second] {
        for one in &known {
            let (answer, _) = patiently(relay, &one.path()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            holds(one, &read(&answer));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_visitors_are_answered_in_their_order_each_with_its_own_outcome() {
    let (world, second) = World::builder().two_relays(&[]).await;
    let known = visitors(&world).await;
    let mut ids: Vec<String> = known.iter().map(|one| one.page.visitor().to_string()).collect();
    ids.insert(3, "nobody".to_owned());
    // A visitor may be asked for twice.
    ids.push(ids[0].clone());
    let after: Vec<String> =
        known.iter().map(|one| format!("{}.{}", one.partition, one.offset)).collect();
    let body = serde_json::json!({ "visitors": ids, "after": after }).to_string();
    for relay in [&world.relay, &second] {
        let told = until("everybody is answered", || async {
            let answer = post(relay, &body, SERVER_KEY).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let told = read(&answer);
            let all = told["visitors"].as_array().expect("a list");
            all.iter().all(|one| one["status"] != 503).then_some(told)
        })
        .await;
        let told = told["visitors"].as_array().expect("a list");
        assert_eq!(told.len(), ids.len());
        for (id, one) in ids.iter().zip(told) {
            assert_eq!(one["visitor"], id.as_str());
            if id == "nobody" {
                assert_eq!(
                    (&one["status"], &one["answer"]["error"]),
                    (&404.into(), &"not_found".into())
                );
                continue;
            }
            assert_eq!(one["status"], 200, "{one}");
            let known = known.iter().find(|known| known.page.visitor().as_str() == id);
            holds(known.expect("a visitor of ours"), &one["answer"]);
        }

        // Of another tenant nobody is there, here or there.
        let theirs = serde_json::json!({ "visitors": ids }).to_string();
        let others = read(&post(relay, &theirs, OTHERS_SERVER_KEY).await);
        let others = others["visitors"].as_array().expect("a list");
        assert!(others.iter().all(|one| one["status"] == 404), "{others:?}");
        for id in &ids {
            assert_eq!(get(relay, id, OTHERS_SERVER_KEY).await.status, 404);
        }

        for (body, key, status) in [
            (body.as_str(), "somebody-elses-key", 401),
            ("{}", SERVER_KEY, 400),
            (r#"{"visitors":[]}"#, SERVER_KEY, 400),
            (r#"{"visitors":["a"],"after":["9.0"]}"#, SERVER_KEY, 400),
        ] {
            assert_eq!(post(relay, body, key).await.status, status, "{body}");
        }
        let long = format!(r#"{{"visitors":["{}"]}}"#, "v".repeat(40_000));
        assert_eq!(post(relay, &long, SERVER_KEY).await.status, 413);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_relays_ask_each_other_nobody_else_may_ask() {
    let world = World::start().await;
    let page = world.page();
    assert_eq!(page.send(vec![page.views("kettle")]).await.accepted, 1);
    let visitor = page.visitor();
    until("the visitor is known", || async {
        let answer = get(&world.relay, visitor.as_str(), SERVER_KEY).await;
        (answer.status == 200).then_some(())
    })
    .await;

    let body = format!(r#"{{"tenant":"shop","visitors":["{visitor}"],"after":[]}}"#);
    let signer = |secret: &str| {
        let key = SigningKey { id: "a".to_owned(), secret: Secret::new(secret) };
        Signer::new(&[key]).expect("a key")
    };
    let address = world.relay.peers.clone();
    let ask = async |pass: Option<String>, body: &str| {
        let ask = Ask::post(format!("http://{address}{PATH}"), body.to_owned());
        let ask = match &pass {
            Some(pass) => ask.header("x-clickmill-pass", pass),
            None => ask,
        };
        Http::default().ask(ask).await.expect("an answer")
    };
    let now_ms = SystemClock.now_ms();
    let errand = (address.as_str(), PATH, body.as_bytes());
    let good = pass::sign(&signer(PEER_KEY), errand, now_ms);
    let told = ask(Some(good.clone()), &body).await;
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(read(&told)["visitors"][0]["status"], 200);

    let elsewhere = pass::sign(&signer(PEER_KEY), ("10.0.0.1:1", PATH, body.as_bytes()), now_ms);
    let old = pass::sign(&signer(PEER_KEY), errand, now_ms - 11_000);
    let guessed = pass::sign(&signer(SERVER_KEY), errand, now_ms);
    for (pass, body) in [
        (None, body.as_str()),
        (Some(guessed), &body),
        (Some(old), &body),
        (Some(elsewhere), &body),
        // A good pass opens nothing else than what it was made for.
        (Some(good), &body.replace("shop", "other")),
    ] {
        let told = ask(pass, body).await;
        assert_eq!(told.status, 401, "{}", told.body);
    }
    // The public listener knows nothing of it, and the key of a server opens nothing here.
    let public = Ask::post(format!("{}{PATH}", world.relay.url), body.clone());
    assert_eq!(
        Http::default().ask(bearer(public, SERVER_KEY)).await.expect("an answer").status,
        404
    );
    let peers = Ask::get(format!("http://{address}/v1/visitors/{visitor}"));
    assert_eq!(
        Http::default().ask(bearer(peers, SERVER_KEY)).await.expect("an answer").status,
        404
    );
}
