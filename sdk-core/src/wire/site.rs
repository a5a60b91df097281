//! What the SDK is told about the site it runs on: the answer of `GET /v1/config`.

use super::Millis;
use super::consent::{Consent, Purpose};
use super::id::EventType;
use super::json::{NotJson, ToJson, Value, Writer};
use super::{Experiment, Limits};

/// The site's settings. Absent parts keep the SDK's own defaults.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default))]
pub struct SiteConfig {
    /// Event types that are sent at once: those after which the page goes away.
    pub urgent: Vec<EventType>,
    /// When the others are sent.
    pub flush: Flush,
    /// What a sender keeps to.
    pub limits: Limits,
    /// What counts as granted while the visitor has said nothing.
    pub consent: Consent,
    /// The experiments that run on this site.
    pub experiments: Vec<Experiment>,
    /// Moment these settings were made, to tell newer from older.
    pub as_of: Millis,
}

/// When a batch that is not urgent is sent: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct Flush {
    /// So many events wait.
    pub events: u32,
    /// So many bytes wait.
    pub bytes: u64,
    /// The oldest has waited this long, ms.
    pub age_ms: u64,
}

impl Default for Flush {
    fn default() -> Self {
        Self { events: 20, bytes: 16 * 1024, age_ms: 3000 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        // A browser shares 64 KiB among all its keepalive requests; a batch stays well below.
        Self { batch_bytes_max: 48 * 1024, batch_events_max: 100, event_bytes_max: 16 * 1024 }
    }
}

/// The event types that are sent at once where a site does not say: a JSON list.
pub(crate) const URGENT: &str =
    r#"["basket_add","checkout_step","consent","order","page_view","product_click"]"#;

impl Default for SiteConfig {
    fn default() -> Self {
        // What stands between the quotes: names, and commas and brackets that are none.
        let urgent = URGENT.split('"').filter_map(|kind| EventType::parse(kind).ok()).collect();
        Self {
            urgent,
            flush: Flush::default(),
            limits: Limits::default(),
            consent: Consent::default(),
            experiments: Vec::new(),
            as_of: Millis::default(),
        }
    }
}

impl SiteConfig {
    /// Reads one in the browser; unreadable parts keep their defaults, so that an older SDK can
    /// live with newer settings.
    pub fn read(text: &str) -> Result<Self, NotJson> {
        let value = Value::read(text)?;
        let mut config = Self::default();
        if let Some(urgent) = value.get("urgent") {
            let kinds = urgent.list().iter().filter_map(Value::text);
            config.urgent = kinds.filter_map(|kind| EventType::parse(kind).ok()).collect();
        }
        let number = |group: &str, name: &str| value.get(group)?.get(name)?.number();
        let small = |group: &str, name: &str| u32::try_from(number(group, name)?).ok();
        let (flush, limits) = (&mut config.flush, &mut config.limits);
        set(&mut flush.events, small("flush", "events"));
        set(&mut flush.bytes, number("flush", "bytes"));
        set(&mut flush.age_ms, number("flush", "age_ms"));
        set(&mut limits.batch_bytes_max, number("limits", "batch_bytes_max"));
        set(&mut limits.batch_events_max, small("limits", "batch_events_max"));
        set(&mut limits.event_bytes_max, number("limits", "event_bytes_max"));
        if let Some(granted) = value.get("consent").and_then(|consent| consent.get("granted")) {
            let names = granted.list().iter().filter_map(Value::text);
            config.consent.granted = names.filter_map(Purpose::parse).collect();
        }
        if let Some(experiments) = value.get("experiments") {
            config.experiments =
                experiments.list().iter().filter_map(Experiment::from_value).collect();
        }
        set(&mut config.as_of.0, value.get("as_of").and_then(Value::number));
        Ok(config)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl ToJson for SiteConfig {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.key("urgent").array(|w| self.urgent.iter().for_each(|kind| kind.write(w)));
            w.field("flush", Some(&self.flush));
            w.field("limits", Some(&self.limits));
            w.field("consent", Some(&self.consent));
            w.list_field("experiments", &self.experiments);
            w.field("as_of", Some(&self.as_of));
        });
    }
}

impl ToJson for Flush {
    fn write(&self, w: &mut Writer) {
        w.object(|w| {
            w.field("events", Some(&self.events));
            w.field("bytes", Some(&self.bytes));
            w.field("age_ms", Some(&self.age_ms));
        });
    }
}
