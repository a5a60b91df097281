//! One target: its words and bounds, and the loop that looks for inputs that break its promises.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::Dice;
use crate::corpus::Corpus;
use crate::mutate::Mutator;

/// How long one run of the loop takes where nothing else is said.
const SECONDS: u64 = 2;

/// The dice where nothing is said.
const SEED: u64 = 1;

/// An input that takes longer is a fault in itself. Far more than any should take, since the machine
/// may be busy.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// So many inputs are made from at once; one of them goes for each that comes.
const POOL_MAX: usize = 2_000;

/// What is fuzzed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Its folder in the corpus.
    pub(crate) name: &'static str,
    /// What its language is made of.
    pub(crate) words: &'static [&'static [u8]],
    pub(crate) bytes_max: usize,
    /// Whether its inputs may be gzip.
    pub(crate) packed: bool,
}

impl Target {
    /// Runs inputs until the time is over. `check` panics where a promise is broken, and otherwise
    /// says in short what came of the input: how inputs that behave alike are told from others.
    pub(crate) fn run(&self, check: impl Fn(&[u8]) -> String) {
        let corpus = Corpus::of(self.name);
        // A change is judged by the same dice each time; who looks for more gets new ones.
        let seconds = setting("SECONDS");
        let unsaid = || seconds.map_or(SEED, |_| RandomState::new().hash_one(self.name));
        let seed = setting("SEED").unwrap_or_else(unsaid);
        let budget = Duration::from_secs(seconds.unwrap_or(SECONDS));
        let keeps = setting("KEEP").unwrap_or(false);
        let run = Run { target: self, corpus: &corpus, seed, check };

        let mut behaviours = HashSet::new();
        let mut pool = Vec::new();
        for (name, input) in corpus.load() {
            behaviours.insert(run.one(&input, &name));
            pool.push(input);
        }
        assert!(!pool.is_empty(), "{} has no corpus to begin with", self.name);

        let mutator = Mutator { words: self.words, bytes_max: self.bytes_max, packed: self.packed };
        let mut dice = Dice::new(seed);
        let (begin, mut runs) = (Instant::now(), 0_u64);
        while begin.elapsed() < budget {
            let (one, other) = (dice.below(pool.len()), dice.below(pool.len()));
            let input = mutator.mutate(&pool[one], &pool[other], &mut dice);
            runs += 1;
            if !behaviours.insert(run.one(&input, &format!("input {runs}"))) {
                continue;
            }
            if keeps {
                corpus.keep(&input);
            }
            if pool.len() < POOL_MAX {
                pool.push(input);
            } else {
                pool[one] = input;
            }
        }
        let seen = behaviours.len();
        eprintln!("{}: {runs} inputs, {seen} behaviours, seed {seed}", self.name);
    }
}

/// What a run goes by.
struct Run<'a, F> {
    target: &'a Target,
    corpus: &'a Corpus,
    seed: u64,
    check: F,
}

impl<F: Fn(&[u8]) -> String> Run<'_, F> {
    /// The behaviour of one input. One that breaks a promise is kept before the test fails.
    fn one(&self, input: &[u8], name: &str) -> String {
        let begin = Instant::now();
        let checked = panic::catch_unwind(AssertUnwindSafe(|| (self.check)(input)));
        let slow = begin.elapsed() > INPUT_TIME_MAX;
        match checked {
            Ok(behaviour) if !slow => behaviour,
            checked => {
                let path = self.corpus.keep_broken(input);
                let why = if checked.is_ok() { "takes too long" } else { "breaks a promise" };
                let (target, seed) = (self.target.name, self.seed);
                panic!("{target}: {name} {why}; seed {seed}, kept in {}", path.display());
            }
        }
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let name = format!("CLICKMILL_FUZZ_{name}");
    let text = std::env::var(&name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which means nothing")))
}
