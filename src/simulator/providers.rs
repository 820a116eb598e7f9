//! Skeleton.
use tokio::sync::mpsc;
use url::Url;

use crate::channel::{apns, fcm};
use crate::clock::Clock;
use crate::simulator::record::Delivered;

/// How the simulated providers behave from the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Judges the age of tokens.
    pub clock: Clock,
    /// MAX_CONCURRENT_STREAMS of new connections.
    pub max_concurrent_streams: u32,
    /// The simulated Firebase project.
    pub project: String,
    /// The app's bundle id.
    pub topic: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            max_concurrent_streams: 1000,
            project: "loa-simulated".to_owned(),
            topic: "vn.loa.app".to_owned(),
        }
    }
}

/// Why the simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error("cannot listen on loopback: {0}")]
    Listen(#[from] std::io::Error),
    /// No keys.
    #[error("cannot make keys: {0}")]
    Keys(String),
}

/// Both simulated providers, running.
#[derive(Debug)]
pub struct Providers {
    /// The simulated APNs (both environments).
    pub apns_url: Url,
    /// The simulated FCM, with its token endpoint.
    pub fcm_url: Url,
    /// The root to trust.
    pub ca_pem: String,
}

impl Providers {
    /// Starts both on loopback ports.
    pub async fn start(_options: Options) -> Result<Self, Error> {
        Err(Error::Keys("skeleton".into()))
    }
    /// Settings that make an APNs sender talk to this simulator.
    pub fn apns_settings(&self) -> apns::Settings {
        apns::Settings::default()
    }
    /// Settings that make an FCM sender talk to this simulator.
    pub fn fcm_settings(&self) -> fcm::Settings {
        fcm::Settings::default()
    }
    /// Everything delivered from now on. When the receiver lags by `capacity`, the providers wait
    /// for it: nothing is skipped.
    pub fn deliveries(&self, capacity: usize) -> mpsc::Receiver<Delivered> {
        mpsc::channel(capacity).1
    }
    /// Stops both; open connections end.
    pub async fn stop(self) {}
}
