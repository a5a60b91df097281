//! Run: starts a collector, watches what it stands on, and drains it in one written order.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clickmill_catalog::{Builtin, Folder, SchemaSource, Schemas, SourceError};
use clickmill_server::admin::{self, Admin, Check, Readiness};
use clickmill_server::clock::{SharedClock, SystemClock};
use clickmill_server::listen::Listeners;
use clickmill_server::metrics::{Metrics, MetricsError};
use clickmill_server::reload::Changes;
use clickmill_server::serve::{ConnectionMetrics, Serve, serve};
use clickmill_server::shutdown::Shutdown;
use clickmill_server::tls::TlsError;
use clickmill_server::token::KeyError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::collector::{Collector, Parts};
use crate::config::{BadConfig, Config};
use crate::inspect;
use crate::metrics::TABLE;
use crate::refresh::{Refresh, START_WAIT};
use crate::reload::{Current, Reload, Source};
use crate::routes::Routes;
use crate::sink::{Health, KafkaSettings, KafkaSink, Sink, Spooling, Standing};
use crate::spool::SpoolError;

/// How often the sink is asked whether it would take something.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// The least time that the producer has for what is left, whatever requests took of the grace.
const FLUSH_TIME_MIN: Duration = Duration::from_secs(1);

/// Why a collector did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The producer cannot be made.
    #[error("kafka: {0}")]
    Kafka(#[from] clickmill_kafka::Error),
    /// The signing keys are no good.
    #[error("tokens.keys: {0}")]
    Keys(#[from] KeyError),
    /// The table of metrics is wrong.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The schemas cannot be read.
    #[error("schemas: {0}")]
    Schemas(#[from] SourceError),
    /// The schemas were being read when the runtime ended.
    #[error("the schemas could not be read to the end")]
    SchemasInterrupted,
    /// A schema is no good.
    #[error("schemas: {0}")]
    SchemaRefused(#[from] clickmill_catalog::Refusal),
    /// The spool cannot be opened.
    #[error("spool.dir: {0}")]
    Spool(#[from] SpoolError),
    /// The system lets nobody listen to SIGHUP.
    #[error("SIGHUP cannot be listened to: {0}")]
    Signals(#[from] std::io::Error),
    /// Certificate or key of the public listener is no good.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Records were left when the time was up; their senders got no success answer for them.
    #[error("drain: {0}")]
    Unflushed(String),
}

/// Runs a collector until the shutdown begins and its drain has ended.
///
/// The drain: readiness fails at once; after `drain.notice` accepting stops; open requests finish;
/// the producer is flushed, and what Kafka does not take goes into the spool if there is one; the
/// admin listener ends. Requests and flush are bounded by
/// `drain.grace`.
///
/// # Errors
/// When it cannot start, or when records were left at the end of the drain.
pub async fn run(
    config: Config,
    source: Source,
    listeners: Listeners,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    config.check()?;
    let metrics = Metrics::new(TABLE)?;
    let settings = KafkaSettings {
        kafka: config.kafka.clone(),
        producer: config.producer.clone(),
        topic_prefix: config.topic_prefix.clone(),
    };
    let kafka = Arc::new(KafkaSink::new(settings, metrics.clone())?);
    let schemas = open_schemas(&config).await?;
    let clock = SystemClock::shared();
    let refresh = open_registry(&config, START_WAIT, &schemas, (&clock, &metrics)).await?;
    let sink: Arc<dyn Sink> = match &config.spool.dir {
        None => kafka,
        Some(_) => Arc::new(Spooling::open(&config.spool, kafka, clock.clone(), &metrics).await?),
    };
    run_parts(Parts { config, sink, schemas, refresh, clock, metrics, source }, listeners, shutdown)
        .await
}

/// Reads and compiles the schemas. At the start a bad one is an error: events that it would have
/// judged must not be refused for want of it.
pub(crate) async fn open_schemas(config: &Config) -> Result<Arc<Schemas>, RunError> {
    let builtin = config.schemas.builtin.then(|| Box::new(Builtin) as Box<dyn SchemaSource>);
    let folders = config.schemas.folders.iter();
    let folders = folders.map(|folder| Box::new(Folder::new(folder)) as Box<dyn SchemaSource>);
    let sources = builtin.into_iter().chain(folders).collect();
    let formats = config.schemas.formats;
    let opened = tokio::task::spawn_blocking(move || Schemas::open_with(sources, formats)).await;
    let (schemas, refused) = opened.map_err(|_| RunError::SchemasInterrupted)??;
    match refused.into_iter().next() {
        Some(refusal) => Err(refusal.into()),
        None => Ok(Arc::new(schemas)),
    }
}

/// Adds the registry's schemas, where there is one; with a copy of them at hand it waits for the
/// registry no longer than that. Unlike a folder, others than this collector's operators write into
/// it: a bad schema in it is left out, and no error.
pub(crate) async fn open_registry(
    config: &Config,
    wait: Duration,
    schemas: &Arc<Schemas>,
    (clock, metrics): (&SharedClock, &Metrics),
) -> Result<Option<Refresh>, BadConfig> {
    let every = config.schemas.registry.refresh_every;
    let Some(registry) = config.schemas.registry.open()? else { return Ok(None) };
    let (schemas, clock) = (Arc::clone(schemas), Arc::clone(clock));
    Ok(Some(Refresh::start(registry, schemas, (every, wait), (clock, metrics)).await))
}

/// Runs a collector from its parts: with Kafka in production, with a fake sink in tests.
pub(crate) async fn run_parts(
    mut parts: Parts,
    listeners: Listeners,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let (metrics, refresh) = (parts.metrics.clone(), parts.refresh.take());
    let source = std::mem::take(&mut parts.source);
    let changes = Changes::install()?;
    let transport = parts.config.listen.transport()?;
    let collector = Arc::new(Collector::new(parts)?);
    let sink = Arc::clone(&collector.producing.sink);
    let current: Current = Arc::new(ArcSwap::new(Arc::clone(&collector)));
    let reload = Reload { source, current: Arc::clone(&current), tls: transport.tls.clone() };
    let reload = tokio::spawn(reload.follow(changes));
    let readiness = Readiness::new(shutdown.clone());
    let watch = tokio::spawn(watch(Arc::clone(&collector), Checks::new(&readiness)));
    let refresh = refresh.map(|refresh| tokio::spawn(refresh.run(readiness.check("registry"))));
    let admin_stop = Shutdown::new();
    let token = collector.config.inspect.token.clone();
    let guarded = inspect::guarded(collector.inspector.clone(), token, admin_stop.clone());
    let admin = tokio::spawn(admin::run(Admin {
        listener: listeners.admin,
        metrics: metrics.clone(),
        readiness,
        guarded: Some(guarded),
        pages: None,
        stop: admin_stop.clone(),
    }));

    let grace = collector.config.drain.grace;
    let accept_stop = Shutdown::new();
    let serving = serve(Serve {
        listener: listeners.public,
        transport,
        service: Routes::new(current),
        limits: collector.config.connections,
        shutdown: accept_stop.clone(),
        grace,
        metrics: ConnectionMetrics::new(&metrics, "public"),
    });
    let notice = collector.config.drain.notice;
    let begin_drain = async move {
        shutdown.triggered().await;
        sleep(notice).await;
        accept_stop.begin();
        Instant::now() + grace
    };
    let (drained, grace_end) = tokio::join!(serving, begin_drain);
    let flush_end = grace_end.max(Instant::now() + FLUSH_TIME_MIN);
    let flushed = sink.flush(flush_end).await;
    tracing::info!(
        connections_finished = drained.finished,
        connections_cut = drained.cut,
        flushed = flushed.is_ok(),
        "drained"
    );
    reload.abort();
    watch.abort();
    if let Some(refresh) = refresh {
        refresh.abort();
    }
    admin_stop.begin();
    // A listener that panicked has nothing left to end.
    let _ = admin.await;
    flushed.map_err(RunError::Unflushed)
}

/// What a collector must have to get traffic.
struct Checks {
    readiness: Readiness,
    kafka: Check,
    /// Once it is known that there is a spool.
    spool: Option<Check>,
    schemas: Check,
}

impl Checks {
    fn new(readiness: &Readiness) -> Self {
        let (kafka, schemas) = (readiness.check("kafka"), readiness.check("schemas"));
        Self { readiness: readiness.clone(), kafka, spool: None, schemas }
    }

    /// Shows how things stand on the way out.
    fn show(&mut self, standing: Standing) {
        show(&self.kafka, standing.way);
        if let Some(health) = standing.spool {
            show(self.spool.get_or_insert_with(|| self.readiness.check("spool")), health);
        }
    }
}

fn show(check: &Check, health: Health) {
    match health {
        Health::Good => check.pass(),
        Health::Bearable(note) => check.pass_noting(note),
        Health::Away(why) | Health::Broken(why) => check.fail(why),
    }
}

/// Keeps readiness and the gauges true.
async fn watch(collector: Arc<Collector>, mut checks: Checks) {
    let mut ticks = interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if collector.schemas.load().is_empty() {
            checks.schemas.fail("there is none");
        } else {
            checks.schemas.pass();
        }
        collector.metrics.schemas.set(collector.schemas.load().len() as f64);
        let (remembered, pending) = collector.producing.dedup.size();
        collector.metrics.remembered.set(remembered as f64);
        collector.metrics.pending.set(pending as f64);
        collector.metrics.memory_bytes.set(collector.memory.taken() as f64);
        checks.show(collector.producing.sink.probe().await);
    }
}
