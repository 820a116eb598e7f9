//! Connections that come to no request, and streams that are refused after their upgrade: each is
//! ended in time and leaves a line in the audit; those that only wait leave none.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::support::audit::{entries, requests};
use crate::support::citizen::within;
use crate::support::node::TestNode;
use crate::support::process::eventually;

/// Sends this, each part once something came of the one before, and says what came until the node
/// closed the connection.
async fn until_closed(test: &TestNode, parts: &[&str]) -> String {
    let mut stream = TcpStream::connect(test.node.address).await.expect("open");
    let mut read = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            within("an answer", stream.read_buf(&mut read)).await.expect("open");
        }
        stream.write_all(part.as_bytes()).await.expect("open");
    }
    // A connection that is cut with unread bytes ends in a reset.
    let _ = within("the end", stream.read_to_end(&mut read)).await;
    String::from_utf8(read).expect("text")
}

/// Opens a stream, sends this if it is anything, and answers the number it was closed with.
async fn closed_with(test: &TestNode, hello: Option<serde_json::Value>) -> u16 {
    let url = format!("ws://{}/v1/stream", test.node.address);
    let (mut socket, _) = connect_async(url).await.expect("open");
    if let Some(hello) = hello {
        socket.send(Message::text(hello.to_string())).await.expect("open");
    }
    loop {
        match within("a close", socket.next()).await.expect("a close").expect("open") {
            Message::Close(frame) => return frame.expect("a reason").code.into(),
            other => assert!(!other.is_text(), "{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_brought_to_an_end_is_ended_and_leaves_a_line() {
    let test = TestNode::with(|config| {
        config.node.refusals_seconds = 1;
        config.http.header_seconds = 1;
        config.gateway.hello_ms = 1_000;
    })
    .await;
    let whole = "GET /healthz HTTP/1.1\r\nhost: loa\r\n\r\n";
    let half = "GET /healthz HTTP/1.1\r\nhost: loa\r\nx-slow: ";
    let post = "POST /v1/devices HTTP/1.1\r\nhost: loa\r\ncontent-type: application/json\r\n\
                content-length: 13\r\n\r\n{\"places\": []}";
    let stranger = json!({
        "type": "hello",
        "device": "01890a5d-ac96-774b-bcce-b302099a8057",
        "secret": "A".repeat(43),
    });
    // A first head that does not end, and a second one.
    assert_eq!(until_closed(&test, &[half]).await, "");
    let second = until_closed(&test, &[whole, half]).await;
    assert!(second.starts_with("HTTP/1.1 200 ") && second.matches("HTTP/1.1").count() == 1);
    // Those that only wait: before their first request, and after one with and without a body.
    assert_eq!(until_closed(&test, &[]).await, "");
    assert!(until_closed(&test, &[whole]).await.starts_with("HTTP/1.1 200 "));
    assert!(until_closed(&test, &[post]).await.starts_with("HTTP/1.1 "));
    // A stream of nobody, and one that never says whose it is.
    assert_eq!(closed_with(&test, Some(stranger)).await, 4501);
    assert_eq!(closed_with(&test, None).await, 4003);
    let expected = [
        (("GET /v1/stream", "request_timeout"), 1),
        (("GET /v1/stream", "unauthorized"), 1),
        (("a request's head", "request_timeout"), 2),
    ];
    let owned = expected.map(|((asked, code), count)| ((asked.to_owned(), code.to_owned()), count));
    let found = eventually(async || {
        let found = requests(&entries(&test).await);
        (found.values().sum::<u64>() >= 4).then_some(found)
    })
    .await;
    assert_eq!(found, owned.into());
    test.stop().await;
}
