//! Logs: to standard error, as text for people or as JSON for machines.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Levels by module, as in `info` or `warn,clickmill_collector=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::default() }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people, coloured where standard error is a terminal.
    #[default]
    Text,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter is not a list of levels by module: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging belongs to the process, and somebody has set it up.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Sets up logging for the whole process: for `main`, and there once.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let done = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
    };
    done.map_err(|_| TelemetryError::AlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_refused_and_a_second_set_up_too() {
        let bad = LogConfig { filter: "clickmill=loud".to_owned(), ..LogConfig::default() };
        assert!(matches!(init(&bad), Err(TelemetryError::Filter(_))));
        // Off: the other tests of this process shall not begin to talk.
        let quiet = LogConfig { filter: "off".to_owned(), format: LogFormat::Json };
        init(&quiet).unwrap();
        assert!(matches!(init(&quiet), Err(TelemetryError::AlreadySet)));
    }
}
