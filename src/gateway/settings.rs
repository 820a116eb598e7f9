//! The gateway's settings, each a limit with its reason.

use std::time::Duration;

use serde::Deserialize;

/// The citizens' streams.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Publications kept in memory per log partition, for clients that resume.
    pub ring_publications: usize,
    /// Live publications kept beside them.
    pub live_publications: usize,
    /// The most that is replayed to a client that resumes; past it the client reloads.
    pub missed_max: usize,
    /// Frames that may wait for one client.
    pub queue_frames: usize,
    /// Bytes that may wait for one client (centrifugo's own limit: 1 MiB).
    pub queue_bytes: usize,
    /// Streams of this node. Each needs one descriptor, 1 KiB of ours and 4 KiB of the kernel's.
    pub streams_max: usize,
    /// Streams of one address: a school or an office shares one.
    pub streams_per_address: usize,
    /// New streams a second from one address, on average.
    pub new_streams_per_second: u32,
    /// New streams from one address at once.
    pub new_streams_burst: u32,
    /// Tries of a report's secret code a second from one address, on average: a code is not
    /// guessed, and people who share an address still read theirs.
    pub report_tries_per_second: u32,
    /// Tries of one address at once.
    pub report_tries_burst: u32,
    /// Milliseconds within which a client must say hello.
    pub hello_ms: u64,
    /// Milliseconds between pings; below the idle timeout of any proxy in front.
    pub ping_ms: u64,
    /// Milliseconds within which a ping must be answered.
    pub pong_ms: u64,
    /// Milliseconds one write may take before the client is called slow.
    pub write_ms: u64,
    /// Messages a client may send between two pings.
    pub messages_per_ping: u32,
    /// The least milliseconds a client is asked to wait before it reconnects.
    pub reconnect_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_publications: 4_096,
            live_publications: 4_096,
            missed_max: 300,
            queue_frames: 1_024,
            queue_bytes: 1 << 20,
            streams_max: 15_000,
            streams_per_address: 500,
            new_streams_per_second: 20,
            new_streams_burst: 200,
            report_tries_per_second: 1,
            report_tries_burst: 20,
            hello_ms: 10_000,
            ping_ms: 25_000,
            pong_ms: 8_000,
            write_ms: 10_000,
            messages_per_ping: 600,
            reconnect_ms: 1_000,
        }
    }
}

impl Settings {
    /// Every value that makes no sense, with its key.
    pub fn problems(&self) -> Vec<String> {
        let mut found: Vec<String> = [
            ("ring_publications", self.ring_publications as u64),
            ("queue_frames", self.queue_frames as u64),
            ("queue_bytes", self.queue_bytes as u64),
            ("streams_max", self.streams_max as u64),
            ("report_tries_per_second", u64::from(self.report_tries_per_second)),
            ("report_tries_burst", u64::from(self.report_tries_burst)),
            ("hello_ms", self.hello_ms),
            ("ping_ms", self.ping_ms),
            ("pong_ms", self.pong_ms),
            ("write_ms", self.write_ms),
        ]
        .iter()
        .filter(|(_, value)| *value == 0)
        .map(|(key, _)| format!("{key} must not be 0"))
        .collect();
        if self.pong_ms >= self.ping_ms {
            found.push("pong_ms must be less than ping_ms".to_owned());
        }
        found
    }

    /// How fast an address may try a report's code: a second, and at once.
    pub fn report_rate(&self) -> (u32, u32) {
        (self.report_tries_per_second, self.report_tries_burst)
    }

    /// Time between pings.
    pub fn ping(&self) -> Duration {
        Duration::from_millis(self.ping_ms)
    }

    /// Time for one write.
    pub fn write(&self) -> Duration {
        Duration::from_millis(self.write_ms)
    }
}
