//! The funnel: the counts an operator sees, per unit and channel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::ids::{PublicationId, UnitCode};

/// Counts of devices. A device is counted once in each field, whatever was repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Devices in the audience when it was routed, and late joiners since.
    pub targeted: u64,
    /// Attempted at least once.
    pub sent: u64,
    /// Taken by the provider, or written to the socket. Never to be shown as received.
    pub accepted: u64,
    /// The app said it has it.
    pub received: u64,
    /// The app said it was on the screen.
    pub shown: u64,
    /// The person acknowledged it.
    pub acknowledged: u64,
    /// Failed for good, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Not sent, or not taken, before the expiry.
    pub expired: u64,
    /// Not sent because an update or cancel came first.
    pub superseded: u64,
    /// The address was dead.
    pub dead: u64,
    /// Left out: muted by the person, no exercise participant, moved away, or owned by another
    /// place of the same device.
    pub skipped: u64,
    /// Waiting for another try.
    pub waiting: u64,
    /// Repeats that may have reached a screen twice: batches sent again after a crash.
    pub repeated: u64,
}

impl Counts {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Counts) {
        self.targeted += other.targeted;
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.received += other.received;
        self.shown += other.shown;
        self.acknowledged += other.acknowledged;
        for (reason, count) in &other.failed {
            *self.failed.entry(reason.clone()).or_default() += count;
        }
        self.expired += other.expired;
        self.superseded += other.superseded;
        self.dead += other.dead;
        self.skipped += other.skipped;
        self.waiting += other.waiting;
        self.repeated += other.repeated;
    }

    /// Failures of every reason.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Upper bounds, in milliseconds, of the latency buckets: a factor of about 1.26 (ten a decade),
/// from 1 ms to 28 hours.
pub const LATENCY_BUCKETS: usize = 81;

/// A histogram of milliseconds since acceptance, mergeable and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The smallest value, if any.
    pub first_ms: Option<u64>,
    /// The largest value, if any.
    pub last_ms: Option<u64>,
    /// Counts by bucket; index from `Latency::bucket`. Trailing zeros are left out.
    pub buckets: Vec<u64>,
}

impl Latency {
    /// The bucket of a value.
    pub fn bucket(ms: u64) -> usize {
        let index = (10.0 * (ms.max(1) as f64).log10()).ceil() as usize;
        index.min(LATENCY_BUCKETS - 1)
    }

    fn upper_ms(bucket: usize) -> u64 {
        10f64.powf(bucket as f64 / 10.0).round() as u64
    }

    /// Counts one value.
    pub fn record(&mut self, ms: u64) {
        let bucket = Self::bucket(ms);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.first_ms = Some(self.first_ms.map_or(ms, |first| first.min(ms)));
        self.last_ms = Some(self.last_ms.map_or(ms, |last| last.max(ms)));
    }

    /// Adds another histogram's values.
    pub fn add(&mut self, other: &Latency) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.first_ms = [self.first_ms, other.first_ms].into_iter().flatten().min();
        self.last_ms = [self.last_ms, other.last_ms].into_iter().flatten().max();
    }

    /// The value below which a share (0..=1) of the values lies, to within a bucket (26 %).
    pub fn quantile_ms(&self, share: f64) -> Option<u64> {
        let total: u64 = self.buckets.iter().sum();
        let wanted = (share * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && total > 0 {
                return Some(Self::upper_ms(bucket).min(self.last_ms.unwrap_or(u64::MAX)));
            }
        }
        None
    }
}

/// The funnel of one publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Funnel {
    /// Which publication.
    pub publication: PublicationId,
    /// Everything together.
    pub total: Counts,
    /// By channel.
    pub channels: BTreeMap<Channel, Counts>,
    /// By unit.
    pub units: BTreeMap<UnitCode, Counts>,
    /// By unit and channel.
    pub cells: Vec<FunnelCell>,
    /// Dispatches not finished.
    pub open_dispatches: u64,
    /// Milliseconds from acceptance to the provider's answer (or the socket's write).
    pub accepted_ms: Latency,
    /// The same by channel.
    #[serde(default)]
    pub accepted_ms_by_channel: BTreeMap<Channel, Latency>,
    /// Milliseconds from acceptance to the app's receipt.
    pub received_ms: Latency,
}

/// The counts of one unit and channel. The unit is absent for one citizen's publications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunnelCell {
    /// The unit.
    pub unit: Option<UnitCode>,
    /// The channel.
    pub channel: Channel,
    /// Its counts.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_a_bucket() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile_ms(0.5), None);
        for ms in 1..=1000 {
            latency.record(ms);
        }
        let median = latency.quantile_ms(0.5).expect("values");
        assert!((500..=630).contains(&median), "{median}");
        assert_eq!((latency.first_ms, latency.last_ms), (Some(1), Some(1000)));
        assert_eq!(latency.quantile_ms(1.0), Some(1000));
    }
}
