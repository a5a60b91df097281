//! The long stories: for minutes under load, instances, brokers and wires come and go at random, and
//! what is committed at last is what one thread would have said.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clickmill_sdk_core::wire::Topic;
use clickmill_tests::child::Program;
use clickmill_tests::faults::{Fault, Schedule, Seed};
use clickmill_tests::page::now;
use clickmill_tests::reference::joined::{Prices, said_otherwise, states_otherwise};
use clickmill_tests::reference::newest;
use clickmill_tests::service::Relay;
use clickmill_tests::until::{PATIENCE, until_enough};
use clickmill_tests::wire::Wire;
use clickmill_tests::{Folder, Kafka, TENANT, World};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::engine::Shop;
use crate::exactly_once::{check, recording, replay, wait};
use crate::open_copy::open_copies;

const BROKERS: usize = 3;

/// Whose faults these are: instances of one sort, and the Kafka behind them.
trait Team {
    fn kafka(&mut self) -> &mut Kafka;
    /// How many instances there are.
    fn size(&self) -> usize;
    async fn join(&mut self);
    /// The one that came last ends as it should.
    async fn leave(&mut self);
    fn kill(&mut self, who: usize);
    async fn bring_back(&mut self, who: usize);
    fn freeze(&self, who: usize);
    fn thaw(&self, who: usize);
}

/// Has one fault after the other happen, for as long as the load goes on. It is told when it may end:
/// once a whole round has come under it. Whatever happened is over then.
async fn befall<T>(
    team: &mut impl Team,
    (wires, seed): (&[Wire; BROKERS], &Seed),
    (load, may_end): (&JoinHandle<T>, &AtomicBool),
) {
    let (began, mut happened) = (Instant::now(), 0);
    for (fault, rest) in seed.schedule(BROKERS, team.size()) {
        println!("{:>4} s: {fault:?}", began.elapsed().as_secs());
        happen(team, wires, fault, load).await;
        if load.is_finished() {
            // Not all of it was under load, so it does not count.
            break;
        }
        happened += 1;
        may_end.store(happened >= Schedule::ROUND, Ordering::Release);
        wait(load, rest).await;
    }
    println!("{happened} faults in {} s", began.elapsed().as_secs());
    assert!(happened >= Schedule::ROUND, "the load broke off");
}

async fn happen<T>(
    team: &mut impl Team,
    wires: &[Wire; BROKERS],
    fault: Fault,
    load: &JoinHandle<T>,
) {
    match fault {
        Fault::Dies { who, away } => {
            team.kill(who);
            wait(load, away).await;
            team.bring_back(who).await;
        }
        Fault::Joins => team.join().await,
        Fault::Leaves => team.leave().await,
        Fault::Halts { who, span } => {
            team.freeze(who);
            wait(load, span).await;
            team.thaw(who);
        }
        Fault::BrokerDies { broker } => kill_broker(team, broker, None).await,
        Fault::BothDie { broker, who } => {
            kill_broker(team, broker, Some(who)).await;
            team.bring_back(who).await;
        }
        Fault::Cut { times } => {
            for _ in 0..times {
                wires.iter().for_each(Wire::is_cut);
                wait(load, Duration::from_millis(200)).await;
            }
        }
        Fault::Silence { broker, span } => {
            wires[broker].falls_silent();
            wait(load, span).await;
            wires[broker].mends();
        }
        Fault::Slow { delay, span } => {
            wires.iter().for_each(|wire| wire.slows(delay));
            wait(load, span).await;
            wires.iter().for_each(Wire::mends);
        }
    }
}

/// A broker that was killed comes back only once the others have missed it. One that is back sooner
/// leads on for a moment with what it alone has, and Kafka (4.3.1) then may commit a transaction in
/// some partitions and abort it in others; ARCHITECTURE.md tells how. And none goes before the one
/// that went last has caught up: two copies are left of everything.
async fn kill_broker(team: &mut impl Team, broker: usize, along: Option<usize>) {
    team.kafka().is_in_sync().await;
    team.kafka().kill(broker);
    if let Some(who) = along {
        team.kill(who);
    }
    team.kafka().misses_one().await;
    team.kafka().restart(broker);
}

/// Relays; the world's own is the first.
struct Relays {
    world: World,
    more: Vec<Relay>,
}

impl Relays {
    fn relay(&self, who: usize) -> &Relay {
        who.checked_sub(1).map_or(&self.world.relay, |more| &self.more[more])
    }

    fn relay_mut(&mut self, who: usize) -> &mut Relay {
        who.checked_sub(1).map_or(&mut self.world.relay, |more| &mut self.more[more])
    }
}

impl Team for Relays {
    fn kafka(&mut self) -> &mut Kafka {
        &mut self.world.kafka
    }
    fn size(&self) -> usize {
        1 + self.more.len()
    }
    async fn join(&mut self) {
        self.more.push(self.world.second_relay().await);
    }
    async fn leave(&mut self) {
        let mut last = self.more.pop().expect("one that came");
        assert!(last.stop().await.success());
    }
    fn kill(&mut self, who: usize) {
        self.relay_mut(who).kill();
    }
    async fn bring_back(&mut self, who: usize) {
        self.relay_mut(who).restart().await;
    }
    fn freeze(&self, who: usize) {
        self.relay(who).freeze();
    }
    fn thaw(&self, who: usize) {
        self.relay(who).thaw();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn relays_brokers_and_wires_that_come_and_go_leave_what_one_thread_would_have_said() {
    /// About three minutes, each with other visitors.
    const RUNS_MIN: u32 = 11;
    let seed = Seed::any();
    let wires = [Wire::lay().await, Wire::lay().await, Wire::lay().await];
    let kafka = Kafka::cluster_behind(&wires, 4);
    let settings = open_copies();
    let world = World::builder().partitions(4).kafka(kafka).relay(settings).start().await;
    let (recording, mut replay) = (recording(2_000), replay(&world, "chaos", 600));
    let may_end = Arc::<AtomicBool>::default();
    let told = Arc::clone(&may_end);
    let playing = tokio::spawn(async move {
        let mut clicks = 0;
        for run in 0.. {
            if run >= RUNS_MIN && told.load(Ordering::Acquire) {
                break;
            }
            replay.run = format!("chaos-{run}");
            replay.play(&recording, &Arc::default()).await.expect("the collector takes all");
            clicks += recording.clicks.len();
        }
        clicks
    });
    let mut relays = Relays { world, more: Vec::new() };
    befall(&mut relays, (&wires, &seed), (&playing, &may_end)).await;
    let clicks = playing.await.expect("the replay ends");
    check(&relays.world, clicks).await;
    while !relays.more.is_empty() {
        relays.leave().await;
    }
    assert!(relays.world.relay.stop().await.success());
    // Nor has anybody said anything since, or on the way out.
    check(&relays.world, clicks).await;
    let open = relays.world.ids(Topic::ClicksOpen).await;
    let once: BTreeSet<_> = open.iter().collect();
    assert_eq!((open.len(), once.len()), (clicks, clicks), "of each click one open copy");
}

/// Programs that join: clicks to a table, and orders to their customers.
struct Joiners {
    kafka: Kafka,
    folder: Folder,
    at_work: Vec<Joiner>,
    came: usize,
}

struct Joiner {
    name: usize,
    programs: [Program; 2],
}

impl Joiners {
    async fn begin(kafka: Kafka, folder: Folder) -> Self {
        kafka.make(&["looked.at.priced", "looked.at.poisoned"], 4, &[]).await;
        kafka
            .make(&["shop.orders", "shop.orders.named", "shop.orders.answers.pii.v1"], 3, &[])
            .await;
        kafka.make(&["shop.customers", "shop.orders.wishes.open.v1"], 2, &[]).await;
        let compact = [("cleanup.policy", "compact")];
        kafka.make(&["looked.at.view"], 4, &compact).await;
        kafka.make(&["orders.kept.view"], 3, &compact).await;
        kafka.make(&["customers.kept.view"], 2, &compact).await;
        let mut joiners = Self { kafka, folder, at_work: Vec::new(), came: 0 };
        joiners.join().await;
        joiners.join().await;
        joiners
    }

    fn start(&self, name: usize) -> [Program; 2] {
        let start = |program: &'static str| {
            let path = |what: &str| {
                let path = self.folder.path().join(format!("{name}-{what}"));
                path.display().to_string()
            };
            let arguments = HashMap::from([
                ("--bootstrap", self.kafka.services.clone()),
                ("--prefix", self.kafka.prefix.clone()),
                ("--instance", name.to_string()),
                ("--state", path("state")),
            ]);
            Program::spawn(program, &arguments, path("log").as_ref(), None)
        };
        ["examples/looked_at", "examples/orders_with_customers"].map(start)
    }
}

impl Team for Joiners {
    fn kafka(&mut self) -> &mut Kafka {
        &mut self.kafka
    }
    fn size(&self) -> usize {
        self.at_work.len()
    }
    async fn join(&mut self) {
        self.came += 1;
        let joiner = Joiner { name: self.came, programs: self.start(self.came) };
        self.at_work.push(joiner);
    }
    async fn leave(&mut self) {
        let mut last = self.at_work.pop().expect("one that came");
        for program in &mut last.programs {
            assert!(program.stop().await.success());
        }
    }
    fn kill(&mut self, who: usize) {
        self.at_work[who].programs.iter_mut().for_each(Program::kill);
    }
    async fn bring_back(&mut self, who: usize) {
        self.at_work[who].programs = self.start(self.at_work[who].name);
    }
    fn freeze(&self, who: usize) {
        self.at_work[who].programs.iter().for_each(Program::freeze);
    }
    fn thaw(&self, who: usize) {
        self.at_work[who].programs.iter().for_each(Program::thaw);
    }
}

const VISITORS: usize = 300;
const PRODUCTS: usize = 40;

/// Clicks, and the rows that they and orders are joined to, as they change meanwhile.
struct Load {
    producer: ThreadedProducer<DefaultProducerContext>,
    prefix: String,
    prices: Prices,
    shop: Shop,
    clicks: usize,
}

impl Load {
    /// With a price for each product.
    fn new(kafka: &Kafka) -> Self {
        let (producer, prefix) = (kafka.producer(), kafka.prefix.clone());
        let (prices, shop) = (Prices::new(), Shop::default());
        let mut load = Self { producer, prefix, prices, shop, clicks: 0 };
        (0..PRODUCTS).for_each(|product| load.price(product, 100));
        load.arrives();
        load
    }

    fn send(&self, topic: &str, key: &str, value: Option<&str>) {
        let topic = format!("{}{topic}", self.prefix);
        let mut record = BaseRecord::<str, str>::to(&topic).key(key);
        record.payload = value;
        self.producer.send(record).map_err(|(error, _)| error).expect("a record is taken");
    }

    fn price(&mut self, product: usize, cents: u64) {
        let sku = format!("p{product}");
        let value = format!(r#"{{"price_cents":{cents}}}"#);
        self.send(Topic::Products.as_str(), &format!("{TENANT}:{sku}"), Some(&value));
        self.prices.entry(sku).or_default().push(cents);
    }

    fn click(&mut self, visitor: usize, product: usize) {
        let (id, time) = (self.clicks, now().0);
        let value = format!(
            r#"{{"id":"{id}","time":{time},"tenant":"{TENANT}","props":{{"sku":"p{product}"}}}}"#
        );
        self.send(Topic::ClicksRaw.as_str(), &format!("{TENANT}:v{visitor}"), Some(&value));
        self.clicks += 1;
    }

    /// So many steps at the least, two hundred a second: a click each, often a change of a row.
    async fn play(mut self, steps_min: usize, may_end: &AtomicBool) -> Self {
        let mut ticks = interval(Duration::from_millis(5));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for n in 0.. {
            if n >= steps_min && may_end.load(Ordering::Acquire) {
                break;
            }
            ticks.tick().await;
            self.click(n * 7919 % VISITORS, n * 31 % PRODUCTS);
            if n % 10 == 0 {
                self.price(n / 10 * 7 % PRODUCTS, 101 + n as u64);
            }
            if n % 5 == 0 {
                let (topic, (key, value)) = self.shop.change(n as u64 / 5);
                self.send(topic, &key, value.as_deref());
            }
        }
        self.arrives();
        self
    }

    fn arrives(&self) {
        block_in_place(|| self.producer.flush(2 * PATIENCE)).expect("all records arrive");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: cargo xtask test --all"]
async fn joins_whose_instances_brokers_and_wires_come_and_go_say_one_thing_a_click_and_end_alike() {
    let seed = Seed::any();
    let wires = [Wire::lay().await, Wire::lay().await, Wire::lay().await];
    let kafka = Kafka::cluster_behind(&wires, 4);
    let load = Load::new(&kafka);
    let mut joiners = Joiners::begin(kafka, Folder::new("joiners")).await;
    let may_end = Arc::<AtomicBool>::default();
    let told = Arc::clone(&may_end);
    let playing = tokio::spawn(async move { load.play(36_000, &told).await });
    befall(&mut joiners, (&wires, &seed), (&playing, &may_end)).await;
    let mut load = playing.await.expect("the load ends");

    // At rest: the table is as it will be, and everybody clicks once more. It may be read a moment
    // later than they do, and then they click again.
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        (0..VISITORS).for_each(|visitor| load.click(visitor, visitor % PRODUCTS));
        load.arrives();
        let mut said = joiners.kafka.records_of("looked.at.priced").await;
        while said.len() < load.clicks {
            assert!(Instant::now() < deadline, "{} of {} clicks", said.len(), load.clicks);
            said = joiners.kafka.records_of("looked.at.priced").await;
        }
        let found = joined_otherwise(&joiners.kafka, &load).await;
        if found.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
    }
    let joined = load.shop.joined();
    let named = async |kafka: &Kafka| newest(kafka.records_of("shop.orders.named").await);
    let orders = async || named(&joiners.kafka).await;
    until_enough("orders have their customers", orders, |named| *named == joined).await;
    println!("{} clicks and {} orders are joined", load.clicks, joined.len());
    while joiners.size() > 0 {
        joiners.leave().await;
    }
    // Nor has anybody said anything since, or on the way out.
    assert_eq!(joined_otherwise(&joiners.kafka, &load).await, Vec::<String>::new());
    assert_eq!(named(&joiners.kafka).await, joined);
    assert_eq!(joiners.kafka.records_of("looked.at.poisoned").await.len(), 0);
}

/// What was not said as it should be of each click, which is final, and then whose state is not what it
/// should be yet.
async fn joined_otherwise(kafka: &Kafka, load: &Load) -> Vec<String> {
    let clicks = kafka.records(Topic::ClicksRaw).await;
    assert_eq!(clicks.len(), load.clicks, "what was sent lies there");
    let said = kafka.records_of("looked.at.priced").await;
    assert_eq!(said_otherwise(&clicks, &said, &load.prices), Vec::<String>::new());
    let states = newest(kafka.records_of("looked.at.view").await);
    states_otherwise(&clicks, &states, &load.prices)
}
