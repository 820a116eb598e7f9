use std::fs::OpenOptions;

use super::*;
use crate::bus::embedded::layout::Found;
use crate::bus::embedded::recover;
use crate::bus::{Record, TopicId};

fn group(layout: &Layout, text: &str) -> Group {
    let mut group = Group::default();
    let record = Record {
        key: String::new(),
        headers: Vec::new(),
        payload: text.as_bytes().to_vec().into(),
    };
    group.publish(layout, TopicId::Audit, &[record], Vec::new);
    group
}

/// Writes a group as the writer does; whether it is durable.
fn write(tail: &mut Tail, layout: &Layout, text: &str) -> bool {
    let mut group = group(layout, text);
    let place = &layout.places[group.slots[0].place];
    let first = place.bounds().end;
    group.slots[0].batches[0].first = first;
    group.slots[0].batches[0].seal();
    let batch = &group.slots[0].batches[0];
    let fill = |frame: &mut Frame| frame.put_batch(&place.topic, place.partition, batch);
    let written = tail.write(layout, &group, (0, None), (&mut Frame::new(), &fill));
    if let Ok(Some(placed)) = &written {
        placed.segment.index_mut().take(placed.number, placed.end);
        place.set_end(first + 1);
    }
    written.is_ok()
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
    let layout = Layout::new("an epoch".to_owned(), &Found::default());
    let first = Arc::new(Segment::make(dir.path(), 1, SIZE_MIN).expect("made"));
    let store = Arc::new(Store::new(dir.path().to_owned(), vec![first.clone()]));
    let mut tail = Tail::new(store.clone(), first, (0, HEAD_BYTES));
    let mut frame = Frame::new();
    let fill = |frame: &mut Frame| state(&layout, frame);
    let written = tail.write(&layout, &Group::default(), (0, None), (&mut frame, &fill));
    let placed = written.expect("written").expect("a frame");
    placed.segment.index_mut().take(placed.number, placed.end);
    assert!(write(&mut tail, &layout, "0"));

    // What was written here without being acknowledged may be on the disk: whole, as here.
    let whole = tail.segment.clone();
    let device = unsure(dir.path(), 9);
    crate::bus::embedded::segment::remove(&device.path).expect("removed");
    let aside = std::mem::replace(&mut tail.segment, Arc::new(device));
    assert!(!write(&mut tail, &layout, "not acknowledged"));
    tail.segment = aside;
    let mut lost = group(&layout, "not acknowledged");
    lost.slots[0].batches[0].first = 1;
    lost.slots[0].batches[0].seal();
    let mut frame = Frame::new();
    frame.put_batch("loa.audit", 0, &lost.slots[0].batches[0]);
    let place = (tail.at, tail.next_frame);
    assert!(write_to(&whole, place, &mut frame, &lost, 0).is_ok());

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
