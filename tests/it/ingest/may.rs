//! Who may: keys and jurisdictions.

use http::header::AUTHORIZATION;
use http::{HeaderName, Method};
use jiff::SignedDuration;
use loa::domain::agency::{Jurisdiction, Kind};
use loa::domain::alert::{Category, Severity};
use serde_json::json;

use super::*;
use crate::support::client::Client;
use crate::support::node::{AlertXml, CENTRE, agency};

#[tokio::test(flavor = "multi_thread")]
async fn every_trespass_of_a_jurisdiction_is_refused_by_name() {
    let test = TestNode::start().await;
    let narrow = Jurisdiction {
        units: Some(["26740".parse().expect("a code")].into()),
        categories: Some([Category::Fire].into()),
        highest_severity: Severity::Moderate,
        kinds: [Kind::Alert].into(),
    };
    let narrow = agency(&test.node, "narrow", narrow).await.expect("a key");
    let mut wide = alert_json("wide");
    let answer = post_as(&test, &narrow, "/v1/alerts", &wide).await;
    assert_eq!(answer.status, 403);
    let everything = [
        ("area", "jurisdiction_units"),
        ("category", "jurisdiction_category"),
        ("severity", "jurisdiction_severity"),
    ];
    refused(&answer, "outside_jurisdiction", &everything);
    let kinds = [
        (
            "/v1/notices",
            json!({
                "identifier": "n", "kind": "news", "expires": stamp(1),
                "texts": {"vi": {"title": "a", "body": "b"}}, "target": {"units": ["26740"]}
            }),
        ),
        (
            "/v1/status-changes",
            json!({"changes": [{
                "kind": "report-1022", "reference": "R", "state": "received", "subject": "s",
                "changed_at": Timestamp::now().to_string(), "step": 1
            }]}),
        ),
    ];
    for (path, body) in kinds {
        let answer = post_as(&test, &narrow, path, &body).await;
        assert_eq!(answer.status, 403, "{path}");
        refused(&answer, "outside_jurisdiction", &[("kind", "jurisdiction_kind")]);
    }
    assert_eq!(on_the_log(&test).await, 0);
    // Within all of them it is accepted, also as a dry run's answer.
    for info in wide["infos"].as_array_mut().expect("infos") {
        info["categories"] = json!(["Fire"]);
        info["severity"] = json!("Moderate");
        info["areas"] = json!([{
            "description": "Sài Gòn", "geocodes": [{"name": "loa:unit", "value": "26740"}]
        }]);
    }
    let answer = post_as(&test, &narrow, "/v1/alerts", &wide).await;
    id_of(&answer);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_wrong_expired_or_revoked_key_opens_nothing() {
    let test = TestNode::start().await;
    let id = "keys".parse().expect("an id");
    agency(&test.node, "keys", Jurisdiction::unlimited()).await.expect("an agency");
    let agencies = &test.node.parts.agencies;
    let now = Timestamp::now();
    let past = now - SignedDuration::from_secs(1);
    let expired = agencies.add_key(&id, "expired", past, Some(past)).await.expect("a key");
    let revoked = agencies.add_key(&id, "revoked", now, None).await.expect("a key");
    let body = alert_json("keys");
    let fine = post_as(&test, revoked.expose(), "/v1/alerts?dry_run=true", &body).await;
    assert_eq!(fine.status, 200, "{}", fine.text());
    assert!(agencies.revoke(&id, "revoked", Timestamp::now()).await.expect("revoked"));

    let unknown = format!("Bearer loa_{}", "A".repeat(43));
    let bearer = |key: &str| format!("Bearer {key}");
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(format!("Basic {}", test.key)),
        Some(bearer("loa_")),
        Some(unknown),
        Some(bearer(&test.key[..test.key.len() - 1])),
        Some(bearer(expired.expose())),
        Some(bearer(revoked.expose())),
    ];
    let paths = [
        (Method::POST, "/v1/alerts"),
        (Method::POST, "/v1/status-changes"),
        (Method::POST, "/v1/notices"),
        (Method::GET, "/v1/alerts/00000000-0000-7000-8000-000000000000"),
        (Method::GET, "/v1/dead-letters"),
    ];
    for credentials in &wrong {
        for (method, path) in &paths {
            let sent = (*method == Method::POST)
                .then(|| ("application/json", Bytes::from(body.to_string())));
            let route = (method.clone(), *path);
            let answer = ask(test.node.address, route, credentials.as_deref(), sent).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 401, "{credentials:?} {path}: {}", answer.text());
            assert_eq!(answer.problem(), "unauthorized");
        }
    }
    // Whoever has no key leaves nothing behind, not even an answer to be repeated.
    let mut client = Client::new(test.node.address);
    let credentials = bearer(revoked.expose());
    let name = HeaderName::from_static("idempotency-key");
    let headers = [(AUTHORIZATION, credentials.as_str()), (name, "again")];
    for _ in 0..2 {
        let path = (Method::POST, "/v1/alerts");
        let answer = client.ask(path, &headers, body.to_string()).await.expect("an answer");
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("idempotency-replayed"));
    }
    assert_eq!(on_the_log(&test).await, 0);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_publication_is_not_found_and_an_operator_reads_every_one() {
    let test = TestNode::start().await;
    let owner = agency(&test.node, "owner", Jurisdiction::unlimited()).await.expect("a key");
    let other = agency(&test.node, "other", Jurisdiction::unlimited()).await.expect("a key");
    let id = id_of(&post_as(&test, &owner, "/v1/alerts", &alert_json("owned")).await);
    let reads = [format!("/v1/alerts/{id}"), format!("/v1/publications/{id}/funnel")];
    for path in &reads {
        for (key, expected) in [(&owner, 200), (&test.key, 200), (&other, 404)] {
            let answer = get_as(&test, key, path).await;
            assert_eq!(answer.status, expected, "{path}: {}", answer.text());
        }
    }
    let path = format!("/v1/publications/{id}/recipients?unit=26740&channel=apns");
    refused(&get_as(&test, &other, &path).await, "not_found", &[]);
    for what in ["cancel", "update"] {
        let body = json!({"infos": [info_json("vi-VN", "…")]});
        let body = if what == "cancel" { json!({}) } else { body };
        let answer = post_as(&test, &other, &format!("/v1/alerts/{id}/{what}"), &body).await;
        refused(&answer, "not_found", &[]);
    }
    let nobody = "/v1/alerts/00000000-0000-7000-8000-000000000000";
    refused(&get_as(&test, &owner, nobody).await, "not_found", &[]);
    refused(&get_as(&test, &owner, "/v1/alerts/x").await, "invalid", &[("id", "publication_id")]);
    // Dead letters are the operators' alone.
    let answer = get_as(&test, &owner, "/v1/dead-letters").await;
    assert_eq!(answer.status, 403);
    refused(&answer, "forbidden", &[]);
    let letters = get_as(&test, &test.key, "/v1/dead-letters").await;
    assert_eq!((letters.status.as_u16(), &letters.json()["letters"]), (200, &json!([])));
    let xml = AlertXml::hot("owned-2", CENTRE).render();
    id_of(&post_xml(&test, "/v1/alerts", xml).await);
    test.stop().await;
}
