//! What goes wrong in a long story, and when: at random, and the same again from the same seed.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::dice::Dice;

/// Where a run is given its seed.
const SEED: &str = "CLICKMILL_CHAOS_SEED";

/// What the faults of a run follow from. A run that fails says how to have the same ones again.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The one that the environment names, or any.
    ///
    /// # Panics
    /// When the environment names none that is a number.
    pub fn any() -> Self {
        let given = std::env::var(SEED).ok();
        let given = given.map(|seed| seed.parse().expect("a seed is a number"));
        let seed = Self(given.unwrap_or_else(|| RandomState::new().hash_one("seed")));
        println!("{SEED}={}", seed.0);
        seed
    }

    /// The faults of a run with so many brokers, and instances at its beginning.
    pub fn schedule(&self, brokers: usize, instances: usize) -> Schedule {
        Schedule { dice: Dice::new(self.0), brokers, instances, round: VecDeque::new() }
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {SEED}={} has the same faults come again", self.0);
        }
    }
}

/// One thing that goes wrong, or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An instance is killed and comes back: at once, or after others may have taken over.
    Dies {
        /// Which, in the order in which they came.
        who: usize,
        /// How long it is away.
        away: Duration,
    },
    /// One more instance comes.
    Joins,
    /// The instance that came last ends as it should.
    Leaves,
    /// An instance is halted in the middle of whatever it does, and goes on as if nothing were.
    Halts {
        /// Which, in the order in which they came.
        who: usize,
        /// How long.
        span: Duration,
    },
    /// A broker is killed.
    BrokerDies {
        /// Which.
        broker: usize,
    },
    /// A broker and an instance are killed at once.
    BothDie {
        /// Which broker.
        broker: usize,
        /// Which instance.
        who: usize,
    },
    /// All connections are cut, so often, while new ones are made.
    Cut {
        /// How often.
        times: u32,
    },
    /// One broker's connections are silent: nobody is told, and what was under way arrives late.
    Silence {
        /// Which broker's.
        broker: usize,
        /// How long.
        span: Duration,
    },
    /// All connections are slow.
    Slow {
        /// How much later everything arrives.
        delay: Duration,
        /// How long.
        span: Duration,
    },
}

/// Faults without an end. Each comes once in a round, in any order, so that no run does without one.
#[derive(Debug)]
pub struct Schedule {
    dice: Dice,
    brokers: usize,
    instances: usize,
    round: VecDeque<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dies,
    Joins,
    Leaves,
    Halts,
    BrokerDies,
    BothDie,
    Cut,
    Silence,
    Slow,
}

impl Schedule {
    /// How many faults a round has.
    pub const ROUND: usize = 9;

    fn shuffled(&mut self) -> [Kind; Self::ROUND] {
        let mut kinds = [
            Kind::Dies,
            Kind::Joins,
            Kind::Leaves,
            Kind::Halts,
            Kind::BrokerDies,
            Kind::BothDie,
            Kind::Cut,
            Kind::Silence,
            Kind::Slow,
        ];
        for at in (1..kinds.len()).rev() {
            kinds.swap(at, self.dice.below(at + 1));
        }
        // Who leaves has come before: there are never fewer than at the beginning.
        let mut moves = kinds.iter_mut().filter(|kind| matches!(kind, Kind::Joins | Kind::Leaves));
        if let (Some(first), Some(second)) = (moves.next(), moves.next()) {
            (*first, *second) = (Kind::Joins, Kind::Leaves);
        }
        kinds
    }

    fn fault(&mut self, kind: Kind) -> Fault {
        let (broker, who) = (self.dice.below(self.brokers), self.dice.below(self.instances));
        match kind {
            Kind::Dies => {
                let away = if self.dice.one_in(2) { Duration::ZERO } else { self.span(1..=10_000) };
                Fault::Dies { who, away }
            }
            Kind::Joins => {
                self.instances += 1;
                Fault::Joins
            }
            Kind::Leaves => {
                self.instances -= 1;
                Fault::Leaves
            }
            Kind::Halts => Fault::Halts { who, span: self.span(500..=12_000) },
            Kind::BrokerDies => Fault::BrokerDies { broker },
            Kind::BothDie => Fault::BothDie { broker, who },
            Kind::Cut => Fault::Cut { times: 1 + (self.dice.roll() % 12) as u32 },
            Kind::Silence => Fault::Silence { broker, span: self.span(1_000..=8_000) },
            Kind::Slow => Fault::Slow { delay: self.span(10..=60), span: self.span(1_000..=5_000) },
        }
    }

    fn span(&mut self, ms: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(ms.start() + self.dice.roll() % (ms.end() - ms.start()))
    }
}

/// A fault, and how long all goes well after it.
impl Iterator for Schedule {
    type Item = (Fault, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        if self.round.is_empty() {
            self.round = self.shuffled().into();
        }
        let kind = self.round.pop_front()?;
        Some((self.fault(kind), self.span(100..=5_000)))
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{Discriminant, discriminant};

    use super::*;

    fn faults(seed: u64, rounds: usize) -> Vec<(Fault, Duration)> {
        Seed(seed).schedule(3, 2).take(rounds * Schedule::ROUND).collect()
    }

    #[test]
    fn a_seed_has_the_same_faults_come_again_and_another_one_others() {
        assert_eq!(faults(7, 5), faults(7, 5));
        assert_ne!(faults(7, 1), faults(8, 1));
        let order = |seed| -> Vec<Discriminant<Fault>> {
            faults(seed, 1).iter().map(|(fault, _)| discriminant(fault)).collect()
        };
        assert!((0..10).any(|seed| order(seed) != order(seed + 1)), "not only how long they last");
    }

    #[test]
    fn each_fault_comes_in_each_round_and_only_to_who_is_there() {
        for seed in 0..200 {
            let mut instances = 2;
            for round in faults(seed, 4).chunks(Schedule::ROUND) {
                for (at, (fault, _)) in round.iter().enumerate() {
                    let again =
                        |(other, _): &(Fault, _)| discriminant(other) == discriminant(fault);
                    assert!(!round[..at].iter().any(again), "{fault:?} comes twice in a round");
                    match fault {
                        Fault::Joins => instances += 1,
                        Fault::Leaves => instances -= 1,
                        Fault::Dies { who, .. } | Fault::Halts { who, .. } => {
                            assert!(*who < instances, "{fault:?} of {instances}");
                        }
                        Fault::BothDie { who, broker } => {
                            assert!(*who < instances && *broker < 3, "{fault:?} of {instances}");
                        }
                        Fault::BrokerDies { broker } | Fault::Silence { broker, .. } => {
                            assert!(*broker < 3, "{fault:?}");
                        }
                        Fault::Cut { times } => assert!(*times > 0),
                        Fault::Slow { .. } => {}
                    }
                    assert!(instances >= 2, "nobody leaves who has not come");
                }
            }
        }
    }
}
