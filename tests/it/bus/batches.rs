//! Records that were committed together are one batch of a frame: each is read, kept and deleted as
//! if it lay alone.

use std::ops::Range;

use loa::bus::{Bus, Error, Position, TopicId};
use loa::domain::channel::Channel;
use loa::domain::lane::Lane;

use super::{Bed, files, number, placed, record, records, tail, take};

const NEWS: TopicId = TopicId::Publications(Lane::Routine);
/// Kept for a shorter time.
const PUSHES: TopicId = TopicId::Dispatches(Channel::Fcm, Lane::Routine);

/// How many batches the files have of a partition, and how many records those count.
fn batches(bed: &Bed, at: Position) -> (usize, u64) {
    let batches = files::of(&bed.settings.dir, at);
    (batches.len(), batches.iter().map(|(_, batch)| batch.count).sum())
}

async fn numbers(bus: &Bus, at: Position, range: Range<u64>, max: usize) -> Vec<u32> {
    let Position { topic, partition, .. } = at;
    let mut reader = bus.reader(topic, partition, range.start).await.expect("in range");
    let mut read = Vec::new();
    while reader.offset() < range.end {
        let max = max.min((range.end - reader.offset()) as usize);
        let batch = reader.next_batch(max).await.expect("read");
        assert!(batch.len() <= max);
        for delivery in batch {
            assert_eq!(delivery.position.offset, range.start + read.len() as u64);
            read.push(number(&delivery));
        }
    }
    read
}

#[tokio::test]
async fn records_are_read_from_any_place_of_a_batch() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..30)).await[0];
    bus.publish(NEWS, records("a", 30..50)).await.expect("published");
    bus.publish(NEWS, records("a", 50..51)).await.expect("published");
    assert_eq!(batches(&bed, at), (3, 51), "a batch a commit");
    for max in [1, 7, 30, 100] {
        for from in [0, 1, 17, 29, 30, 31, 49, 50] {
            let read = numbers(&bus, at, from..51, max).await;
            assert_eq!(read, (from as u32..51).collect::<Vec<_>>(), "{max} at once from {from}");
        }
    }
    let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    let taken = take(&mut consumer, 20).await;
    consumer.commit(taken[12].position).await.expect("committed");
    drop(consumer);
    let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    let again = take(&mut consumer, 39).await;
    assert_eq!(again.iter().map(number).collect::<Vec<_>>(), (12..51).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_call_is_several_batches_and_the_largest_record_one() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..10_000)).await[0];
    assert_eq!(batches(&bed, at), (3, 10_000), "they are bounded by their records");
    let large = vec![7; 300 * 1024];
    let larges = vec![record("a", large.clone()), record("a", large), record("a", "10002")];
    placed(&bus, NEWS, larges).await;
    assert_eq!(batches(&bed, at), (6, 10_003), "and by their bytes");
    assert_eq!(numbers(&bus, at, 0..10_000, 3000).await, (0..10_000).collect::<Vec<_>>());
    let mut reader = bus.reader(NEWS, at.partition, 10_000).await.expect("in range");
    let read = tail(&mut reader, 3).await;
    assert_eq!(read[1].payload.len(), 300 * 1024);
    assert_eq!(number(&read[2]), 10_002);
}

/// Two mebibytes that are given up after two days.
async fn fill(bus: &Bus) {
    let large = (0..8).map(|_| record("a", vec![7; 250 * 1024]));
    bus.publish(PUSHES, large.collect()).await.expect("published");
}

#[tokio::test]
async fn retention_ends_within_a_batch_and_it_goes_with_the_last_record() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..10)).await[0];
    let consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    consumer.commit(Position { offset: 4, ..at }).await.expect("committed");
    fill(&bus).await;
    bed.pass_hours(24 * 4);
    bus.publish(NEWS, records("a", 10..12)).await.expect("published");
    fill(&bus).await;
    bus.trim(bed.clock.now()).await.expect("trimmed");
    let bounds = async |bus: &Bus| bus.bounds(NEWS, at.partition).await.expect("known");
    assert_eq!((bounds(&bus).await, bus.stats().deleted), (4..12, 4 + 8));
    assert_eq!(batches(&bed, at).0, 2, "the first has records that are kept");
    let below = bus.reader(NEWS, at.partition, 3).await;
    assert!(matches!(below, Err(Error::OutOfRange { start: 4, end: 12, .. })), "{below:?}");
    drop(consumer);
    bus.close().await.expect("closed");

    let bus = bed.open().await;
    assert_eq!(bounds(&bus).await, 4..12, "also when it was opened again");
    assert_eq!(numbers(&bus, at, 4..12, 5).await, (4..12).collect::<Vec<_>>());
    let mut late = bus.consumer("late", &[NEWS]).await.expect("joined");
    let first = take(&mut late, 1).await.remove(0).position;
    assert_eq!(first.offset, 4, "a new group begins with the oldest record kept");
    late.commit(Position { offset: 10, ..at }).await.expect("committed");
    drop(late);
    let consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    consumer.commit(Position { offset: 10, ..at }).await.expect("committed");
    bed.pass_hours(50);
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(
        bus.stats().deleted,
        6 + 8,
        "by this or by the log itself, which looks after a start"
    );
    assert_eq!((bounds(&bus).await, batches(&bed, at).0), (10..12, 1), "the young stay");
    assert_eq!(numbers(&bus, at, 10..12, 5).await, [10, 11]);
}

#[tokio::test]
async fn what_retention_deleted_goes_back_to_the_disk() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    for _ in 0..40 {
        let large = (0..4).map(|_| record("a", vec![7; 250 * 1024]));
        bus.publish(NEWS, large.collect()).await.expect("published");
    }
    let full = files::bytes(&bed.settings.dir);
    assert!(full > 24 * 1024 * 1024, "{full}");
    bed.pass_hours(24 * 4);
    let at = placed(&bus, NEWS, records("a", 0..10)).await[0];
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.stats().deleted, 160);
    assert!(
        files::bytes(&bed.settings.dir) < full / 3,
        "{} of {full}",
        files::bytes(&bed.settings.dir)
    );
    assert_eq!(numbers(&bus, at, at.offset..at.offset + 10, 4).await, (0..10).collect::<Vec<_>>());
    bus.publish(NEWS, records("a", 10..20)).await.expect("published");
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    assert_eq!(numbers(&bus, at, at.offset..at.offset + 20, 7).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_batch_is_named_and_nobody_panics() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..5)).await[0];
    placed(&bus, NEWS, records("a", 5..6)).await;
    let (path, batch) = files::of(&bed.settings.dir, at).remove(0);
    files::overwrite(&path, batch.at, b"no batch");
    let mut reader = bus.reader(NEWS, at.partition, 2).await.expect("in range");
    let read = reader.next_batch(10).await;
    let Err(Error::Damaged(what)) = read else { panic!("{read:?}") };
    assert!(what.contains("loa.publications.routine") && what.contains("at 0"), "{what}");
    let place = format!("{} at byte {}", path.display(), batch.at);
    assert!(what.contains(&place), "{what}");
    assert_eq!(numbers(&bus, at, 5..6, 1).await, [5], "what follows can be read");
}
