//! Lanes and outcomes on a whole node: hot first; a status change to its citizen alone; dead
//! addresses; retries; and poison that stops nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use loa::bus::{Record, TopicId};
use loa::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use loa::domain::device::{Place, Profile};
use loa::domain::dispatch::Dispatch;
use loa::domain::funnel::Funnel;
use loa::domain::ids::{ChainId, DeviceId, PublicationId, SubjectId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::event;
use loa::simulator::citizens::Mix;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use loa::store::alerts::{Accepting, Identity};
use loa::store::registry::NewDevice;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::node::{AlertXml, CENTRE, PATIENCE, TestNode};
use crate::support::people::{audience, everywhere, token};
use crate::support::process::eventually;

mod head_start;

const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 120, cell: 150, english: 60 };

fn over(now: &Funnel) -> bool {
    now.total.targeted > 0 && now.open_dispatches == 0
}

async fn post(test: &TestNode, path: &str, body: Value) -> Value {
    let body = Some(("application/json", Bytes::from(body.to_string())));
    let answer = test.ask(Method::POST, path, body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

fn id_of(answer: &Value) -> PublicationId {
    answer["id"].as_str().expect("an id").parse().expect("a publication id")
}

async fn news(test: &TestNode, identifier: &str) -> PublicationId {
    let text = json!({ "title": "Lịch cúp nước", "body": "Từ 8 giờ đến 12 giờ." });
    let notice = json!({
        "identifier": identifier, "kind": "news", "texts": { "vi": text },
        "expires": (Timestamp::now() + SignedDuration::from_hours(2)).to_string(),
    });
    id_of(&post(test, "/v1/notices", notice).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_overtakes_a_routine_notice_in_flight() {
    const BATCH: usize = 20;
    let mut workers = 0;
    let test = TestNode::with(|config| {
        config.fanout.batch = BATCH;
        workers = Channel::PUSH.len() * config.fanout.dispatches_routine;
    })
    .await;
    let population = test.populate(20_000, MIX).await;
    test.providers.faults.limit(|limits| limits.max_concurrent_streams = 100);
    for service in [Service::Apns, Service::Fcm] {
        let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(100)));
        test.providers.faults.set(service, vec![slow]);
    }
    let mut pushes = test.providers.deliveries(200_000);
    let notice = news(&test, "news").await;
    let mut routine = 0;
    let mut before_first = 0;
    let mut next = async || {
        let push = tokio::time::timeout(PATIENCE, pushes.recv()).await;
        push.expect("pushes go out").expect("the providers run").publication
    };
    while routine < 1_000 {
        routine += usize::from(next().await == notice);
    }
    let alert = test.publish(AlertXml::hot("hot", CENTRE).render()).await;
    let stored = test.node.parts.alerts.get(alert).await.expect("a store").expect("stored");
    let expected = audience(&stored.publication, &population).len();
    let (mut hot, mut between) = (0, 0);
    while hot < expected {
        match next().await == alert {
            true => hot += 1,
            false if hot == 0 => before_first += 1,
            false => between += 1,
        }
    }
    eprintln!(
        "{hot} emergency pushes while a notice to {} was in flight: {before_first} routine pushes \
         before the first of them, {between} until the last (bound {} x {BATCH})",
        population.size(),
        workers
    );
    assert!(routine + before_first + between < 18_000, "the notice was still in flight");
    assert!(between <= workers * BATCH, "{between} routine pushes among the emergency's");
    test.providers.faults.clear();
    let everyone = |now: &Funnel| over(now) && now.total.accepted == 20_000;
    test.funnel_where(notice, everyone).await;
    test.stop().await;
}

fn device(
    number: u8,
    address: PushAddress,
    subject: Option<&SubjectId>,
    unit: &Place,
) -> NewDevice {
    NewDevice {
        id: DeviceId(Uuid::from_u128(u128::from(number))),
        secret_hash: [number; 32],
        profile: Profile {
            address,
            places: vec![unit.clone()],
            languages: vec!["vi".to_owned()],
            muted: BTreeSet::new(),
            quiet_hours: None,
            location_consent: None,
            exercises: false,
            app_version: None,
        },
        subject: subject.cloned(),
    }
}

fn apns(number: u8) -> PushAddress {
    PushAddress::Apns {
        token: format!("{number:064x}"),
        environment: ApnsEnvironment::Production,
        topic: "vn.loa.app".to_owned(),
    }
}

fn fcm(number: u8) -> PushAddress {
    PushAddress::Fcm { kind: FcmAddressKind::Token, value: format!("fcm-{number}") }
}

/// A unit that the centre holds.
async fn centre(test: &TestNode) -> Place {
    let id = test.publish(AlertXml::hot("probe", CENTRE).render()).await;
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    let loa::domain::audience::Audience::Area(area) = &stored.publication.audience else {
        panic!("an alert has an area");
    };
    let body = Some(("application/json", Bytes::from("{}")));
    let answer = test.ask(Method::POST, &format!("/v1/alerts/{id}/cancel"), body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let places = area.units.iter().map(|unit| Place { unit: unit.code.clone(), cell: None });
    places.into_iter().find(|place| area.fit(place).is_some()).expect("a unit inside")
}

async fn register(test: &TestNode, devices: Vec<NewDevice>) {
    for device in devices {
        test.node.parts.registry.register(device).await.expect("registered");
    }
}

fn got(test: &TestNode, address: &PushAddress, id: PublicationId) -> usize {
    let seen = test.providers.record.of(&token(address).expect("a push address"));
    seen.iter().filter(|one| one.publication == id).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_change_goes_to_its_citizens_devices_and_to_nobody_else() {
    let test = TestNode::start().await;
    let unit = centre(&test).await;
    let (lan, minh): (SubjectId, SubjectId) =
        ("lan".parse().expect("a subject"), "minh".parse().expect("a subject"));
    let all = vec![
        device(1, apns(1), Some(&lan), &unit),
        device(2, fcm(2), Some(&lan), &unit),
        device(3, apns(3), Some(&minh), &unit),
        device(4, fcm(4), None, &unit),
    ];
    register(&test, all).await;
    let change = json!({
        "kind": "report-1022", "reference": "PA-1", "state": "resolved", "subject": "lan",
        "changed_at": Timestamp::now().to_string(), "step": 3
    });
    let answer = post(&test, "/v1/status-changes", json!({ "changes": [change] })).await;
    let id = id_of(&answer["accepted"][0]);
    let funnel = test.funnel_where(id, |now| over(now) && now.total.accepted == 2).await;
    assert_eq!(funnel.total.targeted, 2, "{:?}", funnel.total);
    let times = [apns(1), fcm(2), apns(3), fcm(4)].map(|address| got(&test, &address, id));
    assert_eq!(times, [1, 1, 0, 0]);
    assert_eq!(test.providers.record.total(), 2);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_an_app_that_is_not_served_is_refused_by_name() {
    let test = TestNode::start().await;
    let register = async |topic: &str| {
        let address = json!({
            "channel": "apns", "token": "0a".repeat(32), "environment": "sandbox", "topic": topic
        });
        let body = json!({ "address": address }).to_string();
        test.ask(Method::POST, "/v1/devices", Some(("application/json", body.into()))).await
    };
    assert_eq!(register("vn.loa.app").await.status, StatusCode::CREATED);
    let refused = register("vn.else").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = &refused.json()["errors"][0];
    assert_eq!((&error["path"], &error["rule"]), (&json!("address.topic"), &json!("known_app")));
    assert!(error["message"].as_str().expect("a text").contains("vn.loa.app (sandbox)"));
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_asked_for_patience_holds_up_nobody_else() {
    let test = TestNode::start().await;
    let unit = centre(&test).await;
    let devices = (1..=20).map(|number| device(number, apns(number), None, &unit));
    register(&test, devices.collect()).await;
    let hour = Some("3600".to_owned());
    let refusal = Refusal { retry_after: hour, ..Refusal::new(429, "TooManyRequests") };
    let phone = When::Token(token(&apns(1)).expect("a push address"));
    test.providers.faults.set(Service::Apns, vec![Rule::new(phone, Then::Refuse(refusal))]);
    for identifier in ["first", "second"] {
        let id = test.publish(AlertXml::hot(identifier, CENTRE).render()).await;
        test.funnel_where(id, |now| (now.total.waiting, now.total.accepted) == (1, 19)).await;
    }
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_in_trouble_is_tried_again_until_everyone_is_reached_once() {
    let test = TestNode::start().await;
    test.populate(400, MIX).await;
    let refuse = |status, reason, wait: &str, limit| {
        let retry_after = Some(wait.to_owned());
        let refusal = Refusal { retry_after, ..Refusal::new(status, reason) };
        Rule { limit: Some(limit), ..Rule::new(When::Always, Then::Refuse(refusal)) }
    };
    let apns =
        vec![refuse(503, "ServiceUnavailable", "1", 30), refuse(429, "TooManyRequests", "1", 30)];
    test.providers.faults.set(Service::Apns, apns);
    let fcm = vec![refuse(503, "UNAVAILABLE", "1", 30), refuse(429, "QUOTA_EXCEEDED", "1", 30)];
    test.providers.faults.set(Service::Fcm, fcm);
    let area = everywhere(&test.node.parts.city);
    let id = test.publish(AlertXml::hot("trouble", &area).render()).await;
    let funnel = test.funnel_where(id, |now| over(now) && now.total.accepted == 400).await;
    assert_eq!(test.providers.faults.met(), 120, "every refusal was met");
    assert_eq!((test.providers.record.total(), test.providers.record.repeats()), (400, 0));
    assert_eq!((funnel.total.waiting, funnel.total.sent), (0, 400), "{:?}", funnel.total);
    test.stop().await;
}

/// The dead letters there are, of every partition, each with its partition.
async fn letters(test: &TestNode) -> Vec<(u64, Value)> {
    let mut letters = Vec::new();
    let partitions = test.node.parts.bus.partitions(TopicId::DeadLetters);
    for partition in 0..partitions {
        let path = format!("/v1/dead-letters?partition={partition}");
        let answer = test.ask(Method::GET, &path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let list = answer.json()["letters"].as_array().expect("a list").clone();
        letters.extend(list.into_iter().map(|letter| (u64::from(partition), letter)));
    }
    letters
}

/// Waits until there are so many dead letters.
async fn letters_of(test: &TestNode, wanted: usize) -> Vec<(u64, Value)> {
    eventually(async || Some(letters(test).await).filter(|found| found.len() >= wanted)).await
}

async fn redrive(test: &TestNode, partition: u64, letter: &Value) -> Value {
    let path = format!("/v1/dead-letters/{partition}/{}/redrive", letter["offset"]);
    let answer = test.ask(Method::POST, &path, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

/// A publication as good as another, of which nobody was told.
fn unknown_like(known: &Publication) -> Publication {
    let id = PublicationId(Uuid::now_v7());
    let mut unknown = Publication { id, chain: ChainId::from(id), ..known.clone() };
    if let Content::Alert(alert) = &mut unknown.content {
        alert.identifier = "mended".to_owned();
    }
    unknown
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_the_dead_letters_is_driven_again_and_stops_nothing() {
    let test = TestNode::start().await;
    test.populate(400, MIX).await;
    let bus = &test.node.parts.bus;
    let area = everywhere(&test.node.parts.city);
    let good = test.publish(AlertXml::hot("good", &area).render()).await;
    test.funnel_where(good, |now| over(now) && now.total.accepted == 400).await;
    let stored = test.node.parts.alerts.get(good).await.expect("a store").expect("stored");
    let rows = test.node.parts.ledger.of_publication(good).await.expect("a ledger");
    let real = rows.iter().find(|row| row.counts.accepted > 0).expect("some were reached");

    // No event at all; and a dispatch of a publication that nobody knows, yet.
    let poison = || Record {
        key: "x".to_owned(),
        headers: vec![("ce_type".to_owned(), "something".to_owned())],
        payload: Bytes::from_static(b"\x00\xff not an event"),
    };
    let (channel, lane) = (real.dispatch.channel, Lane::Emergency);
    for topic in [TopicId::Publications(lane), TopicId::Dispatches(channel, lane)] {
        for _ in 0..3 {
            bus.publish(topic, vec![poison()]).await.expect("published");
        }
    }
    let unknown = unknown_like(&stored.publication);
    let scope = real.dispatch.scope.clone();
    let id = loa::domain::dispatch::DispatchId::of(unknown.id, channel, &scope, false);
    let early = Dispatch { id, publication: unknown.id, ..real.dispatch.clone() };
    let record: Record = event::dispatch::encode(&early).into();
    bus.publish(TopicId::Dispatches(channel, lane), vec![record]).await.expect("published");

    let found = letters_of(&test, 7).await;
    assert_eq!(found.len(), 7, "{found:?}");
    let text = |letter: &Value, key: &str| letter[key].as_str().unwrap_or_default().to_owned();
    let unreadable = |topic: TopicId| {
        let source = format!("{topic}/");
        let of = move |letter: &&(u64, Value)| text(&letter.1, "source").starts_with(&source);
        found.iter().filter(of).filter(|(_, letter)| text(letter, "code") != "dispatch_failed")
    };
    for topic in [TopicId::Publications(lane), TopicId::Dispatches(channel, lane)] {
        assert_eq!(unreadable(topic).count(), 3, "{found:?}");
        for (_, letter) in unreadable(topic) {
            assert!(!text(letter, "detail").is_empty() && letter["tries"] == 1, "{letter}");
        }
    }
    let failed = |(_, letter): &&(u64, Value)| text(letter, "code") == "dispatch_failed";
    let (partition, letter) = found.iter().find(failed).expect("the dispatch is set aside");
    assert!(text(letter, "detail").contains(&unknown.id.to_string()), "{letter}");

    // Nothing stands still behind it.
    let after = test.publish(AlertXml::hot("after", &area).render()).await;
    test.funnel_where(after, |now| over(now) && now.total.accepted == 400).await;

    // What is still broken comes back; what was mended goes out.
    let (still, broken) = unreadable(TopicId::Publications(lane)).next().expect("a letter");
    redrive(&test, *still, broken).await;
    let again = letters_of(&test, 8).await;
    assert_eq!(again.len(), 8);
    let accepting = Accepting {
        identity: Identity::of(&unknown),
        publication: unknown.clone(),
        digest: [1; 32],
        raw: None,
    };
    test.node.parts.alerts.accept(accepting).await.expect("accepted");
    let answer = redrive(&test, *partition, letter).await;
    assert_eq!(text(&answer, "topic"), TopicId::Dispatches(channel, lane).name());
    test.funnel_where(unknown.id, |now| now.total.accepted == real.counts.accepted).await;
    assert_eq!(letters(&test).await.len(), 8);
    test.stop().await;
}
