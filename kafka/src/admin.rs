//! Topics as an administrator sees them: what is there, making what is missing, changing settings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
    OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use crate::{Class, Error, KafkaConfig, NextOffset};

/// How often a topic that is being made is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic's name, in full.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// On how many brokers each partition lies.
    pub replication: u16,
    /// Topic settings by Kafka's own names, such as `cleanup.policy`.
    pub config: BTreeMap<String, String>,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// How many partitions.
    pub partitions: u32,
    /// On how many brokers the least replicated partition lies.
    pub replication: u16,
    /// Settings that were made for this topic.
    pub set: BTreeMap<String, String>,
    /// All settings in force, defaults included.
    pub in_force: BTreeMap<String, String>,
}

/// What became of making one topic.
#[derive(Debug)]
pub enum Creation {
    /// It was there already, and was left as it is.
    Existed,
    /// It was made.
    Made,
    /// It could not be made.
    Failed(Error),
}

/// Looks at topics and changes them. Every call is given up after the wait that was set.
pub struct Admin {
    inner: Arc<AdminClient<DefaultClientContext>>,
    bootstrap: String,
    wait: Duration,
}

impl Admin {
    /// Makes the client; does not wait for a broker. Each call may take up to `wait`.
    ///
    /// # Errors
    /// Names the property that is wrong.
    pub fn new(kafka: &KafkaConfig, wait: Duration) -> Result<Self, Error> {
        let inner = AdminClient::from_config(&kafka.client()?).map_err(Error::making)?;
        Ok(Self { inner: Arc::new(inner), bootstrap: kafka.bootstrap.clone(), wait })
    }

    /// The topics of that list that exist.
    ///
    /// # Errors
    /// When the cluster does not answer or does not allow it.
    pub async fn describe(&self, names: &[&str]) -> Result<BTreeMap<String, TopicState>, Error> {
        let mut topics = self.topics(names).await?;
        if topics.is_empty() {
            return Ok(topics);
        }
        let found: Vec<String> = topics.keys().cloned().collect();
        let resources = found.iter().map(|name| ResourceSpecifier::Topic(name));
        let resources: Vec<ResourceSpecifier<'_>> = resources.collect();
        let described = self.inner.describe_configs(&resources, &self.options());
        let doing = "reading the settings of topics";
        for resource in described.await.map_err(|error| Error::doing(doing, &error))? {
            let resource = resource.map_err(|code| Error::code(doing, code))?;
            let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
            let Some(topic) = topics.get_mut(name) else { continue };
            for entry in resource.entries {
                let Some(value) = entry.value else { continue };
                if entry.source == ConfigSource::DynamicTopic {
                    topic.set.insert(entry.name.clone(), value.clone());
                }
                topic.in_force.insert(entry.name, value);
            }
        }
        Ok(topics)
    }

    /// Makes topics and waits until they can be written to. One result for each, in their order.
    ///
    /// # Errors
    /// When the call as a whole fails. A single topic's failure is in its result.
    pub async fn create(&self, specs: &[TopicSpec]) -> Result<Vec<Creation>, Error> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "creating topics";
        let topics: Vec<NewTopic<'_>> = specs.iter().map(new_topic).collect();
        let answered = self.inner.create_topics(&topics, &self.options());
        let answers = answered.await.map_err(|error| Error::doing(doing, &error))?;
        let mut by_name: BTreeMap<String, Option<RDKafkaErrorCode>> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(name) => (name, None),
                Err((name, code)) => (name, Some(code)),
            })
            .collect();
        let results: Vec<Creation> = specs
            .iter()
            .map(|spec| match by_name.remove(&spec.name) {
                Some(None) => Creation::Made,
                Some(Some(RDKafkaErrorCode::TopicAlreadyExists)) => Creation::Existed,
                Some(Some(code)) => {
                    Creation::Failed(Error::code(format!("creating the topic {}", spec.name), code))
                }
                None => {
                    Creation::Failed(Error::timed_out(format!("creating the topic {}", spec.name)))
                }
            })
            .collect();
        let made = specs.iter().zip(&results);
        let made = made.filter(|(_, result)| matches!(result, Creation::Made));
        let made: Vec<&str> = made.map(|(spec, _)| spec.name.as_str()).collect();
        self.await_leaders(&made, Instant::now() + self.wait).await?;
        Ok(results)
    }

    /// Changes some of a topic's settings and leaves the others as they are.
    ///
    /// # Errors
    /// [`Class::Refused`] when the broker does not take one of them.
    pub async fn set_config(
        &self,
        topic: &str,
        changes: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let doing = || format!("changing the settings of the topic {topic}");
        let before = self.describe(&[topic]).await?.remove(topic);
        let Some(before) = before else {
            return Err(Error::code(doing(), RDKafkaErrorCode::UnknownTopicOrPartition));
        };
        // The call replaces all of a topic's settings, so the present ones go along.
        let mut wanted = before.set;
        wanted.extend(changes.iter().map(|(key, value)| (key.clone(), value.clone())));
        let entries = wanted.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let alter = AlterConfig { specifier: ResourceSpecifier::Topic(topic), entries };
        let altered = self.inner.alter_configs([&alter], &self.options()).await;
        altered.map_err(|error| Error::doing(doing(), &error))?;

        // rdkafka drops the answer's error for the single topic, so look whether it was done.
        let deadline = Instant::now() + self.wait;
        loop {
            let after = self.describe(&[topic]).await?.remove(topic);
            if after.is_some_and(|after| after.set == wanted) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::code(doing(), RDKafkaErrorCode::InvalidConfig));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Raises the number of a topic's partitions. Keys then move: see the catalogue's refusal.
    ///
    /// # Errors
    /// [`Class::Refused`] when the topic is missing or has that many already.
    pub async fn increase_partitions(&self, topic: &str, partitions: u32) -> Result<(), Error> {
        let doing = format!("adding partitions to the topic {topic}");
        let count = usize::try_from(partitions).unwrap_or(usize::MAX);
        let request = NewPartitions::new(topic, count);
        let answered = self.inner.create_partitions([&request], &self.options()).await;
        match answered.map_err(|error| Error::doing(doing.as_str(), &error))?.pop() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(Error::code(doing, code)),
            None => Err(Error::timed_out(doing)),
        }
    }

    /// Deletes the records before these offsets.
    ///
    /// # Errors
    /// When the cluster does not answer or does not allow it.
    pub async fn delete_before(&self, offsets: &[NextOffset]) -> Result<(), Error> {
        const DOING: &str = "deleting records";
        if offsets.is_empty() {
            return Ok(());
        }
        let list = crate::consumer::offsets(offsets)?;
        let deleted = self.inner.delete_records(&list, &self.options()).await;
        let deleted = deleted.map_err(|error| Error::doing(DOING, &error))?;
        match deleted.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(Error::doing(DOING, &error)),
            None => Ok(()),
        }
    }

    /// How many partitions a topic has; none where there is no such topic.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        let state = self.topics(&[topic]).await?.remove(topic);
        Ok(state.map(|state| state.partitions))
    }

    /// How many brokers the cluster has.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn brokers(&self) -> Result<usize, Error> {
        let asked = self.ask("asking for the brokers", |metadata| metadata.brokers().len());
        asked.await
    }

    /// Waits until every partition of these topics has a leader.
    async fn await_leaders(&self, names: &[&str], deadline: Instant) -> Result<(), Error> {
        loop {
            let names_owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let ready = self.ask("waiting for new topics", move |metadata| {
                names_owned.iter().all(|name| {
                    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
                    topic.is_some_and(|topic| {
                        let partitions = topic.partitions();
                        !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0)
                    })
                })
            });
            if ready.await? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::timed_out("waiting for the leaders of new topics"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicState>, Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let asked = self.ask("listing the topics", move |metadata| {
            let wanted = metadata.topics().iter().filter(|topic| {
                topic.error().is_none() && names.iter().any(|name| name == topic.name())
            });
            wanted
                .map(|topic| {
                    let partitions = topic.partitions();
                    let replication = partitions.iter().map(|p| p.replicas().len()).min();
                    let state = TopicState {
                        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
                        replication: u16::try_from(replication.unwrap_or(0)).unwrap_or(u16::MAX),
                        set: BTreeMap::new(),
                        in_force: BTreeMap::new(),
                    };
                    (topic.name().to_owned(), state)
                })
                .collect()
        });
        asked.await
    }

    /// Asks for the metadata of all topics. Asking for one by name could create it, on a broker
    /// that creates topics by itself.
    async fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        look: impl FnOnce(&rdkafka::metadata::Metadata) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (inner, wait) = (Arc::clone(&self.inner), self.wait);
        // librdkafka answers this call only by blocking.
        let asked = tokio::task::spawn_blocking(move || {
            inner.inner().fetch_metadata(None, wait).map(|metadata| look(&metadata))
        });
        match asked.await {
            Ok(answer) => answer.map_err(|error| self.unanswered(doing, &error)),
            Err(_) => Err(Error::timed_out(doing)),
        }
    }

    /// librdkafka says "broker transport failure" when no broker answered in time.
    fn unanswered(&self, doing: &str, error: &KafkaError) -> Error {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                Error::Failed {
                    doing: doing.to_owned(),
                    class: Class::Retriable,
                    detail: format!("no Kafka broker answers at {}", self.bootstrap),
                }
            }
            _ => Error::doing(doing, error),
        }
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.wait)).operation_timeout(Some(self.wait))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("wait", &self.wait).finish_non_exhaustive()
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    NewTopic {
        name: &spec.name,
        num_partitions: i32::try_from(spec.partitions).unwrap_or(i32::MAX),
        replication: TopicReplication::Fixed(spec.replication.into()),
        config: spec.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    }
}
