//! The few of librdkafka's statistics that an operator acts on.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a client calls with each report; runs on the client's own polling thread, so be brief.
pub type OnStatistics = Box<dyn Fn(&Statistics) + Send + Sync>;

/// One report of one client. Totals count from the client's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The client's name, as brokers log it.
    pub client: String,
    /// Records waiting in the producer's queue or in flight.
    pub queue_records: u64,
    /// Bytes of those records.
    pub queue_bytes: u64,
    /// Records sent since the start.
    pub sent_records: u64,
    /// Bytes of records sent since the start.
    pub sent_bytes: u64,
    /// Records received since the start.
    pub received_records: u64,
    /// Bytes of records received since the start.
    pub received_bytes: u64,
    /// Requests that failed to be sent, since the start.
    pub request_errors: u64,
    /// Requests that were sent again, since the start.
    pub request_retries: u64,
    /// Requests without an answer in time, since the start.
    pub request_timeouts: u64,
    /// Brokers that are connected.
    pub brokers_up: u32,
    /// Brokers that are known.
    pub brokers: u32,
    /// The slowest broker's median round trip, in microseconds.
    pub round_trip_p50_us: u64,
    /// The slowest broker's round trip at the 99th percentile, in microseconds.
    pub round_trip_p99_us: u64,
    /// Rebalances of the consumer's group, since the start.
    pub rebalances: u64,
    /// How far the consumer is behind, for each partition that it reads.
    pub lags: Vec<PartitionLag>,
}

/// How far a consumer is behind in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Records between what was handed to the application and the end.
    pub records: u64,
}

impl Statistics {
    /// Reads the part that matters out of librdkafka's JSON.
    pub(crate) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Raw>(json).map(Self::from)
    }
}

impl From<Raw> for Statistics {
    fn from(raw: Raw) -> Self {
        // Entries without a node id stand for bootstrap addresses, not for brokers.
        let brokers: Vec<&RawBroker> =
            raw.brokers.values().filter(|broker| broker.nodeid >= 0).collect();
        let sum = |part: fn(&RawBroker) -> u64| brokers.iter().copied().map(part).sum();
        let slowest =
            |part: fn(&RawBroker) -> u64| brokers.iter().copied().map(part).max().unwrap_or(0);
        let up = brokers.iter().filter(|broker| broker.state == "UP").count();
        Self {
            queue_records: raw.msg_cnt,
            queue_bytes: raw.msg_size,
            sent_records: raw.txmsgs,
            sent_bytes: raw.txmsg_bytes,
            received_records: raw.rxmsgs,
            received_bytes: raw.rxmsg_bytes,
            request_errors: sum(|broker| broker.txerrs),
            request_retries: sum(|broker| broker.txretries),
            request_timeouts: sum(|broker| broker.req_timeouts),
            brokers_up: u32::try_from(up).unwrap_or(u32::MAX),
            brokers: u32::try_from(brokers.len()).unwrap_or(u32::MAX),
            round_trip_p50_us: slowest(|broker| broker.rtt.p50),
            round_trip_p99_us: slowest(|broker| broker.rtt.p99),
            rebalances: raw.cgrp.map_or(0, |group| group.rebalance_cnt),
            lags: raw.topics.into_values().flat_map(RawTopic::lags).collect(),
            client: raw.name,
        }
    }
}

impl RawTopic {
    fn lags(self) -> impl Iterator<Item = PartitionLag> {
        let topic = self.topic;
        self.partitions.into_values().filter_map(move |partition| {
            let behind = partition.ls_offset.checked_sub(partition.app_offset)?;
            // Negative offsets mean "not known yet", for instance in a producer.
            let known = partition.app_offset >= 0 && partition.ls_offset >= 0;
            known.then(|| PartitionLag {
                topic: topic.clone(),
                partition: partition.partition,
                records: u64::try_from(behind).unwrap_or(0),
            })
        })
    }
}

#[derive(Deserialize)]
struct Raw {
    name: String,
    #[serde(default)]
    msg_cnt: u64,
    #[serde(default)]
    msg_size: u64,
    #[serde(default)]
    txmsgs: u64,
    #[serde(default)]
    txmsg_bytes: u64,
    #[serde(default)]
    rxmsgs: u64,
    #[serde(default)]
    rxmsg_bytes: u64,
    #[serde(default)]
    brokers: BTreeMap<String, RawBroker>,
    #[serde(default)]
    topics: BTreeMap<String, RawTopic>,
    cgrp: Option<RawGroup>,
}

#[derive(Deserialize)]
struct RawBroker {
    nodeid: i32,
    #[serde(default)]
    state: String,
    #[serde(default)]
    txerrs: u64,
    #[serde(default)]
    txretries: u64,
    #[serde(default)]
    req_timeouts: u64,
    #[serde(default)]
    rtt: RawWindow,
}

#[derive(Default, Deserialize)]
struct RawWindow {
    #[serde(default)]
    p50: u64,
    #[serde(default)]
    p99: u64,
}

#[derive(Deserialize)]
struct RawTopic {
    topic: String,
    #[serde(default)]
    partitions: BTreeMap<String, RawPartition>,
}

#[derive(Deserialize)]
struct RawPartition {
    partition: i32,
    #[serde(default = "unknown")]
    app_offset: i64,
    #[serde(default = "unknown")]
    ls_offset: i64,
}

#[derive(Deserialize)]
struct RawGroup {
    #[serde(default)]
    rebalance_cnt: u64,
}

fn unknown() -> i64 {
    -1001
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_boiled_down() {
        let json = br#"{"name":"c#consumer-1","type":"consumer","msg_cnt":3,"msg_size":30,"txmsgs":1,
            "txmsg_bytes":2,"rxmsgs":4,"rxmsg_bytes":5,"brokers":{
              "a:1/1":{"nodeid":1,"state":"UP","txerrs":1,"txretries":2,"req_timeouts":3,"rtt":{"p50":7,"p99":9}},
              "b:1/2":{"nodeid":2,"state":"CONNECT","txerrs":1,"txretries":0,"req_timeouts":0,"rtt":{"p50":8,"p99":8}},
              "a:1/bootstrap":{"nodeid":-1,"state":"UP","txerrs":9}},
            "topics":{"t":{"topic":"t","partitions":{
              "0":{"partition":0,"app_offset":5,"ls_offset":12},
              "1":{"partition":1,"app_offset":-1001,"ls_offset":12},
              "-1":{"partition":-1}}}},
            "cgrp":{"rebalance_cnt":2,"state":"up"}}"#;
        let statistics = Statistics::read(json).unwrap();
        assert_eq!((statistics.brokers_up, statistics.brokers), (1, 2));
        assert_eq!((statistics.request_errors, statistics.request_retries), (2, 2));
        assert_eq!((statistics.round_trip_p50_us, statistics.round_trip_p99_us), (8, 9));
        assert_eq!(statistics.rebalances, 2);
        assert_eq!(
            statistics.lags,
            [PartitionLag { topic: "t".to_owned(), partition: 0, records: 7 }]
        );
    }

    #[test]
    fn a_report_of_a_later_librdkafka_still_reads() {
        let statistics = Statistics::read(br#"{"name":"p","new":{"x":1}}"#).unwrap();
        assert_eq!(statistics, Statistics { client: "p".to_owned(), ..Statistics::default() });
    }
}
