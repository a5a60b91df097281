//! Many visitors at once, faults at random: what was acknowledged is in Kafka, in order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::task::JoinSet;

use super::*;

/// One thing that goes wrong, or is mended.
#[derive(Clone, Debug)]
enum Fault {
    Up(bool),
    Stuck(Vec<usize>),
    LoseAcks(usize),
    DiskFull(bool),
    Unsynced(bool),
    Refuse(Option<Class>),
    QueueMax(usize),
}

fn fault() -> impl Strategy<Value = Fault> {
    let class = prop_oneof![Just(Class::Fatal), Just(Class::Retriable), Just(Class::Refused)];
    prop_oneof![
        4 => any::<bool>().prop_map(Fault::Up),
        2 => proptest::collection::vec(0..17_usize, 0..6).prop_map(Fault::Stuck),
        1 => (0..5_usize).prop_map(Fault::LoseAcks),
        1 => any::<bool>().prop_map(Fault::DiskFull),
        1 => any::<bool>().prop_map(Fault::Unsynced),
        1 => proptest::option::of(class).prop_map(Fault::Refuse),
        1 => prop_oneof![Just(2), Just(10), Just(usize::MAX)].prop_map(Fault::QueueMax),
    ]
}

impl Rig {
    fn suffer(&self, fault: &Fault) {
        match fault {
            Fault::Up(up) => self.broker.set_up(*up),
            Fault::Stuck(lanes) => self.broker.set_stuck(lanes.iter().copied()),
            Fault::LoseAcks(count) => self.broker.lose_acks(*count),
            Fault::DiskFull(full) => self.disk.set_full(*full),
            Fault::Unsynced(unsynced) => self.disk.set_unsynced(*unsynced),
            Fault::Refuse(class) => self.broker.set_refuse(*class),
            Fault::QueueMax(max) => self.broker.set_queue_max(*max),
        }
    }

    fn mend(&self) {
        self.suffer(&Fault::Refuse(None));
        self.suffer(&Fault::QueueMax(usize::MAX));
        self.suffer(&Fault::LoseAcks(0));
        self.suffer(&Fault::DiskFull(false));
        self.suffer(&Fault::Unsynced(false));
        self.suffer(&Fault::Stuck(Vec::new()));
        self.suffer(&Fault::Up(true));
    }
}

/// Sends one batch after the other, each as often as it takes, as the SDK does: what was not taken
/// comes again, and nothing behind it goes before.
async fn visit(spool: Arc<Spooling>, key: String) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for batch in 0..12 {
        let mut left: Vec<String> = (0..3).map(|event| format!("{batch:02}-{event}")).collect();
        for _ in 0..100 {
            let messages = left.iter().map(|value| message(&key, value)).collect();
            let outcomes = spool.hand_over(messages).await;
            let taken = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
            acknowledged.extend(left.drain(..taken));
            if left.is_empty() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_millis(700)).await;
    }
    acknowledged
}

async fn run(faults: Vec<(u64, Fault)>, crash_at: Option<usize>) {
    let mut rig = Rig::start().await;
    let mut visits = JoinSet::new();
    for visitor in 0..12 {
        let (spool, key) = (Arc::clone(rig.spool()), format!("v{visitor}"));
        visits.spawn(async move { (key.clone(), visit(spool, key).await) });
    }
    let mut told = BTreeMap::new();
    for (number, (pause_ms, fault)) in faults.iter().enumerate() {
        sleep(Duration::from_millis(*pause_ms)).await;
        rig.suffer(fault);
        if crash_at == Some(number) {
            visits.shutdown().await;
            rig.crash().await;
            // What the producer held is gone with it, and so is what the visitors were told.
            let stored = rig.broker.clone();
            rig.broker.set_up(false);
            sleep(Duration::from_secs(40)).await;
            rig.broker = stored;
            rig.open().await;
        }
    }
    rig.mend();
    while let Some(visit) = visits.join_next().await {
        let (key, acknowledged) = visit.unwrap();
        told.insert(key, acknowledged);
    }
    rig.drained().await;
    for (key, acknowledged) in told {
        let mut seen = Vec::new();
        for value in rig.broker.stored(&key) {
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        // A copy may come later, and one that was not acknowledged may be there: its sender gave up.
        let found: Vec<String> = seen.into_iter().filter(|v| acknowledged.contains(v)).collect();
        assert_eq!(found, acknowledged, "{key}");
    }
    assert_eq!(rig.spool().unanswered(), 0);
}

/// The property, each case in paused time of its own.
fn check(cases: u32, with_crash: bool) {
    let faults = proptest::collection::vec((100..15_000_u64, fault()), 1..25);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&(faults, 0..25_usize), |(faults, crash)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let crash = (with_crash && crash < faults.len()).then_some(crash);
        runtime.block_on(run(faults, crash));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn whatever_fails_and_is_mended_what_was_acknowledged_is_there_in_order() {
    check(60, false);
}

#[test]
fn whatever_fails_before_a_crash_what_lies_on_the_disk_is_drained() {
    check(30, true);
}
