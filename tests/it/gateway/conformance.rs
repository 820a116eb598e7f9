//! RFC 6455 on `/v1/stream`, frame by frame over a bare socket: what a conformance suite asks of a
//! server, before the hello and on a live stream.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::house::{House, alert};
use crate::support::citizen::{Citizen, ask, id_of, within};

const TEXT: u8 = 0x81;
const PONG: &str = r#"{"type":"pong"}"#;

/// A websocket without a library.
struct Bare(TcpStream);

impl Bare {
    async fn open(to: &str) -> Self {
        let mut stream = TcpStream::connect(to).await.expect("the gateway listens");
        let request = "GET /v1/stream HTTP/1.1\r\nhost: loa\r\nconnection: keep-alive, Upgrade\r\n\
            upgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("a head", stream.read_u8()).await.expect("open"));
        }
        let head = String::from_utf8(head).expect("ASCII").to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // The answer to the RFC's own example.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self(stream)
    }

    /// A stream that has said hello and is live.
    async fn live(citizen: &Citizen) -> Self {
        let mut bare = Self::open(&citizen.to).await;
        bare.say(&citizen.hello(None).to_string()).await;
        while bare.event().await["type"] != "live" {}
        bare
    }

    async fn raw(&mut self, bytes: &[u8]) {
        // The other side may have closed already, which is what is asked then.
        let _ = self.0.write_all(bytes).await;
    }

    async fn say(&mut self, text: &str) {
        self.raw(&frame(TEXT, text.as_bytes())).await;
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let stream = &mut self.0;
        let first = within("a frame", stream.read_u8()).await.ok()?;
        let length = match stream.read_u8().await.ok()? {
            126 => usize::from(stream.read_u16().await.ok()?),
            127 => stream.read_u64().await.ok()? as usize,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    async fn event(&mut self) -> Value {
        let (first, payload) = self.frame().await.expect("an event");
        assert_eq!(first, TEXT, "{payload:?}");
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The code of the close frame that comes next, and then the end of the connection.
    async fn closed(&mut self) -> Option<u16> {
        let (first, payload) = self.frame().await.expect("a close");
        assert_eq!(first, 0x88, "{}", String::from_utf8_lossy(&payload));
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        self.raw(&frame(0x88, &payload)).await;
        assert_eq!(self.frame().await, None, "nothing after the close");
        code
    }

    /// Answers a ping with its payload: it is there, and in order.
    async fn answers(&mut self, payload: &[u8]) {
        self.raw(&frame(0x89, payload)).await;
        assert_eq!(self.frame().await, Some((0x8a, payload.to_vec())));
    }
}

/// A client's frame, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x1f, 0xc5, 0x00, 0x9b];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

async fn house() -> (House, Citizen) {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    (house, citizen)
}

/// Frames that end the connection, with the code they end it with.
fn violations() -> Vec<(String, Vec<u8>, u16)> {
    let mut all: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, code| all.push((name, bytes, code));
    for reserved in 1..8u8 {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let first = 0x80 | reserved << 4 | opcode;
            add(format!("reserved bits {first:#x}"), frame(first, b"x"), 1002);
        }
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for payload in [&b""[..], b"reserved"] {
            add(format!("opcode {opcode:#x}"), frame(0x80 | opcode, payload), 1002);
        }
    }
    for opcode in [0x8, 0x9, 0xa] {
        add(format!("long control {opcode:#x}"), frame(0x80 | opcode, &[b'x'; 126]), 1002);
        add(format!("cut control {opcode:#x}"), frame(opcode, b""), 1002);
    }
    for first in [0x00, 0x80] {
        add(format!("continuation of nothing {first:#x}"), frame(first, b"x"), 1002);
    }
    for first in [0x01, 0x81, 0x02, 0x82] {
        let nested = [frame(0x01, b"a"), frame(first, b"b")].concat();
        add(format!("message in a message {first:#x}"), nested, 1002);
    }
    let mut bare = frame(TEXT, b"");
    bare[1] = 0;
    add("not masked".into(), bare[..2].to_vec(), 1002);
    let padded = [&[TEXT, 0x80 | 126, 0, 3, 0, 0, 0, 0][..], b"abc"].concat();
    add("length not in its shortest form".into(), padded, 1002);
    let sign = [&[TEXT, 0xff, 0x80][..], &[0; 11]].concat();
    add("length with a sign".into(), sign, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535u16] {
        add(format!("close code {code}"), frame(0x88, &code.to_be_bytes()), 1002);
    }
    add("half a close code".into(), frame(0x88, b"\x03"), 1002);
    add("close reason".into(), frame(0x88, b"\x03\xe8\xce\xba\xe1\xbd"), 1007);
    all.extend(no_utf8());
    let mut add = |name: String, bytes: Vec<u8>, code| all.push((name, bytes, code));
    let mut announced = frame(0x01, b"\xce\xba\xed\xa0\x80");
    announced[1] = 0x80 | 100;
    add("wrong before the frame ends".into(), announced, 1007);
    add("too large in one".into(), frame(TEXT, &[b'x'; 65_537]), 4503);
    let halves = [frame(0x01, &[b'x'; 40_000]), frame(0x80, &[b'x'; 40_000])].concat();
    add("too large in two".into(), halves, 4503);
    add("a length of terabytes".into(), [&[TEXT, 0xff, 0, 0, 64][..], &[0; 9]].concat(), 4503);
    all
}

/// Texts that are not UTF-8, whole and in two fragments.
fn no_utf8() -> Vec<(String, Vec<u8>, u16)> {
    let mut all: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, code| all.push((name, bytes, code));
    for text in [
        &b"\x80"[..],
        b"\xbf",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xc3",
        b"\xe1\xbd",
        b"\xf0\x9f\x98",
    ] {
        add(format!("text {text:x?}"), frame(TEXT, text), 1007);
        let cut = text.len() / 2;
        let parts = [frame(0x01, &text[..cut]), frame(0x80, &text[cut..])];
        add(format!("text in two {text:x?}"), parts.concat(), 1007);
    }
    all
}

#[tokio::test]
async fn what_breaks_the_protocol_is_closed_with_its_code() {
    let (house, citizen) = house().await;
    let violations = violations();
    let names: BTreeSet<&str> = violations.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(names.len() > 100, "{}", names.len());
    let mut wrong = Vec::new();
    for (name, bytes, code) in &violations {
        let mut live = Bare::live(&citizen).await;
        live.raw(bytes).await;
        let mut fresh = Bare::open(&house.to).await;
        fresh.raw(bytes).await;
        for (phase, socket) in [("live", &mut live), ("before hello", &mut fresh)] {
            let closed = socket.closed().await;
            if closed != Some(*code) {
                wrong.push(format!("{name}, {phase}: {closed:?}, not {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.close().await;
}

#[tokio::test]
async fn pings_of_every_size_are_answered_in_order_and_pongs_are_not() {
    let (house, citizen) = house().await;
    let mut live = Bare::live(&citizen).await;
    for size in [0, 1, 7, 124, 125] {
        live.answers(&vec![0xfe; size]).await;
    }
    let burst: Vec<u8> = (0..10u8).flat_map(|number| frame(0x89, &[number])).collect();
    live.raw(&burst).await;
    for number in 0..10u8 {
        assert_eq!(live.frame().await, Some((0x8a, vec![number])));
    }
    live.raw(&[frame(0x8a, b"unasked"), frame(0x8a, b"")].concat()).await;
    live.answers(b"still here").await;
    for byte in frame(0x89, b"byte by byte") {
        live.raw(&[byte]).await;
    }
    assert_eq!(live.frame().await, Some((0x8a, b"byte by byte".to_vec())));
    house.close().await;
}

#[tokio::test]
async fn messages_in_fragments_are_one_with_control_frames_between() {
    let (house, citizen) = house().await;
    let mut socket = Bare::open(&house.to).await;
    let hello = citizen.hello(None).to_string();
    // A hello a byte a frame, a ping between any two, and an empty last fragment.
    for (number, byte) in hello.bytes().enumerate() {
        socket.raw(&frame(if number == 0 { 0x01 } else { 0x00 }, &[byte])).await;
        if number % 10 == 0 {
            socket.answers(&[byte]).await;
        }
    }
    socket.raw(&frame(0x80, b"")).await;
    while socket.event().await["type"] != "live" {}
    for cut in [0, 1, 7, PONG.len()] {
        let (one, two) = PONG.as_bytes().split_at(cut);
        socket.raw(&[frame(0x01, one), frame(0x89, b"between"), frame(0x80, two)].concat()).await;
        assert_eq!(socket.frame().await, Some((0x8a, b"between".to_vec())));
    }
    // What is not known is said by name, and UTF-8 is whole across fragments and at 64 KiB.
    let filler = " ".repeat(65_536 - PONG.len());
    socket.say(&format!("{PONG}{filler}")).await;
    socket.answers(b"64 KiB").await;
    let text = "\"κόσμε 😀 phường\"".as_bytes();
    for cut in 1..text.len() {
        let mut fresh = Bare::open(&house.to).await;
        fresh.raw(&[frame(0x01, &text[..cut]), frame(0x80, &text[cut..])].concat()).await;
        assert_eq!(fresh.closed().await, Some(4500), "no hello, but a text: cut at {cut}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_close_is_echoed_and_nothing_follows_it() {
    let (house, citizen) = house().await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999u16] {
        let mut live = Bare::live(&citizen).await;
        let mut fresh = Bare::open(&house.to).await;
        let payload = [&code.to_be_bytes()[..], "tạm biệt".as_bytes()].concat();
        for socket in [&mut live, &mut fresh] {
            socket.raw(&frame(0x88, &payload)).await;
            assert_eq!(socket.closed().await, Some(code));
        }
    }
    let mut live = Bare::live(&citizen).await;
    live.raw(&frame(0x88, b"")).await;
    assert_eq!(live.closed().await, None);
    let mut live = Bare::live(&citizen).await;
    let longest = [&1000u16.to_be_bytes()[..], &[b'x'; 123]].concat();
    live.raw(&[frame(0x88, &longest), frame(0x89, b"late")].concat()).await;
    assert_eq!(live.closed().await, Some(1000));
    house.close().await;
}

#[tokio::test]
async fn frames_after_the_hello_in_the_same_packet_are_not_lost() {
    let (house, citizen) = house().await;
    let mut socket = Bare::open(&house.to).await;
    let hello = frame(TEXT, citizen.hello(None).to_string().as_bytes());
    socket.raw(&[hello, frame(0x89, b"early"), frame(TEXT, PONG.as_bytes())].concat()).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let (first, payload) = socket.frame().await.expect("a frame");
        seen.push(match first {
            TEXT => serde_json::from_slice::<Value>(&payload).expect("JSON")["type"].to_string(),
            _ => String::from_utf8(payload).expect("a pong"),
        });
    }
    seen.sort();
    assert_eq!(seen, ["\"hello\"", "\"live\"", "early"]);
    house.close().await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused_by_name() {
    let house = House::open().await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let (upgrade, version) = ("upgrade: websocket", "sec-websocket-version: 13");
    for (headers, named) in [
        (vec![key, version], "Upgrade: websocket"),
        (vec![upgrade, version], "Upgrade: websocket"),
        (vec!["connection: upgrade", upgrade, key], "Sec-WebSocket-Version"),
        (
            vec!["connection: upgrade", upgrade, key, "sec-websocket-version: 8"],
            "Sec-WebSocket-Version",
        ),
        (vec!["connection: upgrade", upgrade, version], "Sec-WebSocket-Key"),
        (
            vec!["connection: upgrade", upgrade, version, "sec-websocket-key: short"],
            "Sec-WebSocket-Key",
        ),
    ] {
        let answer = ask(&house.to, "GET", "/v1/stream", &headers, b"").await;
        assert_eq!(answer.status, 426, "{headers:?}");
        assert!(answer.text().contains(named), "{headers:?}: {}", answer.text());
    }
    house.close().await;
}

#[tokio::test]
async fn a_burst_of_ten_alerts_reaches_everybody_in_order() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let mut sockets = Vec::new();
    for _ in 0..50 {
        let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
        sockets.push(Bare::live(&citizen).await);
    }
    let alerts: Vec<_> = (0..10).map(|_| alert(&[&unit])).collect();
    house.publish_all(&alerts).await;
    let wanted: BTreeSet<String> = alerts.iter().map(|alert| alert.id.to_string()).collect();
    let mut first: Option<Vec<String>> = None;
    for socket in &mut sockets {
        let mut got = Vec::new();
        for _ in 0..10 {
            got.push(id_of(&socket.event().await));
        }
        assert_eq!(got.iter().cloned().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(first.get_or_insert_with(|| got.clone()), &got, "one order for everybody");
    }
    house.close().await;
}
