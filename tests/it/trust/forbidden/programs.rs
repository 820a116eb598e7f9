//! Agencies' programs: beyond their jurisdiction, with keys that are no keys any more, on what is
//! another's, again for something else, and too much or too slowly.

use loa::domain::audit::Act;
use serde_json::{Value, json};

use super::{Row, Tried, row};
use crate::ingest::{alert_json, stamp};

/// The unit that the agency `narrow` may address.
pub const OWN_UNIT: &str = "26740";

/// An alert that lies within everything `narrow` may, but for what is changed in each of its infos.
fn within_but(identifier: &str, key: &str, value: Value) -> Option<Value> {
    let mut alert = alert_json(identifier);
    for info in alert["infos"].as_array_mut().expect("infos") {
        info["categories"] = json!(["Fire"]);
        info["severity"] = json!("Moderate");
        info["areas"] = json!([{"description": "Sài Gòn",
            "geocodes": [{"name": "loa:unit", "value": OWN_UNIT}]}]);
        info[key] = value.clone();
    }
    Some(alert)
}

pub fn notice(identifier: &str) -> Value {
    json!({"identifier": identifier, "kind": "news", "expires": stamp(1),
        "texts": {"vi": {"title": "a", "body": "b"}}, "target": {"units": [OWN_UNIT]}})
}

fn status_change() -> Value {
    json!({"changes": [{"kind": "report-1022", "reference": "R", "state": "received",
        "subject": "s", "changed_at": "2026-01-01T00:00:00Z", "step": 1}]})
}

/// Outside the agency's units, categories, severity and kinds.
pub fn beyond() -> Vec<Row> {
    let area = json!([{"description": "Khu vực thử",
        "circles": [{"centre": [10.7769, 106.7009], "radius_km": 9.0}]}]);
    let outside = |body| row("narrow", "POST", "/v1/alerts", body, (403, "outside_jurisdiction"));
    let kind = |path, body| row("narrow", "POST", path, Some(body), (403, "outside_jurisdiction"));
    vec![
        outside(within_but("unit", "areas", area)).noted(Act::Publish),
        outside(within_but("category", "categories", json!(["Health"]))).noted(Act::Publish),
        outside(within_but("severity", "severity", json!("Extreme"))).noted(Act::Publish),
        kind("/v1/notices", notice("n")),
        kind("/v1/status-changes", status_change()),
    ]
}

/// Keys that are none, or none any more.
pub fn keyless(tried: &Tried) -> Vec<Row> {
    let one = format!("/v1/alerts/{}", tried.publication);
    let cancel = format!("{one}/cancel");
    let alert = || Some(alert_json("keyless"));
    let mut rows = Vec::new();
    for who in ["expired key", "revoked key", "wrong key", "password as key", "nobody"] {
        rows.extend([
            row(who, "POST", "/v1/alerts", alert(), (401, "unauthorized")),
            row(who, "POST", "/v1/notices", Some(notice("k")), (401, "unauthorized")),
            row(who, "POST", "/v1/status-changes", Some(status_change()), (401, "unauthorized")),
            row(who, "GET", &one, None, (401, "unauthorized")),
            row(who, "POST", &cancel, Some(json!({})), (401, "unauthorized")),
            row(who, "GET", "/v1/dead-letters", None, (401, "unauthorized")),
        ]);
    }
    rows
}

/// On another agency's alert, and on what operators alone see.
pub fn others(tried: &Tried) -> Vec<Row> {
    let one = format!("/v1/alerts/{}", tried.publication);
    let funnel = format!("/v1/publications/{}/funnel", tried.publication);
    let mut rows = vec![
        row("narrow", "GET", &one, None, (404, "not_found")),
        row("narrow", "GET", &funnel, None, (404, "not_found")),
        row("narrow", "POST", format!("{one}/cancel"), None, (404, "not_found")),
        row("narrow", "GET", "/v1/dead-letters", None, (403, "forbidden")),
    ];
    // The same key twice for two things.
    let path = "/v1/notices";
    rows.push(row("repeater", "POST", path, Some(notice("2")), (422, "idempotency_mismatch")));
    let huge = json!({"identifier": "x".repeat(2 << 20)});
    rows.push(row("key", "POST", "/v1/alerts", Some(huge), (413, "too_large")));
    rows
}
