//! Suggestions: learns from all click files of a folder but the latest, and judges by that one how
//! often the next product of a visit is among the twenty suggested, beside simpler models.

mod baselines;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clickmill_relay::decide::orders::Orders;
use clickmill_relay::decide::visits::{Limits, Visits};
use clickmill_sdk_core::wire::{Millis, Sku};

use self::baselines::{CoView, Popularity, SessionKnn};
use crate::figure::{Figure, Style, memory_mb};
use crate::recording::Recording;

/// How long a list may be.
const LIST: usize = 20;

/// How often the clicks are learned anew, each time by a learner of its own, to weigh them: enough
/// that all other memory is small beside it.
const WEIGHED: usize = 30;

/// The clicks of one visit, in order of time.
#[derive(Debug, Default)]
struct Visit {
    clicks: Vec<(Sku, Millis)>,
}

/// Who says which products come next.
trait Model {
    /// The products of the highest score, best first, `LIST` at the most. `seen` has the products of
    /// the visit so far, newest first, each once; they are in the list only if `with_seen`.
    fn next(&mut self, seen: &[Sku], now: Millis, with_seen: bool) -> Vec<Sku>;
}

/// The product's own model.
impl Model for Visits {
    fn next(&mut self, seen: &[Sku], now: Millis, with_seen: bool) -> Vec<Sku> {
        let found = self.follow(seen, now);
        let scored = found.iter().map(|one| (self.sku(one), one.score));
        best(scored.filter(|(sku, _)| with_seen || !seen.contains(sku)).collect())
    }
}

/// The learner of orders, taught that each visit is one: what is left without the order in it.
impl Model for Orders {
    fn next(&mut self, seen: &[Sku], now: Millis, with_seen: bool) -> Vec<Sku> {
        let found = self.beside(seen, now);
        let scored = found.iter().map(|one| (self.sku(one), one.score));
        best(scored.filter(|(sku, _)| with_seen || !seen.contains(sku)).collect())
    }
}

/// What was seen before.
struct Recent;

impl Model for Recent {
    fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
        if with_seen { seen.iter().take(LIST).cloned().collect() } else { Vec::new() }
    }
}

/// What is seen most at the end of what is learned, fading.
struct Popular(Visits);

impl Model for Popular {
    fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
        let hot = self.0.hot().map(|(sku, _)| sku).filter(|sku| with_seen || !seen.contains(sku));
        hot.take(LIST).cloned().collect()
    }
}

/// How good a model is.
#[derive(Debug, Default)]
struct Judgement {
    /// The share of clicks whose product was in the list.
    hr_all: f64,
    /// The mean of 1 / place in the list, 0 where it was in none.
    mrr_all: f64,
    /// The share among clicks on products that the visit had not seen, of lists without seen ones.
    hr_unseen: f64,
    /// What a list takes.
    each: Duration,
}

/// Learns, judges and prints.
///
/// # Errors
/// When the folder does not hold two click files at least, or one of them cannot be read.
pub fn measure(folder: &Path, style: Style) -> Result<(), String> {
    let (train, judge) = files(folder)?;
    let print = |name: &str, value: f64, unit| {
        Figure { bench: "suggest", name, value, unit }.print(style);
    };
    print("clicks_learned", train.iter().map(|v| v.clicks.len()).sum::<usize>() as f64, "clicks");
    print("clicks_judged", judge.iter().map(|v| v.clicks.len()).sum::<usize>() as f64, "clicks");

    let own = learned(&train);
    print("clicks_kept", own.clicks() as f64, "clicks");
    print("bytes_per_click_kept", bytes_per_click_kept(&train), "bytes");
    let models: [(&str, Box<dyn Model>); 7] = [
        ("", Box::new(own)),
        ("without_order.", Box::new(orders(&train))),
        ("recently_viewed.", Box::new(Recent)),
        ("shop_popular.", Box::new(Popular(learned(&train)))),
        ("session_knn.", Box::new(SessionKnn::learn(&train))),
        ("co_view.", Box::new(CoView::learn(&train))),
        ("popularity.", Box::new(Popularity::learn(&train))),
    ];
    for (name, mut model) in models {
        let judgement = judged(&judge, model.as_mut());
        print(&format!("{name}hr20_all"), judgement.hr_all, "share");
        print(&format!("{name}mrr20_all"), judgement.mrr_all, "share");
        print(&format!("{name}hr20_unseen"), judgement.hr_unseen, "share");
        print(&format!("{name}us_per_suggestion"), judgement.each.as_secs_f64() * 1e6, "us");
    }
    Ok(())
}

/// The visits of all click files but the latest, and those of the latest.
fn files(folder: &Path) -> Result<(Vec<Visit>, Vec<Visit>), String> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(folder).map_err(|error| wrong(folder, &error))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| wrong(folder, &error))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains("clicks")) {
            paths.push(path);
        }
    }
    let mut read = Vec::new();
    for path in &paths {
        let file = File::open(path).map_err(|error| wrong(path, &error))?;
        let clicks = Recording::read(BufReader::new(file)).map_err(|error| wrong(path, &error))?;
        let last = clicks.clicks.last().ok_or_else(|| wrong(path, &"holds no clicks"))?.at_ms;
        read.push((last, clicks));
    }
    read.sort_by_key(|(last, _)| *last);
    let judge = read.pop().map(|(_, clicks)| visits(&clicks));
    let train: Vec<Visit> = read.iter().flat_map(|(_, clicks)| visits(clicks)).collect();
    match judge {
        Some(judge) if !train.is_empty() => Ok((train, judge)),
        _ => Err(wrong(folder, &"two files with \"clicks\" in their names are needed")),
    }
}

/// In order of their last clicks, as they are learned one after the other.
fn visits(recording: &Recording) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    visits.resize_with(recording.sessions, Visit::default);
    for click in &recording.clicks {
        let sku = click.item.as_deref().and_then(|item| Sku::parse(item).ok());
        if let Some(sku) = sku {
            visits[click.session].clicks.push((sku, Millis(click.at_ms)));
        }
    }
    visits.retain(|visit| !visit.clicks.is_empty());
    visits.sort_by_key(|visit| visit.clicks.last().map(|(_, at)| *at));
    visits
}

fn learned(visits: &[Visit]) -> Visits {
    let mut learned = Visits::new(Limits::default());
    for (n, visit) in visits.iter().enumerate() {
        visit.clicks.iter().for_each(|(sku, at)| learned.learn(&n, sku, *at));
    }
    learned
}

fn orders(visits: &[Visit]) -> Orders {
    let mut orders = Orders::new(Limits::default().half_life_ms);
    for (n, visit) in visits.iter().enumerate() {
        let Some((_, last)) = visit.clicks.last() else { continue };
        let skus: Vec<Sku> = visit.clicks.iter().map(|(sku, _)| sku.clone()).collect();
        orders.learn(&n.to_string(), &skus, *last);
    }
    orders
}

/// What a click takes that is kept, by what the process grows: what a visit sees twice, and what visits
/// saw that are forgotten, is learned and not kept.
fn bytes_per_click_kept(visits: &[Visit]) -> f64 {
    let process = std::process::id();
    let before = memory_mb(process, "VmRSS");
    let kept: Vec<Visits> = (0..WEIGHED).map(|_| learned(visits)).collect();
    let grown = memory_mb(process, "VmRSS") - before;
    let clicks: usize = kept.iter().map(Visits::clicks).sum();
    grown * 1e6 / clicks as f64
}

fn judged(visits: &[Visit], model: &mut dyn Model) -> Judgement {
    let (mut clicks, mut hits, mut reciprocal) = (0.0, 0.0, 0.0);
    let (mut new_clicks, mut new_hits) = (0.0, 0.0);
    let mut took = Duration::ZERO;
    for visit in visits {
        let mut seen: Vec<Sku> = Vec::new();
        for pair in visit.clicks.windows(2) {
            let [(sku, now), (next, _)] = pair else { continue };
            seen.retain(|other| other != sku);
            seen.insert(0, sku.clone());
            let started = Instant::now();
            let list = model.next(&seen, *now, true);
            took += started.elapsed();
            clicks += 1.0;
            if let Some(place) = list.iter().position(|sku| sku == next) {
                hits += 1.0;
                reciprocal += 1.0 / (place + 1) as f64;
            }
            if !seen.contains(next) {
                new_clicks += 1.0;
                new_hits += f64::from(u8::from(model.next(&seen, *now, false).contains(next)));
            }
        }
    }
    Judgement {
        hr_all: hits / clicks,
        mrr_all: reciprocal / clicks,
        hr_unseen: new_hits / new_clicks,
        each: took.div_f64(clicks),
    }
}

/// The best of the scored, best first; equal ones by product number.
fn best(mut scored: Vec<(&Sku, f64)>) -> Vec<Sku> {
    let order = |(a, x): &(&Sku, f64), (b, y): &(&Sku, f64)| y.total_cmp(x).then_with(|| a.cmp(b));
    if scored.len() > LIST {
        scored.select_nth_unstable_by(LIST - 1, order);
        scored.truncate(LIST);
    }
    scored.sort_unstable_by(order);
    scored.into_iter().map(|(sku, _)| sku.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(name: &str) -> Sku {
        Sku::parse(name).unwrap()
    }

    fn visit(names: &[&str]) -> Visit {
        Visit { clicks: names.iter().map(|name| (sku(name), Millis(0))).collect() }
    }

    /// Says always the same.
    struct Says(Vec<Sku>);

    impl Model for Says {
        fn next(&mut self, seen: &[Sku], _: Millis, with_seen: bool) -> Vec<Sku> {
            self.0.iter().filter(|sku| with_seen || !seen.contains(sku)).cloned().collect()
        }
    }

    #[test]
    fn hits_are_counted_by_place_and_apart_where_the_product_is_new() {
        // Next come B (new), A (seen), C (new, and never said).
        let said = judged(&[visit(&["A", "B", "A", "C"])], &mut Says(vec![sku("A"), sku("B")]));
        assert_eq!(said.hr_all, 2.0 / 3.0);
        assert_eq!(said.mrr_all, (0.5 + 1.0) / 3.0);
        assert_eq!(said.hr_unseen, 0.5);
    }

    #[test]
    fn every_model_learns_what_comes_next() {
        let train: Vec<Visit> = (0..5).map(|_| visit(&["A", "B"])).chain([visit(&["C"])]).collect();
        let models: [Box<dyn Model>; 5] = [
            Box::new(learned(&train)),
            Box::new(orders(&train)),
            Box::new(SessionKnn::learn(&train)),
            Box::new(CoView::learn(&train)),
            Box::new(Popularity::learn(&train)),
        ];
        for mut model in models {
            assert_eq!(model.next(&[sku("A")], Millis(0), false)[0], sku("B"));
            assert!(model.next(&[sku("A")], Millis(0), true).contains(&sku("B")));
        }
        assert_eq!(Recent.next(&[sku("A")], Millis(0), true), [sku("A")]);
        assert!(Recent.next(&[sku("A")], Millis(0), false).is_empty());
        let popular = Popular(learned(&train)).next(&[sku("A")], Millis(0), true);
        assert_eq!(popular, [sku("A"), sku("B"), sku("C")]);
    }
}
