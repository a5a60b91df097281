//! What an instance has for the others: the table of owners, a listener, and how it makes itself
//! known.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clickmill_kafka::{Admin, ReaderConfig};
use clickmill_sdk_core::wire::Topic;
use clickmill_server::clock::SharedClock;
use clickmill_server::listen;
use clickmill_server::metrics::Metrics;
use clickmill_server::serve::{ConnectionLimits, ConnectionMetrics, Serve, Transport, serve};
use clickmill_server::shutdown::Shutdown;
use clickmill_server::token::Signer;
use clickmill_streams::{Advert, Owners, Poison, Raw, Table, TableConfig, Watch};
use tokio::net::TcpListener;
use tokio::task::JoinHandle as Task;
use tokio::time::sleep;
use tracing::{info, warn};

use super::RunError;
use crate::ask::Ask;
use crate::config::{Config, FETCH_WAIT_MAX_MS};
use crate::hints::delivery::Delivery;
use crate::hints::hub::Hub;
use crate::metrics::ReactMeters;
use crate::peers::{Client, PeerRoutes, Peers};
use crate::render::Render;
use crate::visitors::Visitors;

/// How often the raw topic's partitions are counted, and how soon again while that fails.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const COUNT_AGAIN: Duration = Duration::from_millis(200);

/// How long Kafka may take to tell.
const ADMIN_WAIT: Duration = Duration::from_secs(5);

/// How long what other instances have asked may take to be answered at the end.
const GRACE: Duration = Duration::from_secs(1);

/// What this instance has for the others.
pub(super) struct Peering {
    listener: TcpListener,
    address: String,
    signer: Signer,
    owners: Table<Owners>,
    thread: JoinHandle<()>,
    requests_max: u32,
}

impl Peering {
    /// Binds the listener and starts to read who owns what; none where nobody is to be asked.
    pub(super) async fn open(
        config: &Config,
        (metrics, hub): (&Metrics, &Arc<Hub>),
    ) -> Result<Option<Self>, RunError> {
        let peers = &config.peers;
        let Some(addr) = peers.listen else { return Ok(None) };
        let address = peers.address(addr)?;
        let listener = listen::bind(addr, "peers.listen").await?;
        let table = TableConfig {
            name: "owners",
            kafka: config.kafka.clone(),
            reader: ReaderConfig {
                fetch_wait_max_ms: FETCH_WAIT_MAX_MS,
                ..ReaderConfig::new(owners_topic(config))
            },
        };
        let watch = OwnersWatch { meters: ReactMeters::new(metrics), hub: Arc::clone(hub) };
        let (owners, thread) = Table::start(table, watch)?;
        let signer = Signer::new(&peers.keys)?;
        let requests_max = peers.requests_max;
        Ok(Some(Self { listener, address, signer, owners, thread, requests_max }))
    }

    /// The way to the others.
    pub(super) fn peers(&self, clock: &SharedClock) -> Peers {
        Peers {
            owners: self.owners.clone(),
            address: self.address.clone(),
            signer: self.signer.clone(),
            client: Client::new(usize::try_from(self.requests_max).unwrap_or(usize::MAX)),
            clock: Arc::clone(clock),
        }
    }

    /// What answers the others.
    pub(super) fn routes(
        &self,
        (ask, delivery, render): (&Arc<Ask>, &Arc<Delivery>, &Arc<Render>),
        clock: &SharedClock,
    ) -> PeerRoutes {
        PeerRoutes {
            ask: Arc::clone(ask),
            delivery: Arc::clone(delivery),
            render: Arc::clone(render),
            signer: self.signer.clone(),
            address: self.address.clone(),
            clock: Arc::clone(clock),
        }
    }

    /// Answers the others until the end is asked for.
    pub(super) fn serve(
        self,
        routes: PeerRoutes,
        (config, metrics): (&Config, &Metrics),
    ) -> Answering {
        let Self { listener, address, signer: _, owners, thread, requests_max } = self;
        // All streams of an instance may have their visitors here.
        let streams = u32::try_from(config.hints.streams_max).unwrap_or(u32::MAX);
        let requests_max = requests_max.saturating_add(streams);
        info!(address, "other instances may ask");
        let shutdown = Shutdown::new();
        let limits = ConnectionLimits::default();
        let serving = tokio::spawn(serve(Serve {
            listener,
            transport: Transport::default(),
            service: routes,
            // Each instance has one connection with all its streams, and those with what it asks.
            limits: ConnectionLimits {
                streams_max: requests_max.try_into().unwrap_or(limits.streams_max),
                ..limits
            },
            shutdown: shutdown.clone(),
            grace: GRACE,
            metrics: ConnectionMetrics::new(metrics, "peers"),
        }));
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                warn!(%error, "the listener for other instances broke off");
            }
        });
        Answering { shutdown, serving, owners, thread }
    }
}

/// The listener for the others, and the table.
pub(super) struct Answering {
    shutdown: Shutdown,
    serving: Task<()>,
    owners: Table<Owners>,
    thread: JoinHandle<()>,
}

impl Answering {
    /// Ends both.
    pub(super) async fn end(self) {
        self.shutdown.begin();
        self.owners.stop();
        if self.serving.await.is_err() {
            warn!("the listener for other instances broke off");
        }
        let thread = self.thread;
        if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
            warn!("the thread of the owners' table broke off");
        }
    }
}

/// How this instance makes known which partitions it owns.
pub(super) fn advert(config: &Config) -> Option<Advert> {
    let address = config.peers.address(config.peers.listen?).ok()?;
    Some(Advert { topic: owners_topic(config), address })
}

fn owners_topic(config: &Config) -> String {
    Topic::RelayOwners.name(&config.topic_prefix)
}

/// Counts the raw topic's partitions now and then; never resolves.
pub(super) async fn count_partitions(config: &Config, visitors: &Visitors) -> Result<(), RunError> {
    let admin = Admin::new(&config.kafka, ADMIN_WAIT)?;
    let topic = Topic::ClicksRaw.name(&config.topic_prefix);
    let mut before = None;
    loop {
        match admin.partitions(&topic).await {
            Ok(Some(count)) => {
                if before.is_some_and(|before| before != count) {
                    warn!(
                        topic,
                        count, "the topic has other partitions: visitors begin anew in them"
                    );
                }
                before = Some(count);
                visitors.set_partitions(count);
                sleep(COUNT_EVERY).await;
            }
            Ok(None) => sleep(COUNT_AGAIN).await,
            Err(error) => {
                warn!(topic, %error, "its partitions cannot be counted");
                sleep(COUNT_AGAIN).await;
            }
        }
    }
}

/// Counts records that name no owner.
/// Streams that wait for an owner hear of a new one.
struct OwnersWatch {
    meters: ReactMeters,
    hub: Arc<Hub>,
}

impl Watch<Owners> for OwnersWatch {
    fn applied(&self, _: &Table<Owners>, _: &Raw<'_>) {
        self.hub.tell_news();
    }

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        self.meters.poisoned("owners", poison.reason);
        warn!(place = %raw.place, %poison, "a record of the owners' topic is passed over");
    }
}
