//! Every alert leaves with a signature that anybody can verify without us: here Node's own
//! cryptography, over what the public paths serve.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http::Method;
use jiff::SignedDuration;
use loa::auth::ring::Purpose;
use serde_json::{Value, json};
use tokio::process::Command;

use super::*;
use crate::support::citizen::Citizen;
use crate::support::node::{AlertXml, CENTRE};
use crate::support::process::run;
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(every_alert_is_signed_and_an_independent_client_verifies_it);

/// What `verify.mjs` says of an alert.
async fn verified(test: &TestNode, id: PublicationId) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/verify.mjs");
    let url = format!("http://{}", test.node.address);
    let mut node = Command::new("node");
    node.arg(script).args([&url, &id.to_string()]);
    let output = node.stderr(Stdio::inherit()).output().await.expect("node is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn every_alert_is_signed_and_an_independent_client_verifies_it(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let to = test.node.address.to_string();
    let places = json!({"places": [{"unit": test.node.parts.city.units()[0].code}]});
    let citizen = Citizen::register(&to, places).await;
    let mut stream = citizen.stream(None).await;
    stream.expect("hello").await;
    stream.expect("live").await;
    // As XML, as JSON, and a cancel that Loa writes itself.
    let area = crate::support::people::everywhere(&test.node.parts.city);
    let xml = test.publish(AlertXml::hot("signed-xml", &area).render()).await;
    let event = stream.expect("publication").await;
    let alert = crate::ingest::alert_json("signed-json");
    let body = Some(("application/json", Bytes::from(alert.to_string())));
    let answer = test.ask(Method::POST, "/v1/alerts", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let json: PublicationId = answer.json()["id"].as_str().expect("an id").parse().expect("an id");
    let cancel = format!("/v1/alerts/{json}/cancel");
    let answer = test.ask(Method::POST, &cancel, Some(("application/json", "{}".into()))).await;
    let cancel: PublicationId = answer.json()["id"].as_str().expect("an id").parse().expect("one");
    for id in [xml, json, cancel] {
        let said = verified(&test, id).await;
        assert_eq!(said["genuine"], true, "{said}");
        let forgeries = said["forgeries"].as_object().expect("some were tried");
        assert!(forgeries.len() >= 7, "{said}");
        assert!(forgeries.values().all(|believed| believed == false), "{said}");
    }
    // The stream carried the same signature.
    let public = test.ask(Method::GET, &format!("/v1/alerts/{xml}/public"), None).await.json();
    let signature = &public["publication"]["signature"];
    assert!(signature.is_string() && event["publication"]["signature"] == *signature, "{event}");
    rotate(&test, &shape).await;
    let said = verified(&test, xml).await;
    assert_eq!((&said["genuine"], &said["keys"]), (&json!(true), &json!(2)), "{said}");
    let after = test.publish(AlertXml::hot("after", CENTRE).render()).await;
    let new = verified(&test, after).await;
    assert_eq!(new["genuine"], true);
    assert_ne!(new["kid"], said["kid"], "signed by the new key");
    test.stop().await;
}

/// As a minute ago, so that the new key signs now.
async fn rotate(test: &TestNode, shape: &Shape) {
    let mut config = crate::support::node::settings(&test.dir);
    shape.apply(&mut config);
    let place = loa::node::signing::Place::open(&config).await.expect("a place");
    let then = Timestamp::now() - SignedDuration::from_secs(61);
    let kept = SignedDuration::from_hours(1);
    place.change(|ring| ring.rotated(Purpose::Alerts, then, kept)).await.expect("rotated");
    let keys = &test.node.parts.keys;
    eventually(async || (keys.now().keys().len() == 3).then_some(())).await;
}

#[test]
fn keys_are_listed_rotated_and_revoked_by_command() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("a path in UTF-8");
    let list = || run(&["keys", "list", "--json", "--data-dir", data]);
    let first = list();
    assert_eq!(first.code, 0, "{first:?}");
    let kid = |keys: &Value, index: usize| keys["keys"][index]["kid"].as_str().map(str::to_owned);
    let rotated = run(&["keys", "rotate", "alerts", "--by", "lan", "--data-dir", data]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let after = list().json();
    assert_eq!(after["keys"].as_array().map(Vec::len), Some(3), "{after}");
    let old = kid(&after, 0).expect("a kid");
    assert_eq!(kid(&first.json(), 0).as_ref(), Some(&old));
    assert!(after["keys"][0]["verifies_until"].is_string(), "{after}");
    let revoked = run(&["keys", "revoke", &old, "--data-dir", data]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert_eq!(run(&["keys", "revoke", "other", "--data-dir", data]).code, 2);
    assert_eq!(run(&["keys", "rotate", "tickets", "--data-dir", data]).code, 2);
    let kept = std::fs::read_to_string(dir.path().join("signing.keys")).expect("kept");
    let seeds: Vec<Value> = serde_json::from_str(&kept).expect("JSON");
    for seed in &seeds {
        let seed = seed["seed"].as_str().expect("a seed");
        assert!(!rotated.out.contains(seed) && !list().out.contains(seed), "a secret is shown");
    }
    let audit = run(&["audit", "export", "--data-dir", data]);
    assert!(audit.out.contains("rotate_signing_key") && audit.out.contains("revoke_signing_key"));
}
