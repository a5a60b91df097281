//! The shop from opening to closing.

use std::sync::Arc;
use std::time::Duration;

use clickmill_server::clock::SharedClock;
use clickmill_server::metrics::{Metrics, MetricsError};
use clickmill_server::serve::{ConnectionLimits, ConnectionMetrics, Serve, Transport, serve};
use clickmill_server::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use crate::catalogue::CatalogueError;
use crate::config::Config;
use crate::publish::{PublishError, Publisher};
use crate::serve::Front;
use crate::shop::Shop;

/// How long open requests may take when the shop closes.
const GRACE: Duration = Duration::from_secs(3);

/// Why the shop could not open.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The products are faulty.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The metrics' table is faulty.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Kafka did not take the products.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Opens the shop: publishes what it sells where that is wanted, then serves until the shutdown
/// begins and open requests have ended.
pub async fn run(
    config: Config,
    listener: TcpListener,
    clock: SharedClock,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let shop = Arc::new(Shop::open(config.tracking)?);
    let metrics = Metrics::new(&[])?;
    let mut publisher = None;
    let mut every = None;
    if let Some(publishing) = &config.publishing {
        let opened = Publisher::new(publishing)?;
        tokio::select! {
            () = shutdown.triggered() => return Ok(()),
            done = publish_all(&opened, &shop, &clock) => done?,
        }
        every = Some(publishing.stock_every);
        publisher = Some(opened);
    }
    let front = Front::new(Arc::clone(&shop), publisher.clone(), config.sdk_dir, clock.clone());
    let serving = serve(Serve {
        listener,
        transport: Transport::default(),
        service: move |request, peer| {
            let front = front.clone();
            async move { front.call(request, peer).await }
        },
        limits: ConnectionLimits::default(),
        shutdown: shutdown.clone(),
        grace: GRACE,
        metrics: ConnectionMetrics::new(&metrics, "public"),
    });
    match publisher.zip(every) {
        Some((publisher, every)) => {
            let beat = Beat { shop, publisher: publisher.clone(), clock, every };
            tokio::select! {
                _ = serving => {}
                () = beat.go_on() => {}
            }
            publisher.close().await?;
        }
        None => {
            serving.await;
        }
    }
    Ok(())
}

async fn publish_all(
    publisher: &Publisher,
    shop: &Shop,
    clock: &SharedClock,
) -> Result<(), PublishError> {
    publisher.products(&shop.catalogue).await?;
    publisher.levels(&shop.levels(), clock.now_ms()).await?;
    tracing::info!(products = shop.catalogue.products().len(), "products and stock published");
    Ok(())
}

/// The heartbeat of the stock: all levels again and again, so that a reader can tell a level that
/// did not change from a shop that is gone.
struct Beat {
    shop: Arc<Shop>,
    publisher: Publisher,
    clock: SharedClock,
    every: Duration,
}

impl Beat {
    async fn go_on(self) {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the opening has just published.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let published = self.publisher.levels(&self.shop.levels(), self.clock.now_ms()).await;
            if let Err(error) = published {
                tracing::warn!(%error, "stock levels not published; the next round repeats them");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use clickmill_server::clock::ManualClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    /// A shop that is open, on a port of its own.
    struct Open {
        address: SocketAddr,
        shutdown: Shutdown,
        running: JoinHandle<Result<(), RunError>>,
    }

    impl Open {
        async fn now() -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = Shutdown::new();
            let config = Config { tracking: None, sdk_dir: None, publishing: None };
            let clock = ManualClock::at(1_795_476_000_000).shared();
            let running = tokio::spawn(run(config, listener, clock, shutdown.clone()));
            Self { address, shutdown, running }
        }

        /// Sends one request with these headers and this body; the whole answer as text.
        async fn ask(&self, line: &str, headers: &str, body: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!(
                "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
                self.address,
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }

        async fn close(self) {
            self.shutdown.begin();
            self.running.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn the_shop_opens_answers_and_closes() {
        let shop = Open::now().await;
        let health = shop.ask("GET /healthz", "", "").await;
        assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nok\n"));
        let home = shop.ask("GET /", "", "").await;
        assert!(home.contains("content-security-policy: default-src 'self'; script-src 'self';"));
        assert!(home.contains("<!DOCTYPE html>"));
        assert!(shop.ask("HEAD /", "", "").await.ends_with("\r\n\r\n"));
        let styles = shop.ask("GET /assets/shop.css", "", "").await;
        assert!(styles.contains("content-type: text/css") && styles.contains("immutable"));
        assert!(shop.ask("GET /nowhere", "", "").await.starts_with("HTTP/1.1 404"));
        assert!(shop.ask("GET /sdk/clickmill.js", "", "").await.starts_with("HTTP/1.1 404"));
        assert!(shop.ask("DELETE /", "", "").await.starts_with("HTTP/1.1 405"));
        shop.close().await;
    }

    #[tokio::test]
    async fn a_form_is_taken_from_our_own_pages_only() {
        let shop = Open::now().await;
        let foreign = "origin: https://evil.example\r\n";
        let refused = shop.ask("POST /basket/add", foreign, "sku=KET-1").await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        let own = format!("origin: http://{}\r\n", shop.address);
        let taken = shop.ask("POST /basket/add", &own, "sku=KET-1").await;
        assert!(
            taken.starts_with("HTTP/1.1 303") && taken.contains("location: /basket"),
            "{taken}"
        );
        let cookie = taken.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
        assert!(taken.contains("HttpOnly; SameSite=Lax"));
        let basket = shop.ask("GET /basket", &format!("cookie: {cookie}\r\n"), "").await;
        assert!(basket.contains("Dawn gooseneck kettle is in your basket."));
        let long = "x".repeat(crate::routes::FORM_BYTES_MAX + 1);
        assert!(shop.ask("POST /basket/add", &own, &long).await.starts_with("HTTP/1.1 413"));
        shop.close().await;
    }
}
