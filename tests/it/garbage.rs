//! Promise 8 over real sockets, against a node in a process of its own: whatever arrives is
//! answered by name, memory stays bounded, and nothing else is disturbed.

mod bodies;
mod wire;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::http::Answer;
use crate::support::node::{AlertXml, CENTRE};
use crate::support::process::{Served, eventually};

/// Whatever is thrown at a node, it may grow by this much, in KiB.
const GROWTH_MAX_KIB: u64 = 64 << 10;

/// A node with short limits on time and none on the number of requests.
fn node() -> Served {
    Served::start(&[
        ("LOA__HTTP__HEADER_SECONDS", "1"),
        ("LOA__HTTP__REQUEST_SECONDS", "2"),
        ("LOA__HTTP__REQUESTS_PER_SECOND", "1000000"),
        ("LOA__HTTP__REQUEST_BURST", "1000000"),
        ("LOA__LOG__FILTER", "warn"),
    ])
}

/// Posts a body with the agency's key.
async fn post(
    client: &mut Client,
    served: &Served,
    (path, kind): (&str, &str),
    body: impl Into<Bytes>,
) -> Answer {
    let bearer = format!("Bearer {}", served.key);
    let headers = [(AUTHORIZATION, bearer.as_str()), (CONTENT_TYPE, kind)];
    client.ask((Method::POST, path), &headers, body).await.expect("an answer")
}

/// A problem that says what is wrong: code, detail, and where the input is at fault every rule.
fn explained(answer: &Answer, about: &str) {
    let text = answer.text();
    assert!(answer.status.is_client_error(), "{about}: {} {text}", answer.status);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{about}: {text}");
    let problem: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], answer.status.as_u16(), "{about}: {text}");
    for field in ["type", "code", "title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|one| !one.is_empty()), "{about}: {text}");
    }
    let by_field = ["bad_cap", "bad_json", "invalid", "bad_parameter", "audience_empty", "expired"];
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or_default();
    assert!(!by_field.contains(&code) || !errors.is_empty(), "{about}: {text}");
    for error in errors {
        let named = |field: &str| error[field].as_str().is_some_and(|one| !one.is_empty());
        // The whole document has the empty JSON pointer.
        assert!(named("rule") && named("message") && error["path"].is_string(), "{about}: {text}");
    }
}

/// The node still takes an alert and delivers it to the phone registered for this.
async fn still_warns(served: &Served, name: &str) {
    let mut client = Client::new(served.address);
    let phone = json!({
        "address": {"channel": "fcm", "kind": "token", "value": format!("phone-of-{name}")},
        "places": [{"unit": "26740"}], "languages": ["vi"]
    });
    let headers = [(CONTENT_TYPE, "application/json")];
    let path = (Method::POST, "/v1/devices");
    let registered = client.ask(path, &headers, phone.to_string()).await.expect("an answer");
    assert_eq!(registered.status, 201, "{}", registered.text());
    let xml = AlertXml::hot(name, CENTRE).render();
    let kind = ("/v1/alerts", "application/cap+xml");
    let accepted = post(&mut client, served, kind, xml).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let funnel = accepted.json()["funnel"].as_str().expect("a path").to_owned();
    let bearer = format!("Bearer {}", served.key);
    let counts = eventually(async || {
        let headers = [(AUTHORIZATION, bearer.as_str())];
        let answer = client.ask((Method::GET, &funnel), &headers, "").await.expect("an answer");
        let funnel = answer.json();
        let over = funnel["open_dispatches"] == 0 && funnel["total"]["targeted"] != 0;
        over.then(|| funnel["total"].clone())
    })
    .await;
    assert_eq!(counts["accepted"], counts["targeted"], "{counts}");
}
