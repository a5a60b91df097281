//! What is asked and what is told, and how both are written: the same between servers and relays,
//! and between relays.

use bytes::Bytes;
use clickmill_sdk_core::wire::json::Writer;
use clickmill_sdk_core::wire::{Tenant, ToJson as _, VisitorId};
use hyper::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Unanswered;
use crate::visitors::Found;

/// The most visitors that are asked for at once.
pub const VISITORS_MAX: usize = 100;

/// What is asked of a tenant's visitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Whose visitors.
    pub tenant: Tenant,
    /// Which of them.
    pub visitors: Vec<VisitorId>,
    /// The events that are to be in the answers: one holds for the visitors of its partition.
    pub after: Vec<Place>,
}

/// Where an event lies in the raw topic: what a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
}

impl Place {
    /// Reads `<partition>.<offset>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (partition, offset) = text.split_once('.')?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(partition) || !plain(offset) {
            return None;
        }
        Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(Unanswered::After))
    }
}

/// A server's list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    visitors: Vec<VisitorId>,
    #[serde(default)]
    after: Vec<Place>,
}

/// The same from another relay, which has looked at the server's key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    tenant: Tenant,
    visitors: Vec<VisitorId>,
    after: Vec<Place>,
}

impl Query {
    /// Reads the body of a server whose key is of that tenant.
    ///
    /// # Errors
    /// [`Unanswered::List`] when it is no such list, or too long.
    pub fn of_tenant(tenant: Tenant, body: &[u8]) -> Result<Self, Unanswered> {
        let List { visitors, after } =
            serde_json::from_slice(body).map_err(|_| Unanswered::List)?;
        Self { tenant, visitors, after }.bounded()
    }

    /// Reads what [`written`](Self::written) wrote.
    ///
    /// # Errors
    /// [`Unanswered::List`] when it is nothing of the kind, or too long.
    pub fn read(body: &[u8]) -> Result<Self, Unanswered> {
        let Passed { tenant, visitors, after } =
            serde_json::from_slice(body).map_err(|_| Unanswered::List)?;
        Self { tenant, visitors, after }.bounded()
    }

    fn bounded(self) -> Result<Self, Unanswered> {
        let fits =
            (1..=VISITORS_MAX).contains(&self.visitors.len()) && self.after.len() <= VISITORS_MAX;
        if fits { Ok(self) } else { Err(Unanswered::List) }
    }

    /// The query as a body for another relay.
    pub fn written(&self) -> Bytes {
        let mut w = Writer::with_capacity(128 + 40 * self.visitors.len());
        w.object(|w| {
            w.field("tenant", Some(&self.tenant));
            w.key("visitors").array(|w| self.visitors.iter().for_each(|visitor| visitor.write(w)));
            w.key("after").array(|w| {
                for Place { partition, offset } in &self.after {
                    w.text(&format!("{partition}.{offset}"));
                }
            });
        });
        w.finish().into()
    }

    /// The part of it that is about some of the visitors, by their places in the list and all
    /// visitors' partitions.
    pub(super) fn part(&self, which: &[usize], partitions: &[u32]) -> Self {
        let visitors = which.iter().map(|at| self.visitors[*at].clone()).collect();
        let concerns = |after: &&Place| which.iter().any(|at| partitions[*at] == after.partition);
        let after = self.after.iter().filter(concerns).copied().collect();
        Self { tenant: self.tenant.clone(), visitors, after }
    }
}

/// What is told of one visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it went.
    pub status: StatusCode,
    /// The visitor's state, or a refusal, as JSON.
    pub answer: String,
}

impl Told {
    /// What was found.
    pub fn of(visitor: &VisitorId, found: &Found) -> Self {
        let mut w = Writer::with_capacity(1024);
        w.object(|w| {
            w.field("visitor", Some(visitor));
            w.field("partition", Some(&found.partition));
            w.number_field("next_offset", found.next);
            found.visitor.parts().write(w.key("state"));
        });
        Self { status: StatusCode::OK, answer: w.finish() }
    }

    /// Reads what [`written`] wrote; none if it is not about so many visitors.
    pub fn read_all(text: &[u8], count: usize) -> Option<Vec<Self>> {
        #[derive(Deserialize)]
        struct All<'a> {
            #[serde(borrow)]
            visitors: Vec<One<'a>>,
        }
        #[derive(Deserialize)]
        struct One<'a> {
            status: u16,
            #[serde(borrow)]
            answer: &'a RawValue,
        }
        let All { visitors } = serde_json::from_slice(text).ok()?;
        let told = visitors.into_iter().map(|One { status, answer }| {
            let status = StatusCode::from_u16(status).ok()?;
            Some(Self { status, answer: answer.get().to_owned() })
        });
        told.collect::<Option<Vec<Self>>>().filter(|told| told.len() == count)
    }
}

impl From<Unanswered> for Told {
    fn from(why: Unanswered) -> Self {
        let (status, refusal) = why.answer();
        Self { status, answer: refusal.to_json() }
    }
}

/// What is told of many visitors, each in its place.
pub fn written(visitors: &[VisitorId], told: &[Told]) -> String {
    let bytes: usize = told.iter().map(|told| told.answer.len() + 128).sum();
    let mut w = Writer::with_capacity(bytes);
    w.object(|w| {
        w.key("visitors").array(|w| {
            for (visitor, told) in visitors.iter().zip(told) {
                w.object(|w| {
                    w.field("visitor", Some(visitor));
                    w.number_field("status", told.status.as_u16().into());
                    w.key("answer").raw(&told.answer);
                });
            }
        });
    });
    w.finish()
}
