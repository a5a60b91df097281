//! What can go wrong with Kafka, sorted by what the caller can do about it.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The client can no longer be used and must be made anew.
    Fatal,
    /// The client's own queue is full: nothing was sent, try again later.
    QueueFull,
    /// The topic is missing, the record breaks its rules, or the broker does not allow it to us:
    /// trying again changes nothing until somebody mends the set-up.
    Refused,
    /// It did not happen, and the same call may succeed later.
    Retriable,
    /// No answer came in time. A record may or may not have been persisted.
    TimedOut,
    /// The record is larger than this client's `record_bytes_max`.
    TooLarge,
}

impl Class {
    /// Every class, for tables of metrics.
    pub const ALL: [Self; 6] = [
        Self::Fatal,
        Self::QueueFull,
        Self::Refused,
        Self::Retriable,
        Self::TimedOut,
        Self::TooLarge,
    ];

    /// A stable name in snake case, for metric labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Retriable => "retriable",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
        }
    }

    pub(crate) fn of(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::QueueFull => Self::QueueFull,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                Self::TooLarge
            }
            Code::Fatal
            | Code::Fenced
            | Code::ProducerFenced
            | Code::FencedInstanceId
            | Code::InvalidProducerEpoch
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature => Self::Fatal,
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidArgument
            | Code::InvalidConfig
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidRequest
            | Code::InvalidRequiredAcks
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::UnsupportedCompressionType
            | Code::UnsupportedForMessageFormat
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SecurityDisabled
            | Code::SSL
            | Code::PolicyViolation
            | Code::TopicAlreadyExists => Self::Refused,
            // In these cases the broker may have written the record although no success came back.
            Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::NotEnoughReplicasAfterAppend
            | Code::PurgeInflight
            | Code::Inconsistent => Self::TimedOut,
            // The list of codes grows with librdkafka; what is new is most likely passing.
            _ => Self::Retriable,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one record was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller can do.
    pub class: Class,
    code: RDKafkaErrorCode,
}

impl Failure {
    pub(crate) const DEADLINE: Self =
        Self { class: Class::TimedOut, code: RDKafkaErrorCode::OperationTimedOut };
    pub(crate) const QUEUE_FULL: Self =
        Self { class: Class::QueueFull, code: RDKafkaErrorCode::QueueFull };

    pub(crate) fn of(error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        Self { class: Class::of(code), code }
    }

    /// A failure that came back from the broker. What it finds too large is a batch of records, each
    /// of which this client found small enough: the limits do not fit together, and no single
    /// record is to blame.
    pub(crate) fn delivering(error: &KafkaError) -> Self {
        match Self::of(error) {
            Self { class: Class::TooLarge, code } => Self { class: Class::Refused, code },
            other => other,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)
    }
}

impl std::error::Error for Failure {}

/// What can go wrong at the border to Kafka, apart from the delivery of a single record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A property of the free list that this crate sets itself.
    #[error("the Kafka property `{key}` cannot be set by hand: {instead}")]
    OwnedProperty {
        /// The property as it was written.
        key: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// A setting of this crate that makes no sense.
    #[error("the Kafka setting `{key}` {problem}")]
    BadSetting {
        /// The setting, dotted as in the file.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A property or value that librdkafka does not know.
    #[error("librdkafka refuses the property `{key}`: {detail}")]
    BadProperty {
        /// The property as librdkafka names it.
        key: String,
        /// librdkafka's own words.
        detail: String,
    },
    /// The client could not be made at all.
    #[error("no Kafka client could be made: {0}")]
    Client(String),
    /// A call failed.
    #[error("{doing} failed: {detail}")]
    Failed {
        /// What was being done, to what.
        doing: String,
        /// What the caller can do.
        class: Class,
        /// The reason in librdkafka's words.
        detail: String,
    },
    /// The record to read next is not there: its topic was made anew or cut, or the record is gone
    /// already. Comes only where nothing was said for that case ([`Start::Refuse`](crate::Start)).
    #[error("{0} failed: the next record is not there any more")]
    OutOfRange(String),
}

impl Error {
    /// What the caller can do about it; a wrong configuration is [`Class::Refused`].
    pub fn class(&self) -> Class {
        match self {
            Self::OwnedProperty { .. } | Self::BadSetting { .. } | Self::BadProperty { .. } => {
                Class::Refused
            }
            Self::Client(_) => Class::Fatal,
            Self::Failed { class, .. } => *class,
            Self::OutOfRange(_) => Class::Retriable,
        }
    }

    /// An error of making a client.
    pub(crate) fn making(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, detail, key, _) => Self::BadProperty { key, detail },
            KafkaError::ClientCreation(detail) => Self::Client(detail),
            other => Self::Client(other.to_string()),
        }
    }

    /// An error of doing something with a client.
    pub(crate) fn doing(doing: impl Into<String>, error: &KafkaError) -> Self {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let detail = code.to_string();
            return Self::Failed { doing: doing.into(), class: Class::Fatal, detail };
        }
        let code = match error {
            // The one variant whose code rdkafka does not hand out through its accessor.
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        match code {
            Some(RDKafkaErrorCode::AutoOffsetReset) => Self::OutOfRange(doing.into()),
            Some(code) => Self::code(doing, code),
            None => Self::Failed {
                doing: doing.into(),
                class: Class::Retriable,
                detail: error.to_string(),
            },
        }
    }

    pub(crate) fn code(doing: impl Into<String>, code: RDKafkaErrorCode) -> Self {
        let class = Class::of(code);
        Self::Failed { doing: doing.into(), class, detail: code.to_string() }
    }

    pub(crate) fn timed_out(doing: impl Into<String>) -> Self {
        Self::Failed {
            doing: doing.into(),
            class: Class::TimedOut,
            detail: "no answer in time".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_tells_what_can_be_done() {
        let cases = [
            (RDKafkaErrorCode::QueueFull, Class::QueueFull),
            (RDKafkaErrorCode::MessageSizeTooLarge, Class::TooLarge),
            (RDKafkaErrorCode::UnknownTopicOrPartition, Class::Refused),
            (RDKafkaErrorCode::TopicAuthorizationFailed, Class::Refused),
            (RDKafkaErrorCode::MessageTimedOut, Class::TimedOut),
            (RDKafkaErrorCode::PurgeInflight, Class::TimedOut),
            (RDKafkaErrorCode::PurgeQueue, Class::Retriable),
            (RDKafkaErrorCode::NotEnoughReplicas, Class::Retriable),
            (RDKafkaErrorCode::Fatal, Class::Fatal),
        ];
        for (code, class) in cases {
            assert_eq!(Class::of(code), class, "{code}");
            assert_eq!(Failure::of(&KafkaError::MessageProduction(code)).class, class);
            assert_eq!(Error::code("producing", code).class(), class);
        }
    }

    #[test]
    fn a_batch_too_large_is_no_single_records_fault() {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert_eq!(Failure::of(&error).class, Class::TooLarge);
        assert_eq!(Failure::delivering(&error).class, Class::Refused);
    }

    #[test]
    fn an_admin_error_keeps_its_code() {
        let error = Error::doing(
            "creating the topic t",
            &KafkaError::AdminOp(RDKafkaErrorCode::ClusterAuthorizationFailed),
        );
        assert_eq!(error.class(), Class::Refused);
        assert!(error.to_string().starts_with("creating the topic t failed: "), "{error}");
    }

    #[test]
    fn what_librdkafka_calls_fatal_is_fatal() {
        let code = RDKafkaErrorCode::UnknownMemberId;
        let error = Error::doing("polling", &KafkaError::MessageConsumptionFatal(code));
        assert_eq!(error.class(), Class::Fatal);
    }

    #[test]
    fn a_record_that_is_not_there_is_told_apart() {
        let error = KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
        assert!(matches!(Error::doing("polling", &error), Error::OutOfRange(_)));
    }

    #[test]
    fn class_names_are_distinct() {
        let mut names: Vec<_> = Class::ALL.iter().map(|class| class.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Class::ALL.len());
    }
}
