//! What every event log promises, whatever stands behind it: one suite, every implementation.

mod contract;
mod crash;
mod embedded;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use loa::bus::{Bus, Consumer, Delivery, Reader, Record, Settings};
use loa::clock::Clock;
use tempfile::TempDir;

/// Patience for what must come; a test that runs into it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A log that can be closed and opened again, on a clock of its own.
struct Bed {
    dir: TempDir,
    clock: Clock,
}

impl Bed {
    fn new() -> Self {
        let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
        Self { dir: tempfile::tempdir().expect("a directory"), clock: Clock::manual(start) }
    }

    fn settings(&self) -> Settings {
        Settings::new(self.dir.path())
    }

    async fn open(&self) -> Bus {
        Bus::open(&self.settings(), self.clock.clone()).await.expect("the log opens")
    }

    fn pass_hours(&self, hours: i64) {
        self.clock.set(self.clock.now() + jiff::SignedDuration::from_hours(hours));
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
