//! What every event log promises, whatever stands behind it: one suite, every implementation.

mod batches;
mod contract;
mod crash;
mod embedded;
mod files;
mod full;
mod kafka;
mod segments;
mod versions;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use loa::bus::{Bus, Consumer, Delivery, Position, Reader, Record, Settings, TopicId};
use loa::clock::Clock;
use tempfile::TempDir;

use crate::support::kafka::Kafka;

/// Patience for what must come; a test that runs into it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A log that can be closed and opened again.
struct Bed {
    settings: Settings,
    clock: Clock,
    _dir: Option<TempDir>,
}

impl Bed {
    /// One file, on a clock of its own.
    fn embedded() -> Self {
        let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
        let dir = tempfile::tempdir().expect("a directory");
        let settings = Settings::new(dir.path());
        Self { settings, clock: Clock::manual(start), _dir: Some(dir) }
    }

    /// Topics of its own on the broker that the tests share.
    async fn kafka() -> Self {
        let settings = Settings::kafka(Kafka::shared().await.topics().await);
        Self { settings, clock: Clock::System, _dir: None }
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    async fn open(&self) -> Bus {
        Bus::open(&self.settings, self.clock.clone()).await.expect("the log opens")
    }

    fn pass_hours(&self, hours: i64) {
        self.clock.set(self.clock.now() + jiff::SignedDuration::from_hours(hours));
    }

    fn is_now(&self, at: Timestamp) -> bool {
        self.clock.now().duration_since(at).abs() < jiff::SignedDuration::from_secs(20)
    }
}

fn record(key: &str, payload: impl Into<Bytes>) -> Record {
    Record { key: key.to_owned(), headers: Vec::new(), payload: payload.into() }
}

fn records(key: &str, payloads: std::ops::Range<u32>) -> Vec<Record> {
    payloads.map(|n| record(key, n.to_string())).collect()
}

fn number(delivery: &Delivery) -> u32 {
    std::str::from_utf8(&delivery.payload).expect("text").parse().expect("a number")
}

/// Publishes, and answers where each record lies.
async fn placed(bus: &Bus, topic: TopicId, records: Vec<Record>) -> Vec<Position> {
    let placed = bus.publish(topic, records).await.expect("published");
    placed.into_iter().map(|at| at.expect("a place")).collect()
}

/// Reads until `count` records came.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = consumer.next_batch(count - taken.len());
        let batch = tokio::time::timeout(PATIENCE, batch).await.expect("records come");
        taken.extend(batch.expect("the log can be read"));
    }
    taken
}

/// As [`take`], from a reader.
async fn tail(reader: &mut Reader, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = reader.next_batch(count - taken.len());
        let batch = tokio::time::timeout(PATIENCE, batch).await.expect("records come");
        taken.extend(batch.expect("the log can be read"));
    }
    taken
}
