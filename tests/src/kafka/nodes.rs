//! Brokers of a story's own: the ones that it may kill, freeze and start again.

use std::time::Duration;

use clickmill_kafka::{Admin, KafkaConfig};
use clickmill_xtask::kafka::{Broker, BrokerOptions, Cluster, ClusterOptions, Door};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::task::block_in_place;

use super::Kafka;
use crate::child::Folder;
use crate::until::{PATIENCE, until};
use crate::wire::Wire;

/// The nodes of a cluster: one may go, and two copies are left.
const CLUSTER_NODES: usize = 3;

impl Kafka {
    /// One broker that nobody else uses, with these settings on top.
    ///
    /// # Panics
    /// When it cannot be had.
    pub fn alone(partitions: u32, properties: &[(&str, &str)]) -> Self {
        let folder = Folder::new("kafka");
        let property = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let options = BrokerOptions {
            properties: properties.iter().map(property).collect(),
            ..BrokerOptions::new(folder.path().join("data"))
        };
        Self::one(&options, folder).apply(partitions, 1)
    }

    /// One broker that nobody else uses and that services reach by this wire. The harness does not:
    /// its eye is independent.
    ///
    /// # Panics
    /// When it cannot be had.
    pub fn behind(wire: &Wire, partitions: u32) -> Self {
        let folder = Folder::new("kafka");
        let options = BrokerOptions {
            door: Some(door(wire)),
            ..BrokerOptions::new(folder.path().join("data"))
        };
        let kafka = Self::one(&options, folder).apply(partitions, 1);
        Self { services: wire.address(), ..kafka }
    }

    fn one(options: &BrokerOptions, folder: Folder) -> Self {
        let broker = Broker::start(options).expect("a broker of its own");
        Self::of(broker.bootstrap(), vec![broker], Some(folder))
    }

    /// Three brokers; every topic lies on all of them, and two must have a record.
    ///
    /// # Panics
    /// When they cannot be had.
    pub fn cluster(partitions: u32) -> Self {
        Self::three(&[]).apply(partitions, CLUSTER_NODES)
    }

    /// The same, where services reach each broker by a wire of its own.
    ///
    /// # Panics
    /// When they cannot be had.
    pub fn cluster_behind(wires: &[Wire; CLUSTER_NODES], partitions: u32) -> Self {
        let kafka = Self::three(wires).apply(partitions, CLUSTER_NODES);
        let addresses: Vec<_> = wires.iter().map(Wire::address).collect();
        Self { services: addresses.join(","), ..kafka }
    }

    fn three(wires: &[Wire]) -> Self {
        let folder = Folder::new("cluster");
        let options = ClusterOptions {
            doors: wires.iter().map(door).collect(),
            ..ClusterOptions::new(folder.path(), CLUSTER_NODES)
        };
        let cluster = Cluster::start(&options).expect("a cluster of its own");
        Self::of(cluster.bootstrap(), cluster.into_nodes(), Some(folder))
    }

    /// Ends a node at once (SIGKILL). The first is 0.
    ///
    /// # Panics
    /// When it is not this story's own.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Waits until the cluster has noticed that a node is dead, and others lead what it led.
    ///
    /// # Panics
    /// When it does not notice.
    pub async fn misses_one(&self) {
        let config = KafkaConfig::plain(&self.bootstrap);
        let admin = Admin::new(&config, Duration::from_secs(10)).expect("an admin client");
        until("a dead broker is missed", || async {
            matches!(admin.brokers().await, Ok(left) if left < self.nodes.len()).then_some(())
        })
        .await;
    }

    /// Waits until every copy of every partition is in sync, the brokers' own topics' too: only then
    /// one more may go and leave enough.
    ///
    /// # Panics
    /// When they do not come that far.
    pub async fn is_in_sync(&self) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("a consumer");
        until("all copies are in sync", || async {
            let metadata = block_in_place(|| consumer.fetch_metadata(None, PATIENCE)).ok()?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.all(|one| one.isr().len() == one.replicas().len()).then_some(())
        })
        .await;
    }

    /// Starts a node again that was killed, with its data, and waits until it serves.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        block_in_place(|| node.restart()).expect("the broker comes back");
    }

    /// Halts a node (SIGSTOP): its connections stay open, and nothing answers.
    pub fn freeze(&self, node: usize) {
        self.nodes[node].freeze();
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].thaw();
    }
}

/// The way into a broker at a wire's far end.
fn door(wire: &Wire) -> Door {
    Door { port: wire.far, told: wire.near }
}
