//! What ends a runtime.

/// Why a view cannot be run, or run on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka's client cannot be made, or can no longer be used.
    #[error(transparent)]
    Kafka(#[from] clickmill_kafka::Error),
    /// The producer broke for good.
    #[error("outputs can no longer be produced: {0}")]
    Producer(String),
    /// The thread could not be started.
    #[error("no thread for {name}: {source}")]
    Thread {
        /// What the thread was for.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread ended without saying why: it panicked.
    #[error("the thread of {0} broke off")]
    Broken(String),
}
