//! The push channels, all of one shape: a [`Sender`] prepares a push once per (publication,
//! language, loudness) and sends the shared bytes to one address after another; every answer comes
//! back as an [`Outcome`] from that provider's pure table. Used by fan-out only; sees neither bus
//! nor store, and remembers nothing of a device.

pub mod apns;
pub mod fcm;
pub mod health;
pub mod http2;
pub mod payload;
pub mod recall;
mod retry_after;
pub mod webpush;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::secret;
use crate::domain::channel::{Channel, PushAddress};
use crate::domain::lane::Lane;
use crate::domain::outcome::{Arrival, Outcome, RetryScope};
use crate::domain::push::PushContent;

pub use health::Health;
use health::Monitor;

/// A push that never went out, for want of a connection or a stream, is tried again after this.
const UNSENT_WAIT: Duration = Duration::from_secs(1);

/// All providers' settings; a provider without settings is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Apple.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns: Option<apns::Settings>,
    /// Google.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<fcm::Settings>,
    /// Browsers' push services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webpush: Option<webpush::Settings>,
}

/// Why a channel cannot be opened: the operator must change a setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing or malformed.
    #[error("{channel}.{setting}: {why}")]
    Setting {
        /// Whose setting.
        channel: Channel,
        /// Which one.
        setting: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A secret is missing or unreadable.
    #[error("{channel}: {source}")]
    Secret {
        /// Whose secret.
        channel: Channel,
        /// What is wrong.
        source: secret::Error,
    },
    /// The trusted roots cannot be used.
    #[error("{channel}: {source}")]
    Trust {
        /// Whose connection.
        channel: Channel,
        /// What is wrong.
        source: http2::tls::Error,
    },
}

/// A push channel, ready to send: a provider's client, and what all providers share. Cheap to
/// clone; all clones share connections, credentials and what was observed.
#[derive(Clone, Debug)]
pub struct Sender {
    provider: Provider,
    clock: Clock,
    monitor: Monitor,
}

#[derive(Clone, Debug)]
enum Provider {
    /// Apple Push Notification service.
    Apns(apns::Client),
    /// Firebase Cloud Messaging.
    Fcm(fcm::Client),
    /// Browsers' push services.
    Webpush(webpush::Client),
}

/// How long a push may still be sent; `None` when its time is over.
fn time_left(delivery: &Delivery) -> Option<Duration> {
    let left = Duration::try_from(delivery.expires.duration_since(delivery.now)).ok()?;
    (!left.is_zero()).then_some(left)
}

/// What a push without an answer becomes. Where none was sent it may go out soon; where the answer
/// was lost the provider may be in trouble, and gets `patience`.
fn unanswered(error: http2::Error, patience: Duration) -> Outcome {
    let scope = if error.concerns_all() { RetryScope::Channel } else { RetryScope::Device };
    let (after, arrival) = match error {
        http2::Error::NotSent(_) => (UNSENT_WAIT, Arrival::Excluded),
        http2::Error::Lost(_) => (patience, Arrival::Possible),
        http2::Error::Withdrawn => return Outcome::Withdrawn,
    };
    Outcome::Retry { after: Some(after), scope, arrival, reason: error.reason() }
}

/// A push rendered for one provider; the bytes are shared by all who get it.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// For Apple.
    Apns(apns::Payload),
    /// For Google.
    Fcm(fcm::Payload),
    /// For browsers.
    Webpush(webpush::Payload),
}

impl Prepared {
    /// Calls back every push of it that still waits for a stream; each comes back as
    /// [`Outcome::Withdrawn`].
    pub fn call_back(&self) {
        match self {
            Self::Apns(payload) => payload.recall().call(),
            Self::Fcm(payload) => payload.recall().call(),
            Self::Webpush(payload) => payload.recall().call(),
        }
    }
}

/// What differs from one attempt to the next, apart from the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Follows from (publication, device), so that a repeat is traceable (`apns-id`). Providers do
    /// not drop repeats by it.
    pub id: Uuid,
    /// After this nothing is sent, and the provider must not deliver.
    pub expires: Timestamp,
    /// The present instant.
    pub now: Timestamp,
    /// Its lane: emergency goes first and has connections of its own.
    pub lane: Lane,
}

impl Sender {
    /// Opens the APNs channel. Connections are made when the first push needs them and end when
    /// `stop` is cancelled. Must be called within a tokio runtime.
    pub fn apns(
        settings: &apns::Settings,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let client = apns::Client::open(settings, clock.clone(), stop)?;
        Ok(Self::over(Provider::Apns(client), clock))
    }

    /// Opens the FCM channel; otherwise as [`Sender::apns`].
    pub fn fcm(
        settings: &fcm::Settings,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let client = fcm::Client::open(settings, clock.clone(), stop)?;
        Ok(Self::over(Provider::Fcm(client), clock))
    }

    /// Opens the Web Push channel with our VAPID key; otherwise as [`Sender::apns`].
    pub fn webpush(
        settings: &webpush::Settings,
        key: webpush::vapid::Key,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let client = webpush::Client::open(settings, key, clock.clone(), stop)?;
        Ok(Self::over(Provider::Webpush(client), clock))
    }

    fn over(provider: Provider, clock: Clock) -> Self {
        Self { provider, clock, monitor: Monitor::default() }
    }

    /// Which channel this is.
    pub fn channel(&self) -> Channel {
        match self.provider {
            Provider::Apns(_) => Channel::Apns,
            Provider::Fcm(_) => Channel::Fcm,
            Provider::Webpush(_) => Channel::Webpush,
        }
    }

    /// Renders a push, once for all its recipients; the body is cut to the provider's limit.
    pub fn prepare(&self, content: &PushContent) -> Result<Prepared, payload::Error> {
        match &self.provider {
            Provider::Apns(client) => client.prepare(content).map(Prepared::Apns),
            Provider::Fcm(client) => client.prepare(content).map(Prepared::Fcm),
            Provider::Webpush(client) => client.prepare(content).map(Prepared::Webpush),
        }
    }

    /// Sends a push to one address and tells what became of it. Waits while all streams are in
    /// use, never past the request's time limit or the push's expiry. Streams a server refused to
    /// process are sent again at once; nothing else is repeated here. Dropping the future cancels
    /// the request; whether the provider got it is then unknown.
    pub async fn send(
        &self,
        prepared: &Prepared,
        address: &PushAddress,
        delivery: &Delivery,
    ) -> Outcome {
        let outcome = self.provider.send(prepared, address, delivery).await;
        self.monitor.observe(&outcome, self.clock.now());
        outcome
    }

    /// How many sends make sense at once: connections × streams. More than that only wait.
    pub fn capacity(&self) -> usize {
        match &self.provider {
            Provider::Apns(client) => client.capacity(),
            Provider::Fcm(client) => client.capacity(),
            Provider::Webpush(client) => client.capacity(),
        }
    }

    /// Waits until a connection to the provider stands and credentials are at hand; false when
    /// the channel's connect timeout passed first.
    pub async fn ready(&self) -> bool {
        match &self.provider {
            Provider::Apns(client) => client.ready().await,
            Provider::Fcm(client) => client.ready().await,
            Provider::Webpush(client) => client.ready().await,
        }
    }

    /// How the channel fares.
    pub fn health(&self) -> Health {
        self.monitor.health()
    }

    /// Takes no new sends (they come back as `Retry`) and waits until all answers are in, or the
    /// request's time limit has passed.
    pub async fn drain(&self) {
        match &self.provider {
            Provider::Apns(client) => client.drain().await,
            Provider::Fcm(client) => client.drain().await,
            Provider::Webpush(client) => client.drain().await,
        }
    }
}

impl Provider {
    async fn send(
        &self,
        prepared: &Prepared,
        address: &PushAddress,
        delivery: &Delivery,
    ) -> Outcome {
        match (self, prepared, address) {
            (
                Self::Apns(client),
                Prepared::Apns(payload),
                PushAddress::Apns { token, environment, topic },
            ) => {
                let to = apns::Address { token, environment: *environment, topic };
                client.send(payload, to, delivery).await
            }
            (Self::Fcm(client), Prepared::Fcm(payload), PushAddress::Fcm { kind, value }) => {
                client.send(payload, fcm::Address { kind: *kind, value }, delivery).await
            }
            (Self::Webpush(client), Prepared::Webpush(payload), PushAddress::Webpush(to)) => {
                client.send(payload, to, delivery).await
            }
            _ => Outcome::Rejected { reason: "address_of_another_channel" },
        }
    }
}
