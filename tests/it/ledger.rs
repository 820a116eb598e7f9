//! The ledger's contract, held by every implementation.

use jiff::{SignedDuration, Timestamp};
use loa::clock::Clock;
use loa::domain::channel::Channel;
use loa::domain::dispatch::{Dispatch, DispatchId, Scope};
use loa::domain::funnel::Counts;
use loa::domain::ids::{DeviceNum, PublicationId, Seq, UnitCode};
use loa::domain::lane::Lane;
use loa::domain::outcome::Arrival;
use loa::domain::receipt::{Receipt, Stage};
use loa::store::ledger::{
    AcceptedAt, BATCH_MAX, Delivered, Error, Ledger, Progress, Saved, Settings, State, Waiting,
};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

pub mod crash;
mod terms;

use terms::{
    a_dispatch_taken_over_is_its_new_workers_alone, a_dispatch_that_is_over_is_taken_from_nobody,
    a_replaced_worker_is_stopped_and_forgets_nobody, of_workers_that_open_at_once_one_goes_on,
    what_is_free_is_opened_once_and_taken_from_nobody,
};

contract!(
    a_progress_comes_back_as_it_was_also_after_a_restart,
    routed_again_the_first_dispatch_holds,
    ranges_of_a_publication_have_one_bound_however_often_it_is_routed,
    dispatches_opened_together_are_as_those_opened_alone,
    a_frozen_dispatch_takes_outcomes_and_nothing_new,
    a_dispatch_frozen_before_it_began_never_begins,
    nothing_is_sent_after_a_freeze_has_answered,
    a_replaced_worker_is_stopped_and_forgets_nobody,
    a_dispatch_taken_over_is_its_new_workers_alone,
    of_workers_that_open_at_once_one_goes_on,
    a_dispatch_that_is_over_is_taken_from_nobody,
    what_is_free_is_opened_once_and_taken_from_nobody,
    a_dispatch_must_be_opened_first,
    targets_are_counted_once_however_often_they_are_said,
    a_device_is_counted_once_whatever_is_repeated,
    counts_never_go_back,
    a_device_that_moves_is_counted_once,
    a_crowd_of_neighbours_is_counted_once_each,
    a_delivery_counts_once_as_sent_and_accepted,
    only_the_first_receipt_is_timed,
    the_funnel_adds_up_by_unit_and_channel,
    a_batch_is_bounded,
    what_is_old_is_forgotten,
    many_saves_at_once_are_all_kept,
);

async fn open(home: &Home) -> Ledger {
    // Midnight, whenever it is opened.
    let clock = Clock::manual(at(0));
    match home {
        Home::Embedded(dir) => Ledger::start(&Settings { dir: dir.path().into() }, clock).await,
        Home::Redis(settings) => Ledger::shared(&connect(settings).await, clock).await,
    }
    .expect("it opens")
}

/// Seconds after the tests' midnight.
fn at(seconds: i64) -> Timestamp {
    let midnight: Timestamp = "2026-08-01T00:00:00Z".parse().expect("an instant");
    midnight + SignedDuration::from_secs(seconds)
}

fn unit(code: &str) -> UnitCode {
    code.parse().expect("a unit code")
}

/// A publication accepted so many seconds after midnight.
fn publication(seconds: i64) -> PublicationId {
    let ms = at(seconds).as_millisecond() as u128;
    PublicationId(Uuid::from_u128(ms << 80 | 7 << 76 | 2 << 62))
}

pub fn dispatch(publication: PublicationId, code: &str, shard: u16) -> Dispatch {
    let scope = Scope::Range { unit: unit(code), shard, upto: Seq(1_000_000) };
    Dispatch {
        id: DispatchId::of(publication, Channel::Apns, &scope, false),
        publication,
        channel: Channel::Apns,
        lane: Lane::Emergency,
        expires: at(3600),
        scope,
        reached_by: vec![],
    }
}

fn receipt(id: PublicationId, device: u64, stage: Stage) -> Receipt {
    Receipt {
        publication: id,
        device: DeviceNum(device),
        channel: Channel::Apns,
        unit: Some(unit("1")),
        stage,
        at: at(10),
    }
}

fn sent(progress: &mut Progress, intent: u64) {
    progress.intent = Seq(intent);
    progress.counts.sent = intent;
    progress.counts.accepted = intent;
}

async fn total(ledger: &Ledger, id: PublicationId) -> Counts {
    ledger.funnel(id).await.expect("a funnel").total
}

async fn a_progress_comes_back_as_it_was_also_after_a_restart(home: Home) {
    let ledger = open(&home).await;
    let mut progress = ledger.open(&dispatch(publication(0), "1", 0)).await.expect("opened");
    let fresh = Progress::new(progress.dispatch.clone());
    assert!(progress.term > 0);
    assert_eq!(progress, Progress { term: progress.term, ..fresh });
    sent(&mut progress, 500);
    progress.cursor = Seq(400);
    progress.state = State::Done;
    progress.accepted_ms.record(1234);
    progress.counts.failed.insert("BadDeviceToken".into(), 2);
    progress.unreached.extend([7, 70_000, 1 << 40]);
    for (seq, reason, arrival) in [
        (7, "TooManyRequests", Arrival::Excluded),
        (70_000, "timeout", Arrival::Possible),
        (1 << 40, "timeout", Arrival::Excluded),
    ] {
        let (seq, reason, not_before) = (Seq(seq), reason.into(), at(60));
        progress.retries.push(Waiting { seq, attempt: 2, not_before, arrival, reason });
    }
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    drop(ledger);
    let ledger = open(&home).await;
    let id = progress.dispatch.id;
    assert_eq!(ledger.get(&id).await.expect("a look").as_ref(), Some(&progress));
    assert_eq!(ledger.of_publication(publication(0)).await.expect("a look"), [progress.clone()]);
    assert_eq!(ledger.open(&progress.dispatch).await.expect("opened"), progress);
    assert!(progress.may_have_reached(Seq(8)) && !progress.may_have_reached(Seq(7)));
    assert!(!progress.may_have_reached(Seq(501)));
}

async fn routed_again_the_first_dispatch_holds(home: Home) {
    let ledger = open(&home).await;
    let first = dispatch(publication(0), "1", 0);
    ledger.open(&first).await.expect("opened");
    let scope = Scope::Range { unit: unit("1"), shard: 0, upto: Seq(2_000_000) };
    let again = Dispatch { scope, ..first.clone() };
    assert_eq!(ledger.open(&again).await.expect("opened").dispatch, first);
}

async fn ranges_of_a_publication_have_one_bound_however_often_it_is_routed(home: Home) {
    let ledger = open(&home).await;
    let scope = |shard, upto| Scope::Range { unit: unit("1"), shard, upto };
    let range = |shard, upto| Dispatch {
        scope: scope(shard, upto),
        ..dispatch(publication(0), "1", shard)
    };
    let bound = ledger.bound(publication(0), Seq(7)).await.expect("fixed");
    assert_eq!(bound, Seq(7));
    // The router dies in the middle, others join, and another router begins anew.
    ledger.open_all(&[range(0, bound)]).await.expect("opened");
    drop(ledger);
    let ledger = open(&home).await;
    let bound = ledger.bound(publication(0), Seq(9)).await.expect("known");
    assert_eq!(bound, Seq(7));
    ledger.open_all(&[range(0, bound), range(1, bound)]).await.expect("opened");
    let rows = ledger.of_publication(publication(0)).await.expect("a look");
    assert_eq!(rows.iter().map(|row| row.dispatch.bound()).collect::<Vec<_>>(), [Some(Seq(7)); 2]);
    assert_eq!(ledger.bound(publication(1), Seq(9)).await.expect("fixed"), Seq(9));
}

async fn dispatches_opened_together_are_as_those_opened_alone(home: Home) {
    let ledger = open(&home).await;
    let all: Vec<_> = (0..1_100).map(|shard| dispatch(publication(0), "1", shard)).collect();
    let mut begun = ledger.open(&all[3]).await.expect("opened");
    sent(&mut begun, 5);
    assert_eq!(ledger.save(&begun).await.expect("an answer"), Saved::Saved);
    assert_eq!(ledger.freeze(&all[7].id).await.expect("an answer"), None);
    for _ in 0..2 {
        ledger.open_all(&all).await.expect("opened");
        let rows = ledger.of_publication(publication(0)).await.expect("a look");
        assert_eq!(rows.len(), all.len());
        for row in rows {
            let expected = if row.dispatch == begun.dispatch {
                begun.clone()
            } else {
                let frozen = row.dispatch.id == all[7].id;
                Progress { frozen, ..Progress::new(row.dispatch.clone()) }
            };
            assert_eq!(row, expected);
        }
    }
}

async fn a_frozen_dispatch_takes_outcomes_and_nothing_new(home: Home) {
    let ledger = open(&home).await;
    let mut progress = ledger.open(&dispatch(publication(0), "1", 0)).await.expect("opened");
    sent(&mut progress, 100);
    progress.unreached.insert(5);
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    let frozen = ledger.freeze(&progress.dispatch.id).await.expect("an answer").expect("opened");
    assert!(frozen.frozen);
    assert_eq!((frozen.intent, &frozen.unreached), (progress.intent, &progress.unreached));

    let mut next_batch = progress.clone();
    sent(&mut next_batch, 200);
    assert_eq!(ledger.save(&next_batch).await.expect("an answer"), Saved::Frozen);
    let mut retry = progress.clone();
    retry.unreached.remove(5);
    assert_eq!(ledger.save(&retry).await.expect("an answer"), Saved::Frozen);
    let kept = ledger.get(&progress.dispatch.id).await.expect("a look").expect("opened");
    assert_eq!(kept, frozen, "a refused save changes nothing");

    progress.cursor = Seq(100);
    progress.unreached.insert(60);
    progress.state = State::Superseded;
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    let kept = ledger.get(&progress.dispatch.id).await.expect("a look").expect("opened");
    assert_eq!(kept, Progress { frozen: true, ..progress }, "frozen for good");
}

async fn a_dispatch_frozen_before_it_began_never_begins(home: Home) {
    let ledger = open(&home).await;
    let dispatch = dispatch(publication(0), "1", 0);
    assert_eq!(ledger.freeze(&dispatch.id).await.expect("an answer"), None);
    assert_eq!(ledger.freeze(&dispatch.id).await.expect("repeated"), None);
    drop(ledger);
    let ledger = open(&home).await;
    let mut progress = ledger.open(&dispatch).await.expect("opened");
    assert!(progress.frozen);
    sent(&mut progress, 1);
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Frozen);
    assert!(ledger.open(&dispatch).await.expect("opened again").frozen);
}

async fn nothing_is_sent_after_a_freeze_has_answered(home: Home) {
    let ledger = open(&home).await;
    for round in 0..20 {
        let mut progress = ledger.open(&dispatch(publication(0), "1", round)).await.expect("new");
        let (worker, id) = (ledger.clone(), progress.dispatch.id);
        let (begun, mut begin) = tokio::sync::mpsc::channel(1);
        let sending = tokio::spawn(async move {
            for intent in 1.. {
                let before = progress.clone();
                sent(&mut progress, intent);
                if worker.save(&progress).await.expect("an answer") == Saved::Frozen {
                    return before.intent;
                }
                let _ = begun.try_send(());
            }
            unreachable!("it is frozen before it runs out of numbers")
        });
        begin.recv().await.expect("it sends");
        let frozen = ledger.freeze(&id).await.expect("an answer").expect("opened");
        assert_eq!(sending.await.expect("no panic"), frozen.intent);
    }
}

async fn a_dispatch_must_be_opened_first(home: Home) {
    let ledger = open(&home).await;
    let progress = Progress::new(dispatch(publication(0), "1", 0));
    let id = progress.dispatch.id;
    assert!(
        matches!(ledger.save(&progress).await, Err(Error::NotOpened(unknown)) if unknown == id)
    );
    assert_eq!(ledger.get(&id).await.expect("a look"), None);
}

async fn targets_are_counted_once_however_often_they_are_said(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let first = vec![(Some(unit("1")), Channel::Apns, 10), (Some(unit("2")), Channel::Fcm, 5)];
    ledger.set_targeted(id, first.clone()).await.expect("said");
    ledger.set_targeted(id, first).await.expect("said again");
    assert_eq!(total(&ledger, id).await.targeted, 15);
    for key in ["7", "7", "9"] {
        let late = vec![(Some(unit("1")), Channel::Apns, 1)];
        ledger.add_targeted(id, key, late).await.expect("said");
    }
    assert_eq!(total(&ledger, id).await.targeted, 17);
    ledger.set_targeted(id, vec![(Some(unit("1")), Channel::Apns, 12)]).await.expect("said anew");
    let funnel = ledger.funnel(id).await.expect("a funnel");
    assert_eq!((funnel.total.targeted, funnel.units.len()), (14, 1), "replaced, late ones kept");
}

async fn a_device_is_counted_once_whatever_is_repeated(home: Home) {
    let (ledger, id, none) = (open(&home).await, publication(0), AcceptedAt::new());
    // Numbers on both sides of the bitmaps' borders.
    let devices = [0, 1, 65_535, 65_536, 10_000_000, 1 << 40];
    for stage in [Stage::Shown, Stage::Received, Stage::Shown] {
        let batch = devices.iter().chain(&devices).map(|device| receipt(id, *device, stage));
        let new = ledger.record_receipts(batch.collect(), &none).await.expect("counted");
        let after = total(&ledger, id).await;
        assert_eq!((after.received, after.shown, after.acknowledged), (6, 6, 0));
        let repeated = ledger.record_receipts(vec![receipt(id, 1, stage)], &none).await;
        assert_eq!(repeated.expect("counted"), 0);
        assert!(new == 6 || new == 0, "{new}");
    }
    drop(ledger);
    let ledger = open(&home).await;
    let acknowledged = vec![receipt(id, 65_536, Stage::Acknowledged)];
    assert_eq!(ledger.record_receipts(acknowledged, &none).await.expect("counted"), 1);
    let after = total(&ledger, id).await;
    assert_eq!((after.received, after.shown, after.acknowledged), (6, 6, 1));
    let stage = async |device| ledger.stage_of(id, DeviceNum(device)).await.expect("a look");
    assert_eq!(stage(65_536).await, Some(Stage::Acknowledged));
    assert_eq!((stage(1).await, stage(2).await), (Some(Stage::Shown), None));
}

async fn counts_never_go_back(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let mut watch = ledger.watch();
    let mut before = Counts::default();
    // Every order of the three stages for many devices, each step in a batch of its own.
    for step in 0..3 {
        let batch = (0..60u64).map(|device| {
            let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            let order: [usize; 3] = orders[device as usize % 6];
            receipt(id, device, Stage::ALL[order[step]])
        });
        ledger.record_receipts(batch.collect(), &AcceptedAt::new()).await.expect("counted");
        watch.changed().await.expect("it is open");
        let after = total(&ledger, id).await;
        assert!(after.received >= before.received && after.shown >= before.shown);
        assert!(after.acknowledged >= before.acknowledged);
        assert!(after.received >= after.shown && after.shown >= after.acknowledged);
        before = after;
    }
    assert_eq!((before.received, before.shown, before.acknowledged), (60, 60, 60));
}

async fn a_device_that_moves_is_counted_once(home: Home) {
    let (ledger, id, none) = (open(&home).await, publication(0), AcceptedAt::new());
    let received = receipt(id, 1, Stage::Received);
    let moved = Receipt { unit: Some(unit("2")), channel: Channel::Fcm, ..received.clone() };
    let shown = Receipt { stage: Stage::Shown, ..moved.clone() };
    ledger.record_receipts(vec![received, moved, shown], &none).await.expect("counted");
    let after = total(&ledger, id).await;
    assert_eq!((after.received, after.shown), (1, 1));
}

async fn a_crowd_of_neighbours_is_counted_once_each(home: Home) {
    let (ledger, id, none) = (open(&home).await, publication(0), AcceptedAt::new());
    for (some, news) in [(0..300, 300), (200..1_500, 1_200), (0..1_500, 0), (1_499..1_501, 1)] {
        let batch = some.map(|device| receipt(id, device * 7, Stage::Received)).collect();
        assert_eq!(ledger.record_receipts(batch, &none).await.expect("counted"), news);
    }
    assert_eq!(total(&ledger, id).await.received, 1_501);
    let stage = async |device| ledger.stage_of(id, DeviceNum(device)).await.expect("a look");
    assert_eq!((stage(7 * 1_500).await, stage(8).await), (Some(Stage::Received), None));
}

async fn a_delivery_counts_once_as_sent_and_accepted(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let accepted_at = AcceptedAt::from([(id, at(0))]);
    let delivered = |device| Delivered {
        publication: id,
        device: DeviceNum(device),
        unit: Some(unit("1")),
        at: at(2),
    };
    let batch = vec![delivered(1), delivered(1), delivered(2)];
    assert_eq!(ledger.record_deliveries(batch.clone(), &accepted_at).await.expect("counted"), 2);
    assert_eq!(ledger.record_deliveries(batch, &accepted_at).await.expect("repeated"), 0);
    // The third device's delivery was lost with its gateway; its receipt says that it was.
    let receipt = Receipt { channel: Channel::Websocket, ..receipt(id, 3, Stage::Received) };
    ledger.record_receipts(vec![receipt], &accepted_at).await.expect("counted");
    let late = ledger.record_deliveries(vec![delivered(3)], &accepted_at).await;
    assert_eq!(late.expect("counted"), 0);
    let funnel = ledger.funnel(id).await.expect("a funnel");
    let counts = &funnel.channels[&Channel::Websocket];
    assert_eq!((counts.sent, counts.accepted, counts.received), (3, 3, 1));
    assert_eq!(
        (funnel.accepted_ms.first_ms, funnel.accepted_ms.last_ms),
        (Some(2000), Some(10_000))
    );
    assert_eq!(ledger.stage_of(id, DeviceNum(1)).await.expect("a look"), None, "no receipt yet");
}

async fn only_the_first_receipt_is_timed(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let accepted_at = AcceptedAt::from([(id, at(0))]);
    for (seconds, stage) in [(3, Stage::Received), (60, Stage::Received), (90, Stage::Shown)] {
        let late = Receipt { at: at(seconds), ..receipt(id, 1, stage) };
        ledger.record_receipts(vec![late], &accepted_at).await.expect("counted");
    }
    // A gateway's clock that is behind counts as no time, and an unknown publication as no value.
    let early = Receipt { at: at(-5), ..receipt(id, 2, Stage::Received) };
    ledger.record_receipts(vec![early], &accepted_at).await.expect("counted");
    let untimed = vec![receipt(id, 3, Stage::Received)];
    ledger.record_receipts(untimed, &AcceptedAt::new()).await.expect("counted");
    let funnel = ledger.funnel(id).await.expect("a funnel");
    assert_eq!(funnel.total.received, 3);
    assert_eq!(funnel.received_ms.buckets.iter().sum::<u64>(), 2);
    assert_eq!((funnel.received_ms.first_ms, funnel.received_ms.last_ms), (Some(0), Some(3000)));
}

async fn the_funnel_adds_up_by_unit_and_channel(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let nothing = ledger.funnel(id).await.expect("a funnel");
    assert_eq!((nothing.total, nothing.cells.len()), (Counts::default(), 0));
    for (shard, code) in [(0, "1"), (1, "1"), (0, "2")] {
        let mut progress = ledger.open(&dispatch(id, code, shard)).await.expect("opened");
        sent(&mut progress, 10);
        progress.counts.received = 99; // not a worker's to say
        progress.accepted_ms.record(100);
        progress.state = if code == "1" { State::Done } else { State::Open };
        assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    }
    let other = ledger.open(&dispatch(publication(1), "1", 0)).await.expect("opened");
    assert_eq!(ledger.save(&other).await.expect("an answer"), Saved::Saved);
    let scope = Scope::Subject { subject: None };
    let personal = Dispatch {
        id: DispatchId::of(id, Channel::Fcm, &scope, false),
        channel: Channel::Fcm,
        scope,
        ..dispatch(id, "1", 0)
    };
    let mut progress = ledger.open(&personal).await.expect("opened");
    sent(&mut progress, 1);
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    let receipts = vec![receipt(id, 1, Stage::Received)];
    ledger.record_receipts(receipts, &AcceptedAt::new()).await.expect("counted");

    let funnel = ledger.funnel(id).await.expect("a funnel");
    assert_eq!((funnel.total.sent, funnel.total.received), (31, 1));
    assert_eq!(funnel.channels[&Channel::Apns].accepted, 30);
    assert_eq!(funnel.channels[&Channel::Fcm].accepted, 1);
    assert_eq!((funnel.units[&unit("1")].sent, funnel.units[&unit("2")].sent), (20, 10));
    assert_eq!(funnel.open_dispatches, 2);
    assert_eq!(funnel.accepted_ms.buckets.iter().sum::<u64>(), 3);
    let cells: Vec<_> = funnel.cells.iter().map(|cell| (&cell.unit, cell.counts.sent)).collect();
    assert_eq!(cells, [(&None, 1), (&Some(unit("1")), 20), (&Some(unit("2")), 10)]);
}

async fn a_batch_is_bounded(home: Home) {
    let (ledger, id) = (open(&home).await, publication(0));
    let batch = |count: usize| vec![receipt(id, 1, Stage::Received); count];
    let refused = ledger.record_receipts(batch(BATCH_MAX + 1), &AcceptedAt::new()).await;
    assert!(matches!(refused, Err(Error::TooMany(given)) if given == BATCH_MAX + 1));
    let taken = ledger.record_receipts(batch(BATCH_MAX), &AcceptedAt::new()).await;
    assert_eq!(taken.expect("counted"), 1);
    assert_eq!(ledger.record_receipts(vec![], &AcceptedAt::new()).await.expect("nothing"), 0);
}

async fn what_is_old_is_forgotten(home: Home) {
    let ledger = open(&home).await;
    for seconds in [0, 100] {
        let id = publication(seconds);
        ledger.open(&dispatch(id, "1", 0)).await.expect("opened");
        ledger.set_targeted(id, vec![(None, Channel::Fcm, 1)]).await.expect("said");
        let receipts = vec![receipt(id, 1, Stage::Shown)];
        ledger.record_receipts(receipts, &AcceptedAt::new()).await.expect("counted");
    }
    let fenced = dispatch(publication(0), "fenced", 0);
    ledger.freeze(&fenced.id).await.expect("fenced at midnight");
    assert_eq!(ledger.forget(at(100)).await.expect("forgotten"), 1);
    let (old, young) =
        (total(&ledger, publication(0)).await, total(&ledger, publication(100)).await);
    assert_eq!(old, Counts::default());
    assert_eq!((young.targeted, young.shown), (1, 1));
    assert!(ledger.get(&dispatch(publication(0), "1", 0).id).await.expect("a look").is_none());
    assert!(ledger.get(&dispatch(publication(100), "1", 0).id).await.expect("a look").is_some());
    assert_eq!(ledger.bound(publication(0), Seq(3)).await.expect("fixed"), Seq(3));
    assert!(!ledger.open(&fenced).await.expect("opened").frozen, "the fence is gone too");
}

async fn many_saves_at_once_are_all_kept(home: Home) {
    let ledger = open(&home).await;
    let workers = (0..100).map(|shard| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut progress =
                ledger.open(&dispatch(publication(0), "1", shard)).await.expect("new");
            for intent in 1..=20 {
                sent(&mut progress, intent);
                assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("no panic");
    }
    assert_eq!(total(&ledger, publication(0)).await.sent, 2000);
    drop(ledger);
    assert_eq!(total(&open(&home).await, publication(0)).await.sent, 2000);
}
