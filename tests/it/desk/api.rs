//! Hot alerts over the API of an agency that wants two people.

use loa::domain::agency::Agency;

use super::*;
use crate::support::node::{AlertXml, CENTRE};

async fn two_people(house: &House) {
    let agency = Agency {
        id: "a".parse().expect("an id"),
        name: "a".into(),
        jurisdiction: Jurisdiction::unlimited(),
        operator: false,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: true,
    };
    house.test.node.parts.agencies.put(agency).await.expect("stored");
}

async fn post(officer: &Officer, path: &str, xml: &str) -> Answer {
    let mut headers: Vec<&str> = officer.headers.iter().map(String::as_str).collect();
    headers.push("content-type: application/cap+xml");
    ask(&officer.to, "POST", path, &headers, xml.as_bytes()).await
}

async fn published(house: &House) -> usize {
    house.test.node.parts.alerts.recent(None, 10).await.expect("read").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_alert_waits_until_another_key_or_person_approves_it() {
    let house = House::open().await;
    two_people(&house).await;
    let writer = house.key("a", "gauge", &[Right::Write, Right::Approve]).await;
    let reader = house.key("a", "reader", &[]).await;
    let approver = house.key("a", "desk", &[Right::Approve]).await;
    let xml = AlertXml::hot("wait-1", CENTRE).render();
    assert_eq!(post(&reader, "/v1/alerts", &xml).await.status, 403, "a key that may not write");
    let waiting = post(&writer, "/v1/alerts", &xml).await;
    assert_eq!(waiting.status, 202, "{}", waiting.text());
    let waiting = waiting.json();
    assert_eq!(waiting["state"], "submitted");
    assert_eq!(published(&house).await, 0);
    // The same document again is the same draft; another under its identity is a conflict.
    assert_eq!(post(&writer, "/v1/alerts", &xml).await.json()["id"], waiting["id"]);
    let other = xml.replace("Deep flooding", "Shallow flooding");
    assert_eq!(post(&writer, "/v1/alerts", &other).await.status, 409);
    let path =
        |decision: &str| format!("/v1/alerts/{}/{decision}", waiting["id"].as_str().expect("id"));
    let same = (403, "same_person".to_owned());
    assert_eq!(writer.refused(&path("approve"), json!({})).await, same);
    assert_eq!(reader.refused(&path("approve"), json!({})).await, (403, "forbidden".to_owned()));
    assert_eq!(writer.refused(&path("publish"), json!({})).await, (404, "not_found".to_owned()));
    let stranger = house.login("hung").await;
    assert_eq!(stranger.refused(&path("approve"), json!({})).await.0, 404, "another agency's");
    assert_eq!(published(&house).await, 0);
    let done = approver.done(&path("approve"), json!({})).await;
    assert_eq!((&done["state"], &done["raw"]), (&json!("published"), &json!(true)));
    let id = done["publication"].as_str().expect("an id");
    let stored = house.test.node.parts.alerts.get(id.parse().expect("an id")).await.expect("read");
    assert_eq!(stored.expect("stored").raw.as_deref(), Some(xml.as_bytes()), "as it came");
    // Whoever repeats the document is told what it became.
    let again = post(&writer, "/v1/alerts", &xml).await.json();
    assert_eq!((&again["id"], &again["repeated"]), (&json!(id), &json!(true)));
    // A person decides as well as a key, and a cancel needs nobody else.
    let update = json!({"infos": hot()["infos"]});
    let waiting = writer.done(&format!("/v1/alerts/{id}/update"), update).await;
    assert_eq!(waiting["state"], "submitted");
    let path = format!("/v1/alerts/{}/return", waiting["id"].as_str().expect("an id"));
    let minh = house.login("minh").await;
    minh.done(&path, json!({"reason": "chưa rõ"})).await;
    let cancelled = writer.done(&format!("/v1/alerts/{id}/cancel"), json!({})).await;
    assert!(cancelled["state"].is_null() && cancelled["chain"] == again["chain"]);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_over_the_api_needs_its_right_and_a_reason_and_is_recorded() {
    let house = House::open().await;
    two_people(&house).await;
    let writer = house.key("a", "gauge", &[Right::Write]).await;
    let chief = house.key("a", "chief", &[Right::Write, Right::Override]).await;
    let xml = AlertXml::hot("override-1", CENTRE).render();
    let path = "/v1/alerts?override_reason=d%C3%AA%20v%E1%BB%A1";
    assert_eq!(refusal(&post(&writer, path, &xml).await), (403, "forbidden".to_owned()));
    let empty = post(&chief, "/v1/alerts?override_reason=%20", &xml).await;
    assert_eq!(refusal(&empty), (400, "bad_parameter".to_owned()));
    assert_eq!(published(&house).await, 0);
    let done = post(&chief, path, &xml).await;
    assert_eq!(done.status, 202, "{}", done.text());
    assert_eq!(published(&house).await, 1);
    assert_eq!(house.audited("a/chief", Act::Override).await, Some(Verdict::Alone));
    // What is not hot never waits.
    let calm = AlertXml { severity: "Minor", ..AlertXml::hot("calm-1", CENTRE) }.render();
    assert!(post(&writer, "/v1/alerts", &calm).await.json()["state"].is_null());
    assert_eq!(published(&house).await, 2);
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_publishes_alone_is_recorded_as_alone() {
    let house = House::open().await;
    let writer = house.key("a", "gauge", &[Right::Write]).await;
    let done = post(&writer, "/v1/alerts", &AlertXml::hot("alone-1", CENTRE).render()).await;
    assert_eq!(done.status, 202, "{}", done.text());
    assert_eq!(house.audited("a/gauge", Act::Publish).await, Some(Verdict::Alone));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_description_rules_out_is_refused_and_nothing_comes_of_it() {
    let house = House::open().await;
    let (lan, ops) = (house.login("lan").await, house.login("ops").await);
    for query in ["audit?before=9223372036854775808", "dead-letters?from=9223372036854775808"] {
        let answer = ops.get(&format!("/v1/console/{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        let most = query.replace("808", "807");
        assert_eq!(ops.get(&format!("/v1/console/{most}")).await.status, 200, "{most}");
    }
    // A key opens the face, and has no session to end.
    let key = house.key("a", "plain", &[Right::Write]).await;
    let answer = key.ask("POST", "/v1/console/logout", None).await;
    assert_eq!(refusal(&answer), (401, "unauthorized".to_owned()));
    let list = json!({"kind": "alert", "body": ["no object"]});
    assert_eq!(lan.refused("/v1/console/drafts", list).await.0, 400);
    // A version is a whole number, however it is written.
    let draft = lan.done("/v1/console/drafts", json!({"kind": "alert", "body": hot()})).await;
    let submit = format!("/v1/console/drafts/{}/submit", draft["id"].as_str().expect("an id"));
    for wrong in [json!(1.5), json!(-1), json!(1e300), json!("1")] {
        assert_eq!(lan.refused(&submit, json!({"version": wrong})).await.0, 400, "{wrong}");
    }
    assert_eq!(lan.done(&submit, json!({"version": 1.0})).await["state"], "submitted");
    house.test.stop().await;
}
