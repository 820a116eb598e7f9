//! What agencies submit over HTTP: accepted once and durably, or refused by name.

mod alerts;
mod chains;
mod faces;
mod may;
mod people;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use loa::bus::TopicId;
use loa::domain::audience::{AreaAudience, Audience, Coverage};
use loa::domain::ids::PublicationId;
use loa::domain::lane::Lane;
use serde_json::{Value, json};

use crate::support::http::{Answer, ask};
use crate::support::node::{PATIENCE, TestNode};

/// Posts a body as the test's agency.
async fn post(test: &TestNode, path: &str, body: &Value) -> Answer {
    post_as(test, &test.key, path, body).await
}

/// Posts CAP XML as the test's agency.
async fn post_xml(test: &TestNode, path: &str, xml: String) -> Answer {
    test.ask(Method::POST, path, Some(("application/cap+xml", xml.into()))).await
}

/// Posts a body with a key.
async fn post_as(test: &TestNode, key: &str, path: &str, body: &Value) -> Answer {
    let body = Some(("application/json", Bytes::from(body.to_string())));
    let credentials = format!("Bearer {key}");
    ask(test.node.address, (Method::POST, path), Some(&credentials), body).await.expect("an answer")
}

/// Gets a path with a key.
async fn get_as(test: &TestNode, key: &str, path: &str) -> Answer {
    let credentials = format!("Bearer {key}");
    ask(test.node.address, (Method::GET, path), Some(&credentials), None).await.expect("an answer")
}

/// A hot alert in the JSON form of CAP, over a circle in the middle of the city.
pub(crate) fn alert_json(identifier: &str) -> Value {
    json!({
        "identifier": identifier, "sender": "test@loa.example", "sent": stamp(0),
        "status": "Actual", "msg_type": "Alert", "scope": "Public",
        "infos": [info_json("vi-VN", "Ngập sâu"), info_json("en-US", "Deep flooding")]
    })
}

fn info_json(language: &str, headline: &str) -> Value {
    json!({
        "language": language, "categories": ["Met"], "event": "Ngập",
        "response_types": ["Avoid"], "urgency": "Immediate", "severity": "Severe",
        "certainty": "Observed", "expires": stamp(2), "headline": headline,
        "description": "…", "instruction": "…",
        "areas": [{"description": "Khu vực thử",
                   "circles": [{"centre": [10.7769, 106.7009], "radius_km": 1.5}]}]
    })
}

/// The present second and some hours, as CAP writes it.
pub(crate) fn stamp(hours: i64) -> String {
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a second");
    let time = now + SignedDuration::from_hours(hours);
    loa::domain::alert::CapTime::new(time, 420).to_string()
}

/// A unit named by its code, as CAP.
fn unit_xml(name: &str, code: &str) -> String {
    format!("<geocode><valueName>{name}</valueName><value>{code}</value></geocode>")
}

/// The id in a 202.
fn id_of(answer: &Answer) -> PublicationId {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").parse().expect("a publication id")
}

/// Asserts a refusal: a problem document with this code that names exactly these rules by field.
fn refused(answer: &Answer, code: &str, named: &[(&str, &str)]) {
    let text = answer.text();
    assert!(answer.status.is_client_error(), "{} {text}", answer.status);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{text}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{text}");
    assert_eq!(problem["status"], answer.status.as_u16(), "{text}");
    assert!(!problem["detail"].as_str().unwrap_or_default().is_empty(), "{text}");
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let found: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| {
            let word = |name: &str| error[name].as_str().unwrap_or_default();
            assert!(!word("message").is_empty(), "{text}");
            (word("path"), word("rule"))
        })
        .collect();
    assert_eq!(found, named, "{text}");
}

/// The area a publication was accepted for.
async fn area_of(test: &TestNode, id: PublicationId) -> AreaAudience {
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    match &stored.publication.audience {
        Audience::Area(area) => area.clone(),
        Audience::Subject { .. } => panic!("an area"),
    }
}

/// The units an area addresses: not those of which only a cell sticks out into it.
fn addressed(area: &AreaAudience) -> Vec<&str> {
    let own = area.units.iter().filter(|unit| !matches!(unit.coverage, Coverage::Cells { .. }));
    own.map(|unit| unit.code.as_str()).collect()
}

/// How many publications are on the log.
async fn on_the_log(test: &TestNode) -> u64 {
    let bus = &test.node.parts.bus;
    let mut count = 0;
    for lane in Lane::ALL {
        let topic = TopicId::Publications(lane);
        for partition in 0..bus.partitions(topic) {
            let bounds = bus.bounds(topic, partition).await.expect("bounds");
            count += bounds.end - bounds.start;
        }
    }
    count
}

/// Waits until the router has worked off everything that was published before.
async fn routed(test: &TestNode) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
    loop {
        let lag = test.node.parts.bus.lag("router").await.expect("the lag");
        let done: u64 = lag.iter().map(|one| one.next.offset).sum();
        if done == on_the_log(test).await {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the router does not catch up: {lag:?}");
        pace.tick().await;
    }
}

/// Counts by name, out of a JSON object.
fn counts(value: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(value.clone()).expect("counts by name")
}
