//! What ends a runtime, or makes it begin anew.

/// Why a view cannot be run, or run on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka's client cannot be made, or can no longer be used.
    #[error(transparent)]
    Kafka(#[from] clickmill_kafka::Error),
    /// A transaction could not be begun, filled or committed.
    #[error(transparent)]
    Transaction(clickmill_kafka::Error),
    /// A record of a transaction will never be delivered.
    #[error("a record for {topic} cannot be produced: {failure}")]
    Output {
        /// Where it was to go.
        topic: String,
        /// Why.
        failure: clickmill_kafka::Failure,
    },
    /// Kafka's client does not come back from a commit.
    #[error("a commit has not ended after {0:?}")]
    Overdue(std::time::Duration),
    /// The changelog has fewer partitions than the topic that drives the view.
    #[error(
        "the changelog {changelog} has no partition {partition}: it must have as many as the topic \
         that drives the view; add what is missing"
    )]
    NoPartition {
        /// The changelog.
        changelog: String,
        /// The partition.
        partition: u32,
    },
    /// A topic that feeds the view is not there.
    #[error("there is no topic {0}")]
    NoTopic(String),
    /// A topic beside the one that drives the view does not place keys alike.
    #[error(
        "the topic {sibling} has {partitions} partitions and {topic}, which drives the view, has \
         {wanted}: they must have as many, or a key's records lie apart"
    )]
    NotAlike {
        /// The topic beside it.
        sibling: String,
        /// How many partitions it has.
        partitions: u32,
        /// The topic that drives the view.
        topic: String,
        /// How many that one has.
        wanted: u32,
    },
    /// The group has given our partitions to others without asking.
    #[error("partitions were lost to others")]
    Lost,
    /// The states on the disk cannot be read or written.
    #[error("local state: {0}")]
    Store(String),
    /// There is no room for states on the disk.
    #[error("local state: no room on the disk for {0}")]
    Full(String),
    /// The thread could not be started.
    #[error("no thread for {name}: {source}")]
    Thread {
        /// What the thread was for.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A fold panicked, or what takes its outputs.
    #[error("the fold of the record at {0} panicked")]
    Panicked(crate::Place),
    /// The thread ended without saying why: it panicked.
    #[error("the thread of {0} broke off")]
    Broken(String),
}
