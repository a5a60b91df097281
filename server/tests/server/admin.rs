//! The admin listener through a service's life.

use clickmill_server::admin::{Admin, Readiness, run};
use clickmill_server::metrics::{CONTENT_TYPE, Entry, Gauges, Metrics};
use clickmill_server::shutdown::Shutdown;
use tokio::net::TcpStream;

use crate::harness::{Client, loopback};

const OPEN: Gauges<0> = Gauges::new("t_open", "Open streams.", []);
const TABLE: &[Entry] = &[OPEN.entry()];

#[tokio::test]
async fn it_tells_live_from_ready_and_outlasts_the_drain() {
    let (shutdown, stop) = (Shutdown::new(), Shutdown::new());
    let readiness = Readiness::new(shutdown.clone());
    let metrics = Metrics::new(TABLE).unwrap();
    let listener = loopback().await;
    let addr = listener.local_addr().unwrap();
    let kafka = readiness.check("kafka");
    metrics.gauge(&OPEN, []).set(3.0);
    let running = tokio::spawn(run(Admin {
        listener,
        metrics,
        readiness,
        guarded: None,
        pages: None,
        stop: stop.clone(),
    }));

    let get = async |path: &str| {
        let mut client = Client(TcpStream::connect(addr).await.unwrap());
        let head = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        client.send(&head).await;
        client.read_to_end().await.unwrap()
    };
    let check = async |path: &str, status: &str, end: &str| {
        let answer = get(path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path}: {answer}");
        assert!(answer.ends_with(end), "{path}: {answer}");
    };

    check("/live", "200 OK", "live\n").await;
    check("/ready", "503 Service Unavailable", "not ready\nkafka: not there yet\n").await;
    kafka.pass();
    check("/ready", "200 OK", "ready\nkafka: ok\n").await;
    check("/", "404 Not Found", "here are /live, /ready and /metrics\n").await;
    let page = get("/metrics").await;
    assert!(page.contains(&format!("content-type: {CONTENT_TYPE}\r\n")), "{page}");
    assert!(
        page.contains("# HELP t_open Open streams.\n# TYPE t_open gauge\nt_open 3\n"),
        "{page}"
    );
    assert!(page.contains("http_connections_open{listener=\"admin\"} "), "{page}");

    shutdown.begin();
    check("/ready", "503 Service Unavailable", "not ready\ndrain: draining\nkafka: ok\n").await;
    check("/live", "200 OK", "live\n").await;
    stop.begin();
    running.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}
