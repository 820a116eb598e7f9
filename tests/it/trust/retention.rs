//! What is kept of people goes when its time is over, each kind at its own, in every store; and a
//! device that nobody has seen for long goes with all it said.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loa::auth::citizen::Doorkeeper;
use loa::auth::device::Secret;
use loa::auth::oidc::session::Sessions;
use loa::auth::ticket::Tickets;
use loa::clock::Clock;
use loa::config::retention::Retention;
use loa::domain::ids::{DeviceId, DeviceNum, PublicationId, SubjectId};
use loa::node::dormant::drop_unseen;
use loa::node::housekeeping::tidy;
use loa::node::{Node, Parts};
use loa::store::alerts::Carried;
use loa::store::registry::seen::Seen;
use serde_json::json;

use crate::support::citizen::{Citizen, ask, ask_json};
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::process::eventually;
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(
    each_kind_goes_in_its_own_time_and_a_citizens_key_with_the_last_of_theirs,
    a_device_nobody_saw_is_dropped_with_all_it_said_and_comes_back_as_a_new_one,
);

const SUBJECT: &str = "somebody";

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// The node's parts as they will be after a while.
fn later(node: &Node, by: SignedDuration) -> Parts {
    Parts { clock: Clock::manual(Timestamp::now() + by), ..node.parts.clone() }
}

/// Tells one citizen something; its id.
async fn tell(test: &TestNode) -> PublicationId {
    let change = json!({"changes": [{"kind": "report-1022", "reference": "R-1", "step": 1,
        "state": "received", "subject": SUBJECT, "remark": "thank you",
        "changed_at": Timestamp::now().to_string()}]});
    let body = Some(("application/json", change.to_string().into()));
    let answer = test.ask(http::Method::POST, "/v1/status-changes", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["accepted"][0]["id"].as_str().expect("an id").to_owned();
    id.parse().expect("a publication's id")
}

/// A phone in the alert's area that answers it.
async fn phone(test: &TestNode, token: &str) -> (Citizen, DeviceNum) {
    let address = json!({"channel": "fcm", "kind": "token", "value": token});
    let body = json!({"places": [{"unit": "26740"}], "address": address});
    let to = test.node.address.to_string();
    let citizen = Citizen::register(&to, body).await;
    let stored = test.node.parts.registry.get(&id_of(&citizen)).await.expect("a registry");
    (citizen, stored.expect("registered").device.num)
}

fn id_of(citizen: &Citizen) -> DeviceId {
    citizen.id.parse().expect("an id")
}

async fn answer(citizen: &Citizen, alert: PublicationId) {
    let said = json!({"publication": alert.to_string(), "answer": "safe"});
    let auth = citizen.auth();
    eventually(async || {
        let answer = ask_json(&citizen.to, "POST", "/v1/answers", &auth, &said).await;
        (answer.status == 202).then_some(())
    })
    .await;
}

async fn each_kind_goes_in_its_own_time_and_a_citizens_key_with_the_last_of_theirs(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let (citizen, num) = phone(&test, "one").await;
    let alert = test.publish(AlertXml::hot("kept", CENTRE).render()).await;
    let personal = tell(&test).await;
    answer(&citizen, alert).await;
    test.funnel_where(alert, |now| now.total.targeted > 0 && now.open_dispatches == 0).await;
    test.funnel_where(personal, |now| now.open_dispatches == 0).await;
    let parts = &test.node.parts;
    let logged = async || {
        let stored = [parts.alerts.get(alert).await, parts.alerts.get(personal).await];
        let stored = stored.map(|stored| stored.expect("a store").expect("stored"));
        stored.iter().all(|stored| stored.logged.is_some()).then_some(())
    };
    eventually(logged).await;
    let carried = parts.alerts.carried(vec![personal]).await.expect("a store").remove(0);
    let Carried::Sealed(sealed) = carried else { panic!("{carried:?} is not sealed") };
    let periods = Retention {
        alerts_days: Some(200),
        personal_days: Some(20),
        receipts_days: Some(100),
        answers_days: Some(50),
        ..Retention::default()
    };
    let periods = periods.periods(90);
    let there = async || {
        let subject: SubjectId = SUBJECT.parse().expect("a subject");
        let inbox = parts.alerts.for_subject(&subject, None, 9).await.expect("a store").len();
        let key = parts.alerts.open_sealed(sealed.clone()).await.expect("a store").is_some();
        let answers = parts.answers.of(num).await.expect("a store").len();
        let rows = parts.ledger.of_publication(alert).await.expect("a ledger").len();
        let alert = parts.alerts.get(alert).await.expect("a store").is_some();
        (inbox, key, answers, rows > 0, alert)
    };
    assert_eq!(there().await, (1, true, 1, true, true));
    // A status change lives three days.
    tidy(&later(&test.node, days(22)), &periods).await;
    assert_eq!(there().await, (1, true, 1, true, true), "nothing is due");
    tidy(&later(&test.node, days(24)), &periods).await;
    let (inbox, _, answers, rows, live) = there().await;
    assert_eq!((inbox, answers, rows, live), (0, 1, true, true), "only what was personal");
    tidy(&later(&test.node, days(25)), &periods).await;
    assert_eq!(there().await, (0, false, 1, true, true), "the key goes after it");
    tidy(&later(&test.node, days(51)), &periods).await;
    assert_eq!(there().await, (0, false, 0, true, true), "what was answered");
    tidy(&later(&test.node, days(101)), &periods).await;
    assert_eq!(there().await, (0, false, 0, false, true), "who was reached");
    tidy(&later(&test.node, days(201)), &periods).await;
    assert_eq!(there().await, (0, false, 0, false, false), "the alert itself");
    // The identity is free, the citizen known by a new key.
    tell(&test).await;
    assert_eq!(there().await, (1, false, 0, false, false), "another key seals from now on");
    test.stop().await;
}

async fn a_device_nobody_saw_is_dropped_with_all_it_said_and_comes_back_as_a_new_one(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let (gone, gone_num) = phone(&test, "gone").await;
    let (stays, stays_num) = phone(&test, "stays").await;
    let alert = test.publish(AlertXml::hot("before", CENTRE).render()).await;
    answer(&gone, alert).await;
    answer(&stays, alert).await;
    // Both were warned, before one of them is dropped.
    test.funnel_where(alert, |now| now.total.targeted > 0 && now.open_dispatches == 0).await;
    let registry = &test.node.parts.registry;
    // Nobody is dropped for what an earlier release did not note.
    let since = Timestamp::now() - days(1);
    assert_eq!(drop_unseen(&test.node.parts, since, Duration::ZERO).await, Ok(0));
    // One of them opens the app 300 days later.
    let (seen, then) = (Seen::default(), Timestamp::now() + days(300));
    let made = (Tickets::new(b"tickets"), Sessions::new(b"sessions"));
    let door = Doorkeeper::new(test.node.parts.names.clone(), None, made, Clock::manual(then));
    let door = door.noting(seen.clone());
    let secret = Secret::parse(&stays.secret).expect("a secret");
    door.device(&id_of(&stays), &secret).await.expect("its own");
    let wrong = Secret::random();
    door.device(&id_of(&gone), &wrong).await.expect_err("a stranger is not the device");
    registry.note_seen(&seen, then).await.expect("noted");
    let noted = registry.seen_at(stays_num).await.expect("a registry").expect("noted");
    assert!(then.duration_since(noted) < days(1), "{noted} is not {then}");
    let parts = later(&test.node, days(401));
    let since = Timestamp::now() + days(1);
    assert_eq!(drop_unseen(&parts, since, Duration::ZERO).await, Ok(1));
    assert_eq!(registry.get(&id_of(&gone)).await.expect("a registry"), None);
    assert!(registry.get(&id_of(&stays)).await.expect("a registry").is_some());
    assert_eq!(parts.answers.of(gone_num).await.expect("a store").len(), 0);
    let places = registry.memberships_of(gone_num).await.expect("a registry");
    assert!(places.iter().all(|place| place.left_at.is_some()), "{places:?}");
    let me = ask(&gone.to, "GET", "/v1/me", &[&gone.auth()], b"").await;
    assert_eq!(me.status, 401, "{}", me.text());
    let me = ask(&stays.to, "GET", "/v1/me", &[&stays.auth()], b"").await;
    assert_eq!(me.status, 200, "{}", me.text());
    // Back again it is a new device, and warned like any other that joins.
    let (back, num) = phone(&test, "gone").await;
    assert!(back.id != gone.id && num != gone_num);
    let warned = async || (test.providers.record.of("gone").len() >= 2).then_some(());
    eventually(warned).await;
    test.stop().await;
}
