//! Errors that a real broker gives only on its worst day, injected by librdkafka's mock.

use std::time::Duration;

use loa::bus::kafka::Settings as Cluster;
use loa::bus::{Bus, Position, TopicId};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{TOPIC, open};
use crate::bus::{PATIENCE, record};

const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;

fn cluster(mock: &MockCluster<'_, DefaultProducerContext>) -> Cluster {
    for topic in TopicId::all() {
        let partitions = i32::try_from(topic.definition().partitions).expect("few");
        mock.create_topic(&topic.name(), partitions, 1).expect("made");
    }
    Cluster { brokers: vec![mock.bootstrap_servers()], ..Cluster::default() }
}

/// Publishes texts under one key, and answers where each lies.
async fn publish(bus: &Bus, texts: &[&str]) -> Vec<Option<Position>> {
    let records = texts.iter().map(|text| record("a", text.to_string())).collect();
    let publish = bus.publish(TOPIC, records);
    tokio::time::timeout(PATIENCE, publish).await.expect("in time").expect("published")
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_make_a_publisher_wait_and_nothing_is_lost_or_repeated() {
    let mock = MockCluster::new(1).expect("a mock");
    let bus = open(&cluster(&mock)).await;
    let short = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    mock.request_errors(PRODUCE, &[short; 8]);
    let at = publish(&bus, &["1", "2"]).await;
    let at: Vec<_> = at.into_iter().map(|at| at.expect("a place")).collect();
    assert_eq!((at[0].offset, at[1].offset), (0, 1));
    assert_eq!(bus.bounds(TOPIC, at[0].partition).await.expect("known"), 0..2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_has_from_a_try_whose_answer_was_lost_is_published() {
    let mock = MockCluster::new(1).expect("a mock");
    let bus = open(&cluster(&mock)).await;
    let known = RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
    mock.request_errors(PRODUCE, &[known; 1]);
    assert_eq!(publish(&bus, &["1"]).await, [None], "the broker does not say where");
    assert!(publish(&bus, &["2"]).await[0].is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_failed_for_good_is_made_anew() {
    let mock = MockCluster::new(1).expect("a mock");
    let bus = open(&cluster(&mock)).await;
    publish(&bus, &["1"]).await;
    // The broker lost what it knew of the producer: librdkafka gives up for good.
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    mock.request_errors(PRODUCE, &[lost; 3]);
    for text in ["2", "3"] {
        publish(&bus, &[text]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_will_never_take_is_refused_by_name() {
    let mock = MockCluster::new(1).expect("a mock");
    let bus = open(&cluster(&mock)).await;
    let large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    mock.request_errors(PRODUCE, &[large; 1]);
    let publish = bus.publish(TOPIC, vec![record("a", "1")]);
    let refused = tokio::time::timeout(Duration::from_secs(10), publish).await.expect("in time");
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("loa.publications.emergency"), "{refused}");
}
