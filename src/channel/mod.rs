//! The push channels, all of one shape: a [`Sender`] prepares a push once per (publication,
//! language, loudness) and sends the shared bytes to one address after another; every answer comes
//! back as an [`Outcome`] from that provider's pure table. Used by fan-out only; sees neither bus
//! nor store, and remembers nothing of a device.

pub mod apns;
mod bounds;
pub mod fcm;
pub mod health;
pub mod http2;
pub mod open;
mod pace;
pub mod payload;
pub mod preview;
pub mod recall;
pub mod retry_after;
pub mod throttle;
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

pub use bounds::bounds;
pub use health::Health;
use health::Monitor;
pub use open::Checked;
use pace::Pace;
use recall::Recall;
use throttle::{Figures, Load, Throttle, Turn, TurnedBack};

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

impl Settings {
    /// Opens Apple's and Google's channel where they have settings; Web Push needs a key beside
    /// them ([`Sender::webpush`]). Connections are made when the first push needs them
    /// and end when `stop` is cancelled. Must be called within a tokio runtime.
    pub fn open(&self, clock: &Clock, stop: &CancellationToken) -> Vec<Result<Sender, Error>> {
        let apns = self.apns.as_ref().map(|apns| Sender::apns(apns, clock.clone(), stop.clone()));
        let fcm = self.fcm.as_ref().map(|fcm| Sender::fcm(fcm, clock.clone(), stop.clone()));
        apns.into_iter().chain(fcm).collect()
    }
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
    throttle: Throttle,
    pace: Pace,
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

/// What a push becomes that was not let out until an instant.
fn paused(until: Timestamp, now: Timestamp) -> Outcome {
    unsent(Duration::try_from(until.duration_since(now)).unwrap_or_default(), "paused")
}

fn unsent(after: Duration, reason: &'static str) -> Outcome {
    let (scope, arrival) = (RetryScope::Device, Arrival::Excluded);
    Outcome::Retry { after: Some(after), scope, arrival, reason }
}

/// What an outcome says of a provider's load.
fn load(outcome: &Outcome) -> Load {
    match outcome {
        Outcome::Accepted | Outcome::DeadAddress { .. } | Outcome::Rejected { .. } => Load::Borne,
        Outcome::Retry { scope: RetryScope::Channel | RetryScope::Slower, .. }
        | Outcome::Retry { arrival: Arrival::Possible, .. } => Load::Strained,
        Outcome::Retry { .. }
        | Outcome::Misconfigured { .. }
        | Outcome::Expired
        | Outcome::Withdrawn => Load::Unknown,
    }
}

fn throttle(
    channel: Channel,
    (settings, http2): (&throttle::Settings, &http2::Settings),
    quota: Option<u32>,
) -> Result<Throttle, Error> {
    match settings.broken_rule() {
        Some((setting, rule)) => Err(Error::Setting { channel, setting, why: rule.to_owned() }),
        None => Ok(Throttle::new(settings, http2.capacity(), quota)),
    }
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
    /// Calls back every push of it that still waits; each comes back as [`Outcome::Withdrawn`].
    pub fn call_back(&self) {
        self.recall().call();
    }

    fn recall(&self) -> &Recall {
        match self {
            Self::Apns(payload) => payload.recall(),
            Self::Fcm(payload) => payload.recall(),
            Self::Webpush(payload) => payload.recall(),
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
        let throttle = throttle(Channel::Apns, (&settings.throttle, &settings.http2), None)?;
        Ok(Self::over(Provider::Apns(client), clock, throttle))
    }

    /// Opens the FCM channel; otherwise as [`Sender::apns`].
    pub fn fcm(
        settings: &fcm::Settings,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let client = fcm::Client::open(settings, clock.clone(), stop)?;
        let limits = (&settings.throttle, &settings.http2);
        let throttle = throttle(Channel::Fcm, limits, Some(fcm::QUOTA_PER_MINUTE))?;
        Ok(Self::over(Provider::Fcm(client), clock, throttle))
    }

    /// Opens the Web Push channel with our VAPID key; otherwise as [`Sender::apns`].
    pub fn webpush(
        settings: &webpush::Settings,
        key: webpush::vapid::Key,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let client = webpush::Client::open(settings, key, clock.clone(), stop)?;
        let throttle = throttle(Channel::Webpush, (&settings.throttle, &settings.http2), None)?;
        Ok(Self::over(Provider::Webpush(client), clock, throttle))
    }

    fn over(provider: Provider, clock: Clock, throttle: Throttle) -> Self {
        let (monitor, pace) = (Monitor::default(), Pace::default());
        Self { provider, clock, monitor, throttle, pace }
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

    /// Sends a push to one address and tells what became of it. Waits until the throttle lets it
    /// in, then for a stream, never past the request's time limit or the push's expiry. Streams a
    /// server refused to process are sent again at once; nothing else is repeated here. Dropping
    /// the future cancels the request; whether the provider got it is then unknown.
    pub async fn send(
        &self,
        prepared: &Prepared,
        address: &PushAddress,
        delivery: &Delivery,
    ) -> Outcome {
        if let Some(until) = self.paused_until(delivery.now) {
            return paused(until, delivery.now);
        }
        let mut delivery = *delivery;
        let pass = match self.throttle.ask(delivery.lane) {
            Ok(Turn::Now(pass)) => pass,
            Ok(Turn::Later(turn)) => {
                let pass = tokio::select! {
                    pass = turn => pass,
                    () = prepared.recall().called() => return Outcome::Withdrawn,
                };
                delivery.now = self.clock.now();
                let Ok(pass) = pass else { return self.turned_back(delivery.now) };
                pass
            }
            Err(TurnedBack) => return self.turned_back(delivery.now),
        };
        let outcome = self.provider.send(prepared, address, &delivery).await;
        pass.done(self.provider.load(&outcome));
        self.monitor.observe(&outcome, self.clock.now());
        outcome
    }

    /// Lets nothing out until an instant; who waits comes back to be tried again then.
    pub fn pause_until(&self, instant: Timestamp) {
        self.pace.pause_until(instant);
        self.throttle.turn_back();
    }

    /// The end of the pause, if the channel pauses now.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pace.paused_until(now)
    }

    /// Shares the provider's quota with other nodes from now on; nothing where there is none.
    pub fn share_quota(&self) -> Option<throttle::Shared> {
        self.throttle.share()
    }

    /// How fast it goes.
    pub fn figures(&self) -> Figures {
        self.throttle.figures()
    }

    fn turned_back(&self, now: Timestamp) -> Outcome {
        match self.paused_until(now) {
            Some(until) => paused(until, now),
            None => unsent(UNSENT_WAIT, "closing"),
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

    /// Asks the provider, for each set of credentials, whether it would take a push; nothing it
    /// asks for can reach a phone.
    pub async fn check(&self) -> Vec<Checked> {
        match &self.provider {
            Provider::Apns(client) => client.check().await,
            Provider::Fcm(client) => client.check().await,
            // Which services there are only the subscriptions say, and they know no account.
            Provider::Webpush(_) => Vec::new(),
        }
    }

    /// Whether one account serves the whole channel: credentials that are refused then concern
    /// everybody on it.
    pub fn one_account(&self) -> bool {
        match &self.provider {
            Provider::Apns(client) => client.one_account(),
            Provider::Fcm(_) => true,
            Provider::Webpush(_) => false,
        }
    }

    /// The topics of units, where the channel has them and the settings ask for them.
    pub fn topics(&self) -> Option<fcm::Topics> {
        match &self.provider {
            Provider::Fcm(client) => client.topics(),
            Provider::Apns(_) | Provider::Webpush(_) => None,
        }
    }

    /// Notes whether the addresses called dead are too many to be believed; part of the health.
    pub fn doubt_the_dead(&self, doubted: bool) {
        self.monitor.doubt_the_dead(doubted);
    }

    /// How the channel fares.
    pub fn health(&self) -> Health {
        self.monitor.health()
    }

    /// Takes no new sends (they come back as `Retry`) and waits until all answers are in, or the
    /// request's time limit has passed.
    pub async fn drain(&self) {
        self.throttle.close();
        match &self.provider {
            Provider::Apns(client) => client.drain().await,
            Provider::Fcm(client) => client.drain().await,
            Provider::Webpush(client) => client.drain().await,
        }
    }
}

impl Provider {
    /// What an outcome says of the channel's load. Of many push services one in trouble says
    /// nothing of the others.
    fn load(&self, outcome: &Outcome) -> Load {
        match load(outcome) {
            Load::Strained if matches!(self, Self::Webpush(_)) => Load::Unknown,
            load => load,
        }
    }

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
                let to = fcm::Address { kind: (*kind).into(), value };
                client.send(payload, to, delivery).await
            }
            (Self::Webpush(client), Prepared::Webpush(payload), PushAddress::Webpush(to)) => {
                // The largest by far: kept apart, so that the others need not be as large.
                Box::pin(client.send(payload, to, delivery)).await
            }
            _ => Outcome::Rejected { reason: "address_of_another_channel" },
        }
    }
}
