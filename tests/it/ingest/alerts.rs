//! Alerts: what is accepted, what a dry run tells, repeats, and what is refused.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use jiff::SignedDuration;
use loa::domain::channel::Channel;
use loa::simulator::citizens::Mix;
use serde_json::json;

use super::*;
use crate::support::client::Client;
use crate::support::node::{AlertXml, CENTRE, agency};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

fn phones() -> Mix {
    Mix { apns: 500, fcm: 500, second_place: 0, ..Mix::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_in_either_form_is_accepted_with_all_one_needs_to_follow_it() {
    let test = TestNode::start().await;
    let as_xml = post_xml(&test, "/v1/alerts", AlertXml::hot("form-xml", CENTRE).render()).await;
    let as_json = post(&test, "/v1/alerts", &alert_json("form-json")).await;
    for answer in [as_xml, as_json] {
        let id = id_of(&answer);
        let body = answer.json();
        assert_eq!(body["chain"], id.to_string(), "the first of its chain");
        assert_eq!(body["lane"], "emergency");
        assert_eq!(body["repeated"], false);
        assert_eq!(body["boundaries"], "approximate");
        assert_eq!(body["funnel"], format!("/v1/publications/{id}/funnel"));
        assert_eq!(answer.headers["location"], format!("/v1/alerts/{id}"));
        let location = answer.headers["location"].to_str().expect("ascii").to_owned();
        let read = test.ask(Method::GET, &location, None).await;
        assert_eq!(read.status, 200, "{}", read.text());
        assert_eq!(read.json()["publication"]["id"], id.to_string());
        assert_eq!(read.json()["expired"], false);
        let funnel = test.ask(Method::GET, body["funnel"].as_str().expect("a path"), None).await;
        assert_eq!(funnel.status, 200, "{}", funnel.text());
        assert_eq!(funnel.json()["publication"], id.to_string());
        assert_eq!(funnel.json()["boundaries"], "approximate");
    }
    let routine = AlertXml { severity: "Minor", ..AlertXml::hot("form-routine", CENTRE) };
    let answer = post_xml(&test, "/v1/alerts", routine.render()).await;
    assert_eq!(answer.json()["lane"], "routine", "{}", answer.text());
    assert_eq!(on_the_log(&test).await, 3);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_come_with_the_202_and_say_how_much_they_weigh() {
    let test = TestNode::start().await;
    let xml = AlertXml::hot("remarks", CENTRE).render();
    let silent = xml.replace("<language>vi-VN</language>", "");
    assert_ne!(silent, xml);
    let first = post_xml(&test, "/v1/alerts", silent.clone()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let grades: BTreeMap<String, String> = first.json()["warnings"]
        .as_array()
        .expect("warnings")
        .iter()
        .map(|one| {
            let word = |name: &str| one[name].as_str().expect("a word").to_owned();
            (word("rule"), word("grade"))
        })
        .collect();
    // How it was read, and what the linter says: CAP takes a missing language for en-US.
    assert_eq!(grades.get("language_absent").map(String::as_str), Some("warning"), "{grades:?}");
    assert_eq!(grades.get("language_vi").map(String::as_str), Some("error"), "{grades:?}");
    let again = post_xml(&test, "/v1/alerts", silent).await;
    assert_eq!(again.json()["repeated"], true);
    assert_eq!(again.json()["warnings"], first.json()["warnings"], "answered as it was");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_audience_as_it_will_be_and_publishes_nothing() {
    let test = TestNode::start().await;
    let population = test.populate(2_000, phones()).await;
    let xml = AlertXml::hot("dry", CENTRE).render();
    let dry = post_xml(&test, "/v1/alerts?dry_run=true", xml.clone()).await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    let dry = dry.json();
    assert_eq!((&dry["lane"], &dry["boundaries"]), (&json!("emergency"), &json!("approximate")));
    assert_eq!(on_the_log(&test).await, 0);
    let recent = test.node.parts.alerts.recent(None, 10).await.expect("a store");
    assert_eq!(recent.len(), 0);

    let id = id_of(&post_xml(&test, "/v1/alerts", xml).await);
    let area = area_of(&test, id).await;
    let mut inside: BTreeMap<String, u64> = BTreeMap::new();
    let mut coarse = 0;
    for index in 0..population.size() {
        let device = population.device(index);
        if let Some((_, fit)) = area.owner(&device.profile.places) {
            *inside.entry(device.profile.address.channel().to_string()).or_default() += 1;
            coarse += u64::from(fit == loa::domain::audience::Fit::Coarse);
        }
    }
    let total: u64 = inside.values().sum();
    assert!(total > 200, "{total}");
    assert_eq!(counts(&dry["channels"]), inside);
    for (channel, count) in &inside {
        assert_eq!(dry["forecast"][channel]["devices"], json!(count), "{}", dry["forecast"]);
    }
    assert_eq!((&dry["devices"], &dry["coarse"]), (&json!(total), &json!(coarse)));
    let units = dry["units"].as_array().expect("units");
    let codes: Vec<_> = units.iter().map(|unit| unit["code"].as_str().expect("a code")).collect();
    let expected: Vec<_> = area.units.iter().map(|unit| unit.code.as_str()).collect();
    assert_eq!(codes, expected);
    let by_unit: u64 = units.iter().flat_map(|unit| counts(&unit["channels"]).into_values()).sum();
    assert_eq!(by_unit, total);
    let funnel = test.funnel_where(id, |funnel| funnel.total.targeted > 0).await;
    assert_eq!(funnel.total.targeted, total);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_idempotency_key_gets_the_first_answer_and_nothing_is_done_again() {
    let test = TestNode::start().await;
    let mut client = Client::new(test.node.address);
    let other = agency(&test.node, "other", loa::domain::agency::Jurisdiction::unlimited()).await;
    let (mine, other) = (format!("Bearer {}", test.key), format!("Bearer {}", other.expect("key")));
    let body = alert_json("idempotent").to_string();
    let json = "application/json";
    let path = (Method::POST, "/v1/alerts");
    let headers = |who| [(AUTHORIZATION, who), (CONTENT_TYPE, json), (KEY, "the-same")];
    let first = client.ask(path.clone(), &headers(&mine), body.clone()).await.expect("answered");
    let id = id_of(&first);
    let again = client.ask(path.clone(), &headers(&mine), body.clone()).await.expect("answered");
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let different = alert_json("idempotent-2").to_string();
    let clash = client.ask(path.clone(), &headers(&mine), different.clone()).await;
    refused(&clash.expect("answered"), "idempotency_mismatch", &[]);
    let elsewhere = (Method::POST, "/v1/alerts?dry_run=true");
    let clash = client.ask(elsewhere, &headers(&mine), body.clone()).await.expect("answered");
    refused(&clash, "idempotency_mismatch", &[]);
    // Another's key of the same name is another's.
    let theirs = client.ask(path.clone(), &headers(&other), different).await.expect("answered");
    assert_ne!(id_of(&theirs), id);
    let empty = [(AUTHORIZATION, mine.as_str()), (CONTENT_TYPE, json), (KEY, "")];
    let bad = client.ask(path.clone(), &empty, body.clone()).await.expect("answered");
    refused(&bad, "bad_header", &[("Idempotency-Key", "visible_ascii")]);
    // A refusal is kept too.
    let refusal = [(AUTHORIZATION, mine.as_str()), (CONTENT_TYPE, json), (KEY, "refused")];
    for replayed in [false, true] {
        let answer = client.ask(path.clone(), &refusal, "{}").await.expect("answered");
        assert!(answer.status.is_client_error(), "{}", answer.text());
        assert_eq!(answer.headers.contains_key("idempotency-replayed"), replayed);
    }
    assert_eq!(on_the_log(&test).await, 2);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_cap_message_is_published_once_and_its_identity_is_never_used_for_another() {
    let test = TestNode::start().await;
    let alert = alert_json("identity");
    let id = id_of(&post(&test, "/v1/alerts", &alert).await);
    let again = post(&test, "/v1/alerts", &alert).await;
    assert_eq!((id_of(&again), &again.json()["repeated"]), (id, &json!(true)));
    let mut other = alert.clone();
    other["infos"][0]["headline"] = json!("Ngập rất sâu");
    let clash = post(&test, "/v1/alerts", &other).await;
    assert_eq!(clash.status, 409);
    refused(&clash, "conflict", &[("/alert/identifier", "unique_identity")]);
    assert!(clash.text().contains(&id.to_string()), "names what has it: {}", clash.text());
    // What another agency sent is neither repeated nor taken over by sending it again.
    let jurisdiction = loa::domain::agency::Jurisdiction::unlimited();
    let foreign = agency(&test.node, "other", jurisdiction).await.expect("a key");
    let foreign = post_as(&test, &foreign, "/v1/alerts", &alert).await;
    refused(&foreign, "conflict", &[("/alert/identifier", "unique_identity")]);
    assert_eq!(on_the_log(&test).await, 1);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_the_public_or_over_or_for_nobody_is_refused_by_name() {
    let test = TestNode::start().await;
    let cap = || AlertXml::hot("refused", CENTRE).render();
    let public = "<scope>Public</scope>";
    let restricted = "<scope>Restricted</scope><restriction>x</restriction>";
    let private = "<scope>Private</scope><addresses>a@loa.example</addresses>";
    let kind = "<msgType>Alert</msgType>";
    let references = "<scope>Public</scope><references>a,b,2026-01-01T00:00:00+07:00</references>";
    let typed = |given: &str| {
        cap().replace(kind, &format!("<msgType>{given}</msgType>")).replace(public, references)
    };
    let over = AlertXml { life: SignedDuration::from_secs(-1), ..AlertXml::hot("over", CENTRE) };
    let over = over.render();
    let sent = super::chains::sent_of(&over);
    let over = over.replace(&format!("<sent>{sent}"), &format!("<sent>{}", stamp(-3)));
    let area = |area: &str| AlertXml::hot("area", area).render();
    let at_sea = "<circle>9.0,108.5 2</circle>";
    let cases = [
        (typed("Ack"), "bad_cap", "/alert/msgType", "msg_type_supported"),
        (typed("Error"), "bad_cap", "/alert/msgType", "msg_type_supported"),
        (cap().replace(public, restricted), "bad_cap", "/alert/scope", "scope_supported"),
        (cap().replace(public, private), "bad_cap", "/alert/scope", "scope_supported"),
        (over, "expired", "/alert/info/expires", "expires_in_future"),
        (area(at_sea), "audience_empty", "area", "audience_not_empty"),
        (
            area(&unit_xml("loa:unit", "99999")),
            "invalid",
            "infos[0].areas[0].geocodes[0]",
            "unit_known",
        ),
        (
            area(&unit_xml("loa:unit:1999-01", "26740")),
            "invalid",
            "infos[0].areas[0].geocodes[0]",
            "vintage_known",
        ),
    ];
    for (body, code, path, rule) in cases {
        let answer = post_xml(&test, "/v1/alerts", body).await;
        refused(&answer, code, &[(path, rule)]);
    }
    assert_eq!(on_the_log(&test).await, 0);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_before_the_reform_reach_the_units_they_became() {
    let test = TestNode::start().await;
    // The same digits name another area since July 2025.
    let table = include_str!("../../../geofences/hcmc/crosswalk.csv");
    let rows = table.lines().filter(|line| line.starts_with("2025-06,25768,"));
    let became: Vec<&str> = rows.filter_map(|line| line.rsplit(',').nth(1)).collect();
    assert_eq!(became, ["25768", "25771"]);
    for (name, expected) in [("loa:unit:2025-06", became), ("loa:unit", vec!["25768"])] {
        let xml = AlertXml::hot(&name.replace(':', "-"), &unit_xml(name, "25768")).render();
        let id = id_of(&post_xml(&test, "/v1/alerts", xml).await);
        let area = area_of(&test, id).await;
        assert_eq!(addressed(&area), expected, "{name}");
    }
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_drafts_and_system_messages_reach_nobody_and_exercises_only_participants() {
    let test = TestNode::start().await;
    let population = test.populate(600, phones()).await;
    let quiet = ["Test", "Draft", "System"]
        .map(|status| AlertXml { status, ..AlertXml::hot(&format!("status-{status}"), CENTRE) });
    let mut ids = Vec::new();
    for alert in quiet {
        ids.push(id_of(&post_xml(&test, "/v1/alerts", alert.render()).await));
    }
    routed(&test).await;
    for id in ids {
        assert_eq!(test.node.parts.ledger.of_publication(id).await.expect("read").len(), 0);
        assert_eq!(test.funnel(id).await.total.targeted, 0);
    }
    assert_eq!(test.providers.record.total(), 0);

    let registry = &test.node.parts.registry;
    let mut taking_part = 0;
    let exercise = AlertXml { status: "Exercise", ..AlertXml::hot("exercise", CENTRE) };
    for index in (0..population.size()).step_by(10) {
        let mut device = population.device(index);
        device.profile.exercises = true;
        registry.update(&device.id, device.profile).await.expect("updated");
    }
    let id = id_of(&post_xml(&test, "/v1/alerts", exercise.render()).await);
    let area = area_of(&test, id).await;
    for index in 0..population.size() {
        let inside = area.owner(&population.device(index).profile.places).is_some();
        taking_part += u64::from(inside && index % 10 == 0);
    }
    assert!(taking_part > 0);
    let done = test
        .funnel_where(id, |funnel| funnel.total.targeted > 0 && funnel.open_dispatches == 0)
        .await;
    assert_eq!(done.total.accepted, taking_part, "{:?}", done.total);
    assert_eq!(test.providers.record.total(), taking_part);
    let channels = [Channel::Apns, Channel::Fcm].map(|one| test.providers.record.of_channel(one));
    assert_eq!(channels.iter().sum::<u64>(), taking_part);
    test.stop().await;
}
