//! A client's websocket: what the bytes mean does not depend on how the network cut them, and no
//! frame makes the decoder hold more than a message.

use loa::gateway::rfc6455::{self, Broken, Decoder, Event};
use loa::gateway::wire::FromClient;

/// Small, so that the limit is met.
const MESSAGE_MAX: usize = 600;
/// The most a control frame may carry (RFC 6455, section 5.5).
const CONTROL_MAX: usize = 125;

type Meant = (Vec<Event>, Result<(), Broken>);

/// Holds for every stream of bytes; the first says how it is cut.
pub fn hold(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let whole = decoded(&[bytes]);
    let pieces = pieces(bytes, cut);
    assert_eq!(decoded(&pieces), whole, "cut into {} pieces", pieces.len());
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decoded(&single), whole, "byte by byte");
    let closes = whole.0.iter().position(|event| matches!(event, Event::Close(_)));
    assert!(closes.is_none_or(|at| at + 1 == whole.0.len()), "something follows a close");
    for event in &whole.0 {
        match event {
            Event::Text(text) => said(text),
            Event::Ping(payload) => assert!(payload.len() <= CONTROL_MAX),
            Event::Close(Some(code)) => assert!((1000..5000).contains(code), "close {code}"),
            Event::Binary | Event::Pong | Event::Close(None) => {}
        }
    }
}

fn decoded(pieces: &[&[u8]]) -> Meant {
    let (mut decoder, mut events) = (Decoder::new(MESSAGE_MAX), Vec::new());
    for piece in pieces {
        if let Err(broken) = decoder.feed(piece, &mut events) {
            return (events, Err(broken));
        }
    }
    (events, Ok(()))
}

/// Pieces of lengths that follow from a byte, some of them empty.
fn pieces(mut bytes: &[u8], cut: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut next = usize::from(cut);
    while !bytes.is_empty() {
        next = (next * 5 + 3) % 17;
        let (piece, rest) = bytes.split_at(next.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// A message: within the limit, and the same text after a way back as a client's frame.
fn said(text: &str) {
    assert!(text.len() <= MESSAGE_MAX, "{} bytes", text.len());
    let mut frame = rfc6455::text(text).to_vec();
    let head = rfc6455::head_bytes(text.len());
    let mask = [0x5a, 0x00, 0xff, 0x31];
    frame[1] |= 0x80;
    frame.iter_mut().skip(head).zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    drop(frame.splice(head..head, mask));
    assert_eq!(decoded(&[&frame[..]]), (vec![Event::Text(text.to_owned())], Ok(())));
    if let Err(error) = serde_json::from_str::<FromClient>(text) {
        assert!(!error.to_string().is_empty());
    }
}
