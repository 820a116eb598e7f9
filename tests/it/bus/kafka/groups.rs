//! Groups: partitions come and go, and no record is lost on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loa::bus::kafka::Settings as Cluster;
use loa::bus::{Commits, Consumer, Error, Position, TopicId};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::{TOPIC, open};
use crate::bus::{PATIENCE, number, placed, record, records, tail, take};
use crate::support::kafka::Kafka;
use crate::support::process::eventually;

/// What was seen, how often, and up to where each partition was committed when it was seen again.
#[derive(Default)]
struct Seen {
    times: BTreeMap<Position, usize>,
    committed: BTreeMap<u32, u64>,
    /// Delivered although it had been committed before: never.
    late: Vec<Position>,
}

/// Consumes and commits until told to stop.
async fn member(mut consumer: Consumer, seen: Arc<Mutex<Seen>>, stop: CancellationToken) {
    let mut commits = Commits::new(consumer.committer());
    loop {
        let batch = tokio::select! {
            batch = consumer.next_batch(50) => batch.expect("read"),
            () = stop.cancelled() => return,
        };
        for delivery in batch {
            let at = delivery.position;
            {
                let mut seen = seen.lock().expect("no panic");
                *seen.times.entry(at).or_default() += 1;
                if seen.committed.get(&at.partition).is_some_and(|next| at.offset < *next) {
                    seen.late.push(at);
                }
            }
            // Ended in the middle of a batch, as a dying node does.
            if stop.is_cancelled() {
                return;
            }
            commits.done(at).await.expect("committed, or no longer ours");
        }
        commits.land().await.expect("committed, or no longer ours");
    }
}

/// The group's commits, as the brokers have them.
async fn note_commits(bus: &loa::bus::Bus, seen: &Mutex<Seen>) {
    for lag in bus.lag("route").await.expect("known") {
        let mut seen = seen.lock().expect("no panic");
        let committed = seen.committed.entry(lag.next.partition).or_default();
        *committed = (*committed).max(lag.next.offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_every_two_seconds_loses_nothing_and_repeats_only_what_was_not_committed() {
    const ROUNDS: u32 = 5;
    let cluster = Kafka::shared().await.topics().await;
    let (steady, guest) = (open(&cluster).await, open(&cluster).await);
    let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), CancellationToken::new());
    let consumer = steady.consumer("route", &[TOPIC]).await.expect("joined");
    let home = tokio::spawn(member(consumer, seen.clone(), stop.clone()));
    let publishing = CancellationToken::new();
    let publisher = {
        let (bus, publishing) = (steady.clone(), publishing.clone());
        tokio::spawn(async move {
            let mut all = BTreeSet::new();
            let mut pace = tokio::time::interval(Duration::from_millis(1));
            while !publishing.is_cancelled() {
                let key = all.len().to_string();
                all.extend(placed(&bus, TOPIC, vec![record(&key, "x")]).await);
                pace.tick().await;
            }
            all
        })
    };
    let mut every_two = tokio::time::interval(Duration::from_secs(2));
    every_two.tick().await;
    for _ in 0..ROUNDS {
        let leave = CancellationToken::new();
        let consumer = guest.consumer("route", &[TOPIC]).await.expect("joined");
        let visit = tokio::spawn(member(consumer, seen.clone(), leave.clone()));
        every_two.tick().await;
        note_commits(&steady, &seen).await;
        leave.cancel();
        visit.await.expect("no panic");
        every_two.tick().await;
    }
    publishing.cancel();
    let placed = publisher.await.expect("no panic");
    let missing = || {
        let seen = seen.lock().expect("no panic");
        placed.iter().filter(|at| !seen.times.contains_key(at)).count()
    };
    eventually(async || (missing() == 0).then_some(())).await;
    let total = async || {
        let lags = steady.lag("route").await.expect("known");
        lags.iter().all(|lag| lag.next.offset == lag.end).then_some(())
    };
    eventually(total).await;
    stop.cancel();
    home.await.expect("no panic");
    let seen = seen.lock().expect("no panic");
    let repeated = seen.times.values().filter(|times| **times > 1).count();
    println!("{} records, {repeated} came twice in {} rebalances", placed.len(), 2 * ROUNDS);
    assert!(seen.late.is_empty(), "committed and delivered again: {:?}", seen.late);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_a_topic_and_one_that_leaves_hands_over() {
    let cluster = Kafka::shared().await.topics().await;
    let (left, right) = (open(&cluster).await, open(&cluster).await);
    let mut one = left.consumer("fanout", &[TOPIC]).await.expect("joined");
    let mut two = right.consumer("fanout", &[TOPIC]).await.expect("joined");
    let mut partitions = [BTreeSet::new(), BTreeSet::new()];
    for round in 0.. {
        assert!(round < 400, "they do not share: {partitions:?}");
        let key = round.to_string();
        left.publish(TOPIC, vec![record(&key, "1")]).await.expect("published");
        let (place, batch) = tokio::select! {
            batch = one.next_batch(10) => (0, batch.expect("read")),
            batch = two.next_batch(10) => (1, batch.expect("read")),
        };
        let consumer = if place == 0 { &one } else { &two };
        for delivery in batch {
            partitions[place].insert(delivery.position.partition);
            consumer.commit(delivery.position.next()).await.expect("committed");
        }
        if partitions.iter().all(|mine| mine.len() >= 2) {
            break;
        }
    }
    drop(two);
    // Every partition is the first one's again.
    let mut again = BTreeSet::new();
    for key in (1000..1200).map(|n| n.to_string()) {
        left.publish(TOPIC, vec![record(&key, "2")]).await.expect("published");
    }
    while again.len() < left.partitions(TOPIC) as usize {
        let batch = take(&mut one, 1).await;
        let new = batch.iter().filter(|delivery| &delivery.payload[..] == b"2");
        again.extend(new.map(|delivery| delivery.position.partition));
    }
}

async fn delete_before(cluster: &Cluster, topic: TopicId, (partition, offset): (u32, u64)) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers.join(","));
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin");
    let mut list = TopicPartitionList::new();
    let name = format!("{}{topic}", cluster.topic_prefix);
    let offset = Offset::Offset(i64::try_from(offset).expect("small"));
    list.add_partition_offset(&name, partition as i32, offset).expect("a place");
    admin.delete_records(&list, &AdminOptions::new()).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_retention_overtook_is_told_or_goes_on_with_the_oldest() {
    let cluster = Kafka::shared().await.topics().await;
    let bus = open(&cluster).await;
    let at = placed(&bus, TOPIC, records("a", 0..10)).await[0];
    let mut consumer = bus.consumer("route", &[TOPIC]).await.expect("joined");
    let first = take(&mut consumer, 10).await;
    consumer.commit(first[1].position.next()).await.expect("committed");
    drop(consumer);
    delete_before(&cluster, TOPIC, (at.partition, 6)).await;
    assert_eq!(bus.bounds(TOPIC, at.partition).await.expect("known"), 6..10);
    let gone = bus.reader(TOPIC, at.partition, 3).await;
    assert!(matches!(gone, Err(Error::OutOfRange { start: 6, end: 10, .. })), "{gone:?}");
    let mut back = bus.consumer("route", &[TOPIC]).await.expect("joined");
    let rest = take(&mut back, 4).await;
    assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), [6, 7, 8, 9]);

    // A reader at the end, overtaken while its buffer is empty.
    let mut reader = bus.reader(TOPIC, at.partition, 6).await.expect("in range");
    tail(&mut reader, 4).await;
    assert_eq!(reader.offset(), 10);
    let (next, published) =
        tokio::join!(tail(&mut reader, 1), bus.publish(TOPIC, records("a", 10..11)));
    published.expect("published");
    assert_eq!(number(&next[0]), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_with_much_in_it_that_nobody_takes_stops_no_other() {
    let cluster = Kafka::shared().await.topics().await;
    let bus = open(&cluster).await;
    let slow = placed(&bus, TOPIC, records("a", 0..1)).await[0].partition;
    let mut consumer = bus.consumer("fanout", &[TOPIC]).await.expect("joined");
    let committer = consumer.committer();
    take(&mut consumer, 1).await;
    committer.hold(TOPIC, slow, true);
    // Far more than a buffer holds: the partition is paused at the broker.
    for start in [1, 6_000] {
        let many = records("a", start..start + 6_000);
        bus.publish(TOPIC, many).await.expect("published");
    }
    let mut others = 0;
    for key in (0..400).map(|n| n.to_string()) {
        let at = placed(&bus, TOPIC, vec![record(&key, "7")]).await[0];
        others += usize::from(at.partition != slow);
    }
    let taken = tokio::time::timeout(PATIENCE, take(&mut consumer, others)).await;
    let taken = taken.expect("the others go on");
    assert!(taken.iter().all(|delivery| delivery.position.partition != slow));
    committer.hold(TOPIC, slow, false);
    let held: Vec<u64> =
        take(&mut consumer, 12_000).await.iter().map(|one| one.position.offset).collect();
    assert_eq!(held, (1..12_001).collect::<Vec<_>>(), "all of it, in order");
}
