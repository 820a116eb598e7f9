//! Outcomes: what a provider's answer means for us. Each channel has one pure table from answer to
//! outcome (`channel/*/outcome.rs`); only fan-out acts on it.

use std::time::Duration;

use jiff::Timestamp;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The provider took it. That is not yet received by anybody.
    Accepted,
    /// Try again later, unless it expires first.
    Retry {
        /// The provider's own wish (`Retry-After`), or the channel's minimum.
        after: Option<Duration>,
        /// Who has to wait.
        scope: RetryScope,
        /// The provider's reason, or ours for a transport failure.
        reason: &'static str,
    },
    /// The address is dead: stop using it, if it is older than the provider's knowledge.
    DeadAddress {
        /// The provider's reason.
        reason: &'static str,
        /// Since when it is dead, where the provider says so (APNs `timestamp`).
        since: Option<Timestamp>,
    },
    /// This request will never succeed; nothing is wrong with the address.
    Rejected {
        /// The provider's reason.
        reason: &'static str,
    },
    /// The credentials or the configuration are wrong: nothing on this channel will succeed until
    /// an operator acts. Retried until expiry, paged.
    Misconfigured {
        /// The provider's reason.
        reason: &'static str,
    },
    /// It expired before it could be sent.
    Expired,
}

/// Who has to wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    /// This device only.
    Device,
    /// Everything on this channel: the provider asked all of us to slow down.
    Channel,
}

/// Reasons of a retry whose push went out and whose answer was lost.
const ANSWER_LOST: [&str; 3] = ["connection_lost", "stream_reset", "timed_out"];

/// Whether a push that waits to be tried again for this reason may have arrived already: its
/// device then counts as possibly reached, and is told of a cancel.
pub fn may_have_arrived(reason: &str) -> bool {
    ANSWER_LOST.contains(&reason)
}
