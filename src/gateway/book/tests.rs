use super::*;
use crate::domain::alert::MsgType;
use crate::gateway::fixture::{alert, at, id, later, status};

fn book(ring_max: usize) -> Book {
    let partitions = [2, 1, 1];
    let shape = Shape { epoch: "e".into(), partitions, ring_max, live_max: 100 };
    Book::new(shape, vec![0; 4])
}

fn slot(index: usize, offset: u64) -> Slot {
    Slot { index, offset }
}

fn ids(entries: &[Arc<Entry>]) -> Vec<PublicationId> {
    entries.iter().map(|entry| entry.id()).collect()
}

#[test]
fn what_was_missed_comes_in_order_across_partitions() {
    let mut book = book(10);
    for (number, index, offset) in [(1, 0, 0), (2, 1, 0), (3, 0, 1), (4, 3, 0)] {
        book.insert(slot(index, offset), Arc::new(alert(number, 0, &["1"])), at(0));
    }
    let from = Position { epoch: "e".into(), at: at(0), next: vec![1, 0, 0, 0] };
    let missed = book.after(&from, false, |_| true).expect("covered");
    assert_eq!(ids(&missed), [id(2), id(3), id(4)]);
    let now = book.position(at(1));
    assert_eq!(book.after(&now, false, |_| true).expect("covered").len(), 0);
    let frame_position = Position::decode(missed[0].position.as_deref().expect("on the log"));
    assert_eq!(frame_position.expect("a position").next, [1, 1, 0, 0]);
}

#[test]
fn a_gap_or_another_epoch_is_told_and_never_filled() {
    let mut book = book(2);
    for offset in 0..4 {
        let publication = alert(u128::from(offset) + 1, 0, &["1"]);
        book.insert(slot(0, offset), Arc::new(publication), at(0));
    }
    let from = |epoch: &str, next: u64| Position {
        epoch: epoch.into(),
        at: at(0),
        next: vec![next, 0, 0, 0],
    };
    assert_eq!(book.after(&from("e", 2), false, |_| true).map(|m| m.len()), Some(2));
    assert!(book.after(&from("e", 1), false, |_| true).is_none(), "below the floor");
    assert!(book.after(&from("other", 2), false, |_| true).is_none(), "another epoch");
    let short = Position { next: vec![2], ..from("e", 2) };
    assert!(book.after(&short, false, |_| true).is_none(), "another number of partitions");
}

#[test]
fn the_personal_lane_stops_nobody_it_does_not_concern() {
    let mut book = book(1);
    for offset in 0..3 {
        let publication = status(u128::from(offset) + 1, 0, "s");
        book.insert(slot(2, offset), Arc::new(publication), at(0));
    }
    let from = Position { epoch: "e".into(), at: at(0), next: vec![0; 4] };
    assert!(book.after(&from, false, |_| true).is_some());
    assert!(book.after(&from, true, |_| true).is_none());
}

#[test]
fn a_record_that_comes_twice_is_one_publication() {
    let mut book = book(10);
    let publication = Arc::new(alert(1, 0, &["1"]));
    assert!(book.insert(slot(0, 0), Arc::clone(&publication), at(0)).is_some());
    assert!(book.insert(slot(0, 1), publication, at(0)).is_none());
    assert_eq!(book.position(at(0)).next[0], 2, "the position moves all the same");
    assert_eq!(book.live(at(1)).len(), 1);
}

#[test]
fn a_chain_is_followed_and_only_its_end_is_live() {
    let mut book = book(10);
    let first = alert(1, 0, &["1"]);
    let update = later(MsgType::Update, 2, 10, &first, &["1"]);
    let cancel = later(MsgType::Cancel, 3, 20, &update, &["1"]);
    for (offset, publication) in [first, update, cancel].into_iter().enumerate() {
        book.insert(slot(0, offset as u64), Arc::new(publication), at(20));
    }
    assert_eq!(ids(&book.live(at(21))), [id(3)]);
    let cancel = book.get(&id(3)).expect("remembered");
    assert_eq!(ids(&cancel.withdraws), [id(2), id(1)]);
}

#[test]
fn lanes_are_not_ordered_so_a_successor_may_come_first() {
    let mut book = book(10);
    let first = alert(1, 0, &["1"]);
    let update = later(MsgType::Update, 2, 10, &first, &["1"]);
    book.insert(slot(3, 0), Arc::new(update), at(10));
    let first = book.insert(slot(0, 0), Arc::new(first), at(10)).expect("new");
    assert!(!first.is_live(at(11)));
}

#[test]
fn what_was_seeded_from_the_store_keeps_its_state_when_the_log_brings_it() {
    let mut book = book(10);
    let first = alert(1, 0, &["1"]);
    book.seed(Arc::new(first.clone()), true);
    assert!(book.live(at(1)).is_empty());
    assert!(book.unknown(&later(MsgType::Update, 2, 1, &first, &["1"])).is_empty());
    let read = book.insert(slot(0, 0), Arc::new(first), at(1)).expect("it has a place now");
    assert!(read.is_superseded() && read.slot.is_some());
}

#[test]
fn what_is_live_outlasts_the_ring_and_what_is_over_goes() {
    let mut book = book(1);
    let publications = SWEEP_EVERY * 2;
    for offset in 0..publications {
        let publication = alert(u128::from(offset) + 1, offset as i64 * 3_600, &["1"]);
        book.insert(slot(0, offset), Arc::new(publication), at(offset as i64 * 3_600));
    }
    let last = at((publications as i64 - 1) * 3_600);
    assert_eq!(book.live(last).len(), 1);
    assert!(book.len() <= SWEEP_EVERY as usize + 2, "{}", book.len());
}
