use std::sync::Arc;

use super::*;
use crate::domain::alert::{Category, MsgType, Status};
use crate::domain::audience::Coverage;
use crate::domain::channel::{FcmAddressKind, PushAddress};
use crate::domain::device::{Interest, QuietHours};
use crate::domain::publication::{Content, Publication};
use crate::gateway::fixture::{alert, at, device, id, later, place, status, stays, viewer};
use crate::gateway::position::Slot;

fn entry(offset: u64, publication: &Publication, withdraws: &[Arc<Entry>]) -> Arc<Entry> {
    let slot = Slot { index: 0, offset };
    for earlier in withdraws {
        earlier.supersede();
    }
    let publication = Arc::new(publication.clone());
    Arc::new(Entry::new(offset + 1, Some((slot, "p".into())), publication, withdraws.to_vec()))
}

fn position(next: u64, second: i64) -> Position {
    Position { epoch: "e".into(), at: at(second), next: vec![next] }
}

#[test]
fn one_device_with_two_places_inside_is_told_once() {
    let mut viewer = viewer(device(&["2", "1"]));
    let entry = entry(0, &alert(1, 0, &["1", "2"]), &[]);
    let first = viewer.take(&entry, at(1)).expect("it is inside");
    let unit = first.delivers.expect("a delivery").unit.expect("a unit");
    assert_eq!(unit.as_str(), "2", "the first place of the device's own order owns it");
    assert!(viewer.take(&entry, at(1)).is_none());
}

#[test]
fn a_cancel_goes_only_to_the_warned() {
    let original = alert(1, 0, &["1"]);
    let cancel = later(MsgType::Cancel, 2, 60, &original, &["1"]);
    let first = entry(0, &original, &[]);
    let mut warned = viewer(device(&["1"]));
    assert!(warned.take(&first, at(1)).is_some());
    let second = entry(1, &cancel, &[first]);
    assert!(warned.take(&second, at(61)).is_some());
    let newcomer = viewer(device(&["1"]));
    assert_eq!(newcomer.judge(&second, at(61)), None, "nobody gets an all-clear unwarned");
}

#[test]
fn who_resumes_after_the_original_gets_the_cancel_and_who_resumes_before_gets_neither() {
    let original = alert(1, 0, &["1"]);
    let first = entry(5, &original, &[]);
    let cancel = later(MsgType::Cancel, 2, 60, &original, &["1"]);
    let second = entry(6, &cancel, &[Arc::clone(&first)]);
    let mut had = viewer(device(&["1"]));
    had.resume(position(6, 30), true);
    assert!(had.judge(&second, at(61)).is_some());
    let mut had_not = viewer(device(&["1"]));
    had_not.resume(position(5, 30), true);
    assert_eq!(had_not.judge(&first, at(61)), None, "superseded is not sent as live");
    assert_eq!(had_not.judge(&second, at(61)), None);
}

#[test]
fn a_phone_gets_the_cancel_of_what_may_have_come_as_a_push() {
    let original = alert(1, 0, &["1"]);
    let cancel = later(MsgType::Cancel, 2, 60, &original, &["1"]);
    let second = entry(1, &cancel, &[entry(0, &original, &[])]);
    let phone = |since: i64, left: Option<i64>| {
        let mut device = device(&["1"]);
        device.profile.address = PushAddress::Fcm { kind: FcmAddressKind::Fid, value: "f".into() };
        let mut stays = stays(&device, since);
        stays[0].left_at = left.map(at);
        Viewer::new(Some(&device), None, stays, None).judge(&second, at(70)).is_some()
    };
    assert!(phone(-10, None), "there all the time");
    assert!(phone(30, None), "a late joiner was warned too");
    assert!(phone(-10, Some(30)), "it has moved away since");
    assert!(!phone(-10, Some(-5)), "it had left before");
    assert!(!phone(65, None), "it came after the all-clear");
}

#[test]
fn an_update_goes_to_the_newly_targeted_and_to_those_it_no_longer_covers() {
    let original = alert(1, 0, &["1"]);
    let first = entry(0, &original, &[]);
    let mut outside_now = viewer(device(&["1"]));
    assert!(outside_now.take(&first, at(1)).is_some());
    let update = entry(1, &later(MsgType::Update, 2, 60, &original, &["2"]), &[first]);
    assert!(outside_now.judge(&update, at(61)).is_some());
    assert!(viewer(device(&["2"])).judge(&update, at(61)).is_some());
    assert_eq!(viewer(device(&["1"])).judge(&update, at(61)), None);
}

#[test]
fn nothing_expired_superseded_or_not_public_is_shown() {
    let first = entry(0, &alert(1, 0, &["1"]), &[]);
    let viewer = viewer(device(&["1"]));
    assert!(viewer.judge(&first, at(3_599)).is_some());
    assert_eq!(viewer.judge(&first, at(3_600)), None, "expired");
    first.supersede();
    assert_eq!(viewer.judge(&first, at(1)), None, "superseded");
    for status in [Status::Test, Status::Draft, Status::System] {
        let mut publication = alert(2, 0, &["1"]);
        if let Content::Alert(alert) = &mut publication.content {
            alert.status = status;
        }
        assert_eq!(viewer.judge(&entry(1, &publication, &[]), at(1)), None, "{status:?}");
    }
}

#[test]
fn exercises_are_for_those_who_take_part() {
    let mut publication = alert(1, 0, &["1"]);
    if let Content::Alert(alert) = &mut publication.content {
        alert.status = Status::Exercise;
    }
    let entry = entry(0, &publication, &[]);
    assert_eq!(viewer(device(&["1"])).judge(&entry, at(1)), None);
    let mut taking_part = device(&["1"]);
    taking_part.profile.exercises = true;
    assert!(viewer(taking_part).judge(&entry, at(1)).is_some());
}

#[test]
fn muted_is_not_shown_quiet_is_silent_and_part_units_are_coarse() {
    let mut publication = alert(1, 0, &["1"]);
    if let Audience::Area(area) = &mut publication.audience {
        area.units[0].coverage = Coverage::Part { cells: vec![] };
    }
    let entry = entry(0, &publication, &[]);
    let show = viewer(device(&["1"])).judge(&entry, at(1)).expect("shown");
    assert!(show.variant.coarse && !show.variant.silent);
    let mut muted = device(&["1"]);
    muted.profile.muted = [Interest::Alert(Category::Met)].into();
    assert_eq!(viewer(muted).judge(&entry, at(1)), None);
    let mut quiet = device(&["1"]);
    quiet.profile.quiet_hours = Some(QuietHours { from_minute: 720, to_minute: 780 });
    let show = viewer(quiet).judge(&entry, at(60)).expect("shown");
    assert!(show.variant.silent, "12:01 in Viet Nam is within 12:00 to 13:00");
}

#[test]
fn a_place_taken_while_away_is_caught_up_with_on_resume() {
    let entry = entry(3, &alert(1, 0, &["1"]), &[]);
    let moved = device(&["1"]);
    let mut late = Viewer::new(Some(&moved), None, stays(&moved, 50), None);
    late.resume(position(9, 20), true);
    let show = late.judge(&entry, at(60)).expect("a late joiner");
    assert!(!show.variant.positioned, "it lies before the client's own position");
    let mut told = Viewer::new(Some(&moved), None, stays(&moved, 50), None);
    told.resume(position(9, 55), true);
    assert_eq!(told.judge(&entry, at(60)), None, "it was caught up with before the cut");
}

#[test]
fn a_citizens_own_goes_to_that_citizen_alone() {
    let entry = entry(0, &status(1, 0, "s1"), &[]);
    let person = |subject: &str| {
        Viewer::new(None, subject.parse().ok(), vec![], None).judge(&entry, at(1)).is_some()
    };
    assert!(person("s1"));
    assert!(!person("s2"));
    assert_eq!(viewer(device(&["1"])).judge(&entry, at(1)), None);
}

#[test]
fn a_citizen_who_is_called_otherwise_gets_their_own_whichever_end_knows_of_it() {
    let before = entry(0, &status(1, 0, "old"), &[]);
    let name = |text: &str| text.parse::<SubjectId>().expect("a subject");
    let audience = Audience::Subject { subject: name("new"), former: vec![name("old")] };
    let after = entry(1, &Publication { audience, ..status(2, 0, "old") }, &[]);
    let gets = |names: &[&str], entry: &Entry| {
        let names: Vec<SubjectId> = names.iter().map(|text| name(text)).collect();
        Viewer::new(None, names, vec![], None).judge(entry, at(1)).is_some()
    };
    assert!(gets(&["old"], &before) && gets(&["old"], &after), "a stream of before the move");
    assert!(gets(&["new", "old"], &before) && gets(&["new", "old"], &after), "one of after it");
    assert!(!gets(&["other"], &before) && !gets(&["other"], &after));
}

#[test]
fn a_device_that_changed_is_judged_by_what_it_is_now() {
    let entry = entry(0, &alert(1, 0, &["2"]), &[]);
    let mut viewer = viewer(device(&["1"]));
    assert_eq!(viewer.judge(&entry, at(1)), None);
    let changed = device(&["2"]);
    let stays = stays(&changed, 1);
    viewer.change(&changed, stays);
    assert!(viewer.take_late(&entry, at(2)).is_some());
    assert!(viewer.take_late(&entry, at(2)).is_none(), "once");
    assert!(viewer.units().contains(&place("2").unit));
}

#[test]
fn what_was_sent_is_remembered_in_whatever_order_and_the_oldest_goes_first() {
    let mut got = Got::default();
    let ids: Vec<_> = (1..=GOT_MAX as u128 + 1).map(id).collect();
    let (late, others) = (ids[7], ids.iter().filter(|one| **one != ids[7]));
    others.clone().for_each(|one| got.add(*one));
    assert!(!got.has(&late) && others.clone().all(|one| got.has(one)));
    got.add(late);
    got.add(late);
    assert!(!got.has(&ids[0]) && ids[1..].iter().all(|one| got.has(one)), "one went for one");
    assert_eq!(got.0.len(), GOT_MAX);
}
