use std::fs::OpenOptions;
use std::ops::Range;
use std::path::Path;

use super::*;
use crate::bus::embedded::batch::Batch;
use crate::bus::embedded::layout::Found;
use crate::bus::embedded::recover;
use crate::bus::{Record, TopicId};

/// A sealed batch of one record.
fn body(layout: &Layout, first: u64, text: &str) -> Body {
    let mut batch = Batch::empty(first, Vec::new());
    let payload = text.as_bytes().to_vec().into();
    assert!(batch.put(&Record { key: String::new(), headers: Vec::new(), payload }));
    batch.seal();
    Body { place: layout.index(TopicId::Audit, 0).expect("a place"), batch }
}

fn end(layout: &Layout) -> u64 {
    layout.places[layout.index(TopicId::Audit, 0).expect("a place")].bounds().end
}

/// Writes batches as the writer does; whether they are durable.
fn write_all(tail: &mut Tail, layout: &Layout, bodies: &[Body]) -> bool {
    let place = &layout.places[bodies[0].place];
    let fill = |frame: &mut Frame| {
        bodies.iter().for_each(|of| frame.put_batch(&place.topic, place.partition, &of.batch));
    };
    let written = tail.write(layout, bodies, (0, None), (&mut Frame::new(), &fill));
    if let Ok(Some(placed)) = &written {
        placed.segment.index_mut().take(placed.number, placed.end);
        place.set_end(bodies.last().expect("there is one").batch.end());
    }
    written.is_ok()
}

fn write(tail: &mut Tail, layout: &Layout, text: &str) -> bool {
    write_all(tail, layout, &[body(layout, end(layout), text)])
}

/// A log that knows its partitions.
fn log(dir: &Path) -> (Layout, Arc<Store>, Tail) {
    let layout = Layout::new("an epoch".to_owned(), &Found::default());
    let first = Arc::new(Segment::make(dir, 1, SIZE_MIN).expect("made"));
    let store = Arc::new(Store::new(dir.to_owned(), vec![first.clone()]));
    let mut tail = Tail::new(store.clone(), first, (0, HEAD_BYTES));
    let mut frame = Frame::new();
    let fill = |frame: &mut Frame| state(&layout, frame);
    let written = tail.write(&layout, &[], (0, None), (&mut frame, &fill));
    let placed = written.expect("written").expect("a frame");
    placed.segment.index_mut().take(placed.number, placed.end);
    (layout, store, tail)
}

/// What the files have of the partition: its bounds, and the bytes up to which they have frames.
fn recovered(dir: &Path) -> (Range<u64>, u64) {
    let recovered = recover::recover(dir).expect("recovered");
    (recovered.found.places[&("loa.audit".to_owned(), 0)].clone(), recovered.end)
}

/// A segment whose writes go nowhere and whose synchronisation fails, as the kernel has it for such
/// a device.
fn unsure(dir: &std::path::Path, number: u64) -> Segment {
    let mut segment = Segment::make(dir, number, SIZE_MIN).expect("made");
    segment.file = OpenOptions::new().read(true).write(true).open("/dev/null").expect("a device");
    segment
}

#[test]
fn after_a_failed_synchronisation_the_log_goes_on_in_another_segment() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, store, mut tail) = log(dir.path());
    assert!(write(&mut tail, &layout, "0"));

    // What was written here without being acknowledged may be on the disk: whole, as here.
    let whole = tail.segment.clone();
    let device = unsure(dir.path(), 9);
    crate::bus::embedded::segment::remove(&device.path).expect("removed");
    let aside = std::mem::replace(&mut tail.segment, Arc::new(device));
    assert!(!write(&mut tail, &layout, "not acknowledged"));
    tail.segment = aside;
    let lost = [body(&layout, 1, "not acknowledged")];
    let mut frame = Frame::new();
    frame.put_batch("loa.audit", 0, &lost[0].batch);
    let place = (tail.at, tail.next_frame);
    assert!(write_to(&whole, place, &mut frame, (&lost, Ahead::default()), 0).is_ok());

    // Nor does it go on in a next segment that fails as well.
    let (made, next) = sync_channel(1);
    made.send(Ok(unsure(dir.path(), 2))).expect("room");
    tail.next = Some(next);
    store.next_number();
    assert!(!write(&mut tail, &layout, "not acknowledged either"));
    assert!(write(&mut tail, &layout, "1"));
    assert!(write(&mut tail, &layout, "2"));
    assert_eq!(store.all().len(), 2);
    drop(tail);

    let mut recovered = recover::recover(dir.path()).expect("recovered");
    let found = std::mem::take(&mut recovered.found);
    assert_eq!(found.places[&("loa.audit".to_owned(), 0)], 0..3);
    let segments = recover::index(recovered, &layout).expect("whole");
    let place = layout.index(TopicId::Audit, 0).expect("a place");
    let offsets: Vec<_> =
        segments.iter().map(|of| of.index().extents[&place].offsets.clone()).collect();
    assert_eq!(offsets, [0..1, 1..3], "the first ends before what was not acknowledged");
}

/// Batches of one commit.
fn some(layout: &Layout, texts: &[&str]) -> Vec<Body> {
    (end(layout)..).zip(texts).map(|(first, text)| body(layout, first, text)).collect()
}

#[test]
fn batches_that_were_written_ahead_are_part_of_a_whole_frame() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, _, mut tail) = log(dir.path());
    for ahead in [&[1, 1, 3][..], &[], &[2, 4], &[4]] {
        let bodies = some(&layout, &["a", "bc", "def", "ghij"]);
        ahead.iter().for_each(|count| tail.write_ahead(&bodies[..*count]));
        assert_eq!(tail.ahead.bodies, ahead.last().copied().unwrap_or_default());
        assert!(write_all(&mut tail, &layout, &bodies));
    }
    assert_eq!(recovered(dir.path()), (0..16, tail.at));
}

#[test]
fn batches_without_their_head_are_cut_off_and_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, _, mut tail) = log(dir.path());
    assert!(write(&mut tail, &layout, "0"));
    let long = "not acknowledged ".repeat(1000);
    let lost = some(&layout, &[&long, &long]);

    // Its commit fails.
    tail.write_ahead(&lost);
    let mut full = unsure(dir.path(), 9);
    crate::bus::embedded::segment::remove(&full.path).expect("removed");
    full.file = OpenOptions::new().read(true).write(true).open("/dev/full").expect("a device");
    let aside = std::mem::replace(&mut tail.segment, Arc::new(full));
    assert!(!write_all(&mut tail, &layout, &lost));
    tail.segment = aside;
    assert!(write(&mut tail, &layout, "1"));
    assert_eq!(recovered(dir.path()), (0..2, tail.at), "what is there of it is no damage");

    // The process is killed before it.
    tail.write_ahead(&lost);
    assert_eq!(recovered(dir.path()), (0..2, tail.at));
    let bytes = std::fs::read(&tail.segment.path).expect("readable");
    assert!(bytes[tail.at as usize..].iter().all(|byte| *byte == 0), "nothing is left of it");
}

#[test]
fn what_has_no_room_ahead_goes_to_the_next_segment_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let (layout, store, mut tail) = log(dir.path());
    let mebibyte = "a".repeat(1024 * 1024);
    assert!(write_all(&mut tail, &layout, &some(&layout, &[&*mebibyte; 3])));
    let bodies = some(&layout, &[&*mebibyte; 7]);
    for count in [2, 4, 7] {
        tail.write_ahead(&bodies[..count]);
    }
    assert_eq!(tail.ahead.bodies, 4, "all seven have no room in a segment of eight mebibytes");
    assert!(write_all(&mut tail, &layout, &bodies));
    assert!(write(&mut tail, &layout, "10"));
    assert_eq!(store.all().len(), 2);
    assert_eq!(recovered(dir.path()), (0..11, tail.at));
}
