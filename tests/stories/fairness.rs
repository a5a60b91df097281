//! One site's excess is its own trouble.

use std::time::Duration;

use clickmill_tests::bench::collector::fairness::Arena;

/// How many times longer an honest site may wait at the worst.
const RATIO_MAX: f64 = 1.5;
/// The machine is shared: a run that others disturbed is measured again.
const ATTEMPTS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn a_key_far_above_its_quota_is_told_so_and_delays_nobody_else() {
    let arena = Arena::open().await;
    let mut ratios = Vec::new();
    while ratios.iter().all(|ratio| *ratio > RATIO_MAX) {
        assert!(ratios.len() < ATTEMPTS, "an honest site waits longer, time and again: {ratios:?}");
        let fairness = arena.compare(Duration::from_secs(8)).await;
        println!("{fairness}");
        let hostile = fairness.hostile;
        assert!(hostile.refused > hostile.answered / 2, "{fairness}");
        assert_eq!(hostile.without_wait, 0, "every 429 names a wait");
        assert!(hostile.admitted_events <= hostile.events_max(), "{fairness}");
        ratios.push(fairness.ratio());
    }
}
