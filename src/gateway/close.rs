//! Close codes of the websocket, the one list.
//!
//! 1002 and 1007 are the websocket protocol's own (RFC 6455, 7.4.1), for frames that break it.
//! 4000–4499 ask the client to reconnect (after the jittered wait in the reason), 4500–4999 tell it
//! that reconnecting the same way is useless. The reason is a JSON document of at most 123 bytes:
//! `{"code":"slow","reconnect":true,"after_ms":1840}`. An event stream ends with an event `close`
//! of the same content, and its `number`.
//!
//! | number | name | reconnect | when |
//! | --- | --- | --- | --- |
//! | 1002 | `framing` | no | a frame that breaks the websocket protocol |
//! | 1007 | `utf8` | no | a text that is not UTF-8 |
//! | 4000 | `shutdown` | yes | this gateway drains |
//! | 4001 | `slow` | yes | the client's queue is full: it reads too slowly |
//! | 4002 | `no_pong` | yes | no answer to a ping in time |
//! | 4003 | `hello_timeout` | yes | no hello in time |
//! | 4004 | `flood` | yes | too many messages from the client |
//! | 4005 | `internal` | yes | a failure of ours |
//! | 4006 | `reload` | yes | this gateway lost its place on the log: reload the inbox |
//! | 4500 | `bad_hello` | no | the first message is no hello |
//! | 4501 | `unauthorized` | no | wrong credentials |
//! | 4502 | `protocol` | no | a message that breaks the protocol |
//! | 4503 | `too_large` | no | a message over the limit |
//! | 4504 | `removed` | no | the device was removed |

use serde::Serialize;

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// A frame that breaks the websocket protocol.
    Framing,
    /// A text that is not UTF-8.
    Utf8,
    /// This gateway drains.
    Shutdown,
    /// The client's queue is full.
    Slow,
    /// No answer to a ping in time.
    NoPong,
    /// No hello in time.
    HelloTimeout,
    /// Too many messages from the client.
    Flood,
    /// A failure of ours.
    Internal,
    /// This gateway lost its place on the log.
    Reload,
    /// The first message is no hello.
    BadHello,
    /// Wrong credentials.
    Unauthorized,
    /// A message that breaks the protocol.
    Protocol,
    /// A message over the limit.
    TooLarge,
    /// The device was removed.
    Removed,
}

/// What goes into the close frame's reason.
#[derive(Serialize)]
struct Reason {
    code: &'static str,
    reconnect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
}

impl Close {
    /// Every code.
    pub const ALL: [Close; 14] = [
        Close::Framing,
        Close::Utf8,
        Close::Shutdown,
        Close::Slow,
        Close::NoPong,
        Close::HelloTimeout,
        Close::Flood,
        Close::Internal,
        Close::Reload,
        Close::BadHello,
        Close::Unauthorized,
        Close::Protocol,
        Close::TooLarge,
        Close::Removed,
    ];

    /// The number in the close frame.
    pub fn number(self) -> u16 {
        match self {
            Close::Framing => 1002,
            Close::Utf8 => 1007,
            Close::Shutdown => 4000,
            Close::Slow => 4001,
            Close::NoPong => 4002,
            Close::HelloTimeout => 4003,
            Close::Flood => 4004,
            Close::Internal => 4005,
            Close::Reload => 4006,
            Close::BadHello => 4500,
            Close::Unauthorized => 4501,
            Close::Protocol => 4502,
            Close::TooLarge => 4503,
            Close::Removed => 4504,
        }
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Close::Framing => "framing",
            Close::Utf8 => "utf8",
            Close::Shutdown => "shutdown",
            Close::Slow => "slow",
            Close::NoPong => "no_pong",
            Close::HelloTimeout => "hello_timeout",
            Close::Flood => "flood",
            Close::Internal => "internal",
            Close::Reload => "reload",
            Close::BadHello => "bad_hello",
            Close::Unauthorized => "unauthorized",
            Close::Protocol => "protocol",
            Close::TooLarge => "too_large",
            Close::Removed => "removed",
        }
    }

    /// Whether the client should come again.
    pub fn reconnect(self) -> bool {
        (4000..4500).contains(&self.number())
    }

    /// The reason, with a wait of one to two times the base chosen by `jitter` in 0..1: without it
    /// a restart brings everybody back in the same moment.
    pub fn reason(self, base_ms: u64, jitter: f64) -> String {
        let after_ms = base_ms + (base_ms as f64 * jitter.clamp(0.0, 1.0)) as u64;
        let reconnect = self.reconnect();
        let reason =
            Reason { code: self.name(), reconnect, after_ms: reconnect.then_some(after_ms) };
        serde_json::to_string(&reason).expect("a reason is plain data")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_private_unique_listed_and_short() {
        let numbers: BTreeSet<_> = Close::ALL.iter().map(|close| close.number()).collect();
        assert_eq!(numbers.len(), Close::ALL.len());
        let table = include_str!("close.rs");
        for close in Close::ALL {
            let own = (4000..5000).contains(&close.number());
            assert!(own || matches!(close, Close::Framing | Close::Utf8));
            assert!(close.reason(u64::MAX / 4, 0.9).len() <= 123);
            let yes = if close.reconnect() { "yes" } else { "no" };
            let row = format!("//! | {} | `{}` | {yes} |", close.number(), close.name());
            assert!(table.contains(&row), "{row}");
        }
    }

    #[test]
    fn clients_come_back_spread_over_time_or_not_at_all() {
        assert_eq!(
            Close::Slow.reason(1_000, 0.5),
            r#"{"code":"slow","reconnect":true,"after_ms":1500}"#
        );
        assert_eq!(Close::BadHello.reason(1_000, 0.5), r#"{"code":"bad_hello","reconnect":false}"#);
    }
}
