//! Brokers of a story's own: the ones that it may kill, freeze and start again.

use clickmill_xtask::kafka::{Broker, BrokerOptions, Cluster, ClusterOptions};
use tokio::task::block_in_place;

use super::Kafka;
use crate::child::Folder;

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
        let broker = Broker::start(&options).expect("a broker of its own");
        Self::of(broker.bootstrap(), vec![broker], Some(folder)).apply(partitions, 1)
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
