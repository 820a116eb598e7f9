//! Records that were committed together lie in one row: each is read, kept and deleted as if it lay
//! alone, and a log of the version that kept them alone is taken over whole.

use std::ops::Range;

use loa::bus::{Bus, Error, Position, Record, TopicId};
use loa::domain::lane::Lane;
use rusqlite::{Connection, params};

use super::{Bed, number, placed, record, records, tail, take};
use crate::support::process::eventually;

const NEWS: TopicId = TopicId::Publications(Lane::Routine);

/// How many rows a partition has, and how many records they count.
fn rows(bed: &Bed, at: Position) -> (i64, i64) {
    let file = Connection::open(bed.settings.dir.join("log.db")).expect("it opens");
    let select = format!("SELECT count(*), sum(count) FROM \"{}/{}\"", at.topic, at.partition);
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    file.query_row(&select, [], row).expect("counted")
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
    assert_eq!(rows(&bed, at), (3, 51), "a row a commit");
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
async fn a_large_call_is_several_rows_and_the_largest_record_one() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..10_000)).await[0];
    assert_eq!(rows(&bed, at), (3, 10_000), "rows are bounded by their records");
    let large = vec![7; 300 * 1024];
    let larges = vec![record("a", large.clone()), record("a", large), record("a", "10002")];
    placed(&bus, NEWS, larges).await;
    assert_eq!(rows(&bed, at), (6, 10_003), "and by their bytes");
    assert_eq!(numbers(&bus, at, 0..10_000, 3000).await, (0..10_000).collect::<Vec<_>>());
    let mut reader = bus.reader(NEWS, at.partition, 10_000).await.expect("in range");
    let read = tail(&mut reader, 3).await;
    assert_eq!(read[1].payload.len(), 300 * 1024);
    assert_eq!(number(&read[2]), 10_002);
}

#[tokio::test]
async fn retention_ends_within_a_batch_and_its_row_goes_with_the_last_record() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..10)).await[0];
    let consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    consumer.commit(Position { offset: 4, ..at }).await.expect("committed");
    bed.pass_hours(24 * 4);
    bus.publish(NEWS, records("a", 10..12)).await.expect("published");
    bus.trim(bed.clock.now()).await.expect("trimmed");
    let bounds = async |bus: &Bus| bus.bounds(NEWS, at.partition).await.expect("known");
    assert_eq!((bounds(&bus).await, bus.stats().deleted), (4..12, 4));
    assert_eq!(rows(&bed, at).0, 2, "the row holds records that are kept");
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
    assert_eq!(bus.trim(bed.clock.now()).await.expect("trimmed"), 6);
    assert_eq!((bounds(&bus).await, rows(&bed, at).0), (10..12, 1), "the young stay");
}

#[tokio::test]
async fn what_retention_deleted_goes_back_to_the_disk() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    for _ in 0..40 {
        let large = (0..4).map(|_| record("a", vec![7; 250 * 1024]));
        bus.publish(NEWS, large.collect()).await.expect("published");
    }
    let file = bed.settings.dir.join("log.db");
    let bytes = || file.metadata().expect("a file").len();
    let full = bytes();
    assert!(full > 24 * 1024 * 1024, "{full}");
    bed.pass_hours(24 * 4);
    let at = placed(&bus, NEWS, records("a", 0..10)).await[0];
    bus.trim(bed.clock.now()).await.expect("trimmed");
    assert_eq!(bus.stats().deleted, 160);
    eventually(async || (bytes() < full / 3).then_some(())).await;
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
    let file = Connection::open(bed.settings.dir.join("log.db")).expect("it opens");
    let update =
        format!("UPDATE \"{}/{}\" SET records = CAST('no batch' AS BLOB)", at.topic, at.partition);
    file.execute(&update, []).expect("damaged");
    let mut reader = bus.reader(NEWS, at.partition, 2).await.expect("in range");
    let read = reader.next_batch(10).await;
    let Err(Error::Damaged(what)) = read else { panic!("{read:?}") };
    assert!(what.contains("loa.publications.routine") && what.contains("at 0"), "{what}");
}

/// A log as version 1 made it, with its own statements.
fn make_version_1(bed: &Bed, partition: u32, rows: &[(u64, i64, Record)]) {
    let file = Connection::open(bed.settings.dir.join("log.db")).expect("made");
    file.pragma_update(None, "journal_mode", "wal").expect("set");
    file.execute_batch(
        "CREATE TABLE log (epoch TEXT NOT NULL);
         CREATE TABLE partitions (
             topic TEXT NOT NULL, partition INTEGER NOT NULL, start INTEGER NOT NULL,
             PRIMARY KEY (topic, partition)) WITHOUT ROWID;
         CREATE TABLE groups (
             name TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
             next INTEGER NOT NULL, at_ms INTEGER NOT NULL,
             PRIMARY KEY (name, topic, partition)) WITHOUT ROWID;
         INSERT INTO log VALUES ('an epoch'); PRAGMA user_version = 1;",
    )
    .expect("made");
    let gone = std::iter::once(("a.topic.that.is.gone".to_owned(), 0));
    let places = TopicId::all().flat_map(|topic| {
        (0..topic.definition().partitions).map(move |partition| (topic.name(), partition))
    });
    for (topic, partition) in places.chain(gone) {
        let insert = "INSERT INTO partitions (topic, partition, start) VALUES (?, ?, 0)";
        file.execute(insert, params![topic, partition]).expect("made");
        let create = format!(
            "CREATE TABLE \"{topic}/{partition}\" (
                \"offset\" INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, key TEXT NOT NULL,
                headers TEXT NOT NULL, payload BLOB NOT NULL)"
        );
        file.execute_batch(&create).expect("made");
    }
    let start = "UPDATE partitions SET start = ? WHERE topic = ? AND partition = ?";
    file.execute(start, params![rows[0].0 as i64, NEWS.name(), partition]).expect("set");
    let group = "INSERT INTO groups VALUES ('route', ?, ?, ?, ?)";
    let (next, now_ms) = (rows[1].0 as i64, bed.clock.now().as_millisecond());
    file.execute(group, params![NEWS.name(), partition, next, now_ms]).expect("set");
    let insert = format!(
        "INSERT INTO \"{NEWS}/{partition}\" (\"offset\", at_ms, key, headers, payload)
         VALUES (?, ?, ?, ?, ?)"
    );
    for (offset, at_ms, Record { key, headers, payload }) in rows {
        let headers = serde_json::to_string(headers).expect("pairs are JSON");
        let values = params![*offset as i64, at_ms, key, headers, &payload[..]];
        file.execute(&insert, values).expect("written");
    }
}

#[tokio::test]
async fn a_log_of_version_1_is_read_whole_at_the_same_offsets() {
    let bed = Bed::embedded();
    let start_ms = bed.clock.now().as_millisecond();
    let row = |offset: u64| {
        let payload = vec![offset as u8; (offset as usize % 7) * 400];
        let headers = (0..offset % 4).map(|n| (format!("\"{n}\""), "một\n".to_owned())).collect();
        // Some share an instant, as the records of one commit did.
        let at_ms = start_ms - 10_000 + (offset / 50) as i64;
        (
            offset,
            at_ms,
            Record { key: format!("k{}", offset % 3), headers, payload: payload.into() },
        )
    };
    let rows: Vec<_> = (1_000..4_000).map(row).collect();
    make_version_1(&bed, 2, &rows);

    for time in ["migrated", "opened again"] {
        let bus = bed.open().await;
        assert_eq!(bus.epoch(), "an epoch", "{time}");
        assert_eq!(bus.bounds(NEWS, 2).await.expect("known"), 1_000..4_000, "{time}");
        let mut reader = bus.reader(NEWS, 2, 1_000).await.expect("in range");
        for (delivery, (offset, at_ms, expected)) in
            tail(&mut reader, 3_000).await.iter().zip(&rows)
        {
            assert_eq!(delivery.position, Position { topic: NEWS, partition: 2, offset: *offset });
            assert_eq!(delivery.at.as_millisecond(), *at_ms);
            let loa::bus::Delivery { key, headers, payload, .. } = delivery.clone();
            assert_eq!(&Record { key, headers, payload }, expected, "{time}");
        }
        bus.close().await.expect("closed");
    }
    let bus = bed.open().await;
    let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    let next = take(&mut consumer, 1).await.remove(0).position;
    assert_eq!(next.offset, 1_001, "the group goes on where it was");
    let published = bus.publish(NEWS, (0..40).map(|n| record(&n.to_string(), "1")).collect()).await;
    let offsets = published.expect("published");
    assert!(offsets.iter().flatten().any(|at| (at.partition, at.offset) == (2, 4_000)));
}

#[tokio::test]
async fn a_log_that_cannot_be_taken_over_stays_as_it_was_and_a_newer_one_is_refused() {
    let bed = Bed::embedded();
    let rows: Vec<_> = (0..3).map(|offset| (offset, 0, record("a", "1"))).collect();
    make_version_1(&bed, 0, &rows);
    let file = || Connection::open(bed.settings.dir.join("log.db")).expect("it opens");
    let headers = format!("UPDATE \"{NEWS}/0\" SET headers = ? WHERE \"offset\" = 2");
    file().execute(&headers, ["no pairs"]).expect("damaged");
    let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
    assert!(matches!(&opened, Err(Error::Damaged(what)) if what.contains("at 2")), "{opened:?}");
    file().execute(&headers, ["[]"]).expect("mended: all rows are where they were");
    bed.open().await.close().await.expect("closed");

    file().pragma_update(None, "user_version", 3).expect("set");
    let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
    assert!(matches!(&opened, Err(Error::Damaged(what)) if what.contains("version 3")));
}
