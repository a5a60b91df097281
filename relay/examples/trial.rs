//! Scratch: drives a relay on a real Kafka and measures.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clickmill_kafka::*;
use clickmill_sdk_core::wire::*;
use clickmill_server::token::{Claims, Signer, SigningKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}
fn now() -> Millis {
    Millis(now_us() / 1000)
}

fn click(visitor: &str, seq: u64, sku: &str) -> Record {
    let at = now();
    let mut random = [0_u8; 10];
    random[..8].copy_from_slice(&(seq.wrapping_mul(0x9E3779B97F4A7C15)).to_be_bytes());
    random[8] = visitor.len() as u8;
    random[9] = visitor.bytes().fold(0, |a: u8, b| a.wrapping_mul(31).wrapping_add(b));
    let event = Event {
        id: EventId::mint(at, &random),
        queue: QueueId::parse(format!("q-{visitor}")).unwrap(),
        seq,
        kind: EventType::parse("product_view").unwrap(),
        version: Some(1),
        at,
        props: json::Json::trusted(format!(r#"{{"sku":"{sku}","price_cents":3999}}"#)),
        context: Context {
            visitor: Some(VisitorId::parse(visitor).unwrap()),
            session: Some(SessionId::parse(format!("s-{visitor}")).unwrap()),
            page: Some(Page {
                url: "https://shop.example/p/x".into(),
                title: Some("A page".into()),
            }),
            consent: Some(Consent::full()),
            ..Context::default()
        },
        sample: None,
    };
    let arrival = Arrival {
        write_key: WriteKey::parse("wk").unwrap(),
        sent_at: at,
        received_at: at,
        attempt: 0,
        address: Some("192.0.2.0".into()),
        user_agent: Some("Mozilla/5.0".into()),
    };
    Record::new(event, &Context::default(), Tenant::parse("shop").unwrap(), arrival)
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let kafka = KafkaConfig::plain("127.0.0.1:29392");
    let producer =
        Producer::new(&kafka, &ProducerConfig { linger_ms: 0, ..ProducerConfig::default() }, None)
            .unwrap();
    let soon = || tokio::time::Instant::now() + Duration::from_secs(20);
    match args[1].as_str() {
        "topics" => {
            let admin = Admin::new(&kafka, Duration::from_secs(20)).unwrap();
            let spec = |topic: Topic, partitions, compact: bool| TopicSpec {
                name: topic.name(""),
                partitions,
                replication: 1,
                config: if compact {
                    BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())])
                } else {
                    BTreeMap::new()
                },
            };
            let made = admin
                .create(&[
                    spec(Topic::ClicksRaw, 6, false),
                    spec(Topic::ClicksEnriched, 6, false),
                    spec(Topic::Products, 1, true),
                    spec(Topic::Stock, 1, true),
                ])
                .await
                .unwrap();
            println!("{made:?}");
            for n in 0..40 {
                let sku = Sku::parse(format!("S{n}")).unwrap();
                let key = format!("shop:{sku}");
                let product = Product {
                    sku: sku.clone(),
                    name: format!("Product {n}"),
                    category: format!("cat{}", n % 4),
                    price_cents: 100,
                    currency: "EUR".into(),
                    url: format!("/p/{sku}"),
                    image: None,
                };
                let stock = Stock { sku, available: 5, at: now() };
                for (topic, value) in
                    [(Topic::Products, product.to_json()), (Topic::Stock, stock.to_json())]
                {
                    producer
                        .send(
                            Outgoing {
                                topic: topic.as_str(),
                                key: Some(key.as_bytes()),
                                value: Some(value.as_bytes()),
                                ..Default::default()
                            },
                            soon(),
                        )
                        .await
                        .unwrap();
                }
            }
        }
        "stock" => {
            let sku = Sku::parse(args[2].clone()).unwrap();
            let key = format!("shop:{sku}");
            let stock = Stock { sku, available: args[3].parse().unwrap(), at: now() };
            println!(
                "{:?}",
                producer
                    .send(
                        Outgoing {
                            topic: Topic::Stock.as_str(),
                            key: Some(key.as_bytes()),
                            value: Some(stock.to_json().as_bytes()),
                            ..Default::default()
                        },
                        soon()
                    )
                    .await
            );
        }
        "token" => println!("{}", token(&args[2])),
        "click" => {
            let record = click(&args[2], args[3].parse().unwrap(), &args[4]);
            println!(
                "{:?}",
                producer
                    .send(
                        Outgoing {
                            topic: Topic::ClicksRaw.as_str(),
                            key: record.key().as_deref().map(str::as_bytes),
                            value: Some(record.to_json().as_bytes()),
                            ..Default::default()
                        },
                        soon()
                    )
                    .await
            );
        }
        "poison" => {
            println!(
                "{:?}",
                producer
                    .send(
                        Outgoing {
                            topic: Topic::ClicksRaw.as_str(),
                            key: Some(b"shop:x"),
                            value: Some(b"{nonsense"),
                            ..Default::default()
                        },
                        soon()
                    )
                    .await
            );
        }
        "load" => {
            load(&producer, args[2].parse().unwrap(), args[3].parse().unwrap(), &args[4]).await
        }
        "fill" => {
            let n: u64 = args[2].parse().unwrap();
            let start = Instant::now();
            for i in 0..n {
                let record = click(
                    &format!("{}{}", args[3], i % 20_000),
                    i / 20_000,
                    &format!("S{}", i * 7 % 40),
                );
                let key = record.key().unwrap();
                let value = record.to_json();
                loop {
                    let pending = producer.enqueue([Outgoing {
                        topic: Topic::ClicksRaw.as_str(),
                        key: Some(key.as_bytes()),
                        value: Some(value.as_bytes()),
                        ..Default::default()
                    }]);
                    if producer.waiting() < 100_000 {
                        drop(pending);
                        break;
                    }
                    drop(pending);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    break;
                }
            }
            producer.flush(tokio::time::Instant::now() + Duration::from_secs(120)).await.unwrap();
            println!("{n} in {:?}", start.elapsed());
        }
        "count" => {
            let mut seen: HashMap<String, u32> = HashMap::new();
            let mut reader =
                Reader::open(&kafka, &ReaderConfig::new(args[2].clone()), Duration::from_secs(10))
                    .unwrap();
            let mut all = 0;
            reader
                .read_to_end(Duration::from_secs(60), |m| {
                    all += 1;
                    let record: Result<Record, _> = serde_json::from_slice(m.value().unwrap());
                    if let Ok(record) = record {
                        *seen.entry(format!("{}-{}", record.queue, record.seq)).or_default() += 1;
                    }
                })
                .unwrap();
            println!(
                "records {all} distinct {} doubled {}",
                seen.len(),
                seen.values().filter(|n| **n > 1).count()
            );
        }
        _ => panic!(),
    }
}

fn token(visitor: &str) -> String {
    let key: SigningKey = serde_json::from_str(
        r#"{"id":"dev","secret":"for development only, never for a real site"}"#,
    )
    .unwrap();
    Signer::new(&[key])
        .unwrap()
        .sign("hints", &Claims::new("shop", visitor, now().0 + 3_600_000).unwrap())
}

async fn load(producer: &Producer, rate: u64, seconds: u64, prefix: &str) {
    let streams = 50;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<(String, u64)>();
    for n in 0..streams {
        let token = token(&format!("{prefix}{n}"));
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut socket = tokio::net::TcpStream::connect("127.0.0.1:8082").await.unwrap();
            socket
                .write_all(
                    format!("GET /v1/hints?token={token} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
                )
                .await
                .unwrap();
            let (mut buffer, mut text) = (vec![0; 65536], String::new());
            loop {
                let count = socket.read(&mut buffer).await.unwrap();
                let at = now_us();
                if count == 0 {
                    return;
                }
                text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                while let Some(end) = text.find("\n\n") {
                    let block: String = text.drain(..end + 2).collect();
                    if let Some(cause) = block.find("\"cause\":{\"event\":\"") {
                        let id = block[cause + 18..cause + 54].to_owned();
                        let _ = tell.send((id, at));
                    }
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let total = rate * seconds;
    let mut sent: HashMap<String, u64> = HashMap::new();
    let start = Instant::now();
    for i in 0..total {
        let due = start + Duration::from_micros(i * 1_000_000 / rate);
        while Instant::now() < due {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        let record = click(
            &format!("{prefix}{}", i % streams),
            i / streams,
            &format!("S{}", (i * 7 + i / 50) % 40),
        );
        sent.insert(record.id.to_string(), now_us());
        let key = record.key().unwrap();
        drop(producer.enqueue([Outgoing {
            topic: Topic::ClicksRaw.as_str(),
            key: Some(key.as_bytes()),
            value: Some(record.to_json().as_bytes()),
            ..Default::default()
        }]));
    }
    let mut latencies = Vec::new();
    while let Ok(Some((id, at))) = tokio::time::timeout(Duration::from_secs(2), told.recv()).await {
        if let Some(from) = sent.remove(&id) {
            latencies.push(at.saturating_sub(from));
        }
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        latencies
            .get(((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0) as f64
            / 1000.0
    };
    println!(
        "rate {rate}/s sent {total} hints {} p50 {:.2} ms p99 {:.2} ms max {:.2} ms",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
