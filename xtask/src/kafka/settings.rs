//! The settings of one node: a broker that is a controller, too, alone or among others.

use std::fmt::Write as _;
use std::path::Path;

use super::Door;

/// Copies of each record, where there are nodes enough.
const REPLICAS: usize = 3;

/// Where the node listens and keeps its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    /// Its number, from 1.
    pub(super) node: usize,
    pub(super) port: u16,
    /// The controllers' ports of all nodes, in the order of their numbers.
    pub(super) controller_ports: &'a [u16],
    pub(super) door: Option<Door>,
    pub(super) logs: &'a Path,
    pub(super) properties: &'a [(String, String)],
}

impl Settings<'_> {
    /// As `server.properties`. Later lines win, so the caller's come last.
    pub(super) fn text(&self) -> String {
        let Self { node, port, controller_ports, door, logs, properties } = self;
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
        let mut voters = Vec::new();
        for (number, controller_port) in (1..).zip(*controller_ports) {
            voters.push(format!("{number}@127.0.0.1:{controller_port}"));
            if number == *node {
                listeners.push_str(&format!(",CONTROLLER://127.0.0.1:{controller_port}"));
            }
        }
        let mut told = listeners.clone();
        if let Some(door) = door {
            listeners.push_str(&format!(",DOOR://127.0.0.1:{}", door.port));
            told.push_str(&format!(",DOOR://127.0.0.1:{}", door.told));
        }
        let (node, voters) = (node.to_string(), voters.join(","));
        let copies = controller_ports.len().min(REPLICAS);
        // What three nodes take, two can keep: the loss of one stops nothing.
        let insync_min = copies.saturating_sub(1).max(1).to_string();
        let copies = copies.to_string();
        let logs = logs.to_string_lossy();
        let ours = [
            ("process.roles", "broker,controller"),
            ("node.id", &node),
            ("listeners", &listeners),
            ("advertised.listeners", &told),
            ("controller.listener.names", "CONTROLLER"),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT",
            ),
            ("controller.quorum.voters", &voters),
            ("log.dirs", &logs),
            // A topic nobody declared is a mistake, not a topic.
            ("auto.create.topics.enable", "false"),
            // One node cannot hold three copies.
            ("default.replication.factor", &copies),
            ("min.insync.replicas", &insync_min),
            ("offsets.topic.replication.factor", &copies),
            ("transaction.state.log.replication.factor", &copies),
            ("transaction.state.log.min.isr", &insync_min),
            ("share.coordinator.state.topic.replication.factor", &copies),
            ("share.coordinator.state.topic.min.isr", &insync_min),
            // Fifty partitions each would cost seconds at the first use.
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.num.partitions", "4"),
            // The first member of a group need not wait for others.
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let mut text = String::new();
        let caller = properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in ours.into_iter().chain(caller) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
        }
        text
    }
}

/// Kafka's words go to its output, which we keep in a file.
pub(super) const LOGGING: &str = "status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
";

/// A new cluster's id: 16 random bytes in url-safe base64 without padding, as Kafka makes them. One
/// that begins with a dash would be taken for an option.
pub(super) fn cluster_id(mut random: impl FnMut() -> [u8; 16]) -> String {
    loop {
        let id = base64_url(&random());
        if !id.starts_with('-') {
            return id;
        }
    }
}

fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        // One byte takes two letters, two take three, three take four.
        for n in 0..=chunk.len() {
            let letter = (word >> (18 - 6 * n)) & 63;
            text.push(char::from(LETTERS[letter as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_url_safe_base64() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff], "-_8"),
        ] {
            assert_eq!(base64_url(bytes), text);
        }
    }

    #[test]
    fn an_id_never_begins_with_a_dash() {
        let mut drawn = [[0xfb; 16], [0; 16]].into_iter();
        let id = cluster_id(|| drawn.next().unwrap());
        assert_eq!(id, "A".repeat(22));
    }

    fn text(node: usize, controller_ports: &[u16], properties: &[(String, String)]) -> String {
        let logs = Path::new("/data/logs");
        Settings { node, port: 9092, controller_ports, door: None, logs, properties }.text()
    }

    #[test]
    fn who_comes_by_the_door_is_told_what_stands_before_it() {
        let door = Some(Door { port: 9094, told: 9096 });
        let (logs, controller_ports) = (Path::new("/data/logs"), &[9093][..]);
        let settings =
            Settings { node: 1, port: 9092, controller_ports, door, logs, properties: &[] };
        let text = settings.text();
        let own = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
        for line in [
            format!("listeners={own},DOOR://127.0.0.1:9094"),
            format!("advertised.listeners={own},DOOR://127.0.0.1:9096"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_node_listens_for_itself_and_knows_all_voters() {
        let text = text(2, &[9093, 9095, 9097], &[]);
        for line in [
            "node.id=2",
            "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9095",
            "controller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9095,3@127.0.0.1:9097",
            "default.replication.factor=3",
            "min.insync.replicas=2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
    }

    #[test]
    fn one_node_keeps_one_copy() {
        let text = text(1, &[9093], &[]);
        assert!(text.contains("\ndefault.replication.factor=1\n"), "{text}");
        assert!(text.contains("\nmin.insync.replicas=1\n"), "{text}");
    }

    #[test]
    fn the_callers_settings_come_last() {
        let properties = [("auto.create.topics.enable".to_owned(), "true".to_owned())];
        let text = text(1, &[9093], &properties);
        assert!(
            text.contains("listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n")
        );
        assert!(text.ends_with("auto.create.topics.enable=true\n"), "{text}");
    }
}
