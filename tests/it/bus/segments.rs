//! The files of the embedded log, when a commit was torn, when they are damaged or lost, and when
//! many have come and gone.

use std::path::PathBuf;

use loa::bus::{Bus, Error, Position, Record, TopicId};
use loa::domain::channel::Channel;
use loa::domain::lane::Lane;

use super::{Bed, files, number, placed, record, records, tail, take};

const NEWS: TopicId = TopicId::Publications(Lane::Routine);
const PUSHES: TopicId = TopicId::Dispatches(Channel::Fcm, Lane::Routine);

/// Every record of a partition.
async fn all(bus: &Bus, at: Position) -> Vec<u32> {
    let bounds = bus.bounds(NEWS, at.partition).await.expect("known");
    let mut reader = bus.reader(NEWS, at.partition, bounds.start).await.expect("in range");
    let count = (bounds.end - bounds.start) as usize;
    tail(&mut reader, count).await.iter().map(number).collect()
}

/// A closed log of ten commits, where its records lie, and the segment with its frames.
async fn ten(bed: &Bed) -> (Position, PathBuf, Vec<files::Frame>) {
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("a", 0..1)).await[0];
    for n in 1..10 {
        placed(&bus, NEWS, records("a", n..n + 1)).await;
    }
    bus.close().await.expect("closed");
    let path = files::segments(&bed.settings.dir).remove(0);
    let mut frames = files::frames(&path);
    frames.retain(|frame| !frame.batches.is_empty());
    assert_eq!(frames.len(), 10, "a frame a commit");
    for (n, pair) in frames.windows(2).enumerate() {
        assert_eq!(pair[1].number, pair[0].number + 1);
        assert_eq!(pair[1].batches[0].first, n as u64 + 1);
    }
    (at, path, frames)
}

#[tokio::test]
async fn a_torn_last_commit_is_cut_off_wherever_it_is_torn() {
    let bed = Bed::embedded();
    let (at, path, frames) = ten(&bed).await;
    let whole = std::fs::read(&path).expect("readable");
    let last = &frames[9];
    for kept in (0..last.len - 8).step_by(3) {
        // As a disk leaves it that wrote only the beginning, or only the end.
        let zeros = vec![0; last.len];
        files::overwrite(&path, last.at, &whole[last.at..last.at + last.len]);
        if kept % 2 == 0 {
            files::overwrite(&path, last.at + kept, &zeros[kept..]);
        } else {
            files::overwrite(&path, last.at, &zeros[..kept]);
        }
        let bus = bed.open().await;
        assert_eq!(all(&bus, at).await, (0..9).collect::<Vec<_>>(), "{kept} kept");
        bus.close().await.expect("closed");
    }
    let bus = bed.open().await;
    let next = placed(&bus, NEWS, records("a", 20..21)).await[0];
    assert_eq!(next.offset, 9, "its place is given again");
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    assert_eq!(all(&bus, at).await, (0..9).chain([20]).collect::<Vec<_>>());
}

#[tokio::test]
async fn damage_before_an_acknowledged_commit_is_never_cut_off_and_is_named() {
    let bed = Bed::embedded();
    let (at, path, frames) = ten(&bed).await;
    for frame in &frames[..9] {
        let batch = &frame.batches[0];
        let places = [0, 5, 9, 20, 30, 35].map(|of| frame.at + of);
        let others = [frame.table + 1, batch.at + 2, batch.at + batch.bytes - 1];
        for place in places.into_iter().chain(others) {
            files::turn(&path, place);
            let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
            let Err(Error::Damaged(what)) = opened else { panic!("{place}: {opened:?}") };
            let named = format!("{} at byte {}", path.display(), frame.at);
            assert!(what.contains(&named), "{what}: not {named}");
            files::turn(&path, place);
        }
    }
    let bus = bed.open().await;
    assert_eq!(all(&bus, at).await, (0..10).collect::<Vec<_>>(), "mended, all of it is there");
}

#[tokio::test]
async fn frames_of_another_file_are_none_of_this_one() {
    let (bed, other) = (Bed::embedded(), Bed::embedded());
    let (at, path, frames) = ten(&bed).await;
    let (_, of_other, others) = ten(&other).await;
    assert_eq!(frames[3].len, others[3].len, "the same but for the salt");
    // What the file would have had before, if it were used again: whole frames with the numbers
    // that come next.
    let bytes = std::fs::read(&of_other).expect("readable");
    files::overwrite(&path, frames[4].at, &bytes[others[4].at..others[9].at + others[9].len]);
    let bus = bed.open().await;
    assert_eq!(all(&bus, at).await, (0..4).collect::<Vec<_>>());
    placed(&bus, NEWS, records("a", 4..5)).await;
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    assert_eq!(all(&bus, at).await, (0..5).collect::<Vec<_>>());
}

/// A record that holds a frame: nobody outside knows the salt, and even so it is a payload.
#[tokio::test]
async fn a_record_that_imitates_a_frame_is_a_record() {
    let bed = Bed::embedded();
    let (at, path, frames) = ten(&bed).await;
    let bytes = std::fs::read(&path).expect("readable");
    let frame = bytes[frames[9].at..frames[9].at + frames[9].len].to_vec();
    let bus = bed.open().await;
    for shift in 0..8 {
        let payload = [&vec![0; shift][..], &frame].concat();
        placed(&bus, NEWS, vec![record("a", payload)]).await;
    }
    placed(&bus, NEWS, records("a", 10..11)).await;
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    let bounds = bus.bounds(NEWS, at.partition).await.expect("known");
    assert_eq!(bounds, 0..19);
}

/// Publishes so many mebibytes of one key, a record of 100 KiB each and four a call.
async fn publish(bus: &Bus, topic: TopicId, mebibytes: u32) -> Vec<Position> {
    let mut positions = Vec::new();
    for n in 0..mebibytes * 10 / 4 {
        let large = |n: u32| {
            let mut payload = n.to_string().into_bytes();
            payload.resize(100 * 1024, b' ');
            record("a", payload)
        };
        let four: Vec<Record> = (4 * n..4 * n + 4).map(large).collect();
        positions.extend(placed(bus, topic, four).await);
    }
    positions
}

/// Reads a partition to its end, and answers the first word of each.
async fn words(bus: &Bus, topic: TopicId, partition: u32) -> Vec<String> {
    let bounds = bus.bounds(topic, partition).await.expect("known");
    let mut reader = bus.reader(topic, partition, bounds.start).await.expect("in range");
    let read = tail(&mut reader, (bounds.end - bounds.start) as usize).await;
    let word = |payload: &[u8]| String::from_utf8_lossy(payload).trim().to_owned();
    read.iter().map(|delivery| word(&delivery.payload)).collect()
}

#[tokio::test]
async fn groups_and_records_outlive_many_segments_with_their_indices_or_without() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let at = placed(&bus, NEWS, records("b", 0..3)).await[1];
    let consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
    consumer.commit(at).await.expect("committed");
    let large = publish(&bus, PUSHES, 60).await;
    let partition = large[0].partition;
    let expected: Vec<String> = (0..large.len()).map(|n| n.to_string()).collect();
    drop(consumer);
    assert!(
        files::segments(&bed.settings.dir).len() > 4,
        "{:?}",
        files::segments(&bed.settings.dir)
    );
    bus.close().await.expect("closed");
    for without in ["nothing", "a whole index", "any index"] {
        for (n, segment) in files::segments(&bed.settings.dir).into_iter().enumerate() {
            let index = segment.with_extension("index");
            match without {
                "a whole index" if n == 1 => files::turn(&index, 30),
                "any index" => drop(std::fs::remove_file(index)),
                _ => {}
            }
        }
        let bus = bed.open().await;
        assert_eq!(words(&bus, PUSHES, partition).await, expected, "without {without}");
        for from in [1, 77, 130] {
            let mut reader = bus.reader(PUSHES, partition, from).await.expect("in range");
            assert_eq!(tail(&mut reader, 1).await[0].position.offset, from);
        }
        let mut consumer = bus.consumer("route", &[NEWS]).await.expect("joined");
        assert_eq!(take(&mut consumer, 1).await[0].position, at, "where it was");
        drop(consumer);
        bus.close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_segment_that_is_missing_is_named() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    publish(&bus, PUSHES, 40).await;
    bus.close().await.expect("closed");
    let segments = files::segments(&bed.settings.dir);
    let kept = std::fs::read(&segments[1]).expect("readable");
    std::fs::remove_file(&segments[1]).expect("removed");
    let opened = Bus::open(&bed.settings(), bed.clock.clone()).await;
    let Err(Error::Damaged(what)) = opened else { panic!("{opened:?}") };
    assert!(what.contains(segments[0].to_str().expect("text")), "{what}");
    std::fs::write(&segments[1], kept).expect("written");
    bed.open().await;
}

/// A topic that is kept long has a little in each segment of one that is not: its records are
/// copied together, at their offsets and instants, and the rest goes.
#[tokio::test]
async fn what_is_kept_long_does_not_hold_what_is_not() {
    let bed = Bed::embedded();
    let bus = bed.open().await;
    let mut expected = Vec::new();
    for n in 0..30 {
        let at = placed(&bus, TopicId::Audit, records("a", n..n + 1)).await[0];
        assert_eq!(at.offset, u64::from(n));
        expected.push((n, bed.clock.now()));
        publish(&bus, PUSHES, 2).await;
        bed.pass_hours(1);
    }
    let check = async |bus: &Bus| {
        let mut reader = bus.reader(TopicId::Audit, 0, 0).await.expect("in range");
        let read = tail(&mut reader, 30).await;
        let read: Vec<_> = read.iter().map(|of| (number(of), of.at)).collect();
        assert_eq!(read, expected);
    };
    let full = files::bytes(&bed.settings.dir);
    assert!(full > 60 << 20, "{full}");
    for _ in 0..5 {
        bed.pass_hours(12);
        bus.trim(bed.clock.now()).await.expect("trimmed");
        check(&bus).await;
    }
    assert!(
        files::bytes(&bed.settings.dir) < 20 << 20,
        "{} of {full}",
        files::bytes(&bed.settings.dir)
    );
    bus.close().await.expect("closed");
    let bus = bed.open().await;
    check(&bus).await;
    let bounds = bus.bounds(TopicId::Audit, 0).await.expect("known");
    assert_eq!(bounds, 0..30);
}
