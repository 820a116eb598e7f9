//! Faults on demand, switchable while the simulator runs.

use std::time::Duration;

use jiff::Timestamp;

/// Which requests a rule meets.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Every one.
    Always,
    /// Every nth, counted by the rule.
    Every(u64),
    /// This share of them, at random, 0 to 1.
    Share(f64),
    /// Those for one address.
    Token(String),
    /// Those for this share of addresses, 0 to 1; always the same addresses.
    TokenShare(f64),
}

/// What happens to a request that a rule meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// An answer other than 200.
    Refuse(Refusal),
    /// The usual answer, so much later.
    Slow(Duration),
    /// RST_STREAM with this code (RFC 9113 section 7), unprocessed.
    Reset(u32),
    /// RST_STREAM with this code after the push was delivered: its answer is lost.
    ResetAfter(u32),
    /// The connection is cut before the request is processed.
    CutBefore,
    /// The push is delivered, then the connection is cut before the answer.
    CutAfter,
    /// GOAWAY: this request is the last one the connection processes.
    GoAway,
    /// The connection stops reading and writing for ever.
    Stall,
}

/// An answer other than 200.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// APNs `reason`, or FCM `errorCode`; empty: no body.
    pub reason: String,
    /// `Retry-After`, verbatim.
    pub retry_after: Option<String>,
    /// APNs 410: since when the token is dead; absent means now.
    pub since: Option<Timestamp>,
}

/// A rule; the first rule of a provider that meets a request decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which requests.
    pub when: When,
    /// What happens.
    pub then: Then,
    /// How many requests at most; `None` means without end.
    pub limit: Option<u64>,
}
