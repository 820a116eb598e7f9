//! Whether a client still knows the cluster.
//!
//! In the moment in which the controllers elect a leader a broker may answer that there are no
//! brokers. librdkafka (2.10 to 2.12 at least) then drops every broker it knows, and may call off
//! what was to bring back those it was given: it never asks again, whatever the cluster does (its
//! issue 5301). It still counts what it does, so its statistics tell: a client that is well knows
//! at least one broker. Whoever holds one that knows none makes another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::config::ClientConfig;
use serde::Deserialize;
use tokio::sync::watch;

/// How often a client tells how it is.
const EVERY_MS: u32 = 2_000;
/// Statistics without a broker, one after another, after which it counts as lost: it may just be
/// adding those it was given.
const LOST_AFTER: u32 = 2;

/// What a client's statistics say of its brokers.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Statistics in a row without a broker.
    silent: AtomicU32,
    lost: watch::Sender<bool>,
}

/// The part of librdkafka's statistics (its STATISTICS.md) that is read.
#[derive(Deserialize)]
struct Statistics {
    brokers: BTreeMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Configured,
    Learned,
    /// Stands for a group's coordinator, whichever broker that is.
    Logical,
    /// Stands for the client itself.
    Internal,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { silent: AtomicU32::new(0), lost: watch::Sender::new(false) }
    }
}

impl Pulse {
    /// Makes a configuration's clients tell.
    pub fn ask(config: &mut ClientConfig) {
        config.set("statistics.interval.ms", EVERY_MS.to_string());
    }

    /// Notes statistics.
    pub fn note(&self, statistics: &[u8]) {
        let brokers = match serde_json::from_slice::<Statistics>(statistics) {
            Ok(Statistics { brokers }) => brokers,
            Err(error) => return tracing::warn!(%error, "kafka: statistics of another form"),
        };
        let real = |broker: &Broker| matches!(broker.source, Source::Configured | Source::Learned);
        if brokers.values().any(real) {
            self.silent.store(0, Ordering::Relaxed);
        } else if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= LOST_AFTER {
            self.lost.send_replace(true);
        }
    }

    /// Whether the client is of no use any more.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Waits until the client is of no use any more.
    pub async fn lost(&self) {
        // Never closed while it is borrowed.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(sources: &[&str]) -> Vec<u8> {
        let broker = |(number, source): (usize, &&str)| {
            format!(
                "\"127.0.0.1:{number}/{number}\": {{\"source\": \"{source}\", \"txretries\": 0}}"
            )
        };
        let brokers: Vec<_> = sources.iter().enumerate().map(broker).collect();
        format!("{{\"name\": \"x\", \"brokers\": {{{}}}, \"topics\": {{}}}}", brokers.join(","))
            .into_bytes()
    }

    #[test]
    fn a_client_is_lost_when_it_has_known_no_real_broker_twice_in_a_row() {
        let pulse = Pulse::default();
        let none = statistics(&["logical", "internal"]);
        for known in ["configured", "learned"] {
            pulse.note(&none);
            pulse.note(&statistics(&["internal", known]));
            pulse.note(&none);
            assert!(!pulse.is_lost());
            pulse.note(&statistics(&[known]));
        }
        // What cannot be read is no sign of anything.
        (0..3).for_each(|_| pulse.note(b"{\"brokers\": [1]}"));
        assert!(!pulse.is_lost());
        (0..2).for_each(|_| pulse.note(&none));
        assert!(pulse.is_lost());
    }
}
