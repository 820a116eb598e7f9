//! A test row for each row of FACTS F6, and for what it leaves open.

use serde_json::{Value, json};

use super::*;
use RetryScope::{Channel, Device};

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const QUOTA_FAILURE: &str = "type.googleapis.com/google.rpc.QuotaFailure";
const NAMED: &str = "The registration token is not a valid FCM registration token";

fn reply(status: u16, body: &Value, retry_after: Option<u64>) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply::read(status, body.to_string().as_bytes(), retry_after.map(Duration::from_secs))
}

fn error(message: &str, status: &str, details: Value) -> Value {
    json!({"error": {"code": 0, "message": message, "status": status, "details": details}})
}

fn coded(code: &str) -> Value {
    error("refused", "SOMETHING", json!([{"@type": FCM_ERROR, "errorCode": code}]))
}

fn wait(scope: RetryScope, seconds: u64, reason: &'static str) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::Retry { after, scope, arrival: Arrival::Excluded, reason }
}

#[test]
fn every_row_of_the_facts_gives_its_outcome() {
    let dead = |reason| Outcome::DeadAddress { reason, since: None };
    let reject = |reason| Outcome::Rejected { reason };
    let rows = [
        (200, "", None, Outcome::Accepted),
        (400, "INVALID_ARGUMENT", None, reject("INVALID_ARGUMENT")),
        (401, "THIRD_PARTY_AUTH_ERROR", None, reject("THIRD_PARTY_AUTH_ERROR")),
        (403, "SENDER_ID_MISMATCH", None, dead("SENDER_ID_MISMATCH")),
        (404, "UNREGISTERED", None, dead("UNREGISTERED")),
        (429, "QUOTA_EXCEEDED", None, wait(Channel, 60, "QUOTA_EXCEEDED")),
        (429, "QUOTA_EXCEEDED", Some(7), wait(Channel, 7, "QUOTA_EXCEEDED")),
        (500, "INTERNAL", None, wait(Device, 10, "INTERNAL")),
        (500, "INTERNAL", Some(3), wait(Device, 10, "INTERNAL")),
        (503, "UNAVAILABLE", None, wait(Device, 10, "UNAVAILABLE")),
        (503, "UNAVAILABLE", Some(30), wait(Channel, 30, "UNAVAILABLE")),
    ];
    for (status, code, retry_after, expected) in rows {
        let reply = reply(status, &coded(code), retry_after);
        assert_eq!(outcome(&reply), expected, "{status} {code} {retry_after:?}");
    }
}

#[test]
fn an_invalid_argument_kills_an_address_only_when_it_is_named() {
    let fcm = json!({"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"});
    let field = json!({"@type": BAD_REQUEST, "fieldViolations": [{"field": "message.token"}]});
    let rows = [
        (NAMED, json!([fcm]), true),
        ("Invalid value at 'message.fid'", json!([fcm]), true),
        ("Invalid value at 'message.data'", json!([fcm]), false),
        (NAMED, json!([fcm, field]), false),
        (NAMED, json!([field]), false),
        (NAMED, json!([]), false),
    ];
    for (message, details, dead) in rows {
        let body = error(message, "INVALID_ARGUMENT", details);
        let judged = outcome(&reply(400, &body, None));
        assert_eq!(matches!(judged, Outcome::DeadAddress { .. }), dead, "{body}");
        assert_eq!(matches!(judged, Outcome::Rejected { .. }), !dead, "{body}");
    }
}

#[test]
fn only_the_projects_quota_slows_everybody() {
    for (subject, scope) in [("project:1234", Channel), ("device", Device), ("topic:a", Device)] {
        let details = json!([
            {"@type": FCM_ERROR, "errorCode": "QUOTA_EXCEEDED"},
            {"@type": QUOTA_FAILURE, "violations": [{"subject": subject, "description": "rate"}]},
        ]);
        let body = error("quota", "RESOURCE_EXHAUSTED", details);
        let expected = wait(scope, 60, "QUOTA_EXCEEDED");
        assert_eq!(outcome(&reply(429, &body, None)), expected, "{subject}");
    }
}

#[test]
fn a_code_nobody_knows_is_judged_by_its_status() {
    let rows = [
        (400, Outcome::Rejected { reason: "http_400" }),
        (401, Outcome::Misconfigured { reason: "http_401" }),
        (403, Outcome::Misconfigured { reason: "http_403" }),
        (404, Outcome::Misconfigured { reason: "http_404" }),
        (413, Outcome::Rejected { reason: "http_4xx" }),
        (429, wait(Channel, 60, "http_429")),
        (500, wait(Device, 10, "http_500")),
        (502, wait(Device, 10, "http_5xx")),
        (503, wait(Device, 10, "http_503")),
        (302, Outcome::Rejected { reason: "http_unexpected" }),
    ];
    for (status, expected) in rows {
        assert_eq!(outcome(&reply(status, &coded("BRAND_NEW"), None)), expected, "{status}");
        assert_eq!(outcome(&reply(status, &json!("<html>"), None)), expected, "{status}");
    }
    // A dead-address code under another status does not kill the address.
    let odd = outcome(&reply(503, &coded("UNREGISTERED"), None));
    assert_eq!(odd, wait(Device, 10, "http_503"));
}

#[test]
fn a_missing_project_is_not_a_missing_device() {
    let body = error("Requested entity was not found.", "NOT_FOUND", json!([]));
    assert_eq!(outcome(&reply(404, &body, None)), Outcome::Misconfigured { reason: "NOT_FOUND" });
}

#[test]
fn only_our_own_credential_is_renewed() {
    let ours = error("Request had invalid authentication", "UNAUTHENTICATED", json!([]));
    assert!(reply(401, &ours, None).wants_new_token());
    assert!(!reply(401, &coded("THIRD_PARTY_AUTH_ERROR"), None).wants_new_token());
    assert!(!reply(403, &coded("SENDER_ID_MISMATCH"), None).wants_new_token());
}
