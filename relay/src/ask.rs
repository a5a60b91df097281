//! Answers web servers: what is remembered of their visitors, on whichever instance they ask.
//!
//! - `GET /v1/visitors/{id}`: one visitor. `after=<partition>.<offset>`, as a receipt tells it, has
//!   the answer wait until that event is in it.
//! - `POST /v1/visitors` with `{"visitors": [id, …], "after": [place, …]}`: up to
//!   [`VISITORS_MAX`], each with its own status, in their order.
//!
//! Both with `Authorization: Bearer <key>`. The key names its tenant, so a server sees its own
//! visitors alone. What another instance remembers is asked of that one, in one hop.

mod query;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clickmill_sdk_core::wire::{Refusal, RefusalCode, Tenant, VisitorId};
use clickmill_server::bearer::bearer;
use clickmill_server::body::BodyError;
use clickmill_server::query as parameters;
use clickmill_streams::NotHere;
use futures_util::future::join_all;
use hyper::header::HeaderMap;
use hyper::{StatusCode, Uri};
use tokio::time::{Instant, sleep};

use crate::config::ServerKey;
use crate::hints::hub::Subject;
use crate::metrics::AskMeters;
use crate::peers::Peers;
use crate::visitors::Visitors;

pub use query::{Place, Query, Told, VISITORS_MAX, written};

/// What comes before a visitor's id in the path; without the slash, where many are asked for.
pub const PATH: &str = "/v1/visitors/";

/// How long an answer may wait for a busy view, for the event it is to come after, or for a
/// partition that changes hands.
pub const WAIT_MAX: Duration = Duration::from_secs(2);

/// Between two looks at who owns a partition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why a server gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no key, or it is nobody's.
    #[error("show a server's key: `Authorization: Bearer <key>`")]
    Key,
    /// The path names no visitor.
    #[error("that is no visitor's id")]
    Visitor,
    /// The moment to wait for cannot be read.
    #[error("`after` must be a partition and an offset joined by a dot, as a receipt tells them")]
    After,
    /// The moment to wait for says nothing of whom is asked for.
    #[error("`after` names a partition that none of the visitors lies in")]
    OtherPartition,
    /// The body is no list of visitors.
    #[error(
        "the body must be `{{\"visitors\": [id, …]}}` with 1 to {VISITORS_MAX} visitors' ids, and \
         as many places in `after` at the most"
    )]
    List,
    /// The body cannot be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Nothing is remembered of the visitor.
    #[error("nothing is known of this visitor")]
    Unknown,
    /// Another instance owns the visitor's partition.
    #[error("another instance owns this visitor's partition")]
    Elsewhere,
    /// It cannot be told in time.
    #[error("this cannot be told yet; another try may")]
    NotYet,
}

impl Unanswered {
    /// What the server is told.
    pub fn answer(self) -> (StatusCode, Refusal) {
        const LATER: Option<u64> = Some(1_000);
        let (status, error, retry_after_ms) = match self {
            Self::Key => (StatusCode::UNAUTHORIZED, RefusalCode::Unauthorized, None),
            Self::Visitor | Self::After | Self::OtherPartition | Self::List => {
                (StatusCode::BAD_REQUEST, RefusalCode::Malformed, None)
            }
            Self::Body(BodyError::Broken) => {
                (StatusCode::BAD_REQUEST, RefusalCode::BodyBroken, None)
            }
            Self::Body(BodyError::TooLarge(_)) => {
                (StatusCode::PAYLOAD_TOO_LARGE, RefusalCode::BodyTooLarge, None)
            }
            Self::Body(BodyError::TimedOut(_)) => {
                (StatusCode::REQUEST_TIMEOUT, RefusalCode::BodyTooSlow, None)
            }
            Self::Unknown => (StatusCode::NOT_FOUND, RefusalCode::NotFound, None),
            Self::Elsewhere => (StatusCode::MISDIRECTED_REQUEST, RefusalCode::Unavailable, LATER),
            Self::NotYet => (StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Unavailable, LATER),
        };
        (status, Refusal { error, detail: self.to_string(), retry_after_ms })
    }
}

/// Answers what servers ask.
#[derive(Debug)]
pub struct Ask {
    /// The servers' keys.
    pub keys: Vec<ServerKey>,
    /// What is remembered here.
    pub visitors: Visitors,
    /// The other instances; none where this is the only one.
    pub peers: Option<Arc<Peers>>,
    /// What is counted.
    pub meters: AskMeters,
}

/// Who answers for a visitor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// This process.
    Here,
    /// The instance at that address.
    There(String),
    /// Nobody at this moment.
    Nowhere,
}

impl Ask {
    /// Answers `GET /v1/visitors/{id}`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn one(
        &self,
        id: &str,
        (uri, headers): (&Uri, &HeaderMap),
    ) -> Result<Told, Unanswered> {
        let tenant = self.admit(headers)?;
        let visitor = VisitorId::parse(id).map_err(|_| Unanswered::Visitor)?;
        let after = match parameters::find(uri, "after") {
            Some(after) => vec![Place::parse(&after).ok_or(Unanswered::After)?],
            None => Vec::new(),
        };
        let query = Query { tenant: tenant.clone(), visitors: vec![visitor], after };
        let told = self.answer(&query, Instant::now() + WAIT_MAX).await?;
        Ok(told.into_iter().next().unwrap_or_else(|| Unanswered::NotYet.into()))
    }

    /// Whose key is shown.
    ///
    /// # Errors
    /// When it is nobody's.
    pub fn admit(&self, headers: &HeaderMap) -> Result<&Tenant, Unanswered> {
        admit(headers, &self.keys)
    }

    /// Answers `POST /v1/visitors` of a tenant: each visitor in its place.
    ///
    /// # Errors
    /// Why there is no answer at all.
    pub async fn many(&self, tenant: &Tenant, body: &Bytes) -> Result<String, Unanswered> {
        let query = Query::of_tenant(tenant.clone(), body)?;
        let told = self.answer(&query, Instant::now() + WAIT_MAX).await?;
        Ok(written(&query.visitors, &told))
    }

    /// Answers from what is remembered here: the second and last hop of what another instance was
    /// asked.
    pub async fn here(&self, query: &Query, deadline: Instant) -> Vec<Told> {
        let caught_up = query.after.iter().map(|after| self.caught_up(*after, deadline));
        let late: BTreeMap<u32, Unanswered> =
            join_all(caught_up).await.into_iter().flatten().collect();
        let told = query.visitors.iter().map(|visitor| async {
            let subject = Subject::new(&query.tenant, visitor);
            let late = match self.visitors.partition_of(subject.key()) {
                Ok(partition) => late.get(&partition).copied(),
                Err(_) => Some(Unanswered::NotYet),
            };
            match late {
                Some(why) => Told::from(why),
                None => match self.visitors.find(subject.key(), deadline).await {
                    Ok(found) => Told::of(visitor, &found),
                    Err(why) => Told::from(Unanswered::from(why)),
                },
            }
        });
        join_all(told).await
    }

    async fn caught_up(&self, after: Place, deadline: Instant) -> Option<(u32, Unanswered)> {
        let caught_up = self.visitors.caught_up((after.partition, after.offset), deadline).await;
        caught_up.err().map(|why| (after.partition, why.into()))
    }

    /// Asks whoever knows. A partition that changes hands is waited for: its new owner is asked once
    /// that is known, and nobody is asked twice in one epoch.
    async fn answer(&self, query: &Query, deadline: Instant) -> Result<Vec<Told>, Unanswered> {
        let partitions = self.partitions(query)?;
        if !query.after.iter().all(|after| partitions.contains(&after.partition)) {
            return Err(Unanswered::OtherPartition);
        }
        let mut told: Vec<Option<Told>> = vec![None; query.visitors.len()];
        let mut refused = BTreeMap::new();
        loop {
            let mut ways: BTreeMap<Way, Vec<usize>> = BTreeMap::new();
            let mut asked = BTreeMap::new();
            for at in (0..told.len()).filter(|at| told[*at].is_none()) {
                let (way, epoch) = self.way(partitions[at], &refused);
                ways.entry(way).or_default().push(at);
                asked.insert(partitions[at], epoch);
            }
            let going = ways.iter().map(|(way, which)| async {
                self.go(way, &query.part(which, &partitions), deadline).await
            });
            for (which, answers) in ways.values().zip(join_all(going).await) {
                for (at, answer) in which.iter().zip(answers) {
                    if answer.status != StatusCode::MISDIRECTED_REQUEST {
                        told[*at] = Some(answer);
                    } else if let Some(Some(epoch)) = asked.get(&partitions[*at]) {
                        refused.insert(partitions[*at], *epoch);
                    }
                }
            }
            let is_done = self.peers.is_none() || told.iter().all(Option::is_some);
            if is_done || Instant::now() >= deadline {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        let left = if self.peers.is_some() { Unanswered::NotYet } else { Unanswered::Elsewhere };
        Ok(told.into_iter().map(|told| told.unwrap_or_else(|| left.into())).collect())
    }

    fn partitions(&self, query: &Query) -> Result<Vec<u32>, Unanswered> {
        let of = |visitor| {
            let subject = Subject::new(&query.tenant, visitor);
            self.visitors.partition_of(subject.key()).map_err(Unanswered::from)
        };
        query.visitors.iter().map(of).collect()
    }

    /// Who is to be asked about a partition, and the epoch of an owner elsewhere. `refused` holds the
    /// epochs whose owner did not have it.
    fn way(&self, partition: u32, refused: &BTreeMap<u32, u64>) -> (Way, Option<u64>) {
        if self.visitors.holds(partition) {
            return (Way::Here, None);
        }
        let owner = self.peers.as_ref().and_then(|peers| peers.owner(partition));
        match owner {
            Some(owner) if refused.get(&partition).is_none_or(|epoch| owner.epoch > *epoch) => {
                (Way::There(owner.address), Some(owner.epoch))
            }
            Some(_) | None => (Way::Nowhere, None),
        }
    }

    async fn go(&self, way: &Way, part: &Query, deadline: Instant) -> Vec<Told> {
        let count = part.visitors.len();
        match (way, &self.peers) {
            (Way::Here, _) => {
                self.meters.here.increment(count as u64);
                self.here(part, deadline).await
            }
            (Way::There(address), Some(peers)) => {
                self.meters.forwarded.increment(count as u64);
                match peers.ask(address, part, deadline).await {
                    Ok(told) => told,
                    Err(why) => {
                        tracing::debug!(address, %why, "a peer does not answer");
                        self.meters.unreached.increment(count as u64);
                        vec![Unanswered::NotYet.into(); count]
                    }
                }
            }
            (Way::There(_) | Way::Nowhere, _) => vec![Unanswered::Elsewhere.into(); count],
        }
    }
}

/// Whose key is shown. Every key is looked at, so that time tells nothing.
fn admit<'a>(headers: &HeaderMap, keys: &'a [ServerKey]) -> Result<&'a Tenant, Unanswered> {
    let shown = bearer(headers).ok_or(Unanswered::Key)?;
    let look = |found, key: &'a ServerKey| match key.secret.is(shown) {
        true => Some(&key.tenant),
        false => found,
    };
    keys.iter().fold(None, look).ok_or(Unanswered::Key)
}

impl From<NotHere> for Unanswered {
    fn from(why: NotHere) -> Self {
        match why {
            NotHere::Unknown => Self::Unknown,
            NotHere::Elsewhere => Self::Elsewhere,
            NotHere::Busy | NotHere::Restoring | NotHere::Unreadable => Self::NotYet,
        }
    }
}

#[cfg(test)]
mod tests;
