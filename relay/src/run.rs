//! Starts a relay, and winds it down in one order.

mod peering;
mod promoting;

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clickmill_catalog::SourceError;
use clickmill_kafka::ReaderConfig;
use clickmill_sdk_core::wire::{Millis, Topic};
use clickmill_server::admin::{self, Admin, Check, Pages, Readiness};
use clickmill_server::clock::{SharedClock, SystemClock};
use clickmill_server::listen::{ListenError, Listeners};
use clickmill_server::metrics::{Metrics, MetricsError};
use clickmill_server::serve::{ConnectionMetrics, Serve, serve};
use clickmill_server::shutdown::Shutdown;
use clickmill_server::tls::TlsError;
use clickmill_server::token::{KeyError, Signer};
use clickmill_streams::{
    Parts, READ_AHEAD_BYTES_MAX, Runtime, RuntimeConfig, Status, Table, TableConfig,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use self::peering::{Peering, advert, count_partitions};
use self::promoting::Promoting;
use crate::ask::Ask;
use crate::config::{COPIES_COME_FOR, Config, FETCH_WAIT_MAX_MS, Unfit};
use crate::customers::CustomerWatch;
use crate::hints::delivery::Delivery;
use crate::hints::feed::Register;
use crate::hints::hub::Hub;
use crate::learn::{Learning, learn};
use crate::live::Live;
use crate::metrics::{
    self, AskMeters, DeliveryMeters, FeedMeters, HubMeters, ReactMeters, RefusedMeters, StockMeters,
};
use crate::open::Open;
use crate::promotions::report;
use crate::react::{Means, Policy, ProductWatch, React};
use crate::render::Render;
use crate::routes::Routes;
use crate::stock::{AgeWatch, StockWatch};
use crate::tables::Tables;
use crate::views::visitor::VisitorView;
use crate::views::visitor::waits::Stock;
use crate::visitors::Visitors;

/// How often readiness is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long new clicks wait, once everything else is there, until a relay that starts has learned from
/// those of before.
const LEARN_AHEAD_MAX: Duration = Duration::from_millis(200);

/// Why a relay cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Kafka's client cannot be made.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// Keys of tokens or of instances are wrong.
    #[error("a signing key: {0}")]
    Keys(#[from] KeyError),
    /// The listener for other instances cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The settings contradict each other.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The table of metrics is wrong: a fault of the program.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The schemas that tell what is personal cannot be read.
    #[error("open: {0}")]
    Schemas(#[from] SourceError),
    /// Certificate or key of the public listener is no good.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A topic that promotions need is missing.
    #[error("promotions need the topic {0}: `clickmill-catalog apply` makes it")]
    NoTopic(String),
    /// The topic of leases has no order over all its records.
    #[error(
        "promotions need the topic {0} with one partition, and it has {1}: caps in total rest on the order of its records"
    )]
    Unordered(String, u32),
    /// The system lets nobody listen to SIGHUP.
    #[error("SIGHUP cannot be listened to: {0}")]
    Signals(#[from] std::io::Error),
    /// The visitor view or a table cannot be run, or run on.
    #[error(transparent)]
    View(#[from] clickmill_streams::Error),
}

/// Runs a relay until the shutdown begins and the drain has ended, or until it cannot go on.
///
/// # Errors
/// Why it could not start, or go on.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), RunError> {
    if config.view.state_ttl < COPIES_COME_FOR {
        warn!(
            "view.state_ttl is shorter than the eight days for which a copy of an event may come, unless \
             the collectors' limits.event_age_max and spool.age_max say less: copies count twice then"
        );
    }
    let clock = SystemClock::shared();
    let metrics = Metrics::new(metrics::TABLE)?;
    let segments = config.hints.segments.clone();
    let feeds = Register::new(segments, config.hints.feeds_max, FeedMeters::new(&metrics));
    let hub = Hub::with_feeds(config.hints.limits(), HubMeters::new(&metrics), feeds);
    let signer = Signer::new(&config.tokens.keys)?;

    let readers = Readers::start(&config, &metrics, (&hub, &clock))?;
    let promoting = Promoting::start(&config, (&readers.tables, &metrics, &clock)).await?;
    let promoter = promoting.as_ref().map(|promoting| Arc::clone(&promoting.promoter));
    let means = Means {
        tables: readers.tables.clone(),
        hub: Arc::clone(&hub),
        meters: ReactMeters::new(&metrics),
        clock: Arc::clone(&clock),
        promoter: promoter.clone(),
    };
    let open = Open::of(&config.open, &config.topic_prefix)?;
    let policy = Policy { open, ..Policy::of(&config) };
    let lifetime_ms = policy.stock.lifetime_ms;
    let react = Arc::new(React::new(policy, means));
    let stock_meters = (Arc::clone(&hub), StockMeters::new(&metrics));
    let ages = AgeWatch::new(readers.tables.clone(), Policy::of(&config).stock, stock_meters);
    let look_clock = Arc::clone(&clock);
    let visitors = Visitors::default();
    let peering = Peering::open(&config, (&metrics, &hub)).await?;
    let peers = peering.as_ref().map(|peering| Arc::new(peering.peers(&clock)));
    let ask = Arc::new(Ask {
        keys: config.servers.keys.clone(),
        visitors: visitors.clone(),
        peers: peers.clone(),
        meters: AskMeters::new(&metrics),
    });
    let delivery = Arc::new(Delivery {
        hub: Arc::clone(&hub),
        visitors: visitors.clone(),
        react: Arc::clone(&react),
        peers,
        meters: DeliveryMeters::new(&metrics),
        clock: Arc::clone(&clock),
    });
    let render =
        Arc::new(Render { delivery: Arc::clone(&delivery), meters: AskMeters::of_pages(&metrics) });
    let answering = peering.map(|peering| {
        let routes = peering.routes((&ask, &delivery, &render), &clock);
        peering.serve(routes, (&config, &metrics))
    });

    let readiness = Readiness::new(shutdown.clone());
    let checks = Checks::new(&readiness, &readers.tables);
    let stop_admin = Shutdown::new();
    let live = Live::new(config.live.inspector.clone());
    let admin = tokio::spawn(admin::run(Admin {
        listener: listeners.admin,
        metrics: metrics.clone(),
        readiness,
        guarded: None,
        pages: Some(Pages(Arc::new({
            let (promoter, clock) = (promoter.clone(), Arc::clone(&clock));
            move |head| {
                let rules = promoter.as_ref().map(|promoter| promoter.rules());
                let now = Millis(clock.now_ms());
                let listed = rules.and_then(|rules| report::answer(head, (&rules, now)));
                listed.map(admin::at_once).or_else(|| live.answer(head))
            }
        }))),
        stop: stop_admin.clone(),
    }));
    let stop_public = Shutdown::new();
    let public = tokio::spawn(serve(Serve {
        listener: listeners.public,
        transport: config.listen.transport()?,
        service: Routes {
            path_prefix: config.path_prefix.clone(),
            hints: config.hints.clone(),
            signer,
            delivery,
            ask,
            render,
            clock: Arc::clone(&clock),
            refused: RefusedMeters::new(&metrics),
            jitter: RandomState::new(),
        },
        limits: config.connections,
        shutdown: stop_public.clone(),
        grace: config.drain.grace,
        metrics: ConnectionMetrics::new(&metrics, "public"),
    }));

    let may_fold = Arc::new(AtomicBool::new(false));
    let parts = Parts {
        is_ready: Box::new({
            let may_fold = Arc::clone(&may_fold);
            move || may_fold.load(Ordering::Acquire)
        }),
        view: VisitorView {
            rule: config.rule(),
            limits: config.limits(),
            promoter: promoter.clone(),
            stock: Some(Stock { tables: readers.tables.clone(), lifetime_ms }),
        },
        tables: (),
        sink: react,
        now_ms: Box::new(move || clock.now_ms()),
        meters: metrics::view_meters(&metrics),
        on_statistics: Some(Box::new(metrics::lag(&metrics))),
    };
    let (view, outcome) = tokio::select! {
        ended = follow((&config, &visitors, &hub), (parts, &may_fold), (&checks, &readers, &shutdown)) => {
            ended
        }
        Err(error) = count_partitions(&config, &visitors) => (None, Err(error)),
        never = ages.run(&look_clock) => match never {},
        Err(error) = promoting::follow(promoter.as_ref(), (&hub, &look_clock)) => (None, Err(error)),
    };

    // The drain, in this order: readiness has failed with the shutdown; streams end and their
    // pages connect elsewhere; connections finish; the view folds no more and commits what it has
    // folded, while other instances hear that nothing is here any more and the tables end; leases are
    // given back; the admin listener is last.
    let deadline = Instant::now() + config.drain.grace;
    hub.drain();
    stop_public.begin();
    if let Err(error) = public.await {
        warn!(%error, "the public listener broke off");
    }
    // All at once: the partitions belong to nobody until this process is gone and comes back.
    if let Some(promoting) = &promoting {
        promoting.stop_reading();
    }
    let (outcome, (), ()) = tokio::join!(
        async {
            let outcome = match view {
                Some(view) => outcome.and(finish(view, deadline).await),
                None => outcome,
            };
            if let Some(promoting) = promoting {
                promoting.end(deadline).await;
            }
            outcome
        },
        async {
            if let Some(answering) = answering {
                answering.end().await;
            }
        },
        readers.end(),
    );
    stop_admin.begin();
    if let Err(error) = admin.await {
        warn!(%error, "the admin listener broke off");
    }
    info!("relay has ended");
    outcome
}

/// Starts the view, lets it fold once the tables are read, and follows it until the shutdown begins
/// (and its notice is over) or the view ends by itself. Returns the view if it still runs.
async fn follow(
    (config, visitors, hub): (&Config, &Visitors, &Arc<Hub>),
    (parts, may_fold): (Parts<VisitorView, React>, &AtomicBool),
    (checks, readers, shutdown): (&Checks, &Readers, &Shutdown),
) -> (Option<Runtime>, Result<(), RunError>) {
    let (learning, react, hub) = (learning(config), Arc::clone(&parts.sink), Arc::clone(hub));
    let react_is_ready = {
        let react = Arc::clone(&react);
        move || react.is_ready()
    };
    let mut view = match Runtime::start(runtime(config), parts) {
        Ok((view, lookup)) => {
            visitors.set(lookup);
            view
        }
        Err(error) => return (None, Err(error.into())),
    };
    let status = view.status();
    let prepared = async {
        let is_stopped = shutdown.clone();
        let (done, mut learned) = watch::channel(false);
        tokio::task::spawn_blocking(move || {
            learn(&learning, (&react, &hub), (&|| is_stopped.has_begun(), &done));
        });
        // Decisions without tables would be none, and clicks are not decided twice.
        checks.tables_read(&readers.tables).await;
        while !react_is_ready() {
            sleep(LOOK_EVERY).await;
        }
        // It goes on where it takes longer, or breaks off.
        let _ = timeout(LEARN_AHEAD_MAX, learned.wait_for(|learned| *learned)).await;
        may_fold.store(true, Ordering::Release);
        checks.watch(&readers.tables, &status).await;
    };
    let stopped = async {
        shutdown.triggered().await;
        sleep(config.drain.notice).await;
    };
    tokio::select! {
        () = stopped => (Some(view), Ok(())),
        ended = view.ended() => {
            shutdown.begin();
            (None, ended.map_err(RunError::from))
        }
        () = prepared => (Some(view), Ok(())),
    }
}

/// Ends the view: it finishes, commits and gives its partitions back.
async fn finish(mut view: Runtime, deadline: Instant) -> Result<(), RunError> {
    view.status().stop();
    // Its own bound on waiting for acknowledgements comes before the end of the process.
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_secs(2);
    match timeout(left, view.ended()).await {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            warn!("the view did not end in time: outputs since its last commit will be repeated");
            Ok(())
        }
    }
}

pub(crate) fn runtime(config: &Config) -> RuntimeConfig {
    RuntimeConfig {
        name: "visitor",
        kafka: config.kafka.clone(),
        group: config.group(),
        topic: Topic::ClicksRaw.name(&config.topic_prefix),
        siblings: Vec::new(),
        purge: None,
        until: None,
        changelog: config.sessions_topic(),
        advert: advert(config),
        transaction: config.transaction(),
        pacing: config.pacing(),
        state_folder: config.state_folder(),
        write_every: config.view.write_every,
        tombstones_kept: config.view.tombstones_kept,
        restores_max: config.view.restores_max,
        read_ahead_bytes_max: READ_AHEAD_BYTES_MAX,
        bounds: config.bounds(),
        finish_max: config.drain.grace.min(Duration::from_secs(5)),
    }
}

/// What is learned from before the view starts, and from other relays.
fn learning(config: &Config) -> Learning {
    Learning {
        kafka: config.kafka.clone(),
        topic: Topic::ClicksEnriched.name(&config.topic_prefix),
        records_max: config.view.learn_records_max,
        from_others: config.suggest.learn_from_others,
    }
}

/// The tables and the threads that read them.
struct Readers {
    tables: Tables,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(
        config: &Config,
        metrics: &Metrics,
        (hub, clock): (&Arc<Hub>, &SharedClock),
    ) -> Result<Self, RunError> {
        let table = |name, topic: Topic| TableConfig {
            name,
            kafka: config.kafka.clone(),
            reader: ReaderConfig {
                fetch_wait_max_ms: FETCH_WAIT_MAX_MS,
                ..ReaderConfig::new(topic.name(&config.topic_prefix))
            },
        };
        let meters = ReactMeters::new(metrics);
        let (products, first) =
            Table::start(table("products", Topic::Products), ProductWatch(meters.clone()))?;
        let policy = Policy::of(config).stock;
        let rule = policy.rule;
        let watch = StockWatch {
            policy,
            products: products.clone(),
            hub: Arc::clone(hub),
            meters,
            clock: Arc::clone(clock),
        };
        let (stock, second) = Table::start(table("stock", Topic::Stock), watch)?;
        let mut threads = vec![first, second];
        let mut customers = None;
        if config.customers.topic {
            let watch = CustomerWatch(ReactMeters::new(metrics));
            let (read, third) = Table::start(table("customers", Topic::Customers), watch)?;
            threads.push(third);
            customers = Some(read);
        }
        Ok(Self { tables: Tables { products, stock, customers, rule }, threads })
    }

    async fn end(self) {
        self.tables.products.stop();
        self.tables.stock.stop();
        if let Some(customers) = &self.tables.customers {
            customers.stop();
        }
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.unwrap_or(1) > 0 {
            warn!("the thread of a table broke off");
        }
    }
}

/// What must hold for the relay to get traffic.
struct Checks {
    products: Check,
    stock: Check,
    customers: Option<Check>,
    view: Check,
}

impl Checks {
    fn new(readiness: &Readiness, tables: &Tables) -> Self {
        Self {
            products: readiness.check("products"),
            stock: readiness.check("stock"),
            customers: tables.customers.as_ref().map(|_| readiness.check("customers")),
            view: readiness.check("visitors"),
        }
    }

    /// Resolves once the tables have been read.
    async fn tables_read(&self, tables: &Tables) {
        while !self.look_at(tables) {
            sleep(LOOK_EVERY).await;
        }
    }

    fn look_at(&self, tables: &Tables) -> bool {
        let (products, stock) = (tables.products.is_ready(), tables.stock.is_ready());
        tell(&self.products, products, "the table is being read");
        tell(&self.stock, stock, "the table is being read");
        if let Some(check) = &self.customers {
            tell(check, tables.has_customers(), "the table is being read");
        }
        products && stock && tables.has_customers()
    }

    /// Keeps the checks up to date; never resolves.
    async fn watch(&self, tables: &Tables, status: &Status) {
        loop {
            self.look_at(tables);
            let restoring = status.restoring();
            if restoring > 0 {
                self.view.fail(format!("{restoring} partitions are being rebuilt"));
            } else {
                tell(&self.view, status.is_ready(), "no partition was assigned yet");
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn tell(check: &Check, holds: bool, why: &str) {
    if holds {
        check.pass();
    } else {
        check.fail(why);
    }
}
