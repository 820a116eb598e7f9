//! Brokers killed with -9 while records are published, and a cluster that is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use loa::bus::{Bus, Settings};
use loa::clock::Clock;
use tokio::sync::watch;

use super::{TOPIC, everything, open};
use crate::bus::{PATIENCE, record, take};
use crate::support::kafka::Kafka;
use crate::support::process::eventually;

const PUBLISHERS: usize = 8;
/// Records that a publisher has on their way at once.
const TOGETHER: usize = 2;
/// Records acknowledged between two faults.
const BETWEEN: usize = 300;
/// A broker that goes or comes: three each.
const FAULTS: usize = 6;
/// How long one step may take: brokers start beside other tests' on two cores.
const STEP: Duration = Duration::from_secs(180);

/// How many records were acknowledged so far.
type Acknowledged = Arc<watch::Sender<usize>>;

/// Publishes [`TOGETHER`] records at a time under a key until told to stop; answers how many were
/// acknowledged.
async fn publisher(bus: Bus, key: String, stop: Arc<AtomicBool>, all: Acknowledged) -> usize {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let records = (number..number + TOGETHER).map(|one| record(&key, one.to_string()));
        let published = bus.publish(TOPIC, records.collect()).await;
        published.expect("published, however long it takes");
        number += TOGETHER;
        all.send_modify(|all| *all += TOGETHER);
    }
    number
}

/// All that a key's publisher counted lies there, in order. It lies there once, but for what was on
/// its way at a fault: when brokers elect another leader, librdkafka may give its producer another
/// epoch and send that again (its issue 4953). Answers how many records were repeated.
fn check(key: &str, acknowledged: usize, found: &[usize]) -> usize {
    let (mut next, mut again) = (0, Vec::new());
    for &number in found {
        if number == next {
            next += 1;
        } else {
            assert!(number < next, "{key}: {number} lies there, and {next} not before it");
            assert!(
                number + TOGETHER >= next,
                "{key}: {number} was acknowledged, and lies there again where {next} is due"
            );
            again.push(number);
        }
    }
    assert_eq!(next, acknowledged, "{key}: so many in order, and so many acknowledged");
    assert!(again.len() <= TOGETHER * FAULTS, "{key}: {again:?} lie there again");
    again.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_killed_in_mid_publish_cost_nothing_that_was_acknowledged() {
    let kafka = Kafka::start(3, &[]).await;
    let cluster = kafka.topics().await;
    let bus = open(&cluster).await;
    let (stop, all) = (Arc::new(AtomicBool::new(false)), Acknowledged::default());
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|n| publisher(bus.clone(), format!("chain-{n}"), stop.clone(), all.clone()))
        .map(tokio::spawn)
        .collect();
    let more = async |when: &str| {
        let (goal, mut seen) = (*all.borrow() + BETWEEN, all.subscribe());
        let waited = tokio::time::timeout(STEP, seen.wait_for(|all| *all >= goal)).await;
        assert!(waited.is_ok(), "{when}: {} acknowledged of {goal}", *all.borrow());
    };
    for broker in 0..3 {
        more("all brokers are there").await;
        kafka.kill(broker);
        // With one broker of three away, publishing goes on.
        more(&format!("broker {broker} is away")).await;
        kafka.restart(broker).await;
        more(&format!("broker {broker} is there again")).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for (n, publisher) in publishers.into_iter().enumerate() {
        acknowledged.insert(format!("chain-{n}"), publisher.await.expect("no panic"));
    }
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (key, text) in everything(&bus).await {
        found.entry(key).or_default().push(text.parse().expect("a number"));
    }
    let again: usize = acknowledged.iter().map(|(key, &all)| check(key, all, &found[key])).sum();
    println!("{} acknowledged over three kills, {again} of them repeated", *all.borrow());
    bus.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_cluster_is_away_publishers_wait_and_nothing_is_lost() {
    let kafka = Kafka::start(1, &[]).await;
    let cluster = kafka.topics().await;
    // A queue that the test can fill.
    let settings = Settings { queue_mib: 1, ..Settings::kafka(cluster) };
    let bus = Bus::open(&settings, Clock::System).await.expect("the log opens");
    let mut consumer = bus.consumer("route", &[TOPIC]).await.expect("joined");
    bus.publish(TOPIC, vec![record("a", "0")]).await.expect("published");
    let first = take(&mut consumer, 1).await;
    consumer.commit(first[0].position.next()).await.expect("committed");
    assert!(bus.is_ready().await);

    kafka.kill(0);
    eventually(async || (!bus.is_ready().await).then_some(())).await;
    let heavy = |n: usize| {
        let (bus, payload) = (bus.clone(), format!("{n:0>60000}"));
        tokio::spawn(async move { bus.publish(TOPIC, vec![record("a", payload)]).await })
    };
    let waiting: Vec<_> = (1..=60).map(heavy).collect();
    // Over three mebibytes for a queue of one: some wait outside, none fails.
    let mut all = Box::pin(try_join_all(waiting));
    let early = tokio::time::timeout(Duration::from_secs(2), &mut all).await;
    assert!(early.is_err(), "published, or failed, without a broker: {early:?}");

    kafka.restart(0).await;
    let published = tokio::time::timeout(PATIENCE, all).await.expect("in time");
    for publish in published.expect("no panic") {
        publish.expect("published");
    }
    let mut numbers: Vec<usize> = take(&mut consumer, 60)
        .await
        .iter()
        .map(|one| String::from_utf8_lossy(&one.payload).parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    eventually(async || bus.is_ready().await.then_some(())).await;
    bus.close().await.expect("closed");
}
