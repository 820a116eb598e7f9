//! The registry's contract, held by every implementation: whoever adds one adds a `Home` for it
//! and a line to `contract!`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loa::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use loa::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use loa::domain::device::{LocationConsent, Place, Profile};
use loa::domain::ids::{DeviceId, Seq, SubjectId, UnitCode};
use loa::store::registry::{Error, Member, NewDevice, Range, Registry};
use uuid::Uuid;

mod crash;
mod home;
mod model;
mod owners;
mod placed;
mod sealed;
mod shared;

use home::Home;
use owners::a_device_follows_its_citizen_to_another_name_and_nobody_elses_does;
use placed::a_look_at_a_device_has_all_its_places_and_tells_of_every_change_since;
use sealed::{
    addresses_of_an_older_release_are_read_and_sealed_and_keys_rotate,
    nothing_is_sealed_before_its_moment_and_an_older_release_reads_it,
};

macro_rules! contract {
    ($($promise:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Home::embedded()).await;
            })+
        }

        mod on_redis {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Home::redis()).await;
            })+
        }
    };
}

contract!(
    a_device_comes_back_as_it_was_also_after_a_restart,
    registering_again_is_an_update_and_another_secret_is_refused,
    a_broken_profile_is_refused_by_field,
    what_stays_the_same_keeps_its_seq,
    a_change_of_channel_moves_every_place,
    a_removed_device_leaves_nothing_but_tombstones,
    a_scan_sees_each_member_once_whoever_comes_moves_or_goes,
    the_change_feed_names_late_joiners_in_order,
    estimates_and_ranges_follow_every_change,
    a_subject_is_estimated_by_its_devices,
    a_dead_address_is_taken_only_while_it_is_the_devices,
    a_look_at_a_device_has_all_its_places_and_tells_of_every_change_since,
    a_citizen_has_a_bounded_number_of_devices,
    a_device_follows_its_citizen_to_another_name_and_nobody_elses_does,
    shards_are_fixed_when_the_registry_is_created,
    a_bulk_load_is_all_or_nothing,
    seqs_rise_by_one_under_many_writers,
    tombstones_are_forgotten_and_their_numbers_never_used_again,
    the_late_cursor_never_goes_back,
    the_lease_on_late_joiners_is_given_back_and_renewed,
    addresses_of_an_older_release_are_read_and_sealed_and_keys_rotate,
    nothing_is_sealed_before_its_moment_and_an_older_release_reads_it,
);

pub fn unit(code: &str) -> UnitCode {
    code.parse().expect("a unit code")
}

/// `"1"` is the whole unit, `"1/w3gvk1"` a cell of it.
pub fn place(text: &str) -> Place {
    let (code, cell) = text.split_once('/').map_or((text, None), |(code, cell)| (code, Some(cell)));
    Place { unit: unit(code), cell: cell.map(|cell| cell.parse().expect("a cell")) }
}

pub fn apns(token: u8) -> PushAddress {
    PushAddress::Apns {
        token: format!("{token:02x}").repeat(32),
        environment: ApnsEnvironment::Production,
        topic: "vn.loa.app".into(),
    }
}

pub fn fcm(value: &str) -> PushAddress {
    PushAddress::Fcm { kind: FcmAddressKind::Token, value: value.into() }
}

pub fn profile(address: PushAddress, places: &[&str]) -> Profile {
    let consent = LocationConsent { text_version: "1".into(), given_at: Timestamp::UNIX_EPOCH };
    Profile {
        address,
        places: places.iter().map(|text| place(text)).collect(),
        languages: vec!["vi".into(), "en".into()],
        muted: BTreeSet::new(),
        quiet_hours: None,
        location_consent: Some(consent),
        exercises: false,
        app_version: None,
    }
}

pub fn device(number: u128, profile: Profile) -> NewDevice {
    let id = DeviceId(Uuid::from_u128(number));
    NewDevice { id, secret_hash: [number as u8; 32], profile, subject: None }
}

fn subject(text: &str) -> SubjectId {
    text.parse().expect("a subject")
}

fn area(units: &[(&str, Coverage)]) -> AreaAudience {
    let units = units.iter().map(|(code, coverage)| AudienceUnit {
        code: unit(code),
        share: 1.0,
        coverage: coverage.clone(),
    });
    AreaAudience {
        boundaries: Boundaries::Approximate,
        vintage: "2025-07".parse().expect("a vintage"),
        units: units.collect(),
    }
}

/// Every member of a unit and channel up to a Seq, all shards, in pages of `page`.
pub async fn scan_all(
    registry: &Registry,
    unit: &UnitCode,
    channel: Channel,
    upto: Seq,
    page: usize,
) -> BTreeMap<Seq, Member> {
    let mut seen = BTreeMap::new();
    for shard in 0..registry.shards() {
        let mut range = Range { unit: unit.clone(), channel, shard, after: Seq(0), upto };
        loop {
            let members = registry.scan(&range, page).await.expect("a page");
            let numbers = registry.numbers(&range, page).await.expect("their numbers");
            let of_members = members.iter().map(|member| (member.seq, member.num));
            assert_eq!(numbers, of_members.collect::<Vec<_>>());
            let Some(last) = members.last() else { break };
            range.after = last.seq;
            for member in members {
                assert!(seen.insert(member.seq, member).is_none(), "seen twice");
            }
        }
    }
    seen
}

async fn seqs_of(registry: &Registry, new: &NewDevice) -> Vec<(u64, String, Channel, bool)> {
    let num = registry.get(&new.id).await.expect("a look").expect("it is there").device.num;
    let memberships = registry.memberships_of(num).await.expect("its memberships");
    let row = |m: loa::store::registry::Membership| {
        (m.seq.0, m.place.unit.to_string(), m.channel, m.left_at.is_none())
    };
    memberships.into_iter().map(row).collect()
}

async fn a_device_comes_back_as_it_was_also_after_a_restart(home: Home) {
    let registry = home.open().await;
    let mut new = device(1, profile(apns(1), &["1", "2/w3gvk1"]));
    new.subject = Some(subject("citizen"));
    let registered = registry.register(new.clone()).await.expect("registered");
    assert_eq!(registered.profile, new.profile);
    assert_eq!(registered.address_since, home.clock.now());
    drop(registry);
    let registry = home.open().await;
    let stored = registry.get(&new.id).await.expect("a look").expect("it is there");
    assert_eq!((stored.device.clone(), stored.secret_hash), (registered, new.secret_hash));
    let owned = registry.of_subject(&subject("citizen")).await.expect("a look");
    assert_eq!(owned, [stored.device]);
    assert_eq!(registry.get(&DeviceId(Uuid::from_u128(9))).await.expect("a look"), None);
}

async fn registering_again_is_an_update_and_another_secret_is_refused(home: Home) {
    let registry = home.open().await;
    let mut new = device(1, profile(apns(1), &["1"]));
    new.subject = Some(subject("citizen"));
    let first = registry.register(new.clone()).await.expect("registered");
    assert_eq!(registry.register(new.clone()).await.expect("repeated"), first);
    let changed = NewDevice { subject: None, profile: profile(apns(1), &["2"]), ..new.clone() };
    let second = registry.register(changed.clone()).await.expect("changed");
    assert_eq!((second.num, &second.profile), (first.num, &changed.profile));
    assert_eq!(second.subject, first.subject, "no login is no logout");
    let thief = NewDevice { secret_hash: [7; 32], ..new.clone() };
    assert!(matches!(registry.register(thief).await, Err(Error::Taken(id)) if id == new.id));
}

async fn a_broken_profile_is_refused_by_field(home: Home) {
    let registry = home.open().await;
    let broken = Profile { location_consent: None, ..profile(apns(1), &["1/w3gvk1"]) };
    let refused = registry.register(device(1, broken.clone())).await.expect_err("no consent");
    assert!(refused.to_string().contains("places[0].cell"), "{refused}");
    let good = device(2, profile(apns(1), &[]));
    registry.register(good.clone()).await.expect("registered");
    assert!(matches!(registry.update(&good.id, broken).await, Err(Error::Invalid { .. })));
    let unknown = registry.update(&DeviceId(Uuid::nil()), good.profile).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

async fn what_stays_the_same_keeps_its_seq(home: Home) {
    let registry = home.open().await;
    let new = device(1, profile(apns(1), &["1", "2"]));
    registry.register(new.clone()).await.expect("registered");
    let since = home.tick();
    // A new token on the same channel, another order, one place out, one in.
    let moved = registry.update(&new.id, profile(apns(2), &["3", "2"])).await.expect("updated");
    assert_eq!(moved.address_since, since);
    let a = Channel::Apns;
    let expected = [(1, "1".into(), a, false), (2, "2".into(), a, true), (3, "3".into(), a, true)];
    assert_eq!(seqs_of(&registry, &new).await, expected);
    let member = &registry.members(&[Seq(1), Seq(99)]).await.expect("members")[0];
    assert_eq!((member.seq, member.left_at), (Seq(1), Some(since)));
    assert_eq!(member.device.as_ref(), Some(&moved), "who moved is still somebody");
    // Going back where it was is a new membership.
    registry.update(&new.id, profile(apns(2), &["1"])).await.expect("updated");
    let last = seqs_of(&registry, &new).await.pop();
    assert_eq!(last, Some((4, "1".into(), a, true)));
}

async fn a_change_of_channel_moves_every_place(home: Home) {
    let registry = home.open().await;
    let new = device(1, profile(PushAddress::Websocket, &["1", "2"]));
    registry.register(new.clone()).await.expect("registered");
    registry.update(&new.id, profile(fcm("a"), &["1", "2"])).await.expect("updated");
    let (w, f) = (Channel::Websocket, Channel::Fcm);
    let expected = [
        (1, "1".into(), w, false),
        (2, "2".into(), w, false),
        (3, "1".into(), f, true),
        (4, "2".into(), f, true),
    ];
    assert_eq!(seqs_of(&registry, &new).await, expected);
    registry.claim(&new.id, Some(subject("citizen"))).await.expect("claimed");
    assert_eq!(seqs_of(&registry, &new).await.len(), 4, "a login moves nothing");
}

async fn a_removed_device_leaves_nothing_but_tombstones(home: Home) {
    let registry = home.open().await;
    let mut new = device(1, profile(apns(1), &["1"]));
    new.subject = Some(subject("citizen"));
    let num = registry.register(new.clone()).await.expect("registered").num;
    let left_at = home.tick();
    assert!(registry.remove(&new.id).await.expect("removed"));
    assert!(!registry.remove(&new.id).await.expect("repeated"));
    assert_eq!(registry.get(&new.id).await.expect("a look"), None);
    assert!(registry.of_subject(&subject("citizen")).await.expect("a look").is_empty());
    let members = scan_all(&registry, &unit("1"), Channel::Apns, Seq(9), 10).await;
    let tombstone = &members[&Seq(1)];
    assert_eq!((tombstone.num, tombstone.left_at), (num, Some(left_at)));
    assert_eq!(tombstone.device, None);
    let again = registry.register(new).await.expect("registered anew");
    assert!(again.num > num, "a number is never used again");
}

async fn a_scan_sees_each_member_once_whoever_comes_moves_or_goes(home: Home) {
    let registry = home.open().await;
    for number in 0..40 {
        registry.register(device(number, profile(fcm("a"), &["1"]))).await.expect("registered");
    }
    let upto = registry.last_seq().await.expect("the newest");
    let mut seen = BTreeMap::new();
    for shard in 0..registry.shards() {
        let mut range =
            Range { unit: unit("1"), channel: Channel::Fcm, shard, after: Seq(0), upto };
        let mut page = registry.scan(&range, 3).await.expect("a page");
        while let Some(last) = page.last() {
            range.after = last.seq;
            for member in &page {
                assert!(seen.insert(member.seq, member.left_at.is_some()).is_none(), "twice");
            }
            // Between any two pages somebody comes, somebody moves away, somebody goes.
            let number = 100 + u128::from(last.seq.0);
            registry.register(device(number, profile(fcm("b"), &["1"]))).await.expect("came");
            let moving = DeviceId(Uuid::from_u128(u128::from(last.seq.0) % 40));
            let _ = registry.update(&moving, profile(fcm("a"), &["2"])).await;
            let going = DeviceId(Uuid::from_u128(u128::from(last.seq.0 + 7) % 40));
            registry.remove(&going).await.expect("went");
            page = registry.scan(&range, 3).await.expect("a page");
        }
    }
    assert_eq!(seen.keys().map(|seq| seq.0).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert!(seen.values().any(|gone| *gone), "who went before the scan came by is a tombstone");
    let late = registry.changes(upto, 1000).await.expect("the feed");
    let came = late.iter().filter(|member| member.place == place("1")).count();
    assert!(came > 0 && late.iter().all(|member| member.seq > upto));
}

async fn the_change_feed_names_late_joiners_in_order(home: Home) {
    let registry = home.open().await;
    let mut watch = registry.watch();
    registry.register(device(1, profile(apns(1), &["1", "2"]))).await.expect("registered");
    watch.changed().await.expect("it is open");
    assert_eq!(*watch.borrow_and_update(), Seq(2));
    assert_eq!(registry.last_seq().await.expect("the newest"), Seq(2));
    registry.register(device(2, profile(fcm("a"), &["1"]))).await.expect("registered");
    let late = registry.changes(Seq(1), 10).await.expect("the feed");
    let named: Vec<_> = late.iter().map(|m| (m.seq.0, m.channel, m.place.clone())).collect();
    assert_eq!(named, [(2, Channel::Apns, place("2")), (3, Channel::Fcm, place("1"))]);
    assert_eq!(registry.changes(Seq(1), 1).await.expect("the feed").len(), 1);
    assert!(registry.changes(Seq(3), 10).await.expect("the feed").is_empty());
}

async fn estimates_and_ranges_follow_every_change(home: Home) {
    let registry = home.open().await;
    let places = ["1", "1/w3gvk1", "1/w3gvk1", "1/w3gvk2", "2"];
    for (number, at) in (1..).zip(places) {
        let address = if number % 2 == 0 { apns(1) } else { fcm("a") };
        registry.register(device(number, profile(address, &[at]))).await.expect("registered");
    }
    let cell = || vec!["w3gvk1".parse().expect("a cell")];
    let asked = [
        (area(&[("1", Coverage::Whole)]), 4, 0),
        (area(&[("1", Coverage::Part { cells: cell() })]), 3, 1),
        (area(&[("1", Coverage::Cells { cells: cell() })]), 2, 0),
        (area(&[("1", Coverage::Whole), ("2", Coverage::Whole), ("3", Coverage::Whole)]), 5, 0),
    ];
    let check = |registry: Registry| async move {
        for (area, total, coarse) in &asked {
            let audience = Audience::Area(area.clone());
            let estimate = registry.estimate(&audience).await.expect("an estimate");
            assert_eq!((estimate.total, estimate.coarse), (*total, *coarse), "{area:?}");
            let by_unit: u64 = estimate.units.values().flat_map(BTreeMap::values).sum();
            assert_eq!((by_unit, estimate.channels.values().sum()), (*total, *total));
        }
        let everywhere = &asked[3].0;
        let fcm = registry.ranges(everywhere, Channel::Fcm).await.expect("ranges");
        assert_eq!(
            fcm.iter().map(|(code, _)| code.as_str()).collect::<BTreeSet<_>>(),
            ["1", "2"].into()
        );
        assert!(registry.ranges(everywhere, Channel::Websocket).await.expect("ranges").is_empty());
        assert!(fcm.is_sorted(), "{fcm:?}");
    };
    // Somebody moves there and back, somebody comes and goes: the counts are as before.
    let mover = DeviceId(Uuid::from_u128(1));
    registry.update(&mover, profile(fcm("a"), &["3"])).await.expect("moved");
    registry.update(&mover, profile(fcm("a"), &["1"])).await.expect("moved back");
    registry.register(device(9, profile(apns(9), &["1", "2"]))).await.expect("came");
    registry.remove(&DeviceId(Uuid::from_u128(9))).await.expect("went");
    check(registry).await;
    let counted_anew = home.open().await;
    let whole = Audience::Area(area(&[("1", Coverage::Whole)]));
    assert_eq!(counted_anew.estimate(&whole).await.expect("an estimate").total, 4);
}

async fn a_subject_is_estimated_by_its_devices(home: Home) {
    let registry = home.open().await;
    let audience = Audience::of_subject(subject("citizen"));
    assert_eq!(registry.estimate(&audience).await.expect("an estimate").total, 0);
    for (number, address) in [(1, apns(1)), (2, fcm("a")), (3, fcm("b"))] {
        let new = device(number, profile(address, &[]));
        registry.register(new.clone()).await.expect("registered");
        registry.claim(&new.id, Some(subject("citizen"))).await.expect("claimed");
    }
    registry.claim(&DeviceId(Uuid::from_u128(3)), None).await.expect("given back");
    let estimate = registry.estimate(&audience).await.expect("an estimate");
    assert_eq!(estimate.channels, [(Channel::Apns, 1), (Channel::Fcm, 1)].into());
    assert_eq!((estimate.total, estimate.units.len()), (2, 0));
}

async fn a_dead_address_is_taken_only_while_it_is_the_devices(home: Home) {
    let registry = home.open().await;
    let new = device(1, profile(apns(1), &["1"]));
    let num = registry.register(new.clone()).await.expect("registered").num;
    let since = home.clock.now();
    let dead = async |address: &PushAddress, not_after| {
        registry.deactivate_address(num, address, not_after).await.expect("an answer")
    };
    assert!(!dead(&apns(2), None).await, "another address");
    let before = since - SignedDuration::from_secs(1);
    assert!(!dead(&apns(1), Some(before)).await, "it registered again since");
    home.tick();
    assert!(dead(&apns(1), Some(since)).await);
    assert!(!dead(&apns(1), None).await, "once");
    let stored = registry.get(&new.id).await.expect("a look").expect("it is there");
    assert_eq!(stored.device.profile.address, PushAddress::Websocket);
    assert_eq!(stored.device.address_since, home.clock.now());
    let expected =
        [(1, "1".into(), Channel::Apns, false), (2, "1".into(), Channel::Websocket, true)];
    assert_eq!(seqs_of(&registry, &new).await, expected);
}

async fn a_citizen_has_a_bounded_number_of_devices(home: Home) {
    let registry = home.open().await;
    let mine = |number| NewDevice {
        subject: Some(subject("citizen")),
        ..device(number, profile(PushAddress::Websocket, &[]))
    };
    let most = loa::store::registry::SUBJECT_DEVICES_MAX as u128;
    assert_eq!(registry.bulk_load((1..=most).map(mine)).await.expect("loaded"), most as u64);
    let refused = registry.register(mine(0)).await;
    assert!(matches!(refused, Err(Error::SubjectFull(full)) if full == subject("citizen")));
    registry.register(mine(1)).await.expect("one of them again");
}

async fn shards_are_fixed_when_the_registry_is_created(home: Home) {
    drop(home.open().await);
    let refused = home.open_with(8).await.expect_err("other shards");
    assert!(refused.to_string().contains("4 shards"), "{refused}");
    assert!(matches!(home.open_with(0).await, Err(Error::Settings(_))));
}

async fn a_bulk_load_is_all_or_nothing(home: Home) {
    let registry = home.open().await;
    let many = |from: u128, to: u128| (from..to).map(|n| device(n, profile(fcm("a"), &["1"])));
    let twice = registry.bulk_load(many(0, 100).chain(many(50, 51))).await;
    assert!(matches!(twice, Err(Error::Repeated)), "{twice:?}");
    assert_eq!(registry.last_seq().await.expect("the newest"), Seq(0));
    assert_eq!(registry.bulk_load(many(0, 100)).await.expect("loaded"), 100);
    let known = registry.bulk_load(many(100, 200).chain(many(7, 8))).await;
    assert!(matches!(known, Err(Error::Repeated)), "{known:?}");
    assert_eq!(registry.bulk_load(many(100, 150)).await.expect("loaded on top"), 50);
    let broken = device(500, profile(fcm(""), &["1"]));
    assert!(matches!(registry.bulk_load([broken]).await, Err(Error::Invalid { .. })));
    let upto = registry.last_seq().await.expect("the newest");
    let members = scan_all(&registry, &unit("1"), Channel::Fcm, upto, 1000).await;
    assert_eq!((members.len(), upto), (150, Seq(150)));
    let audience = Audience::Area(area(&[("1", Coverage::Whole)]));
    assert_eq!(registry.estimate(&audience).await.expect("an estimate").total, 150);
    let shards = registry.ranges(&area(&[("1", Coverage::Whole)]), Channel::Fcm).await;
    assert_eq!(shards.expect("ranges").len(), usize::from(registry.shards()), "spread");
}

async fn seqs_rise_by_one_under_many_writers(home: Home) {
    let registry = Arc::new(home.open().await);
    let tasks = (0..200).map(|number| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let new = device(number, profile(fcm("a"), &["1", "2"]));
            let num = registry.register(new).await.expect("registered").num;
            let own = registry.memberships_of(num).await.expect("memberships");
            assert!(own.iter().all(|m| m.seq <= *registry.watch().borrow()), "seen when answered");
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    let all = registry.changes(Seq(0), 1000).await.expect("the feed");
    assert!(all.iter().map(|member| member.seq.0).eq(1..=400));
}

async fn tombstones_are_forgotten_and_their_numbers_never_used_again(home: Home) {
    let registry = home.open().await;
    for number in 1..=3 {
        registry.register(device(number, profile(fcm("a"), &["1"]))).await.expect("registered");
    }
    registry.remove(&DeviceId(Uuid::from_u128(3))).await.expect("went");
    let later = home.tick();
    registry.remove(&DeviceId(Uuid::from_u128(2))).await.expect("went later");
    assert_eq!(registry.forget_departed(later).await.expect("forgotten"), 1);
    let left: Vec<_> = registry.changes(Seq(0), 9).await.expect("the feed");
    assert_eq!(left.iter().map(|member| member.seq.0).collect::<Vec<_>>(), [1, 2]);
    home.tick();
    registry.forget_departed(home.clock.now()).await.expect("forgotten");
    drop(registry);
    let registry = home.open().await;
    assert_eq!(registry.last_seq().await.expect("the newest"), Seq(3), "also after a restart");
    let next = registry.register(device(4, profile(fcm("a"), &["1"]))).await.expect("registered");
    assert_eq!(registry.memberships_of(next.num).await.expect("memberships")[0].seq, Seq(4));
}

async fn the_late_cursor_never_goes_back(home: Home) {
    let registry = home.open().await;
    assert_eq!(registry.late_cursor().await.expect("the cursor"), Seq(0));
    let lease = registry.late_lease("one", Duration::from_secs(9)).await.expect("asked");
    let lease = lease.expect("nobody has it");
    assert!(registry.set_late_cursor(Seq(7), lease).await.expect("set"));
    assert!(registry.set_late_cursor(Seq(3), lease).await.expect("set"));
    drop(registry);
    assert_eq!(home.open().await.late_cursor().await.expect("the cursor"), Seq(7));
}

async fn the_lease_on_late_joiners_is_given_back_and_renewed(home: Home) {
    let registry = home.open().await;
    let take = async |owner| registry.late_lease(owner, Duration::from_secs(9)).await;
    let first = take("one").await.expect("asked").expect("nobody has it");
    assert_eq!(take("one").await.expect("asked"), Some(first), "renewed");
    registry.leave_late(first).await.expect("given back");
    let next = take("two").await.expect("asked").expect("it was given back");
    assert!(registry.set_late_cursor(Seq(5), next).await.expect("set"));
}
