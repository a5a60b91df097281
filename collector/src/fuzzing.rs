//! Doors for the fuzz targets in `tests/fuzz`: bytes in, facts out. Nothing else goes through them.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use clickmill_catalog::{SchemaSet, Tree};
use clickmill_sdk_core::wire::{Arrival, Doubt, EventId, Millis, Rejection, Topic, VisitorId};
use serde_json::json;

use crate::config::Config;
use crate::decode::{self, DecodeError, DecodeLimits};
use crate::delivery::Delivery;
use crate::identity::{Identities, Stranger};
use crate::link::Question;
use crate::overflow::VisitorQuota;
use crate::site::{Site, Sites};
use crate::spool::disk::RealDisk;
use crate::spool::log::{Log, LogSettings, ReadLimits};
use crate::spool::segment::{self, HEAD_BYTES, Stored};
use crate::validate::{self, Judged, Rules};

/// A collector without its surroundings: it judges bodies for one site at one moment.
#[derive(Debug)]
pub struct Court {
    config: Config,
    limits: DecodeLimits,
    site: Arc<Site>,
    schemas: Arc<SchemaSet>,
    now: Millis,
}

/// What came of a body that was read.
#[derive(Debug)]
pub struct Judgements {
    /// Its events as they came.
    pub originals: Vec<String>,
    /// What was said of them.
    pub all: Vec<Judgement>,
}

/// What came of one event.
#[derive(Debug)]
pub struct Judgement {
    /// Its id, where it could be read.
    pub id: Option<EventId>,
    /// Its record's key.
    pub key: Option<Arc<str>>,
    /// Why it is refused, if it is.
    pub verdict: Result<(), Rejection>,
    /// Where its record or dead letter goes.
    pub topic: Topic,
    /// The record or dead letter.
    pub value: String,
    /// How large that is for Kafka.
    pub wire_bytes: usize,
}

impl Court {
    /// A court for the configuration's first site; none if it has no site.
    pub fn new(config: Config, limits: DecodeLimits, schemas: Arc<SchemaSet>) -> Option<Self> {
        let now = Millis(1_800_000_000_000);
        let key = config.sites.first()?.write_key.clone();
        let site = Arc::clone(Sites::new(&config, now).find(key.as_str())?);
        Some(Self { config, limits, site, schemas, now })
    }

    /// Reads a body and judges its events, as a delivery's way is.
    ///
    /// # Errors
    /// When the body is refused as a whole.
    pub fn judge(&self, body: &[u8]) -> Result<Judgements, DecodeError> {
        let limits = &self.limits;
        let text = decode::unpack(body, limits)?;
        let parcel = decode::read(&text)?;
        decode::check(&parcel.context, &parcel.events, limits)?;
        let arrival = Arrival {
            write_key: self.site.write_key.clone(),
            sent_at: parcel.sent_at.unwrap_or(self.now),
            received_at: self.now,
            attempt: parcel.attempt,
            address: None,
            user_agent: None,
        };
        let delivery = Delivery {
            site: Arc::clone(&self.site),
            arrival,
            shared: parcel.context,
            gpc: false,
            traceparent: None,
            by_cookie: None,
            of_today: None,
        };
        let visitors = VisitorQuota::new(&self.config.limits);
        let rules = Rules {
            limits,
            visitors: &visitors,
            record_bytes_max: self.config.producer.record_bytes_max as usize,
            event_age_max: self.config.limits.event_age_max,
            schemas: &self.schemas,
            unknown_type: self.config.schemas.unknown_type,
            pii_without_consent: self.config.privacy.pii_without_consent,
        };
        let judged = validate::judge(&parcel.events, &delivery, &delivery.common(), &rules);
        Ok(Judgements {
            originals: parcel.events.iter().map(|sent| sent.original.to_owned()).collect(),
            all: judged.into_iter().map(Judgement::from).collect(),
        })
    }
}

impl Court {
    /// Whether a proof shows that a visitor is a customer of the first site, at this court's moment.
    /// None where no event can name these two.
    pub fn proves(&self, proof: &str, customer: &str, visitor: &str) -> Option<Result<(), Doubt>> {
        let context = json!({"visitor": visitor, "customer": customer});
        let delivery = Delivery {
            site: Arc::clone(&self.site),
            arrival: Arrival {
                write_key: self.site.write_key.clone(),
                sent_at: self.now,
                received_at: self.now,
                attempt: 0,
                address: None,
                user_agent: None,
            },
            shared: serde_json::from_value(context).ok()?,
            gpc: false,
            traceparent: None,
            by_cookie: None,
            of_today: None,
        };
        let props = json!({ "proof": proof });
        let about = (&self.site.tenant, &delivery.common().circumstances);
        Some(self.site.proofs.judge(&Tree::from(&props), about, self.now).map(drop))
    }

    /// A link for a visitor, as it is given to one browser. None where no visitor is named so.
    pub fn lends(&self, visitor: &str) -> Option<String> {
        let identities = Identities::new(&self.config).ok()?;
        identities.lend(&VisitorId::parse(visitor).ok()?, &self.browser(), self.now)
    }

    /// Whom that browser's question about a link brings along: nobody where it shows none.
    ///
    /// # Errors
    /// Says why it is refused.
    pub fn follows(&self, question: &[u8]) -> Result<Option<String>, String> {
        let question = Question::read(question).map_err(|refused| refused.to_string())?;
        let Some(link) = question.link else { return Ok(None) };
        let identities = Identities::new(&self.config).map_err(|error| error.to_string())?;
        let visitor = identities.follow(&link, &self.browser(), self.now);
        visitor.map(|id| Some(id.as_str().to_owned())).map_err(|error| error.to_string())
    }

    fn browser(&self) -> Stranger<'_> {
        let address = Ipv4Addr::LOCALHOST.into();
        Stranger { tenant: &self.site.tenant, address, user_agent: "ua" }
    }
}

impl From<Judged> for Judgement {
    fn from(judged: Judged) -> Self {
        let wire_bytes = judged.message.wire_bytes();
        let (topic, value) = (judged.message.topic, judged.message.value);
        Self { id: judged.id, key: judged.key, verdict: judged.verdict, topic, value, wire_bytes }
    }
}

/// How many bytes a body becomes, and how many the memory behind it holds.
///
/// # Errors
/// When it is refused.
pub fn unpacked(body: &[u8], limits: &DecodeLimits) -> Result<(usize, usize), DecodeError> {
    let text = decode::unpack(body, limits)?;
    Ok(match text {
        std::borrow::Cow::Borrowed(text) => (text.len(), text.len()),
        std::borrow::Cow::Owned(text) => (text.len(), text.capacity()),
    })
}

/// What a scan says of a segment's bytes.
#[derive(Debug)]
pub struct Scanned {
    /// How many intact records there are.
    pub records: u64,
    /// Where the first could begin.
    pub begin: usize,
    /// Where the last one ends.
    pub end: usize,
    /// Stretches between them that cannot be read, from and to.
    pub damaged: Vec<(usize, usize)>,
}

/// Reads a whole segment of the spool.
pub fn scan(bytes: &[u8]) -> Scanned {
    let segment::Scan { records, next: _, end, damaged } = segment::scan(bytes, 0);
    Scanned { records, begin: HEAD_BYTES, end, damaged }
}

/// Reads the record that some bytes of a segment begin with, and writes it again.
pub fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let segment::Found::Record(stored, _) = segment::decode(bytes) else { return None };
    let Stored { seq, taken_ms, message } = *stored;
    let mut again = Vec::new();
    segment::encode(seq, taken_ms, &message, &mut again);
    Some(again)
}

/// What a lane of the spool finds after a restart.
#[derive(Debug)]
pub struct Found {
    /// The sequence numbers of what was read.
    pub records: Vec<u64>,
    /// All that is durable lies before this one.
    pub next: u64,
    /// How far reading came.
    pub reached: u64,
}

/// Takes a folder for a lane whose only segment has those bytes, and reads all of it.
///
/// # Errors
/// When the disk fails, or the segment is another version's.
pub fn restarted(folder: &Path, bytes: &[u8], records_max: usize) -> io::Result<Found> {
    fs::write(folder.join("00000000000000000000.seg"), bytes)?;
    let settings = LogSettings { disk: Arc::new(RealDisk), segment_bytes_max: 1 << 20 };
    let mut log = Log::open(folder.to_owned(), 0, settings)?;
    let mut found = Found { records: Vec::new(), next: log.next(), reached: log.cursor() };
    loop {
        let limits = ReadLimits { records_max, bytes_max: 1 << 20 };
        let window = log.read(found.reached, limits)?;
        found.records.extend(window.records.iter().map(|stored| stored.seq));
        if window.reached <= found.reached {
            return Ok(found);
        }
        found.reached = window.reached;
    }
}
