//! Recall: an update or cancel stops what it replaces, and goes to exactly those who got that, or
//! may have. And nothing is sent late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use loa::domain::alert::Category;
use loa::domain::device::{Interest, Place, Profile};
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use loa::simulator::record::{Delivered, Seen};
use tokio::sync::mpsc;

use crate::support::node::{AlertXml, CENTRE, PATIENCE, TestNode};
use crate::support::people::{audience, everywhere, received, repeats, tokens};
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(
    a_cancel_stops_a_broadcast_within_a_second_and_goes_to_exactly_those_it_reached,
    a_push_whose_answer_was_lost_may_have_arrived_so_its_device_gets_the_cancel,
    an_update_goes_once_to_everyone_reached_and_everyone_newly_targeted,
    a_cancel_goes_to_everyone_whom_any_publication_of_the_chain_reached,
    a_cancel_finds_those_who_moved_or_muted_since_and_nobody_who_was_left_out,
    a_cancel_follows_a_device_to_its_new_channel,
    what_could_not_be_sent_before_its_expiry_is_counted_expired_and_never_sent,
);

const PUSH: [Service; 2] = [Service::Apns, Service::Fcm];
const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 120, cell: 150, english: 60 };
/// Deliveries that may wait for a test: more than any of them makes.
const ALL: usize = 200_000;
/// What nothing of the original may come after.
const STOPS_WITHIN_MS: i64 = 1_000;
/// The west of the city, which overlaps the centre.
const WEST: &str = "<polygon>10.70,106.40 10.70,106.68 10.90,106.68 10.90,106.40 \
                    10.70,106.40</polygon>";

/// A node with a population, and what its phones get.
struct Scene {
    test: TestNode,
    population: Population,
    tokens: BTreeMap<u32, String>,
    pushes: mpsc::Receiver<Delivered>,
}

type Received = BTreeMap<u32, Vec<Seen>>;

impl Scene {
    async fn with(shape: Shape, size: u32) -> Self {
        let test = TestNode::shaped(&shape, |_| {}).await;
        let population = test.populate(size, MIX).await;
        let tokens = tokens(&population);
        let pushes = test.providers.deliveries(ALL);
        Self { test, population, tokens, pushes }
    }

    /// Providers that take their time, so that a broadcast has a middle.
    fn slow_down(&self) {
        self.test.providers.faults.limit(|limits| limits.max_concurrent_streams = 100);
        self.faults(|| Rule::new(When::Always, Then::Slow(Duration::from_millis(200))));
    }

    fn faults(&self, rule: impl Fn() -> Rule) {
        for service in PUSH {
            self.test.providers.faults.set(service, vec![rule()]);
        }
    }

    /// Waits until so many further pushes were delivered.
    async fn see(&mut self, wanted: usize) {
        let seen = async {
            for _ in 0..wanted {
                self.pushes.recv().await.expect("the providers run");
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("pushes go out");
    }

    /// Withdraws a publication's chain: the cancel, and when it was answered.
    async fn cancel(&self, id: PublicationId) -> (PublicationId, Timestamp) {
        self.follow(&format!("/v1/alerts/{id}/cancel"), None).await
    }

    /// Replaces a publication by an update.
    async fn update(&self, id: PublicationId, xml: String) -> (PublicationId, Timestamp) {
        let body = Some(("application/cap+xml", Bytes::from(xml)));
        self.follow(&format!("/v1/alerts/{id}/update"), body).await
    }

    async fn follow(&self, path: &str, body: Option<(&str, Bytes)>) -> (PublicationId, Timestamp) {
        let answer = self.test.ask(Method::POST, path, body).await;
        let at = Timestamp::now();
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("an id").parse().expect("a publication id");
        (id, at)
    }

    /// Waits until nothing of a publication is left to be sent, and everyone has an outcome.
    async fn over(&self, id: PublicationId) -> Funnel {
        let over = |now: &Funnel| {
            let total = &now.total;
            let known = total.accepted + total.superseded + total.expired + total.skipped;
            total.targeted > 0 && now.open_dispatches == 0 && known >= total.targeted
        };
        self.test.funnel_where(id, over).await
    }

    fn received(&self, id: PublicationId) -> Received {
        received(&self.test.providers, &self.tokens, id)
    }

    async fn audience(&self, id: PublicationId) -> BTreeSet<u32> {
        let stored = self.test.node.parts.alerts.get(id).await.expect("a store");
        audience(&stored.expect("stored").publication, &self.population)
    }
}

fn people(received: &Received) -> BTreeSet<u32> {
    received.keys().copied().collect()
}

/// Exactly these devices got it, each once.
fn assert_once(received: &Received, expected: &BTreeSet<u32>) {
    let got = people(received);
    let missed: Vec<_> = expected.difference(&got).take(20).collect();
    let strangers: Vec<_> = got.difference(expected).take(20).collect();
    assert!(missed.is_empty(), "did not get it: {missed:?} …, {} of {}", got.len(), expected.len());
    assert!(strangers.is_empty(), "got it and should not: {strangers:?} …");
    assert_eq!(repeats(received), 0);
}

/// The update of an alert: another text over another area.
pub(crate) fn update_of(original: &str, identifier: &str, area: &str) -> String {
    let part = |name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let from = original.find(&open).expect("the element") + open.len();
        original[from..from + original[from..].find(&close).expect("its end")].to_owned()
    };
    let reference = format!("{},{},{}", part("sender"), part("identifier"), part("sent"));
    AlertXml::hot(identifier, area)
        .render()
        .replace("<msgType>Alert</msgType>", "<msgType>Update</msgType>")
        .replace(
            "<scope>Public</scope>",
            &format!("<scope>Public</scope><references>{reference}</references>"),
        )
}

async fn a_cancel_stops_a_broadcast_within_a_second_and_goes_to_exactly_those_it_reached(
    shape: Shape,
) {
    let mut scene = Scene::with(shape, 20_000).await;
    scene.slow_down();
    let area = everywhere(&scene.test.node.parts.city);
    let id = scene.test.publish(AlertXml::hot("recall", &area).render()).await;
    scene.see(6_000).await;
    let (cancel, answered) = scene.cancel(id).await;
    let original = scene.over(id).await;
    scene.over(cancel).await;
    let (alert, recall) = (scene.received(id), scene.received(cancel));
    let last = alert.values().flatten().map(|seen| seen.at_ms).max().expect("some were reached");
    let after = last - answered.as_millisecond();
    eprintln!(
        "cancelled at 6000 of 20000: {} reached by the alert, the last {after} ms after the 202; \
         {} got the cancel; funnel {:?}",
        alert.len(),
        recall.len(),
        original.total
    );
    assert!(after <= STOPS_WITHIN_MS, "a push of the original {after} ms after the cancel's 202");
    assert!(alert.len() < 15_000, "a broadcast that was stopped");
    assert_once(&recall, &people(&alert));
    assert_eq!(repeats(&alert), 0);
    assert_eq!(original.total.superseded + original.total.accepted, 20_000, "{original:?}");
    scene.test.stop().await;
}

async fn a_push_whose_answer_was_lost_may_have_arrived_so_its_device_gets_the_cancel(shape: Shape) {
    let mut scene = Scene::with(shape, 300).await;
    // Delivered; then the stream is reset, so that the node never learns of it.
    scene.faults(|| Rule::new(When::Always, Then::ResetAfter(8)));
    let area = everywhere(&scene.test.node.parts.city);
    let id = scene.test.publish(AlertXml::hot("lost", &area).render()).await;
    scene.see(300).await;
    let all_waiting = |now: &Funnel| now.total.waiting > 0;
    scene.test.funnel_where(id, all_waiting).await;
    scene.test.providers.faults.clear();
    let (cancel, _) = scene.cancel(id).await;
    scene.over(id).await;
    scene.over(cancel).await;
    let alert = scene.received(id);
    assert_eq!(alert.len(), 300);
    repeats(&alert);
    assert_once(&scene.received(cancel), &people(&alert));
    scene.test.stop().await;
}

async fn an_update_goes_once_to_everyone_reached_and_everyone_newly_targeted(shape: Shape) {
    let mut scene = Scene::with(shape, 8_000).await;
    scene.slow_down();
    let first = AlertXml::hot("before", CENTRE).render();
    let id = scene.test.publish(first.clone()).await;
    scene.see(800).await;
    let (update, answered) = scene.update(id, update_of(&first, "after", WEST)).await;
    scene.over(id).await;
    scene.over(update).await;
    let alert = scene.received(id);
    let newly = scene.audience(update).await;
    let expected: BTreeSet<u32> = people(&alert).union(&newly).copied().collect();
    let both = people(&alert).intersection(&newly).count();
    eprintln!(
        "updated: {} reached by the alert, {} targeted by the update, {both} both, {} got it",
        alert.len(),
        newly.len(),
        scene.received(update).len()
    );
    assert!(both > 0 && both < alert.len(), "the areas overlap in part");
    assert_once(&scene.received(update), &expected);
    let last = alert.values().flatten().map(|seen| seen.at_ms).max().expect("some were reached");
    assert!(last - answered.as_millisecond() <= STOPS_WITHIN_MS);
    scene.test.stop().await;
}

async fn a_cancel_goes_to_everyone_whom_any_publication_of_the_chain_reached(shape: Shape) {
    let mut scene = Scene::with(shape, 4_000).await;
    let first = AlertXml::hot("chain-1", CENTRE).render();
    let id = scene.test.publish(first.clone()).await;
    scene.over(id).await;
    let alert = scene.received(id);
    assert_once(&alert, &scene.audience(id).await);
    scene.slow_down();
    scene.see(alert.len()).await;
    let (update, _) = scene.update(id, update_of(&first, "chain-2", WEST)).await;
    scene.see(300).await;
    let (cancel, _) = scene.cancel(update).await;
    scene.over(update).await;
    scene.over(cancel).await;
    let second = scene.received(update);
    let expected: BTreeSet<u32> = people(&alert).union(&people(&second)).copied().collect();
    assert!(expected.len() > second.len(), "the update did not reach everyone of the alert");
    assert_once(&scene.received(cancel), &expected);
    scene.test.stop().await;
}

async fn a_cancel_finds_those_who_moved_or_muted_since_and_nobody_who_was_left_out(shape: Shape) {
    let scene = Scene::with(shape, 1_000).await;
    let registry = &scene.test.node.parts.registry;
    let change = async |index: u32, change: &dyn Fn(&mut Profile)| {
        let id = scene.population.id(index);
        let stored = registry.get(&id).await.expect("a registry").expect("registered");
        let mut profile = stored.device.profile.clone();
        change(&mut profile);
        registry.update(&id, profile).await.expect("updated");
    };
    let mute = |profile: &mut Profile| {
        profile.muted.insert(Interest::Alert(Category::Met));
    };
    let to = |profile: &mut Profile, places: &[Place]| {
        let unit = |place: &Place| Place { unit: place.unit.clone(), cell: None };
        profile.places = places.iter().take(1).map(unit).collect();
    };
    let probe = scene.test.publish(AlertXml::hot("probe", CENTRE).render()).await;
    scene.over(probe).await;
    let stored = scene.test.node.parts.alerts.get(probe).await.expect("a store").expect("stored");
    let inside: Vec<u32> = scene.audience(probe).await.into_iter().collect();
    let outside = |place: &Place| {
        let loa::domain::audience::Audience::Area(area) = &stored.publication.audience else {
            panic!("an area")
        };
        area.fit(place).is_none()
    };
    let units = scene.test.node.parts.city.units();
    let away = units.iter().map(|unit| Place { unit: unit.code.clone(), cell: None });
    let away = away.into_iter().find(|place| outside(place)).expect("a unit outside");
    let elsewhere = scene.population.device(inside[4]).profile.places;
    let moves_in: u32 = (0..1_000).find(|index| !inside.contains(index)).expect("outside");
    change(inside[3], &mute).await;

    let id = scene.test.publish(AlertXml::hot("moved", CENTRE).render()).await;
    scene.over(id).await;
    let alert = scene.received(id);
    assert!(!alert.contains_key(&inside[3]), "it had muted the category");
    change(inside[0], &|profile| to(profile, std::slice::from_ref(&away))).await;
    change(inside[1], &mute).await;
    change(inside[2], &|profile| to(profile, &elsewhere)).await;
    change(inside[3], &|profile| profile.muted.clear()).await;
    let (cancel, _) = scene.cancel(id).await;
    change(moves_in, &|profile| to(profile, &elsewhere)).await;
    scene.over(cancel).await;
    assert_once(&scene.received(cancel), &people(&alert));
    scene.test.stop().await;
}

async fn a_cancel_follows_a_device_to_its_new_channel(shape: Shape) {
    let scene = Scene::with(shape, 1_000).await;
    let registry = &scene.test.node.parts.registry;
    let id = scene.test.publish(AlertXml::hot("new-channel", CENTRE).render()).await;
    scene.over(id).await;
    let alert = people(&scene.received(id));
    let address = |index: u32| scene.population.device(index).profile.address;
    let changes = *alert.first().expect("somebody was reached");
    // Its new address is that of a phone which is nobody's any more, by which it is recognised.
    let is_free = |index: &u32| {
        !alert.contains(index) && address(*index).channel() != address(changes).channel()
    };
    let free = (0..1_000).find(is_free).expect("a phone that was not reached");
    registry.remove(&scene.population.id(free)).await.expect("removed");
    let changing = scene.population.id(changes);
    let stored = registry.get(&changing).await.expect("a registry").expect("registered");
    let profile = Profile { address: address(free), ..stored.device.profile.clone() };
    registry.update(&changing, profile).await.expect("updated");
    let (cancel, _) = scene.cancel(id).await;
    scene.over(cancel).await;
    let mut expected = alert;
    expected.remove(&changes);
    expected.insert(free);
    assert_once(&scene.received(cancel), &expected);
    scene.test.stop().await;
}

async fn what_could_not_be_sent_before_its_expiry_is_counted_expired_and_never_sent(shape: Shape) {
    let scene = Scene::with(shape, 400).await;
    scene.faults(|| Rule::new(When::Always, Then::Refuse(Refusal::new(503, "ServiceUnavailable"))));
    let area = everywhere(&scene.test.node.parts.city);
    let life = SignedDuration::from_secs(5);
    let alert = AlertXml { life, ..AlertXml::hot("short", &area) };
    let id = scene.test.publish(alert.render()).await;
    let funnel = scene.over(id).await;
    assert_eq!(funnel.total.expired, 400, "{:?}", funnel.total);
    assert_eq!((funnel.total.accepted, funnel.total.waiting), (0, 0), "{:?}", funnel.total);
    scene.test.providers.faults.clear();
    // Whatever were still to come would come before this one.
    let next = scene.test.publish(AlertXml::hot("next", &area).render()).await;
    scene.over(next).await;
    assert!(scene.received(id).is_empty());
    assert_eq!(scene.received(next).len(), 400);
    scene.test.stop().await;
}
