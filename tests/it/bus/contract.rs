//! The promises written at the top of `loa::bus`, one test each.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::FutureExt;
use loa::bus::{Acks, Commits, Error, Position, RECORD_BYTES_MAX, Record, TopicId};
use loa::domain::channel::Channel;
use loa::domain::lane::Lane;

use super::{Bed, PATIENCE, number, placed, record, records, tail, take};

const URGENT: TopicId = TopicId::Publications(Lane::Emergency);
const NEWS: TopicId = TopicId::Publications(Lane::Routine);

macro_rules! promises {
    ($bed:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise($bed).await;
            }
        )*
    };
}

/// What holds whatever stands behind the log.
macro_rules! both {
    ($($promise:ident)*) => {
        mod on_the_embedded_log {
            promises! { super::Bed::embedded(); $($promise)* }
        }
        mod on_kafka {
            promises! { super::Bed::kafka().await; $($promise)* }
        }
    };
}

both! {
    what_was_published_is_read_as_it_was_given
    equal_keys_keep_their_order_in_one_partition_and_offsets_rise_by_one
    a_group_goes_on_from_its_commit_and_sees_again_what_it_did_not_commit
    commits_never_go_back_and_never_beyond_the_end
    what_is_done_is_committed_together_and_never_before
    work_done_out_of_order_commits_only_its_contiguous_beginning
    a_waiting_consumer_is_woken_by_each_of_its_topics
    a_dropped_wait_loses_nothing
    a_slow_consumer_blocks_no_other_topic_and_no_other_group
    a_busy_partition_starves_no_other
    a_reader_outside_the_log_is_told_what_there_is
    what_is_too_large_is_refused_by_name_and_nothing_of_the_call_is_kept
    closing_ends_those_who_wait_and_refuses_those_who_come
    a_partition_held_back_gives_nothing_and_the_others_go_on
}

/// What the embedded log promises beyond: it waits for its groups. Kafka waits for none.
mod on_the_embedded_log_alone {
    promises! { super::Bed::embedded();
        retention_deletes_what_is_old_and_read_by_every_group_and_nothing_else
        a_forgotten_group_cannot_hold_the_log_for_ever
        a_waiting_reader_is_told_when_retention_overtakes_it
    }
}

async fn what_was_published_is_read_as_it_was_given(bed: Bed) {
    let bus = bed.open().await;
    let poison: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let given = [
        Record {
            key: "khóa\u{0}\"'; DROP TABLE".to_owned(),
            headers: vec![
                ("ce_id".to_owned(), "một \"hai\"\n".to_owned()),
                ("ce_id".to_owned(), String::new()),
            ],
            payload: Bytes::from(poison),
        },
        record("", Bytes::new()),
        record("not UTF-8", vec![0xff, 0xfe, 0x00, 0xc3, 0x28]),
    ];
    for given in given {
        let at = placed(&bus, URGENT, vec![given.clone()]).await[0];
        let mut reader = bus.reader(URGENT, at.partition, at.offset).await.expect("in range");
        let read = tail(&mut reader, 1).await.remove(0);
        assert_eq!(read.position, at);
        assert!(bed.is_now(read.at), "{}", read.at);
        let read = Record { key: read.key, headers: read.headers, payload: read.payload };
        assert_eq!(read, given);
    }
}

async fn what_is_done_is_committed_together_and_never_before(bed: Bed) {
    let bus = bed.open().await;
    bus.publish(URGENT, records("a", 0..700)).await.expect("published");
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let mut commits = Commits::new(consumer.committer());
    let committed = async || {
        let lags = bus.lag("route").await.expect("known");
        lags.iter().map(|lag| lag.next.offset).max().unwrap_or_default()
    };
    let mut done = 0;
    for delivery in take(&mut consumer, 600).await {
        commits.done(delivery.position).await.expect("committed");
        done = delivery.position.offset + 1;
        if done % 150 == 0 {
            let committed = committed().await;
            assert!(committed <= done, "nothing that is not done");
            assert!(committed + 256 > done, "what waits is bounded");
        }
    }
    commits.land().await.expect("committed");
    assert_eq!(committed().await, done);
}

async fn equal_keys_keep_their_order_in_one_partition_and_offsets_rise_by_one(bed: Bed) {
    let bus = bed.open().await;
    let writers = (0..8).map(|writer| {
        let bus = bus.clone();
        tokio::spawn(async move {
            let key = format!("chain-{writer}");
            let mut positions = Vec::new();
            for n in 0..40 {
                let two = records(&key, 2 * n..2 * n + 2);
                positions.extend(placed(&bus, URGENT, two).await);
            }
            positions
        })
    });
    for positions in futures_util::future::join_all(writers).await {
        let positions = positions.expect("no panic");
        assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(positions.iter().map(|at| at.partition).collect::<BTreeSet<_>>().len(), 1);
    }
    let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for partition in 0..bus.partitions(URGENT) {
        let bounds = bus.bounds(URGENT, partition).await.expect("it exists");
        if bounds.is_empty() {
            continue;
        }
        let mut reader = bus.reader(URGENT, partition, 0).await.expect("in range");
        let all = tail(&mut reader, bounds.end as usize).await;
        let offsets: Vec<_> = all.iter().map(|delivery| delivery.position.offset).collect();
        assert_eq!(offsets, bounds.collect::<Vec<_>>());
        for delivery in all {
            seen.entry(delivery.key.clone()).or_default().push(number(&delivery));
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|numbers| *numbers == (0..80).collect::<Vec<_>>()));
}

async fn a_group_goes_on_from_its_commit_and_sees_again_what_it_did_not_commit(bed: Bed) {
    let bus = bed.open().await;
    bus.publish(URGENT, records("a", 0..10)).await.expect("published");
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let first = take(&mut consumer, 7).await;
    consumer.commit(first[3].position.next()).await.expect("committed");
    drop(consumer);
    let epoch = bus.epoch().to_owned();
    bus.close().await.expect("closed");

    let bus = bed.open().await;
    assert_eq!(bus.epoch(), epoch);
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let again = take(&mut consumer, 6).await;
    assert_eq!(again.iter().map(number).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    let lag: u64 = lag(&bus, "route").await;
    assert_eq!(lag, 6);
    let mut other = bus.consumer("gateway", &[URGENT]).await.expect("joined");
    assert_eq!(take(&mut other, 10).await.len(), 10, "groups do not share offsets");
}

async fn lag(bus: &loa::bus::Bus, group: &str) -> u64 {
    let lags = bus.lag(group).await.expect("known");
    lags.iter().map(|lag| lag.end - lag.next.offset).sum()
}

async fn commits_never_go_back_and_never_beyond_the_end(bed: Bed) {
    let bus = bed.open().await;
    let positions = placed(&bus, URGENT, records("a", 0..5)).await;
    let consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    consumer.commit(positions[4].next()).await.expect("committed");
    consumer.commit(positions[1].next()).await.expect("a late commit is no error");
    assert_eq!(lag(&bus, "route").await, 0);
    let beyond = consumer.commit(positions[4].next().next()).await;
    assert!(matches!(beyond, Err(Error::OutOfRange { end: 5, .. })), "{beyond:?}");
}

async fn work_done_out_of_order_commits_only_its_contiguous_beginning(bed: Bed) {
    let bus = bed.open().await;
    bus.publish(URGENT, records("a", 0..6)).await.expect("published");
    let mut consumer = bus.consumer("fanout", &[URGENT]).await.expect("joined");
    let (committer, acks) = (consumer.committer(), Acks::new());
    let taken = take(&mut consumer, 6).await;
    taken.iter().for_each(|delivery| acks.begin(delivery.position));
    for index in [5, 1, 0, 3] {
        if let Some(next) = acks.done(taken[index].position) {
            committer.commit(next).await.expect("committed");
        }
    }
    drop(consumer);
    let mut consumer = bus.consumer("fanout", &[URGENT]).await.expect("joined");
    let again = take(&mut consumer, 4).await;
    assert_eq!(again.iter().map(number).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

async fn a_waiting_consumer_is_woken_by_each_of_its_topics(bed: Bed) {
    let bus = bed.open().await;
    let mut consumer = bus.consumer("route", &[URGENT, NEWS]).await.expect("joined");
    for (topic, n) in [(NEWS, 0), (URGENT, 1), (NEWS, 2)] {
        let (taken, published) =
            tokio::join!(take(&mut consumer, 1), placed(&bus, topic, records("a", n..n + 1)));
        assert_eq!((taken[0].position, number(&taken[0])), (published[0], n));
    }
}

async fn a_dropped_wait_loses_nothing(bed: Bed) {
    let bus = bed.open().await;
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let mut taken = Vec::new();
    for n in 0..50 {
        // Polled once and dropped, at every stage of a read that happens to be reached.
        if let Some(batch) = consumer.next_batch(10).now_or_never() {
            taken.extend(batch.expect("read"));
        }
        bus.publish(URGENT, records("a", n..n + 1)).await.expect("published");
    }
    let missing = 50 - taken.len();
    taken.extend(take(&mut consumer, missing).await);
    assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

async fn a_slow_consumer_blocks_no_other_topic_and_no_other_group(bed: Bed) {
    let bus = bed.open().await;
    let mut slow = bus.consumer("slow", &[NEWS]).await.expect("joined");
    let mut news = bus.consumer("news", &[NEWS]).await.expect("joined");
    let mut hot = bus.consumer("hot", &[URGENT]).await.expect("joined");
    bus.publish(NEWS, records("a", 0..2000)).await.expect("published");
    let stuck = take(&mut slow, 1).await;
    bus.publish(URGENT, records("a", 0..1)).await.expect("published");
    assert_eq!(take(&mut hot, 1).await.len(), 1);
    assert_eq!(take(&mut news, 2000).await.len(), 2000);
    slow.commit(stuck[0].position.next()).await.expect("committed");
}

async fn a_busy_partition_starves_no_other(bed: Bed) {
    let bus = bed.open().await;
    let busy = placed(&bus, URGENT, records("a", 0..10_000)).await;
    let busy = busy[0].partition;
    bus.publish(URGENT, records("a", 0..10_000)).await.expect("published");
    let quiet = (0..100).map(|n| n.to_string());
    for key in quiet {
        bus.publish(URGENT, vec![record(&key, "7")]).await.expect("published");
    }
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let (mut visited, mut of_busy) = (BTreeSet::new(), 0);
    while visited.len() < bus.partitions(URGENT) as usize {
        for delivery in take(&mut consumer, 1).await {
            of_busy += usize::from(delivery.position.partition == busy);
            visited.insert(delivery.position.partition);
        }
    }
    assert!(of_busy < 20_000, "the busy one was read to its end first");
}

async fn a_partition_held_back_gives_nothing_and_the_others_go_on(bed: Bed) {
    let bus = bed.open().await;
    let slow = placed(&bus, URGENT, records("a", 0..3)).await[0].partition;
    let mut consumer = bus.consumer("fanout", &[URGENT]).await.expect("joined");
    let committer = consumer.committer();
    let first = take(&mut consumer, 1).await;
    assert_eq!(number(&first[0]), 0);
    committer.hold(URGENT, slow, true);
    let mut others = 0;
    for key in (0..200).map(|n| n.to_string()) {
        let at = placed(&bus, URGENT, vec![record(&key, "7")]).await[0];
        others += usize::from(at.partition != slow);
    }
    let taken = take(&mut consumer, others).await;
    assert!(taken.iter().all(|delivery| delivery.position.partition != slow));
    committer.hold(URGENT, slow, false);
    let rest = take(&mut consumer, 2).await;
    assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), [1, 2]);
}

async fn a_reader_outside_the_log_is_told_what_there_is(bed: Bed) {
    let bus = bed.open().await;
    let at = placed(&bus, URGENT, records("a", 0..3)).await[0];
    let beyond = bus.reader(URGENT, at.partition, 4).await;
    assert!(matches!(beyond, Err(Error::OutOfRange { start: 0, end: 3, .. })), "{beyond:?}");
    bus.reader(URGENT, at.partition, 3).await.expect("the end is a place to wait at");
    let nowhere = bus.reader(URGENT, 99, 0).await;
    assert!(matches!(nowhere, Err(Error::UnknownPartition { partition: 99, .. })));
    let websocket = TopicId::Dispatches(Channel::Websocket, Lane::Emergency);
    let published = bus.publish(websocket, records("a", 0..1)).await;
    assert!(matches!(published, Err(Error::UnknownPartition { .. })), "{published:?}");
    assert_eq!(bus.partitions(websocket), 0);
}

async fn what_is_too_large_is_refused_by_name_and_nothing_of_the_call_is_kept(bed: Bed) {
    let bus = bed.open().await;
    let large = vec![record("a", "1"), record("a", vec![0; RECORD_BYTES_MAX])];
    let refused = bus.publish(URGENT, large).await;
    let message = refused.expect_err("too large").to_string();
    assert!(message.contains("loa.publications.emergency"), "{message}");
    assert!(message.contains(&RECORD_BYTES_MAX.to_string()), "{message}");
    let many = bus.publish(URGENT, records("a", 0..10_001)).await;
    assert!(matches!(many, Err(Error::CallTooLarge { what: "records", .. })), "{many:?}");
    let heavy = vec![record("a", vec![0; RECORD_BYTES_MAX - 1]); 33];
    let heavy = bus.publish(URGENT, heavy).await;
    assert!(matches!(heavy, Err(Error::CallTooLarge { what: "bytes", .. })), "{heavy:?}");
    let fits = bus.publish(URGENT, vec![record("a", vec![0; RECORD_BYTES_MAX - 1])]).await;
    assert_eq!(fits.expect("published")[0].map(|at| at.offset), Some(0), "nothing was kept before");
}

async fn retention_deletes_what_is_old_and_read_by_every_group_and_nothing_else(bed: Bed) {
    let bus = bed.open().await;
    let old = placed(&bus, URGENT, records("a", 0..10)).await;
    let partition = old[0].partition;
    let consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    consumer.commit(old[5]).await.expect("committed");
    assert_eq!(bus.trim(bed.clock.now()).await.expect("trimmed"), 0, "nothing is old yet");

    bed.pass_hours(24 * 4);
    bus.publish(URGENT, records("a", 10..12)).await.expect("published");
    // The log trims itself now and then; asked, it has done so when it answers.
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.bounds(URGENT, partition).await.expect("known"), 5..12);
    consumer.commit(old[9].next()).await.expect("committed");
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.bounds(URGENT, partition).await.expect("known"), 10..12, "the young stay");
    let overtaken = bus.reader(URGENT, partition, 3).await;
    assert!(matches!(overtaken, Err(Error::OutOfRange { start: 10, .. })), "{overtaken:?}");

    bed.pass_hours(24 * 4);
    consumer.commit(old[9].next().next().next()).await.expect("committed");
    bus.trim(bed.clock.now()).await.expect("trimmed");
    drop(consumer);
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    assert_eq!(bus.bounds(URGENT, partition).await.expect("known"), 12..12, "also when empty");
    let next = placed(&bus, URGENT, records("a", 12..13)).await;
    assert_eq!(next[0].offset, 12, "offsets are never used again");
}

async fn a_forgotten_group_cannot_hold_the_log_for_ever(bed: Bed) {
    let bus = bed.open().await;
    let at = placed(&bus, URGENT, records("a", 0..10)).await[0];
    drop(bus.consumer("forgotten", &[URGENT]).await.expect("joined"));
    let pinned = i64::from(bed.settings().pinned_hours_max);
    bed.pass_hours(pinned - 1);
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.bounds(URGENT, at.partition).await.expect("known"), 0..10);
    bed.pass_hours(2);
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.bounds(URGENT, at.partition).await.expect("known"), 10..10);
    bus.publish(URGENT, records("a", 10..11)).await.expect("published");
    let mut back = bus.consumer("forgotten", &[URGENT]).await.expect("joined");
    let taken = take(&mut back, 1).await;
    assert_eq!(taken[0].position, Position { offset: 10, ..at }, "it goes on with the oldest");
}

async fn a_waiting_reader_is_told_when_retention_overtakes_it(bed: Bed) {
    let bus = bed.open().await;
    let at = placed(&bus, URGENT, records("a", 0..10)).await[0];
    let mut reader = bus.reader(URGENT, at.partition, 0).await.expect("in range");
    tail(&mut reader, 1).await;
    bed.pass_hours(24 * 4);
    bus.trim(bed.clock.now()).await.expect("trimmed");
    let told = tokio::time::timeout(PATIENCE, reader.next_batch(1)).await.expect("told");
    assert!(matches!(told, Err(Error::OutOfRange { offset: 1, start: 10, .. })), "{told:?}");
}

async fn closing_ends_those_who_wait_and_refuses_those_who_come(bed: Bed) {
    let bus = bed.open().await;
    let mut consumer = bus.consumer("route", &[URGENT]).await.expect("joined");
    let mut reader = bus.reader(NEWS, 0, 0).await.expect("in range");
    let (waited, tailed, closed) =
        tokio::join!(consumer.next_batch(1), reader.next_batch(1), bus.clone().close());
    closed.expect("closed");
    assert!(matches!((waited, tailed), (Err(Error::Closed), Err(Error::Closed))));
    let late = bus.publish(URGENT, records("a", 0..1)).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}
