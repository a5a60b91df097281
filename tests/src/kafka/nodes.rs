//! Brokers of a story's own: the ones that it may kill, freeze and start again.

use clickmill_xtask::kafka::{Broker, BrokerOptions, Cluster, ClusterOptions};
use tokio::task::block_in_place;

use super::Kafka;
use crate::child::{Folder, free_port};
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

    /// One broker that nobody else uses and that can also be reached by this wire. The harness does
    /// not: its eye is independent.
    ///
    /// # Panics
    /// When it cannot be had.
    pub fn behind(wire: &Wire, partitions: u32) -> Self {
        let folder = Folder::new("kafka");
        let (port, controller_port) = (free_port(), free_port());
        let listeners = |wire: u16| {
            format!(
                "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},\
                 WIRE://127.0.0.1:{wire}"
            )
        };
        let protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,WIRE:PLAINTEXT".to_owned();
        let options = BrokerOptions {
            port,
            controller_port,
            properties: vec![
                ("listeners".to_owned(), listeners(wire.far)),
                ("advertised.listeners".to_owned(), listeners(wire.near)),
                ("listener.security.protocol.map".to_owned(), protocols),
            ],
            ..BrokerOptions::new(folder.path().join("data"))
        };
        Self::one(&options, folder).apply(partitions, 1)
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
        let folder = Folder::new("cluster");
        let options = ClusterOptions::new(folder.path(), CLUSTER_NODES);
        let cluster = Cluster::start(&options).expect("a cluster of its own");
        Self::of(cluster.bootstrap(), cluster.into_nodes(), Some(folder))
            .apply(partitions, CLUSTER_NODES)
    }

    /// Ends a node at once (SIGKILL). The first is 0.
    ///
    /// # Panics
    /// When it is not this story's own.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
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
