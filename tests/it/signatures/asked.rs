//! Whether a signature must be there, and what becomes of one that nobody verifies.

use bytes::Bytes;

use loa::domain::person::Right;

use super::*;
use crate::ingest::alert_json;

async fn post_json(test: &TestNode, path: &str, body: &serde_json::Value) -> Answer {
    let body = Some(("application/json", Bytes::from(body.to_string())));
    test.ask(Method::POST, path, body).await
}

/// Requires signatures of the test's agency.
pub(super) async fn require(test: &TestNode) {
    change(test, |agency| agency.cap_signing.required = true).await;
}

fn refused(code: &str, rule: &str) -> (u16, String, String) {
    (403, code.to_owned(), rule.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_an_agency_without_certificates_is_passed_on_and_said_to_be_unverified() {
    let test = TestNode::start().await;
    let signed = Key::p256().sign(&alert("unverified"));
    let answer = post(&test, &signed).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let warnings = answer.json()["warnings"].to_string();
    assert!(warnings.contains("signature_not_verified"), "{warnings}");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let public = test.ask(Method::GET, &format!("/v1/cap/{id}.xml"), None).await;
    assert_eq!(public.text(), signed, "passed on as it came");
    let read = test.ask(Method::GET, &format!("/v1/console/publications/{id}"), None).await;
    assert!(read.json()["publication"]["signed_by"].is_null(), "{}", read.text());
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_signature_nothing_of_a_program_is_taken_once_it_is_required() {
    let test = TestNode::start().await;
    let key = Key::p256();
    register(&test, [("desk", &key)]).await;
    // Not yet required: certificates alone refuse no unsigned message.
    assert_eq!(post(&test, &alert("before")).await.status, 202);
    require(&test).await;
    let missing = refused("signature_required", "signature_required");
    assert_eq!(refusal(&post(&test, &alert("unsigned")).await), missing);
    let json = alert_json("json");
    assert_eq!(refusal(&post_json(&test, "/v1/alerts", &json).await), missing);
    let signed = post(&test, &key.sign(&alert("signed"))).await;
    assert_eq!(signed.status, 202, "{}", signed.text());
    let id = signed.json()["id"].as_str().expect("an id").to_owned();
    let path = |what: &str| format!("/v1/alerts/{id}/{what}");
    let nothing = json!({});
    assert_eq!(refusal(&post_json(&test, &path("cancel"), &nothing).await), missing);
    let update = json!({"infos": json["infos"]});
    assert_eq!(refusal(&post_json(&test, &path("update"), &update).await), missing);
    let recall = format!("/v1/console/publications/{id}/recall");
    let (agencies, agency) = (&test.node.parts.agencies, "test".parse().expect("an id"));
    for key in agencies.keys(&agency).await.expect("a store") {
        let rights = [Right::Write, Right::Approve].into();
        agencies.set_key_rights(&agency, &key.name, rights).await.expect("stored");
    }
    assert_eq!(refusal(&post_json(&test, &recall, &nothing).await), missing);
    let draft = json!({"kind": "alert", "body": json});
    let draft = post_json(&test, "/v1/console/drafts", &draft).await;
    assert_eq!(draft.status, 201, "{}", draft.text());
    let draft = draft.json()["id"].as_str().expect("an id").to_owned();
    let submit = format!("/v1/console/drafts/{draft}/submit");
    assert_eq!(refusal(&post_json(&test, &submit, &nothing).await), missing);
    assert_eq!(test.node.parts.alerts.live(Timestamp::now()).len(), 2);
    // What it was refused is in the audit.
    let filter = Filter { limit: 100, ..Filter::default() };
    let audit = test.node.parts.trail.audit().list(filter).await.expect("a store");
    let refusals = audit.iter().filter(|link| {
        let code = "signature_required".to_owned();
        link.entry.verdict == loa::domain::audit::Verdict::Refused { code }
    });
    assert!(refusals.count() >= 5, "{audit:?}");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_none_is_registered_nothing_is_taken_and_json_carries_no_signature() {
    let test = TestNode::start().await;
    let key = Key::p256();
    let signed = key.sign(&alert("nobody's"));
    require(&test).await;
    let missing = refused("signature_required", "signature_required");
    assert_eq!(refusal(&post(&test, &signed).await), missing);
    register(&test, [("desk", &key)]).await;
    let (_, rest) = signed.split_once("<Signature ").expect("a signature");
    let (inside, _) = rest.split_once("</Signature>").expect("an end");
    let mut json = alert_json("in-json");
    json["signatures"] = json!([format!("<Signature {inside}</Signature>")]);
    let answer = post_json(&test, "/v1/alerts", &json).await;
    assert_eq!(refusal(&answer), refused("bad_signature", "signature_xml"), "{}", answer.text());
    let dry = test.ask(
        Method::POST,
        "/v1/alerts?dry_run=true",
        Some(("application/cap+xml", signed.replace("Severe", "Minor").into())),
    );
    assert_eq!(refusal(&dry.await), refused("bad_signature", "signature_digest"));
    test.stop().await;
}
