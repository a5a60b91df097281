//! A running collector: all its parts, made from one configuration.

use std::sync::Arc;

use clickmill_catalog::Schemas;
use clickmill_sdk_core::wire::{Limits, Millis};
use clickmill_server::body::BodyLimits;
use clickmill_server::clock::SharedClock;
use clickmill_server::metrics::Metrics;
use clickmill_server::token::KeyError;

use crate::admit::AddressQuota;
use crate::books::QueueBooks;
use crate::config::{Config, LimitsConfig};
use crate::decode::DecodeLimits;
use crate::dedup::{Dedup, WindowLimits};
use crate::identity::Identities;
use crate::inspect::Inspector;
use crate::memory::Memory;
use crate::metrics::CollectorMetrics;
use crate::overflow::VisitorQuota;
use crate::produce::Producing;
use crate::refresh::Refresh;
use crate::reload::Source;
use crate::sink::Sink;
use crate::site::{self, Sites};
use crate::trace::Tracer;

/// Queues of SDKs whose books are remembered.
const QUEUES_MAX: usize = 20_000;

/// What a collector is given from outside.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) schemas: Arc<Schemas>,
    /// Keeps the schemas as the registry has them, where there is one.
    pub(crate) refresh: Option<Refresh>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    /// Where the configuration came from.
    pub(crate) source: Source,
}

/// All parts of a collector that requests meet.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) config: Config,
    pub(crate) sites: Sites,
    /// What visitors may send in order.
    pub(crate) visitors: Arc<VisitorQuota>,
    pub(crate) addresses: Arc<AddressQuota>,
    /// What the deliveries that are inside may hold together.
    pub(crate) memory: Memory,
    pub(crate) body_limits: BodyLimits,
    pub(crate) decode_limits: DecodeLimits,
    /// The largest record that Kafka takes, in bytes.
    pub(crate) record_bytes_max: usize,
    /// What senders are told to keep to.
    pub(crate) limits_told: Limits,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) producing: Arc<Producing>,
    pub(crate) identities: Identities,
    pub(crate) books: Arc<QueueBooks>,
    /// Shows what becomes of events to those who look.
    pub(crate) inspector: Inspector,
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<CollectorMetrics>,
}

impl Collector {
    /// Puts a collector together. Errors if the signing keys are no good.
    pub(crate) fn new(parts: Parts) -> Result<Self, KeyError> {
        let Parts { config, sink, schemas, clock, metrics, .. } = parts;
        let inspector = Inspector::new(&config.inspect, &metrics);
        let metrics = Arc::new(CollectorMetrics::new(&metrics));
        let limits = &config.limits;
        let age_ms_max = u64::try_from(config.dedup.age_max.as_millis()).unwrap_or(u64::MAX);
        let window = WindowLimits { events_max: config.dedup.events_max, age_ms_max };
        Ok(Self {
            sites: Sites::new(&config, Millis(clock.now_ms())),
            visitors: Arc::new(VisitorQuota::new(limits)),
            addresses: Arc::new(AddressQuota::new(limits)),
            memory: Memory::new(limits.memory_bytes_max, metrics.no_room.clone()),
            body_limits: body_limits(limits),
            decode_limits: decode_limits(limits),
            record_bytes_max: config.producer.record_bytes_max as usize,
            limits_told: site::limits_told(&config),
            schemas,
            producing: Arc::new(Producing {
                sink,
                dedup: Dedup::new(window),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                ack_timeout: limits.ack_timeout,
            }),
            identities: Identities::new(&config)?,
            books: Arc::new(QueueBooks::new(QUEUES_MAX)),
            inspector,
            tracer: Arc::new(Tracer::new(&config.traces, metrics.spans_left_out.clone())),
            clock,
            metrics,
            config,
        })
    }

    /// The same collector under another configuration: what it has remembered, counted and promised
    /// goes on. Errors if the signing keys are no good.
    pub(crate) fn renewed(&self, config: Config) -> Result<Self, KeyError> {
        let limits = &config.limits;
        let addresses = if AddressQuota::is_same(limits, &self.config.limits) {
            Arc::clone(&self.addresses)
        } else {
            Arc::new(AddressQuota::new(limits))
        };
        let visitors = if VisitorQuota::is_same(limits, &self.config.limits) {
            Arc::clone(&self.visitors)
        } else {
            Arc::new(VisitorQuota::new(limits))
        };
        let tracer = if config.traces == self.config.traces {
            Arc::clone(&self.tracer)
        } else {
            Arc::new(Tracer::new(&config.traces, self.metrics.spans_left_out.clone()))
        };
        Ok(Self {
            visitors,
            sites: self.sites.renewed(&config, self.now()),
            addresses,
            memory: self.memory.clone(),
            body_limits: body_limits(limits),
            decode_limits: decode_limits(limits),
            record_bytes_max: self.record_bytes_max,
            limits_told: site::limits_told(&config),
            schemas: Arc::clone(&self.schemas),
            producing: Arc::clone(&self.producing),
            identities: Identities::new(&config)?,
            books: Arc::clone(&self.books),
            inspector: self.inspector.clone(),
            tracer,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            config,
        })
    }

    /// The wall time.
    pub(crate) fn now(&self) -> Millis {
        Millis(self.clock.now_ms())
    }
}

fn body_limits(limits: &LimitsConfig) -> BodyLimits {
    BodyLimits { bytes_max: limits.body_bytes_max, timeout: limits.body_timeout }
}

pub(crate) fn decode_limits(limits: &LimitsConfig) -> DecodeLimits {
    let batch_events_max = usize::try_from(limits.batch_events_max.get());
    DecodeLimits {
        inflated_bytes_max: limits.inflated_bytes_max,
        batch_events_max: batch_events_max.unwrap_or(usize::MAX),
        context_bytes_max: limits.context_bytes_max,
        event_bytes_max: limits.event_bytes_max,
        depth_max: limits.depth_max,
    }
}
