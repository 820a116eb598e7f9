//! Websockets and event streams over TLS: the table of sockets keeps its promises there too.

use bytes::Bytes;
use http::Method;
use loa::gateway::settings::Settings;
use loa::http::limits;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::house::{House, alert, alert_saying};
use crate::support::citizen::{Citizen, Events, Socket};
use crate::support::tls::{Authority, Client};

/// A gateway under TLS.
struct Secure {
    house: House,
    client: Client,
}

impl Secure {
    async fn open(settings: Settings) -> Self {
        let authority = Authority::new();
        let limits = limits::Settings { tls: Some(authority.face()), ..Default::default() };
        Self { client: authority.client(), house: House::with(settings, limits).await }
    }

    async fn citizen(&self, places: Value) -> Citizen {
        let body = Some(("application/json", Bytes::from(places.to_string())));
        let to = self.house.to.parse().expect("an address");
        let answer = self.client.ask(to, (Method::POST, "/v1/devices", None, body)).await;
        let device = answer.expect("an answer").json();
        let text = |key: &str| device[key].as_str().expect("text").to_owned();
        Citizen { to: self.house.to.clone(), id: text("id"), secret: text("secret") }
    }

    async fn stream(&self, citizen: &Citizen, position: Option<&str>) -> Socket {
        let to = self.house.to.parse().expect("an address");
        let mut socket = Socket::over(self.client.connect(to).await.expect("open")).await;
        socket.say(&citizen.hello(position)).await;
        socket.expect("hello").await;
        socket
    }
}

#[tokio::test]
async fn streams_resume_over_tls_without_a_gap() {
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        let mut secure = Secure::open(Settings::default()).await;
        secure.client.versions = versions;
        let unit = secure.house.unit(0).to_owned();
        let citizen = secure.citizen(json!({"places": [{"unit": unit}]})).await;
        let mut socket = secure.stream(&citizen, None).await;
        socket.until_live().await;
        let first = secure.house.publish(&alert(&[&unit])).await;
        assert_eq!(socket.publication().await, first);
        let position = socket.position.clone().expect("a position");
        drop(socket);
        // Frames of more than one record, missed and live.
        let long = "x".repeat(40_000);
        let missed = secure.house.publish(&alert_saying(&[&unit], &long)).await;
        let mut socket = secure.stream(&citizen, Some(&position)).await;
        // It may come as it is read of the log, if that was after the stream began.
        let mut got = socket.until_live().await;
        if got.is_empty() {
            got.push(socket.publication().await);
        }
        assert_eq!(got, std::slice::from_ref(&missed));
        let live = secure.house.publish(&alert_saying(&[&unit], &long)).await;
        assert_eq!(socket.publication().await, live);
        socket.send(Message::Ping(Bytes::from_static(b"there?"))).await;
        socket.say(&json!({"type": "ack", "publication": live, "stage": "shown"})).await;
        socket.say(&json!({"type": "places", "places": [{"unit": "0"}]})).await;
        let problem = socket.expect("problem").await;
        assert_eq!(problem["problem"]["code"], "invalid", "{problem}");

        let to = secure.house.to.parse().expect("an address");
        let stream = secure.client.connect(to).await.expect("open");
        let auth = citizen.auth();
        let resumed = format!("last-event-id: {position}");
        let mut events = Events::over(stream, "/v1/events", &[&auth, &resumed]).await;
        assert_eq!(events.until_live().await, [missed, live]);
        secure.house.life.stop();
        assert_eq!(socket.closed().await.0, 4000);
        secure.house.close().await;
    }
}

#[tokio::test]
async fn what_comes_with_the_hello_in_one_record_is_heard() {
    let secure = Secure::open(Settings::default()).await;
    let citizen = secure.citizen(json!({})).await;
    let to = secure.house.to.parse().expect("an address");
    let mut socket = Socket::over(secure.client.connect(to).await.expect("open")).await;
    let wrong = json!({"type": "places", "places": [{"unit": "0"}]});
    // Enough that some of it lies in the session when the table takes the socket over.
    socket.feed(&citizen.hello(None)).await;
    for _ in 0..60 {
        socket.feed(&wrong).await;
    }
    socket.flush().await;
    socket.expect("hello").await;
    socket.until_live().await;
    for _ in 0..60 {
        socket.expect("problem").await;
    }
    secure.house.close().await;
}

#[tokio::test]
async fn a_slow_reader_under_tls_pays_and_the_others_are_not_touched() {
    let settings = Settings { queue_bytes: 64 << 10, write_ms: 60_000, ..Settings::default() };
    let secure = Secure::open(settings).await;
    let unit = secure.house.unit(0).to_owned();
    let places = json!({"places": [{"unit": unit}]});
    let mut slow = secure.stream(&secure.citizen(places.clone()).await, None).await;
    slow.until_live().await;
    let mut reader = secure.stream(&secure.citizen(places).await, None).await;
    reader.until_live().await;
    let long = "x".repeat(15_000);
    let mut published = 0;
    while secure.house.gateway.hub().stats().slow == 0 {
        let id = secure.house.publish(&alert_saying(&[&unit], &long)).await;
        assert_eq!(reader.publication().await, id);
        published += 1;
        assert!(published < 2_000, "the slow reader was never found out");
    }
    // What had begun is whole, and the close frame can be told from it.
    let (code, reason) = slow.closed().await;
    assert_eq!((code, &reason["code"]), (4001, &json!("slow")));
    let after = secure.house.publish(&alert(&[&unit])).await;
    assert_eq!(reader.publication().await, after);
    secure.house.close().await;
}

#[tokio::test]
async fn garbage_and_oversize_on_a_stream_under_tls_close_with_their_codes() {
    let secure = Secure::open(Settings::default()).await;
    let citizen = secure.citizen(json!({})).await;
    let wrong = [
        (Message::text("garbage"), 4502),
        (Message::binary(vec![0; 8]), 4502),
        (Message::text("x".repeat(65 << 10)), 4503),
    ];
    for (message, code) in wrong {
        let mut socket = secure.stream(&citizen, None).await;
        socket.until_live().await;
        socket.send(message).await;
        assert_eq!(socket.closed().await.0, code);
    }
    secure.house.close().await;
}
