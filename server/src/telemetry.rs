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

/// Levels by module, read.
#[derive(Debug)]
pub struct Filter(EnvFilter);

impl Filter {
    /// Reads a list of levels by module.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(text: &str) -> Result<Self, TelemetryError> {
        Ok(Self(EnvFilter::try_new(text)?))
    }
}

/// Changes what is logged while the process runs.
pub struct LogFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl std::fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFilter").finish_non_exhaustive()
    }
}

impl LogFilter {
    /// Takes another filter.
    pub fn set(&self, filter: Filter) {
        (self.0)(filter.0);
    }
}

/// Sets up logging for the whole process: for `main`, and there once.
pub fn init(config: &LogConfig) -> Result<LogFilter, TelemetryError> {
    let Filter(filter) = Filter::read(&config.filter)?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let (done, filter) = match config.format {
        LogFormat::Json => {
            // The span alone: a list of all around it would tell it twice.
            let lines =
                lines.json().flatten_event(true).with_span_list(false).with_filter_reloading();
            let handle = lines.reload_handle();
            // It fails only once nobody logs any more.
            let set = move |filter| drop(handle.reload(filter));
            (lines.finish().try_init(), LogFilter(Box::new(set)))
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            let set = move |filter| drop(handle.reload(filter));
            (lines.finish().try_init(), LogFilter(Box::new(set)))
        }
    };
    done.map(|()| filter).map_err(|_| TelemetryError::AlreadySet)
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
        let filter = init(&quiet).unwrap();
        assert!(matches!(Filter::read("clickmill=loud"), Err(TelemetryError::Filter(_))));
        for text in ["off,clickmill=error", "off"] {
            filter.set(Filter::read(text).unwrap());
        }
        assert!(matches!(init(&quiet), Err(TelemetryError::AlreadySet)));
    }
}
