//! The citizens' HTTP face: promise 8, and what its routes answer.

use loa::http::limits;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::house::{House, alert, cancel};
use crate::support::citizen::{Citizen, ask, ask_json, within};

/// Method, path, headers and body, and the status and code they get.
type Refused<'a> = (&'a str, &'a str, &'a [&'a str], &'a [u8], u16, &'a str);

#[tokio::test]
async fn every_bad_input_is_refused_by_field_and_rule() {
    let house = House::open().await;
    let unit = house.unit(0);
    let wrong = [
        (json!({"places": [{"unit": unit}, {"unit": "0"}]}), 422, "places[1].unit", "known_unit"),
        (json!({"places": [{}]}), 422, "places[0]", "unit_or_cell"),
        (json!({"places": [{"cell": "u4pruy"}]}), 422, "places[0].cell", "inside_a_unit"),
        (
            json!({"places": [{"unit": unit, "vintage": "1999"}]}),
            422,
            "places[0].vintage",
            "known_vintage",
        ),
        (json!({"places": [{"unit": 5}]}), 400, "places[0].unit", "shape"),
        (json!({"languages": ["not a tag"]}), 422, "languages[0]", "profile"),
        (
            json!({"quiet_hours": {"from_minute": 1440, "to_minute": 0}}),
            422,
            "quiet_hours.from_minute",
            "profile",
        ),
        (json!({"plaecs": []}), 400, "plaecs", "shape"),
    ];
    for (body, status, path, rule) in wrong {
        let answer = ask_json(&house.to, "POST", "/v1/devices", "", &body).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        let problem = answer.json();
        assert_eq!(answer.status, status, "{problem}");
        let first: &Value = &problem["errors"][0];
        assert_eq!((&first["path"], &first["rule"]), (&json!(path), &json!(rule)), "{problem}");
    }
    let json_type = "content-type: application/json";
    let big = vec![b' '; (1 << 20) + 1];
    let others: [Refused<'_>; 9] = [
        ("POST", "/v1/devices", &[json_type], b"{\n,", 400, "bad_json"),
        (
            "POST",
            "/v1/devices",
            &["content-type: text/plain"],
            b"{}",
            415,
            "unsupported_media_type",
        ),
        ("POST", "/v1/devices", &[json_type], &big, 413, "too_large"),
        ("PATCH", "/v1/devices", &[], b"", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", &[], b"", 404, "not_found"),
        ("GET", "/v1/me", &[], b"", 401, "unauthorized"),
        ("GET", "/v1/stream", &[], b"", 426, "upgrade_required"),
        ("GET", "/v1/alerts/active?lat=106.7&lon=10.8", &[], b"", 400, "bad_parameter"),
        ("GET", "/v1/units?colour=red", &[], b"", 400, "bad_parameter"),
    ];
    for (method, path, headers, body, status, code) in others {
        let answer = ask(&house.to, method, path, headers, body).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{path}: {problem}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_and_disturbs_nobody() {
    let limits = limits::Settings { header_seconds: 1, request_seconds: 1, ..Default::default() };
    let house = House::with(loa::gateway::settings::Settings::default(), limits).await;
    for start in ["", "P", "POST /v1/devices HTTP/1.1\r\nhost: lo"] {
        let mut stream = tokio::net::TcpStream::connect(&house.to).await.expect("open");
        stream.write_all(start.as_bytes()).await.expect("open");
        let mut left = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut left);
        let _ = within("the cut", read).await;
    }
    let head = "POST /v1/devices HTTP/1.1\r\nhost: loa\r\ncontent-type: application/json\r\n\
                content-length: 10\r\nconnection: close\r\n\r\n{";
    let mut stream = tokio::net::TcpStream::connect(&house.to).await.expect("open");
    stream.write_all(head.as_bytes()).await.expect("open");
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    let _ = within("an answer", read).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains(" 408 ") && answer.contains("request_timeout"), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn a_repeated_registration_gives_the_same_device_and_secret() {
    let house = House::open().await;
    let headers = ["content-type: application/json", "idempotency-key: k1"];
    let ask_once =
        |body: &'static str| ask(&house.to, "POST", "/v1/devices", &headers, body.as_bytes());
    let (first, again) = (ask_once("{}").await, ask_once("{}").await);
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text());
    assert_eq!(first.json()["secret"], again.json()["secret"]);
    let other = ask_once(r#"{"exercises":true}"#).await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_mismatch")));
    house.close().await;
}

#[tokio::test]
async fn a_device_reads_changes_exports_and_erases_itself_only() {
    let house = House::open().await;
    let body = json!({"places": [{"unit": house.unit(0)}]});
    let (one, two) = (
        Citizen::register(&house.to, body.clone()).await,
        Citizen::register(&house.to, body).await,
    );
    let path = format!("/v1/devices/{}", one.id);
    let own = ask(&house.to, "GET", &path, &[&one.auth()], b"").await;
    assert_eq!(own.status, 200);
    assert!(own.json().get("secret").is_none(), "shown once");
    assert_eq!(ask(&house.to, "GET", &path, &[&two.auth()], b"").await.status, 403);
    assert_eq!(ask(&house.to, "DELETE", &path, &[&two.auth()], b"").await.status, 403);
    let export = ask(&house.to, "GET", "/v1/me", &[&one.auth()], b"").await.json();
    assert_eq!(export["devices"][0]["stays"][0]["unit"], house.unit(0));
    assert_eq!(ask(&house.to, "DELETE", "/v1/me", &[&one.auth()], b"").await.status, 204);
    assert_eq!(ask(&house.to, "GET", &path, &[&one.auth()], b"").await.status, 401);
    house.close().await;
}

#[tokio::test]
async fn what_is_public_and_what_is_in_the_inbox() {
    let house = House::open().await;
    let (unit, other) = (house.unit(0).to_owned(), house.unit(1).to_owned());
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let over = alert(&[&unit]);
    let (gone, all_clear) = (house.publish(&over).await, house.publish(&cancel(&over)).await);
    let live = house.publish(&alert(&[&unit])).await;
    house.publish(&alert(&[&other])).await;

    let active = format!("/v1/alerts/active?unit={unit}");
    let active = ask(&house.to, "GET", &active, &[], b"").await.json();
    let ids: Vec<_> =
        active["alerts"].as_array().expect("a list").iter().map(|a| &a["id"]).collect();
    assert_eq!(ids, [&json!(live)]);
    assert_eq!(active["boundaries"], "approximate");

    let first = ask(&house.to, "GET", "/v1/inbox?limit=2", &[&citizen.auth()], b"").await.json();
    let of = |page: &Value| -> Vec<(String, String)> {
        let items = page["items"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        items.iter().map(|i| (text(&i["publication"]["id"]), text(&i["state"]))).collect()
    };
    assert_eq!(of(&first), [(live.clone(), "live".into()), (all_clear, "live".into())]);
    let next = format!("/v1/inbox?before={}", first["next"].as_str().expect("more"));
    let second = ask(&house.to, "GET", &next, &[&citizen.auth()], b"").await.json();
    assert_eq!(of(&second), [(gone, "superseded".into())]);

    let feed = ask(&house.to, "GET", "/v1/cap/feed.atom", &[], b"").await;
    assert!(feed.text().contains(&format!("/v1/cap/{live}.xml")), "{}", feed.text());
    let cap = ask(&house.to, "GET", &format!("/v1/cap/{live}.xml"), &[], b"").await;
    assert_eq!(cap.header("content-type"), Some("application/cap+xml"));
    assert_eq!(cap.header("cache-control"), Some("public, max-age=86400, immutable"));
    assert!(cap.text().contains("urn:oasis:names:tc:emergency:cap:1.2"));
    let units = ask(&house.to, "GET", "/v1/units", &[], b"").await;
    assert_eq!(units.json()["units"].as_array().map(Vec::len), Some(168));

    let receipt = |id: &str| json!({"receipts": [{"publication": id, "stage": "received"}]});
    let auth = citizen.auth();
    let taken = ask_json(&house.to, "POST", "/v1/receipts", &auth, &receipt(&live)).await;
    assert_eq!((taken.status, &taken.json()["taken"]), (202, &json!(1)));
    let strange = receipt("0197c7a2-0000-7000-8000-000000000000");
    let refused = ask_json(&house.to, "POST", "/v1/receipts", &auth, &strange).await;
    assert_eq!(refused.json()["errors"][0]["path"], "receipts[0].publication");
    house.close().await;
}

#[tokio::test]
async fn the_openapi_document_describes_every_route() {
    let house = House::open().await;
    let document = house.gateway.router().into_openapi();
    let document = serde_json::to_value(&document).expect("JSON");
    for path in [
        "/v1/devices",
        "/v1/devices/{id}",
        "/v1/devices/{id}/claim",
        "/v1/devices/{id}/release",
        "/v1/me",
        "/v1/inbox",
        "/v1/receipts",
        "/v1/stream",
        "/v1/events",
        "/v1/stream-tickets",
        "/v1/alerts/active",
        "/v1/cap/feed.atom",
        "/v1/cap/{file}",
        "/v1/units",
    ] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    for schema in ["Problem", "StreamEvent", "Publication", "Device"] {
        assert!(document["components"]["schemas"].get(schema).is_some(), "{schema}");
    }
    house.close().await;
}
