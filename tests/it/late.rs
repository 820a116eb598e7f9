//! Promise 6: whoever registers in, moves into, or changes place inside a live alert's audience
//! gets it then, once. Over HTTP with a real node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use loa::clock::Clock;
use loa::config::{Config, Role};
use loa::domain::audience::{AreaAudience, Audience};
use loa::domain::channel::Channel;
use loa::domain::device::Place;
use loa::domain::funnel::Funnel;
use loa::domain::ids::{PublicationId, Seq, UnitCode};
use loa::route::plan;
use loa::simulator::citizens::Mix;
use loa::simulator::faults::{Rule, Service, Then, When};
use loa::simulator::record::Seen;
use loa::store::redis::Redis;
use loa::store::registry::Registry;
use serde_json::{Value, json};

use crate::support::http::ask;
use crate::support::node::{AlertXml, CENTRE, PATIENCE, TestNode};
use crate::support::people::{audience, everywhere, received, repeats, tokens};
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(
    whoever_joins_a_live_alert_gets_it_then_once_and_nobody_outside_does,
    who_joined_before_or_during_a_restart_gets_a_live_alert_once,
    who_moves_while_their_push_is_refused_gets_it_at_the_new_place,
    who_moves_during_a_broadcast_gets_it_once_whichever_way_they_go,
);

/// An app: its number gives it a push address.
struct App {
    token: String,
    id: String,
    credentials: String,
}

/// A device's registration, as an app writes it.
fn profile(number: u32, places: &[&UnitCode]) -> (String, Value) {
    let token = format!("{number:064x}");
    let places: Vec<_> = places.iter().map(|unit| json!({ "unit": unit })).collect();
    let address = json!({
        "channel": "apns", "token": token, "environment": "production", "topic": "vn.loa.app"
    });
    (token, json!({ "address": address, "places": places }))
}

async fn register(test: &TestNode, number: u32, places: &[&UnitCode]) -> App {
    let (token, body) = profile(number, places);
    let body = Some(("application/json", Bytes::from(body.to_string())));
    let asked = ask(test.node.address, (Method::POST, "/v1/devices"), None, body).await;
    let answer = asked.expect("an answer");
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let (id, secret) = (answer.json()["id"].clone(), answer.json()["secret"].clone());
    let text = |value: Value| value.as_str().expect("text").to_owned();
    let (id, secret) = (text(id), text(secret));
    App { token, credentials: format!("Loa-Device {id}:{secret}"), id }
}

async fn move_to(test: &TestNode, (app, number): (&App, u32), places: &[&UnitCode]) {
    let (_, body) = profile(number, places);
    let body = Some(("application/json", Bytes::from(body.to_string())));
    let path = format!("/v1/devices/{}", app.id);
    let asked = ask(test.node.address, (Method::PUT, &path), Some(&app.credentials), body).await;
    let answer = asked.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// Publishes over the centre and waits until it is sent; its audience.
async fn live_alert(test: &TestNode, name: &str) -> (PublicationId, AreaAudience) {
    let id = test.publish(AlertXml::hot(name, CENTRE).render()).await;
    // A dispatch is made even where nobody is.
    test.funnel_where(id, routed_and_over).await;
    (id, area_of(test, id).await)
}

fn routed_and_over(now: &Funnel) -> bool {
    now.open_dispatches == 0 && !now.cells.is_empty()
}

async fn area_of(test: &TestNode, id: PublicationId) -> AreaAudience {
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    match &stored.publication.audience {
        Audience::Area(area) => area.clone(),
        Audience::Subject { .. } => panic!("an alert has an area"),
    }
}

/// Units that take places as whole units: the first ones inside, and one outside.
fn units(test: &TestNode, area: &AreaAudience) -> (Vec<UnitCode>, UnitCode) {
    let whole = |unit: &UnitCode| Place { unit: unit.clone(), cell: None };
    let all = test.node.parts.city.units().iter().map(|unit| unit.code.clone());
    let (inside, outside): (Vec<_>, Vec<_>) =
        all.partition(|unit| area.fit(&whole(unit)).is_some());
    (inside, outside.into_iter().next().expect("the centre is not all"))
}

/// Waits until a device got a publication.
async fn got(test: &TestNode, token: &str, id: PublicationId) {
    let mine = || of(test, token, id) > 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut changes = test.node.parts.ledger.watch();
    while !mine() {
        changes.borrow_and_update();
        // The provider's record comes before the ledger's.
        let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
        assert!(changed.is_ok(), "it did not come within {PATIENCE:?}");
    }
}

fn of(test: &TestNode, token: &str, id: PublicationId) -> usize {
    test.providers.record.of(token).iter().filter(|seen| seen.publication == id).count()
}

/// Late joiners are looked after in the order they came: once a later one got it, those before
/// got what they get.
async fn everyone_before_is_done(test: &TestNode, number: u32, at: &UnitCode, id: PublicationId) {
    let last = register(test, number, &[at]).await;
    got(test, &last.token, id).await;
    test.funnel_where(id, routed_and_over).await;
}

/// A router that was killed has the lease when the node starts, and never renews it.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_stands_by_follows_once_the_last_one_is_gone() {
    let settings = crate::support::redis::fresh();
    let redis = Redis::open(&settings).await.expect("open");
    let registry = Registry::shared(redis, 4, Clock::System).await.expect("it opens");
    let ttl = Duration::from_secs(5);
    let killed = registry.late_lease("killed", ttl).await.expect("asked").expect("free");
    let test =
        TestNode::with(|config| config.store = loa::store::Settings::Redis(Box::new(settings)))
            .await;
    let probe = test.publish(AlertXml::hot("probe", CENTRE).render()).await;
    let (inside, _) = units(&test, &area_of(&test, probe).await);
    let (id, _) = live_alert(&test, "standby").await;
    let newcomer = register(&test, 1, &[&inside[0]]).await;
    if registry.late_lease("killed", Duration::from_millis(1)).await.expect("asked").is_some() {
        assert_eq!(of(&test, &newcomer.token, id), 0, "nobody follows");
    }
    got(&test, &newcomer.token, id).await;
    everyone_before_is_done(&test, 2, &inside[1], id).await;
    assert_eq!(of(&test, &newcomer.token, id), 1);
    let moved = registry.set_late_cursor(Seq(1_000), killed).await.expect("asked");
    assert!(!moved, "who was away may not move the cursor of who follows");
    test.stop().await;
}

/// A router that dies while it opens a publication's ranges leaves some of them. Who joined after
/// it had looked is late for all of them, also for those that the next router opens.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_dies_between_two_ranges_warns_nobody_twice() {
    let shape = Shape::cluster().await;
    let no_router = |config: &mut Config| {
        let roles = Role::ALL.into_iter().filter(|role| *role != Role::Router);
        config.node.roles = roles.collect();
    };
    let test = TestNode::shaped(&shape, no_router).await;
    let id = test.publish(AlertXml::hot("halfway", CENTRE).render()).await;
    let area = area_of(&test, id).await;
    let (inside, _) = units(&test, &area);
    let mut apps = Vec::new();
    for (number, unit) in inside[..2].iter().enumerate() {
        apps.push(register(&test, number as u32, &[unit]).await);
    }
    // As that router did: it looked how far the registry goes, and opened one of two ranges.
    let parts = &test.node.parts;
    let bound = parts.registry.last_seq().await.expect("known");
    assert_eq!(parts.ledger.bound(id, bound).await.expect("fixed"), bound);
    let ranges = parts.registry.ranges(&area, Channel::Apns).await.expect("known");
    let stored = parts.alerts.get(id).await.expect("a store").expect("stored");
    let ranges = plan::ranges(&stored.publication, Channel::Apns, &ranges, bound);
    assert!(ranges.len() >= 2, "{ranges:?}");
    parts.ledger.open_all(&ranges[..1]).await.expect("opened");
    for (number, unit) in (10..).zip(inside[..2].iter().cycle().take(6)) {
        apps.push(register(&test, number, &[unit]).await);
    }
    let (dir, providers) = test.stop().await;

    let test = TestNode::over(dir, providers, |config| shape.apply(config)).await;
    for app in &apps {
        got(&test, &app.token, id).await;
    }
    everyone_before_is_done(&test, 100, &inside[0], id).await;
    for app in &apps {
        assert_eq!(of(&test, &app.token, id), 1, "{}", app.token);
    }
    let rows = test.node.parts.ledger.of_publication(id).await.expect("a look");
    let bounds: BTreeSet<_> = rows.iter().filter_map(|row| row.dispatch.bound()).collect();
    assert_eq!(bounds, [bound].into());
    test.stop().await;
}

async fn whoever_joins_a_live_alert_gets_it_then_once_and_nobody_outside_does(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    // Known before there is an alert: the first two are outside of it.
    let probe = test.publish(AlertXml::hot("probe", CENTRE).render()).await;
    let (inside, outside) = units(&test, &area_of(&test, probe).await);
    let mover = register(&test, 1, &[&outside]).await;
    let stranger = register(&test, 2, &[&outside]).await;
    let resident = register(&test, 3, &[&inside[0]]).await;

    let (id, _) = live_alert(&test, "late").await;
    got(&test, &resident.token, id).await;
    assert_eq!(of(&test, &mover.token, id), 0);
    let newcomer = register(&test, 4, &[&inside[1]]).await;
    let twice = register(&test, 5, &[&inside[2], &inside[3]]).await;
    let tourist = register(&test, 6, &[&outside]).await;
    move_to(&test, (&mover, 1), &[&outside, &inside[0]]).await;
    move_to(&test, (&resident, 3), &[&inside[4]]).await;
    got(&test, &newcomer.token, id).await;
    move_to(&test, (&newcomer, 4), &[&inside[0]]).await;
    got(&test, &twice.token, id).await;
    move_to(&test, (&twice, 5), &[&inside[3], &inside[2]]).await;
    got(&test, &mover.token, id).await;
    move_to(&test, (&mover, 1), &[&outside]).await;
    move_to(&test, (&mover, 1), &[&inside[1]]).await;
    everyone_before_is_done(&test, 7, &inside[0], id).await;

    for (app, times) in
        [(&mover, 1), (&stranger, 0), (&resident, 1), (&newcomer, 1), (&twice, 1), (&tourist, 0)]
    {
        assert_eq!(of(&test, &app.token, id), times, "{}", app.token);
    }
    let funnel = test.funnel(id).await;
    assert_eq!(funnel.total.accepted, 5, "{:?}", funnel.total);
    assert_eq!(funnel.total.targeted, 5, "{:?}", funnel.total);
    test.stop().await;
}

async fn who_joined_before_or_during_a_restart_gets_a_live_alert_once(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let (id, area) = live_alert(&test, "restart").await;
    let (inside, outside) = units(&test, &area);
    let early = register(&test, 1, &[&inside[0]]).await;
    let mover = register(&test, 2, &[&outside]).await;
    got(&test, &early.token, id).await;
    // Answered, and the node is told to stop at once.
    let hasty = register(&test, 3, &[&inside[1]]).await;
    move_to(&test, (&mover, 2), &[&inside[2]]).await;
    let registry = test.node.parts.registry.clone();
    let (dir, providers) = test.stop().await;
    // Taken by a node that was killed before its router came to it: only in the registry.
    let (token, body) = profile(4, &[&inside[3]]);
    let new = loa::store::registry::NewDevice {
        id: loa::domain::ids::DeviceId(uuid::Uuid::new_v4()),
        secret_hash: [4; 32],
        profile: serde_json::from_value(json!({
            "address": body["address"], "places": body["places"], "languages": ["vi"]
        }))
        .expect("a profile"),
        subject: None,
    };
    registry.register(new).await.expect("registered");
    drop(registry);

    let test = TestNode::over(dir, providers, |config| shape.apply(config)).await;
    for token in [&hasty.token, &mover.token, &token] {
        got(&test, token, id).await;
    }
    everyone_before_is_done(&test, 5, &inside[0], id).await;
    for token in [&early.token, &hasty.token, &mover.token, &token] {
        assert_eq!(of(&test, token, id), 1, "{token}");
    }
    test.stop().await;
}

async fn who_moves_while_their_push_is_refused_gets_it_at_the_new_place(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let probe = test.publish(AlertXml::hot("probe", CENTRE).render()).await;
    let (inside, _) = units(&test, &area_of(&test, probe).await);
    let app = register(&test, 1, &[&inside[0]]).await;
    got(&test, &app.token, probe).await;
    let token = When::Token(app.token.clone());
    // Not delivered, but for the node the answer is lost: it looks as if it had been.
    let reset = Rule { limit: Some(1), ..Rule::new(token, Then::Reset(8)) };
    test.providers.faults.set(Service::Apns, vec![reset]);
    let id = test.publish(AlertXml::hot("refused", CENTRE).render()).await;
    test.funnel_where(id, |now| now.total.waiting > 0).await;
    move_to(&test, (&app, 1), &[&inside[1]]).await;
    got(&test, &app.token, id).await;
    everyone_before_is_done(&test, 2, &inside[0], id).await;
    assert_eq!(of(&test, &app.token, id), 1);
    test.stop().await;
}

async fn who_moves_during_a_broadcast_gets_it_once_whichever_way_they_go(shape: Shape) {
    let test = TestNode::shaped(&shape, |config| {
        config.fanout.dispatches_emergency = 4;
        config.fanout.batch = 20;
        // One dispatch a unit, so that a unit is passed as a whole, or not yet.
        config.registry.shards = 1;
    })
    .await;
    let mix = Mix { apns: 1_000, fcm: 0, second_place: 0, cell: 0, english: 0 };
    let population = test.populate(6_000, mix).await;
    let tokens = tokens(&population);
    let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(50)));
    test.providers.faults.set(Service::Apns, vec![slow]);
    let mut pushes = test.providers.deliveries(100_000);
    let area = everywhere(&test.node.parts.city);
    let id = test.publish(AlertXml::hot("moving", &area).render()).await;
    for _ in 0..1_500 {
        let push = tokio::time::timeout(PATIENCE, pushes.recv()).await;
        push.expect("pushes go out").expect("the providers run");
    }
    let reached: BTreeSet<u32> = received(&test.providers, &tokens, id).keys().copied().collect();
    let place = |index: u32| population.device(index).profile.places[0].clone();
    let mut passed: BTreeMap<Place, Vec<u32>> = BTreeMap::new();
    let mut ahead = passed.clone();
    for index in 0..population.size() {
        let side = if reached.contains(&index) { &mut passed } else { &mut ahead };
        side.entry(place(index)).or_default().push(index);
    }
    let untouched: Vec<_> = ahead.keys().filter(|one| !passed.contains_key(one)).cloned().collect();
    let done: Vec<_> = passed.keys().filter(|one| !ahead.contains_key(one)).cloned().collect();
    assert!(!untouched.is_empty() && !done.is_empty(), "a broadcast in its middle");
    // Those not yet reached go where it has been, those reached go where it has not.
    let back: Vec<u32> = untouched.iter().flat_map(|unit| &ahead[unit]).take(60).copied().collect();
    let forth: Vec<u32> = done.iter().flat_map(|unit| &passed[unit]).take(60).copied().collect();
    let registry = &test.node.parts.registry;
    for (index, to) in
        back.iter().map(|one| (one, &done[0])).chain(forth.iter().map(|one| (one, &untouched[0])))
    {
        let mut profile = population.device(*index).profile;
        profile.places = vec![to.clone()];
        registry.update(&population.id(*index), profile).await.expect("moved");
    }
    let everyone = |now: &Funnel| now.open_dispatches == 0 && now.total.accepted >= 6_000;
    test.funnel_where(id, everyone).await;
    everyone_before_is_done(&test, 1, &done[0].unit, id).await;
    let all: BTreeMap<u32, Vec<Seen>> = received(&test.providers, &tokens, id);
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    assert_eq!(all.len(), audience(&stored.publication, &population).len());
    let again = repeats(&all);
    eprintln!(
        "{} moved ahead of the broadcast, {} behind it; {} devices got it, {again} repeats",
        back.len(),
        forth.len(),
        all.len()
    );
    assert!(forth.iter().all(|index| all[index].len() == 1), "reached before the move, once");
    assert!(again <= back.len(), "a repeat only for those who moved in the middle");
    test.stop().await;
}
