//! Caps in total, over all relays: each takes leases of a few from the whole.
//!
//! A relay that wants more appends a record to a topic of one partition. Whether it gets them follows
//! from the records before: every reader goes through the same log in the same order and comes to the
//! same answer, so nobody has to decide, and no relay has to be up for another one to go on.
//!
//! What holds: **no more than the cap is ever shown** (overshoot 0), also when relays die, since what
//! a lease was granted for is spent once. What is lost is the other way: a relay that is killed takes
//! the rest of its lease along, at most [`lease_of`] the cap, a twentieth, and one more, since it asks
//! for the next lease with one left. One that ends in order, or
//! shows nothing for [`IDLE_MS`], gives it back. The first click of a relay that a capped rule applies
//! to asks for a lease and is shown nothing.
//!
//! A record says what its relay has got so far, so that the topic can be compacted: a reader that
//! finds only the newest records takes at the least as much for granted as was
//! (property `no_more_than_the_cap_is_granted_also_from_a_compacted_log`). Whoever asked must find
//! what others asked before it, so the topic's contract lets no record be compacted for a day
//! (`min.compaction.lag.ms`), and a relay that is behind by more than that is not ready.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clickmill_kafka::{Error, Outgoing, Producer};
use clickmill_sdk_core::wire::{Lease, Millis, ToJson as _};
use clickmill_server::clock::SharedClock;
use clickmill_streams::{Poison, Raw, Rows, Table};
use tokio::time::Instant;
use tracing::warn;

use super::decide::Quota;
use super::rule::Rule;

/// A lease that nothing was taken from for so long goes back, ms.
pub const IDLE_MS: u64 = 30_000;

/// After so long without an answer it is asked again, ms.
const ASK_AGAIN_MS: u64 = 2_000;

/// The largest lease.
const LEASE_MAX: u64 = 1_000;

/// How large a lease of a cap is.
pub fn lease_of(cap: u64) -> u64 {
    (cap / 20).clamp(1, LEASE_MAX)
}

/// What every relay has of every rule: by `tenant:rule`, then by relay.
#[derive(Debug, Default)]
pub struct Ledger(HashMap<String, HashMap<String, Held>>);

/// What one relay has of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many it has got in all.
    pub granted: u64,
    /// How many of them it has given back.
    pub returned: u64,
    /// Its newest record.
    pub number: u64,
}

impl Held {
    fn net(self) -> u64 {
        self.granted.saturating_sub(self.returned)
    }
}

impl Ledger {
    /// What a relay has of a rule.
    pub fn of(&self, rule: &str, owner: &str) -> Held {
        self.0.get(rule).and_then(|owners| owners.get(owner)).copied().unwrap_or_default()
    }

    /// What all relays together have of a rule.
    pub fn taken(&self, rule: &str) -> u64 {
        self.0.get(rule).into_iter().flat_map(HashMap::values).map(|held| held.net()).sum()
    }

    /// Takes a record: grants what it asks for as far as the cap goes.
    pub fn take(&mut self, rule: &str, owner: &str, lease: &Lease) {
        let owners = self.0.entry(rule.to_owned()).or_default();
        let others: u64 = owners
            .iter()
            .filter(|(name, _)| *name != owner)
            .fold(0, |all, (_, held)| all.saturating_add(held.net()));
        let own = lease.granted.saturating_sub(lease.returned);
        let free = lease.of.saturating_sub(others.saturating_add(own));
        let held = Held {
            granted: lease.granted.saturating_add(lease.asks.min(free)),
            returned: lease.returned,
            number: lease.number,
        };
        owners.insert(owner.to_owned(), held);
    }
}

impl Rows for Ledger {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let wrong = || Poison::malformed("the key is not a tenant, a rule and a relay");
        let key = std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)?;
        let (rule, owner) = key.rsplit_once(':').ok_or_else(wrong)?;
        match raw.value {
            Some(value) => {
                let lease = serde_json::from_slice(value).map_err(Poison::malformed)?;
                self.take(rule, owner, &lease);
            }
            // For whoever wants to give a cap out anew.
            None => {
                self.0.get_mut(rule).map(|owners| owners.remove(owner));
            }
        }
        Ok(())
    }
}

/// This relay's leases.
pub struct Leases {
    owner: String,
    topic: String,
    producer: Producer,
    ledger: Table<Ledger>,
    clock: SharedClock,
    own: Mutex<HashMap<String, Own>>,
}

/// What this relay does with its lease of one rule.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    spent: u64,
    returned: u64,
    /// The newest record that was sent, and what it said.
    number: u64,
    granted: u64,
    asks: u64,
    of: u64,
    asked_at: Millis,
    used_at: Millis,
}

impl Own {
    fn left(&self, held: Held) -> u64 {
        held.granted.saturating_sub(self.returned).saturating_sub(self.spent)
    }

    /// Asks for another lease, unless an answer is on its way.
    fn ask(&mut self, held: Held, (of, now): (u64, Millis)) -> Option<Lease> {
        let (mut granted, is_answered) = (held.granted, held.number >= self.number);
        if !is_answered {
            if now.since(self.asked_at) < ASK_AGAIN_MS {
                return None;
            }
            // Nobody knows whether it has arrived: it counts as granted and given back, with what
            // was counted so before.
            granted = self.granted.saturating_add(self.asks);
            self.returned = self.returned.saturating_add(self.asks);
        }
        (self.number, self.granted) = (self.number + 1, granted);
        (self.asks, self.asked_at) = (lease_of(of), now);
        let (returned, asks, number) = (self.returned, self.asks, self.number);
        Some(Lease { of, granted, returned, asks, number })
    }

    /// Gives back what is left.
    fn give_back(&mut self, held: Held) -> Option<Lease> {
        let left = self.left(held);
        if left == 0 || held.number < self.number {
            return None;
        }
        (self.number, self.granted) = (self.number + 1, held.granted);
        (self.returned, self.asks) = (self.returned + left, 0);
        let (granted, returned, number) = (held.granted, self.returned, self.number);
        Some(Lease { of: self.of, granted, returned, asks: 0, number })
    }
}

impl Leases {
    /// Leases of a relay, under a name that no process before it had.
    pub fn new(
        owner: String,
        (producer, topic): (Producer, String),
        (ledger, clock): (Table<Ledger>, SharedClock),
    ) -> Self {
        Self { owner, topic, producer, ledger, clock, own: Mutex::default() }
    }

    /// Whether the ledger was read.
    pub fn is_ready(&self) -> bool {
        self.ledger.is_ready()
    }

    /// Gives back what has not been used for a while.
    pub fn tick(&self) {
        let now = Millis(self.clock.now_ms());
        self.give_back(|own| now.since(own.used_at) >= IDLE_MS);
    }

    /// Gives back what is left, since the relay ends.
    ///
    /// # Errors
    /// When that could not be said in time: it is lost then.
    pub async fn end(&self, deadline: Instant) -> Result<(), Error> {
        self.give_back(|_| true);
        self.producer.flush(deadline.min(Instant::now() + Duration::from_secs(2))).await
    }

    fn give_back(&self, may: impl Fn(&Own) -> bool) {
        let ledger = self.ledger.read();
        for (rule, own) in self.lock().iter_mut().filter(|(_, own)| may(own)) {
            if let Some(lease) = own.give_back(ledger.of(rule, &self.owner)) {
                self.send(rule, &lease);
            }
        }
    }

    fn send(&self, rule: &str, lease: &Lease) {
        let (key, value) = (format!("{rule}:{}", self.owner), lease.to_json());
        // One that is lost is found by its number not coming back.
        drop(self.producer.enqueue([Outgoing {
            topic: &self.topic,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            ..Outgoing::default()
        }]));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quota for Leases {
    fn take(&self, rule: &Rule) -> bool {
        let Some(of) = rule.caps.total else { return true };
        let key = format!("{}:{}", rule.tenant, rule.name);
        let (held, now) = (self.ledger.read().of(&key, &self.owner), Millis(self.clock.now_ms()));
        let mut all = self.lock();
        let own = all.entry(key.clone()).or_default();
        own.of = of;
        let left = own.left(held);
        if left > 0 {
            (own.spent, own.used_at) = (own.spent + 1, now);
        }
        if left <= 1
            && let Some(lease) = own.ask(held, (of, now))
        {
            self.send(&key, &lease);
        }
        left > 0
    }
}

/// Total caps of one process alone, such as a simulation.
#[derive(Debug, Default)]
pub struct Alone(Mutex<HashMap<String, u64>>);

impl Quota for Alone {
    fn take(&self, rule: &Rule) -> bool {
        let Some(of) = rule.caps.total else { return true };
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = spent.entry(format!("{}:{}", rule.tenant, rule.name)).or_default();
        let may = *spent < of;
        *spent += u64::from(may);
        may
    }
}

/// Tells of records of leases that cannot be read.
#[derive(Debug)]
pub struct LedgerWatch;

impl clickmill_streams::Watch<Ledger> for LedgerWatch {
    fn applied(&self, _: &Table<Ledger>, _: &Raw<'_>) {}

    fn poisoned(&self, raw: &Raw<'_>, poison: &Poison) {
        warn!(place = %raw.place, %poison, "a record of leases is passed over");
    }
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Shared leases.
impl Quota for Arc<Leases> {
    fn take(&self, rule: &Rule) -> bool {
        self.as_ref().take(rule)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: &str = "shop:r";

    /// A relay as far as its leases go, which reads the log up to somewhere.
    #[derive(Default)]
    struct Relay {
        name: String,
        ledger: Ledger,
        read: usize,
        own: Own,
        /// What it has shown.
        shown: u64,
    }

    /// The log: owner and record; none where it was compacted away.
    #[derive(Default)]
    struct Log(Vec<Option<(String, Lease)>>);

    impl Log {
        /// Compacts what lies before that place: what every relay has read by then.
        fn compact(&mut self, end: usize) {
            for at in 0..end {
                let owner = self.0[at].as_ref().map(|(owner, _)| owner.clone());
                let is_old = |later: &Option<(String, Lease)>| {
                    later.as_ref().map(|(owner, _)| owner) == owner.as_ref()
                };
                if owner.is_some() && self.0[at + 1..].iter().any(is_old) {
                    self.0[at] = None;
                }
            }
        }
    }

    impl Relay {
        fn new(name: String) -> Self {
            Self { name, ..Self::default() }
        }

        fn read(&mut self, log: &Log) {
            for (owner, lease) in log.0[self.read..].iter().flatten() {
                self.ledger.take(RULE, owner, lease);
            }
            self.read = log.0.len();
        }

        fn take(&mut self, log: &mut Log, (of, now, lost): (u64, u64, bool)) {
            let held = self.ledger.of(RULE, &self.name);
            self.own.of = of;
            let left = self.own.left(held);
            if left > 0 {
                self.own.spent += 1;
                self.shown += 1;
            }
            if left <= 1
                && let Some(lease) = self.own.ask(held, (of, Millis(now)))
                && !lost
            {
                log.0.push(Some((self.name.clone(), lease)));
            }
        }

        fn give_back(&mut self, log: &mut Log) {
            let held = self.ledger.of(RULE, &self.name);
            if let Some(lease) = self.own.give_back(held) {
                log.0.push(Some((self.name.clone(), lease)));
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(bool),
        Read,
        GiveBack,
        Die,
        Compact,
        Wait,
    }

    fn step() -> impl Strategy<Value = (usize, Step)> {
        let step = prop_oneof![
            8 => prop::bool::weighted(0.1).prop_map(Step::Take),
            6 => Just(Step::Read),
            1 => Just(Step::GiveBack),
            1 => Just(Step::Die),
            1 => Just(Step::Compact),
            1 => Just(Step::Wait),
        ];
        (0..3_usize, step)
    }

    /// Two asks that stay unanswered hide nothing of what was shown before them.
    #[test]
    fn who_asks_again_and_again_keeps_what_it_has_spent() {
        let (mut log, mut relay) = (Log::default(), Relay::new("r".to_owned()));
        relay.take(&mut log, (9, 0, false));
        relay.read(&log);
        for n in 0..4 {
            relay.take(&mut log, (9, n * ASK_AGAIN_MS, false));
        }
        relay.read(&log);
        // One was shown, and one more was granted by the last answer.
        assert_eq!((relay.shown, relay.ledger.taken(RULE)), (1, 2));
    }

    proptest! {
        #[test]
        fn no_more_than_the_cap_is_granted_also_from_a_compacted_log(
            of in 1..60_u64,
            steps in prop::collection::vec(step(), 1..400),
        ) {
            let (mut log, mut now, mut names) = (Log::default(), 1_000_000, 3);
            let mut relays: Vec<Relay> = (0..3).map(|n| Relay::new(format!("r{n}"))).collect();
            let mut shown_by_dead = 0;
            for (who, step) in steps {
                let relay = &mut relays[who];
                match step {
                    Step::Take(lost) => relay.take(&mut log, (of, now, lost)),
                    Step::Read => relay.read(&log),
                    Step::GiveBack => relay.give_back(&mut log),
                    Step::Die => {
                        shown_by_dead += relay.shown;
                        names += 1;
                        *relay = Relay::new(format!("r{names}"));
                        relay.read(&log);
                    }
                    Step::Compact => {
                        log.compact(relays.iter().map(|relay| relay.read).min().unwrap_or(0));
                    }
                    Step::Wait => now += ASK_AGAIN_MS,
                }
                let shown = shown_by_dead + relays.iter().map(|relay| relay.shown).sum::<u64>();
                prop_assert!(shown <= of, "{shown} of {of}");
            }
        }

        /// Without deaths, all of the cap is shown in the end.
        #[test]
        fn all_of_the_cap_is_shown_where_nobody_dies(of in 1..60_u64, who in prop::collection::vec(0..2_usize, 1..50)) {
            let mut log = Log::default();
            let mut relays: Vec<Relay> = (0..2).map(|n| Relay::new(format!("r{n}"))).collect();
            let mut round = |who: usize, relays: &mut Vec<Relay>| {
                relays[who].take(&mut log, (of, 0, false));
                relays.iter_mut().for_each(|relay| relay.read(&log));
            };
            for who in who {
                round(who, &mut relays);
            }
            for _ in 0..3 * of {
                round(0, &mut relays);
            }
            relays[1].give_back(&mut log);
            for relay in &mut relays {
                relay.read(&log);
            }
            for _ in 0..3 * of {
                relays[0].take(&mut log, (of, 0, false));
                relays[0].read(&log);
            }
            prop_assert_eq!(relays.iter().map(|relay| relay.shown).sum::<u64>(), of);
        }
    }
}
