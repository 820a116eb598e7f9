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
        /// Whether this attempt may have reached the device all the same.
        arrival: Arrival,
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
    /// An update or cancel called it back before it went out.
    Withdrawn,
}

impl Outcome {
    /// The provider's reason, or ours; its name where it needs none.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Retry { reason, .. }
            | Self::DeadAddress { reason, .. }
            | Self::Rejected { reason }
            | Self::Misconfigured { reason } => reason,
            Self::Accepted | Self::Expired | Self::Withdrawn => self.name(),
        }
    }

    /// Its name, as a metric's label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Retry { .. } => "retry",
            Self::DeadAddress { .. } => "dead_address",
            Self::Rejected { .. } => "rejected",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Expired => "expired",
            Self::Withdrawn => "superseded",
        }
    }
}

/// Who has to wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    /// This device only.
    Device,
    /// Everything on this channel: the provider asked all of us to slow down.
    Channel,
}

/// What is known of a push that has to be tried again; the greater doubt outweighs the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// The provider refused it, or it never went out.
    Excluded,
    /// It went out and its answer was lost: its device counts as possibly reached, and is told of
    /// a cancel.
    Possible,
}
