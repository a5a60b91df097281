//! The settings of one broker that is also its own controller.

use std::fmt::Write as _;
use std::path::Path;

/// Where the broker listens and keeps its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    pub(super) port: u16,
    pub(super) controller_port: u16,
    pub(super) logs: &'a Path,
    pub(super) properties: &'a [(String, String)],
}

impl Settings<'_> {
    /// As `server.properties`. Later lines win, so the caller's come last.
    pub(super) fn text(&self) -> String {
        let Self { port, controller_port, logs, properties } = self;
        let listeners =
            format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}");
        let voters = format!("1@127.0.0.1:{controller_port}");
        let logs = logs.to_string_lossy();
        let ours = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("listeners", &listeners),
            ("advertised.listeners", &listeners),
            ("controller.listener.names", "CONTROLLER"),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("controller.quorum.voters", &voters),
            ("log.dirs", &logs),
            // A topic nobody declared is a mistake, not a topic.
            ("auto.create.topics.enable", "false"),
            // One node cannot hold three copies.
            ("default.replication.factor", "1"),
            ("offsets.topic.replication.factor", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
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

    #[test]
    fn the_callers_settings_come_last() {
        let properties = [("auto.create.topics.enable".to_owned(), "true".to_owned())];
        let settings = Settings {
            port: 9092,
            controller_port: 9093,
            logs: Path::new("/data/logs"),
            properties: &properties,
        };
        let text = settings.text();
        assert!(
            text.contains("listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n")
        );
        assert!(text.ends_with("auto.create.topics.enable=true\n"), "{text}");
    }
}
