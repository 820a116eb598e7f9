//! What is told afterwards: the funnel, the recipients, the node's own description and state.

use std::collections::BTreeSet;

use http::Method;
use loa::simulator::citizens::Mix;

use super::*;
use crate::support::node::{AlertXml, CENTRE};

/// Every route of a node with all roles, as docs and clients know them; the description itself,
/// `/openapi.json`, is not among them.
const ROUTES: [(&str, &str); 89] = [
    ("get", "/.well-known/jwks.json"),
    ("get", "/healthz"),
    ("get", "/metrics"),
    ("get", "/readyz"),
    ("get", "/v1/alerts/active"),
    ("get", "/v1/alerts/recent"),
    ("get", "/v1/alerts/{id}"),
    ("get", "/v1/alerts/{id}/public"),
    ("get", "/v1/cap/feed.atom"),
    ("get", "/v1/cap/{file}"),
    ("get", "/v1/config"),
    ("get", "/v1/console/agencies"),
    ("get", "/v1/console/agencies/{id}"),
    ("get", "/v1/console/agencies/{id}/certificates"),
    ("put", "/v1/console/agencies/{id}/certificates/{name}"),
    ("delete", "/v1/console/agencies/{id}/certificates/{name}"),
    ("get", "/v1/console/agencies/{id}/keys"),
    ("get", "/v1/console/audit"),
    ("get", "/v1/console/dead-letters"),
    ("get", "/v1/console/drafts"),
    ("get", "/v1/console/drafts/{id}"),
    ("get", "/v1/console/drills"),
    ("get", "/v1/console/events"),
    ("get", "/v1/console/login"),
    ("get", "/v1/console/login/callback"),
    ("get", "/v1/console/login/provider"),
    ("get", "/v1/console/people"),
    ("get", "/v1/console/people/{id}"),
    ("get", "/v1/console/providers"),
    ("get", "/v1/console/publications"),
    ("get", "/v1/console/publications/{id}"),
    ("get", "/v1/console/publications/{id}/report.csv"),
    ("get", "/v1/console/requests"),
    ("get", "/v1/console/session"),
    ("get", "/v1/console/templates"),
    ("get", "/v1/console/units"),
    ("get", "/v1/dead-letters"),
    ("get", "/v1/devices/{id}"),
    ("get", "/v1/events"),
    ("get", "/v1/inbox"),
    ("get", "/v1/login"),
    ("get", "/v1/login/callback"),
    ("get", "/v1/me"),
    ("get", "/v1/publications/{id}/answers"),
    ("get", "/v1/publications/{id}/answers.csv"),
    ("get", "/v1/publications/{id}/funnel"),
    ("get", "/v1/publications/{id}/recipients"),
    ("get", "/v1/push/vapid"),
    ("get", "/v1/reports/{kind}/{reference}"),
    ("get", "/v1/session"),
    ("get", "/v1/status-kinds"),
    ("get", "/v1/stream"),
    ("get", "/v1/units"),
    ("get", "/v1/units/shapes"),
    ("delete", "/v1/console/agencies/{id}/keys/{name}"),
    ("delete", "/v1/console/drafts/{id}"),
    ("delete", "/v1/console/drills/{device}"),
    ("delete", "/v1/devices/{id}"),
    ("delete", "/v1/me"),
    ("post", "/v1/alerts"),
    ("post", "/v1/alerts/{id}/cancel"),
    ("post", "/v1/alerts/{id}/update"),
    ("post", "/v1/alerts/{id}/{decision}"),
    ("post", "/v1/answers"),
    ("post", "/v1/console/agencies/{id}/keys"),
    ("post", "/v1/console/dead-letters/{partition}/{offset}/redrive"),
    ("post", "/v1/console/drafts"),
    ("post", "/v1/console/drafts/{id}/preview"),
    ("post", "/v1/console/drafts/{id}/{step}"),
    ("post", "/v1/console/drills"),
    ("post", "/v1/console/drills/link-test"),
    ("post", "/v1/console/login"),
    ("post", "/v1/console/logout"),
    ("post", "/v1/console/preview"),
    ("post", "/v1/console/publications/{id}/recall"),
    ("post", "/v1/console/requests/{id}/{decision}"),
    ("post", "/v1/dead-letters/{partition}/{offset}/redrive"),
    ("post", "/v1/devices"),
    ("post", "/v1/devices/{id}/claim"),
    ("post", "/v1/devices/{id}/release"),
    ("post", "/v1/logout"),
    ("post", "/v1/notices"),
    ("post", "/v1/receipts"),
    ("post", "/v1/status-changes"),
    ("post", "/v1/stream-tickets"),
    ("put", "/v1/console/agencies/{id}"),
    ("put", "/v1/console/drafts/{id}"),
    ("put", "/v1/console/people/{id}"),
    ("put", "/v1/devices/{id}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_exactly_the_routes_that_are_served() {
    let test = TestNode::start().await;
    let answer = test.ask(Method::GET, "/openapi.json", None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let document = answer.json();
    assert!(document["openapi"].as_str().expect("a version").starts_with("3."));
    let listed: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let known: BTreeSet<(String, String)> =
        ROUTES.iter().map(|(method, path)| (method.to_string(), path.to_string())).collect();
    assert_eq!(listed, known);
    for (method, path) in &listed {
        let path = path.replace("{partition}", "0").replace("{offset}", "9").replace("{id}", "x");
        let path = path.replace("{file}", "x").replace("{name}", "x").replace("{device}", "x");
        let path = path.replace("{decision}", "approve").replace("{step}", "submit");
        if path == "/v1/console/events" {
            // Goes on for ever, for an operator's key too.
            continue;
        }
        let method = method.to_uppercase().parse().expect("a method");
        let served = test.ask(method, &path, None).await;
        assert_ne!(served.status, 405, "{path}");
        assert!(!served.text().contains("this path does not exist"), "{path}: {}", served.text());
    }
    every_reference_resolves(&document, &document);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for name in ["AcceptedAnswer", "DryRunAnswer", "Problem", "UpdateRequest", "CancelRequest"] {
        assert!(schemas.contains_key(name), "{name} is not among {:?}", schemas.keys());
    }
    test.stop().await;
}

fn every_reference_resolves(part: &Value, document: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            }
            fields.values().for_each(|value| every_reference_resolves(value, document));
        }
        Value::Array(items) => {
            items.iter().for_each(|value| every_reference_resolves(value, document));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_its_state() {
    let test = TestNode::start().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let open = ask(test.node.address, (Method::GET, path), None, None).await.expect("answered");
        assert_eq!(open.status, 200, "{path}: {}", open.text());
    }
    let ready = test.ask(Method::GET, "/readyz", None).await.json();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["boundaries"], "approximate");
    assert_eq!(ready["simulated_providers"], true);
    let channels = ready["channels"].as_array().expect("channels");
    let names: Vec<_> =
        channels.iter().map(|one| one["channel"].as_str().expect("a name")).collect();
    assert_eq!(names, ["apns", "fcm", "webpush"]);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_reached_can_be_asked_afterwards_and_agrees_with_the_funnel() {
    let test = TestNode::start().await;
    let mix = Mix { apns: 500, fcm: 500, second_place: 0, ..Mix::default() };
    test.populate(1_500, mix).await;
    let id = id_of(&post_xml(&test, "/v1/alerts", AlertXml::hot("asked", CENTRE).render()).await);
    let done = test
        .funnel_where(id, |funnel| funnel.total.targeted > 0 && funnel.open_dispatches == 0)
        .await;
    let path = format!("/v1/publications/{id}/funnel");
    let funnel = test.ask(Method::GET, &path, None).await.json();
    assert_eq!(funnel["total"]["accepted"], done.total.accepted);
    for channel in ["apns", "fcm"] {
        let (forecast, counts) = (&funnel["forecast"][channel], &funnel["channels"][channel]);
        let targeted = counts["targeted"].as_u64().zip(counts["skipped"].as_u64());
        let expected = targeted.map(|(targeted, skipped)| targeted - skipped);
        assert_eq!(forecast["expected"]["devices"].as_u64(), expected, "{forecast}");
        assert_eq!(forecast["fact"]["accepted"], counts["accepted"]);
        let of = |which: &str, when: &str| forecast[which][when].as_u64().expect("milliseconds");
        for which in ["expected", "fact"] {
            assert!(of(which, "p50_ms") <= of(which, "p99_ms"), "{forecast}");
            assert!(of(which, "p99_ms") <= of(which, "last_ms"), "{forecast}");
        }
        assert!(of("fact", "last_ms") <= done.accepted_ms.last_ms.expect("a time"), "{forecast}");
    }
    let mut reached = 0;
    let units = funnel["units"].as_object().expect("units").clone();
    for (unit, expected) in &units {
        let mut of_unit = 0;
        for channel in ["apns", "fcm"] {
            for shard in 0..test.node.parts.registry.shards() {
                let path = format!(
                    "/v1/publications/{id}/recipients?unit={unit}&channel={channel}&shard={shard}"
                );
                let page = test.ask(Method::GET, &path, None).await;
                if page.status == 404 {
                    continue;
                }
                assert_eq!(page.status, 200, "{}", page.text());
                let page = page.json();
                assert_eq!(
                    (&page["next"], &page["boundaries"]),
                    (&Value::Null, &"approximate".into())
                );
                let recipients = page["recipients"].as_array().expect("recipients");
                of_unit += recipients.iter().filter(|one| one["standing"] == "reached").count();
            }
        }
        assert_eq!(of_unit as u64, expected["accepted"].as_u64().expect("a count"), "{unit}");
        reached += of_unit as u64;
    }
    assert_eq!(reached, done.total.accepted);
    assert!(reached > 100, "{reached}");
    let recipients = format!("/v1/publications/{id}/recipients");
    let cases = [
        ("?unit=2674&channel=apns", 404, "not_found"),
        ("?unit=%20&channel=apns", 422, "invalid"),
        ("?unit=26740&channel=pigeon", 400, "bad_parameter"),
        ("?unit=26740", 400, "bad_parameter"),
        ("?unit=26740&channel=apns&shard=-1", 400, "bad_parameter"),
        ("?unit=26740&channel=apns&shard=999", 404, "not_found"),
    ];
    for (query, status, code) in cases {
        let answer = test.ask(Method::GET, &format!("{recipients}{query}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code), "{query}");
    }
    test.stop().await;
}
