//! Several brokers that keep copies of each other's records; any one of three may go.

use std::path::PathBuf;
use std::thread;

use super::broker::{claim, cluster_id_from_system, number};
use super::{Broker, BrokerOptions, Door, Error, Jvm, Membership};
use crate::interrupt::Interrupt;

/// Starts on fresh ports, when somebody else was quicker to take the free ones we had found.
const FREE_PORT_TRIES_MAX: usize = 5;

/// A node that is gone, or only behind, is noticed within seconds.
const WATCHFUL: [(&str, &str); 3] = [
    ("broker.session.timeout.ms", "6000"),
    ("broker.heartbeat.interval.ms", "1000"),
    ("replica.lag.time.max.ms", "5000"),
];

/// What kind of cluster is wanted.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The folder that takes a folder for each node.
    pub data_dir: PathBuf,
    /// How many nodes; each is broker and controller.
    pub nodes: usize,
    /// Second ways in, of the first nodes.
    pub doors: Vec<Door>,
    /// The most that each heap may grow to, MiB.
    pub heap_mib_max: u32,
    /// How the Java machines are set.
    pub jvm: Jvm,
    /// Lets go of a start that takes long.
    pub interrupt: Interrupt,
}

impl ClusterOptions {
    /// That many quick nodes on free ports with this folder.
    pub fn new(data_dir: impl Into<PathBuf>, nodes: usize) -> Self {
        Self {
            data_dir: data_dir.into(),
            nodes,
            doors: Vec::new(),
            heap_mib_max: 256,
            jvm: Jvm::default(),
            interrupt: Interrupt::default(),
        }
    }
}

/// A running cluster; its nodes are killed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Broker>,
}

impl Cluster {
    /// Starts all nodes and waits until each of them serves.
    ///
    /// # Errors
    /// As [`Broker::start`], of the first node that does not come up.
    pub fn start(options: &ClusterOptions) -> Result<Self, Error> {
        for _ in 1..FREE_PORT_TRIES_MAX {
            match Self::try_start(options) {
                Err(Error::PortTaken { .. }) => {}
                other => return other,
            }
        }
        Self::try_start(options)
    }

    fn try_start(options: &ClusterOptions) -> Result<Self, Error> {
        let cluster_id = cluster_id_from_system()?;
        // All are held at once, so that they differ.
        let held: Vec<_> = (0..options.nodes * 2).map(|_| claim(0)).collect::<Result<_, _>>()?;
        let mut ports = held.iter().map(number).collect::<Result<Vec<u16>, _>>()?;
        drop(held);
        let controller_ports = ports.split_off(options.nodes);
        let member = |(node, port): (usize, &u16)| BrokerOptions {
            port: *port,
            controller_port: controller_ports[node - 1],
            membership: Some(Membership {
                cluster_id: cluster_id.clone(),
                node,
                controller_ports: controller_ports.clone(),
            }),
            heap_mib_max: options.heap_mib_max,
            jvm: options.jvm,
            door: options.doors.get(node - 1).copied(),
            properties: WATCHFUL.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            interrupt: options.interrupt.clone(),
            // Named by the cluster: what another try has formatted belongs to other ports.
            ..BrokerOptions::new(options.data_dir.join(format!("{cluster_id}-{node}")))
        };
        let members: Vec<BrokerOptions> = (1..).zip(&ports).map(member).collect();
        // None is ready before most of them are there, so nobody waits for one alone.
        let started = thread::scope(|scope| {
            let starts: Vec<_> =
                members.iter().map(|options| scope.spawn(|| Broker::start(options))).collect();
            starts.into_iter().map(|start| start.join()).collect::<Vec<_>>()
        });
        let nodes = started.into_iter().map(|node| match node {
            Ok(node) => node,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        Ok(Self { nodes: nodes.collect::<Result<_, _>>()? })
    }

    /// The addresses of all nodes, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(Broker::bootstrap).collect::<Vec<_>>().join(",")
    }

    /// The nodes themselves, in the order of their numbers.
    pub fn into_nodes(self) -> Vec<Broker> {
        self.nodes
    }
}
