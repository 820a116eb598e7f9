//! Logs of earlier versions, which were tables of `log.db`, are taken over whole, whenever it is
//! that the process is killed.

use std::process::Stdio;
use std::time::Duration;

use flate2::Crc;
use loa::bus::{Bus, Error, Position, Record, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::channel::Channel;
use loa::domain::lane::Lane;
use rusqlite::{Connection, params};
use tokio::process::Command;

use super::{Bed, files, number, placed, record, records, tail, take};

const NEWS: TopicId = TopicId::Publications(Lane::Routine);

const PUSHES: TopicId = TopicId::Dispatches(Channel::Fcm, Lane::Routine);

const DIR: &str = "LOA_TEST_BUS_TAKEN_OVER_DIR";

/// A log of an earlier version without records, as it made it, with a partition's start and a
/// group's place in it.
fn make(bed: &Bed, version: u32, partition: u32, (start, next): (u64, u64)) -> Connection {
    let columns = match version {
        1 => {
            "at_ms INTEGER NOT NULL, key TEXT NOT NULL, headers TEXT NOT NULL,
             payload BLOB NOT NULL"
        }
        _ => "count INTEGER NOT NULL, at_ms INTEGER NOT NULL, records BLOB NOT NULL",
    };
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
         INSERT INTO log VALUES ('an epoch');",
    )
    .expect("made");
    file.pragma_update(None, "user_version", version).expect("set");
    let gone = std::iter::once(("a.topic.that.is.gone".to_owned(), 0));
    let places = TopicId::all().flat_map(|topic| {
        (0..topic.definition().partitions).map(move |partition| (topic.name(), partition))
    });
    for (topic, partition) in places.chain(gone) {
        let insert = "INSERT INTO partitions (topic, partition, start) VALUES (?, ?, 0)";
        file.execute(insert, params![topic, partition]).expect("made");
        let create = format!(
            "CREATE TABLE \"{topic}/{partition}\" (\"offset\" INTEGER PRIMARY KEY, {columns})"
        );
        file.execute_batch(&create).expect("made");
    }
    let set = "UPDATE partitions SET start = ? WHERE topic = ? AND partition = ?";
    file.execute(set, params![start as i64, NEWS.name(), partition]).expect("set");
    let group = "INSERT INTO groups VALUES ('route', ?, ?, ?, ?)";
    let now_ms = bed.clock.now().as_millisecond();
    file.execute(group, params![NEWS.name(), partition, next as i64, now_ms]).expect("set");
    file
}

/// A log of version 1 with records.
fn make_version_1(bed: &Bed, partition: u32, rows: &[(u64, i64, Record)]) {
    let file = make(bed, 1, partition, (rows[0].0, rows[1].0));
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

    file().pragma_update(None, "user_version", 5).expect("set");
    let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
    assert!(matches!(&opened, Err(Error::Damaged(what)) if what.contains("version 5")));
}

/// A batch of small records without headers, as version 2 stored it.
fn batch(numbers: std::ops::Range<u64>) -> Vec<u8> {
    let mut records = Vec::new();
    for number in numbers {
        let payload = number.to_string().into_bytes();
        records.extend([payload.len() as u8 + 3, 1, b'a', 0]);
        records.extend(payload);
    }
    let mut crc = Crc::new();
    crc.update(&records);
    [&[1], &crc.sum().to_le_bytes()[..], &records].concat()
}

/// A log of version 2: batches of ten from offset 5 on, the first five records of which are given
/// up, each with an instant of its own.
fn make_version_2(bed: &Bed, partition: u32, rows: u64) {
    let file = make(bed, 2, partition, (10, 17));
    let insert = format!("INSERT INTO \"{NEWS}/{partition}\" VALUES (?, 10, ?, ?)");
    let now_ms = bed.clock.now().as_millisecond();
    file.execute_batch("BEGIN").expect("begun");
    for row in 0..rows {
        let first = 5 + row * 10;
        let values = params![first as i64, now_ms + row as i64, batch(first..first + 10)];
        file.execute(&insert, values).expect("written");
    }
    file.execute_batch("COMMIT").expect("committed");
}

async fn check_version_2(bed: &Bed, partition: u32, rows: u64) {
    let bus = bed.open().await;
    let end = 5 + rows * 10;
    assert_eq!(bus.epoch(), "an epoch");
    assert_eq!(bus.bounds(NEWS, partition).await.expect("known"), 10..end);
    let mut reader = bus.reader(NEWS, partition, 10).await.expect("in range");
    let now_ms = bed.clock.now().as_millisecond();
    for (offset, delivery) in (10..end).zip(tail(&mut reader, end as usize - 10).await) {
        assert_eq!((delivery.position.offset, u64::from(number(&delivery))), (offset, offset));
        assert_eq!(delivery.at.as_millisecond() - now_ms, (offset as i64 - 5) / 10);
    }
    let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    assert_eq!(take(&mut consumer, 1).await[0].position.offset, 17);
    drop(consumer);
    bus.close().await.expect("closed");
}

#[tokio::test]
async fn a_log_of_version_2_is_read_whole_at_the_same_offsets_and_the_old_binary_refuses_it() {
    let bed = Bed::embedded();
    make_version_2(&bed, 3, 500);
    for _ in 0..2 {
        check_version_2(&bed, 3, 500).await;
    }
    let bus = bed.open().await;
    let at = Position { topic: NEWS, partition: 3, offset: 0 };
    let batches = files::of(&bed.settings.dir, at);
    assert_eq!(batches.len(), 500, "batches are what they were");
    bus.close().await.expect("closed");
    let file = Connection::open(bed.settings.dir.join("log.db")).expect("it opens");
    let version = file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    assert_eq!(version.expect("read"), 4, "what a binary of before looks at");
    let tables = "SELECT count(*) FROM sqlite_schema";
    assert_eq!(file.query_row(tables, [], |row| row.get::<_, i64>(0)).expect("read"), 1);
}

#[tokio::test]
async fn frames_of_version_3_are_read_and_followed_by_those_of_today() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..3)).await[0];
    // More than is read at once.
    let large: Vec<_> = (0..40).map(|n| record("b", vec![n; 10_000])).collect();
    let larges = placed(&bus, PUSHES, large).await;
    placed(&bus, NEWS, records("a", 3..5)).await;
    bus.close().await.expect("closed");
    let paths = files::segments(&bed.settings.dir);
    paths.iter().for_each(|path| files::as_in_version_3(path));
    let file = || Connection::open(bed.settings.dir.join("log.db")).expect("it opens");
    file().pragma_update(None, "user_version", 3).expect("set");

    let kept = std::fs::read(&paths[0]).expect("readable");
    for round in 0..3 {
        let bus = bed.open().await;
        let end = 5 + round;
        let mut reader = bus.reader(NEWS, at.partition, 0).await.expect("in range");
        let read = tail(&mut reader, end).await;
        assert_eq!(
            read.iter().map(number).collect::<Vec<_>>(),
            (0..end as u32).collect::<Vec<_>>()
        );
        let mut reader = bus.reader(PUSHES, larges[0].partition, 0).await.expect("in range");
        for (n, delivery) in tail(&mut reader, 40).await.iter().enumerate() {
            assert_eq!(delivery.payload, vec![n as u8; 10_000]);
        }
        placed(&bus, NEWS, records("a", end as u32..end as u32 + 1)).await;
        bus.close().await.expect("closed");
        let bytes = std::fs::read(&paths[0]).expect("readable");
        let frames_end = kept.iter().rposition(|byte| *byte != 0).expect("some") + 1;
        assert_eq!(bytes[..frames_end], kept[..frames_end], "frames stay what they were");
    }
    let version = file().pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    assert_eq!(version.expect("read"), 4, "what a binary of before looks at");
}

#[tokio::test]
async fn a_log_is_taken_over_whole_whenever_the_process_is_killed() {
    let bed = Bed::embedded();
    let rows = 60_000;
    make_version_2(&bed, 1, rows);
    let mut killed = 0;
    // Later each time, until one comes to its end.
    for round in 0.. {
        let mut victim = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "bus::versions::the_victim", "--nocapture"])
            .env(DIR, &bed.settings.dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let time = Duration::from_millis(20 + 40 * round);
        match tokio::time::timeout(time, victim.wait()).await {
            Ok(ended) => {
                assert!(ended.expect("it ended").success());
                break;
            }
            Err(_) => victim.kill().await.expect("killed"),
        }
        killed += 1;
    }
    println!("killed {killed} times");
    assert!(killed > 0);
    check_version_2(&bed, 1, rows).await;
}

/// Not a test by itself: takes a log over and ends.
#[tokio::test]
async fn the_victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let bus = Bus::open(&Settings::new(dir), Clock::System).await.expect("it opens");
    bus.close().await.expect("closed");
}
