//! Limits on streams: who breaks one is closed with the right code, and nobody else notices.

use loa::gateway::settings::Settings;
use loa::http::limits;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::house::{House, alert, alert_saying};
use crate::support::citizen::{Citizen, Socket};

#[tokio::test]
async fn a_slow_reader_pays_and_the_others_are_not_touched() {
    let settings = Settings { queue_bytes: 64 << 10, write_ms: 60_000, ..Settings::default() };
    let house = House::with(settings, limits::Settings::default()).await;
    let unit = house.unit(0).to_owned();
    let places = json!({"places": [{"unit": unit}]});
    let mut slow = Citizen::register(&house.to, places.clone()).await.stream(None).await;
    slow.expect("hello").await;
    slow.until_live().await;
    let mut reader = Citizen::register(&house.to, places).await.stream(None).await;
    reader.expect("hello").await;
    reader.until_live().await;
    // The slow one reads nothing: the kernel's buffers of both ends fill, then its queue.
    let long = "x".repeat(15_000);
    let mut published = 0;
    while house.gateway.hub().stats().slow == 0 {
        let id = house.publish(&alert_saying(&[&unit], &long)).await;
        assert_eq!(reader.publication().await, id);
        published += 1;
        assert!(published < 2_000, "the slow reader was never found out");
    }
    let (code, reason) = slow.closed().await;
    assert_eq!((code, &reason["code"]), (4001, &json!("slow")));
    assert!(reason["after_ms"].as_u64() >= Some(1_000), "{reason}");
    let after = house.publish(&alert(&[&unit])).await;
    assert_eq!(reader.publication().await, after);
    house.close().await;
}

#[tokio::test]
async fn bad_hellos_garbage_and_oversize_close_with_their_codes() {
    let house = House::open().await;
    let citizen = Citizen::register(&house.to, json!({})).await;
    let before_hello = [
        (Message::text("garbage"), 4500),
        (Message::text(r#"{"type":"pong"}"#), 4500),
        (Message::text(r#"{"type":"hello"}"#), 4501),
        (Message::text(r#"{"type":"hello","device":"x","secret":"y"}"#), 4501),
        (Message::binary(vec![0; 8]), 4500),
        (Message::text("x".repeat(65 << 10)), 4503),
    ];
    for (message, code) in before_hello {
        let mut socket = Socket::open(&house.to).await;
        socket.send(message).await;
        assert_eq!(socket.closed().await.0, code);
    }
    let live = [
        (Message::text("garbage"), 4502),
        (Message::text(citizen.hello(None).to_string()), 4502),
        (Message::binary(vec![0; 8]), 4502),
        (Message::text("x".repeat(65 << 10)), 4503),
    ];
    for (message, code) in live {
        let mut socket = citizen.stream(None).await;
        socket.expect("hello").await;
        socket.until_live().await;
        socket.send(message).await;
        assert_eq!(socket.closed().await.0, code);
    }
    house.close().await;
}

#[tokio::test]
async fn silence_closes_and_a_drain_and_a_removal_say_so() {
    let settings = Settings { hello_ms: 50, ..Settings::default() };
    let house = House::with(settings, limits::Settings::default()).await;
    assert_eq!(Socket::open(&house.to).await.closed().await.0, 4003);
    let removed = Citizen::register(&house.to, json!({})).await;
    let mut socket = removed.stream(None).await;
    socket.expect("hello").await;
    let auth = removed.auth();
    let answer = crate::support::citizen::ask(&house.to, "DELETE", "/v1/me", &[&auth], b"").await;
    assert_eq!(answer.status, 204);
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["reconnect"]), (4504, &json!(false)));

    let mut socket = Citizen::register(&house.to, json!({})).await.stream(None).await;
    socket.expect("hello").await;
    house.life.stop();
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["reconnect"]), (4000, &json!(true)));
    house.close().await;
}

#[tokio::test]
async fn a_wrong_place_on_a_stream_is_a_problem_and_the_stream_goes_on() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let mut socket =
        Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    socket.say(&json!({"type": "places", "places": [{"unit": unit}, {"unit": "0"}]})).await;
    let problem = socket.expect("problem").await;
    assert_eq!(problem["problem"]["errors"][0]["path"], "places[1].unit", "{problem}");
    let id = house.publish(&alert(&[&unit])).await;
    assert_eq!(socket.publication().await, id);
    house.close().await;
}

#[tokio::test]
async fn an_address_has_its_share_of_streams_and_no_more() {
    let settings = Settings { streams_per_address: 1, ..Settings::default() };
    let house = House::with(settings, limits::Settings::default()).await;
    let citizen = Citizen::register(&house.to, json!({})).await;
    let mut socket = citizen.stream(None).await;
    socket.expect("hello").await;
    let auth = citizen.auth();
    let answer = crate::support::citizen::ask(&house.to, "GET", "/v1/events", &[&auth], b"").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("rate_limited")));
    assert!(answer.header("retry-after").is_some());
    house.close().await;
}
