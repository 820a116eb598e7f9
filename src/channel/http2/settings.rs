//! How many connections a sender keeps, and how patient it is.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Resolver;

/// Settings of one sender, for each host it talks to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Most connections at once. More are opened only when the streams of the others are in use.
    /// FCM allows about 100 streams on each: ten carry its quota at a round trip of 100 ms.
    pub connections: u16,
    /// Of these, the connections only the emergency lane may use; one connection always serves all.
    /// They are kept standing.
    pub reserved_connections: u16,
    /// Most requests in flight on a connection; the peer's own limit holds where it is lower.
    /// 1,000 in flight is where the sender was measured fastest.
    pub streams: u32,
    /// Time to look a name up, connect, and finish the TLS and HTTP/2 handshakes.
    pub connect_timeout_ms: u64,
    /// Time from a send to its answer, waiting for a stream included; but a request that waited
    /// gets up to ten seconds for its answer. FCM asks for at least 10,000.
    pub request_timeout_ms: u64,
    /// With requests in flight, a connection that brought no answer for so long is pinged.
    pub ping_quiet_ms: u64,
    /// Without requests in flight, a connection is pinged so often.
    pub ping_idle_ms: u64,
    /// A ping unanswered for so long ends the connection.
    pub ping_timeout_ms: u64,
    /// First wait after a failed connect; doubles with each further failure, with jitter.
    pub backoff_min_ms: u64,
    /// Longest wait between connects.
    pub backoff_max_ms: u64,
    /// A PEM file of further trusted roots (the simulator, or a proxy that ends TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How names are looked up.
    #[serde(skip)]
    pub resolver: Resolver,
    /// Further trusted roots, inline PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// Whether a connection must prove itself before its streams are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// All streams from the start.
    None,
    /// One stream until the first request is answered with 200 (APNs, FACTS A2).
    FirstAccepted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 10,
            reserved_connections: 1,
            streams: 1000,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 15_000,
            ping_quiet_ms: 2_000,
            ping_idle_ms: 60_000,
            ping_timeout_ms: 3_000,
            backoff_min_ms: 200,
            backoff_max_ms: 10_000,
            resolver: Resolver::default(),
            ca_file: None,
            ca_pem: None,
        }
    }
}

impl Settings {
    /// The first rule these settings break, as (setting, rule).
    pub fn broken_rule(&self) -> Option<(&'static str, &'static str)> {
        let rules = [
            ("http2.connections", (1..=64).contains(&self.connections), "must be 1 to 64"),
            ("http2.streams", (1..=10_000).contains(&self.streams), "must be 1 to 10,000"),
            ("http2.connect_timeout_ms", self.connect_timeout_ms > 0, "must not be 0"),
            ("http2.request_timeout_ms", self.request_timeout_ms > 0, "must not be 0"),
            ("http2.ping_quiet_ms", self.ping_quiet_ms > 0, "must not be 0"),
            ("http2.ping_idle_ms", self.ping_idle_ms > 0, "must not be 0"),
            ("http2.ping_timeout_ms", self.ping_timeout_ms > 0, "must not be 0"),
            (
                "http2.backoff_min_ms",
                (1..=self.backoff_max_ms).contains(&self.backoff_min_ms),
                "must be 1 to http2.backoff_max_ms",
            ),
        ];
        rules.into_iter().find(|(_, holds, _)| !holds).map(|(setting, _, rule)| (setting, rule))
    }

    /// [`Settings::connect_timeout_ms`].
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// [`Settings::request_timeout_ms`].
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// How many connections a lane may have to itself: the emergency lane, or the others.
    pub fn connections_of(&self, hot: bool) -> usize {
        let reserved = self.reserved_connections.min(self.connections.saturating_sub(1));
        usize::from(if hot { reserved } else { self.connections - reserved })
    }

    /// Connections × streams: what can be in flight at once.
    pub fn capacity(&self) -> usize {
        usize::from(self.connections) * self.streams as usize
    }
}
