//! The push channels over real TLS sockets against the simulated providers.

mod apps;
mod external;
mod network;
mod outcomes;
mod reserve;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use loa::channel::webpush::vapid::Key;
use loa::channel::{Delivery, Prepared, Sender, http2};
use loa::clock::Clock;
use loa::domain::alert::Severity;
use loa::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::outcome::Outcome;
use loa::domain::publication::Action;
use loa::domain::push::{Loudness, PushContent};
use loa::simulator::providers::{Options, Providers};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// One sender, the simulated providers it talks to, and a push.
struct Bench {
    providers: Providers,
    sender: Sender,
    prepared: Prepared,
    content: PushContent,
    clock: Clock,
}

impl Bench {
    async fn start(channel: Channel) -> Self {
        Self::start_with(channel, Options::default(), |_| {}).await
    }

    async fn start_with(
        channel: Channel,
        options: Options,
        adjust: impl Fn(&mut http2::Settings),
    ) -> Self {
        let clock = options.clock.clone();
        let providers = Providers::start(options).await.expect("the simulator starts");
        let sender = sender(&providers, channel, &clock, adjust);
        let content = content();
        let prepared = sender.prepare(&content).expect("it fits");
        Self { providers, sender, prepared, content, clock }
    }

    fn delivery(&self, device: u64) -> Delivery {
        let id = Uuid::new_v5(&self.content.publication.0, &device.to_be_bytes());
        let (expires, lane) = (self.content.expires, self.content.lane);
        Delivery { id, expires, now: self.clock.now(), lane }
    }

    async fn send(&self, device: u64) -> Outcome {
        let address = self.address(device);
        self.sender.send(&self.prepared, &address, &self.delivery(device)).await
    }

    /// Sends to devices 0..count with so many at once; the outcomes come in order of devices.
    async fn send_all(&self, count: u64, at_once: usize) -> Vec<Outcome> {
        stream::iter(0..count).map(|device| self.send(device)).buffered(at_once).collect().await
    }

    fn address(&self, device: u64) -> PushAddress {
        match self.sender.channel() {
            Channel::Webpush => {
                let name = token(Channel::Webpush, device);
                PushAddress::Webpush(self.providers.browsers.subscription(&name))
            }
            phone => address(phone, device),
        }
    }
}

fn sender(
    providers: &Providers,
    channel: Channel,
    clock: &Clock,
    adjust: impl Fn(&mut http2::Settings),
) -> Sender {
    let stop = CancellationToken::new();
    let sender = match channel {
        Channel::Apns => {
            let mut settings = providers.apns_settings();
            adjust(&mut settings.http2);
            Sender::apns(&settings, clock.clone(), stop)
        }
        Channel::Fcm => {
            let mut settings = providers.fcm_settings();
            adjust(&mut settings.http2);
            Sender::fcm(&settings, clock.clone(), stop)
        }
        Channel::Webpush => {
            let mut settings = providers.webpush_settings();
            adjust(&mut settings.http2);
            let key = Key::parse(providers.webpush_key.expose()).expect("the simulator's key");
            Sender::webpush(&settings, key, clock.clone(), stop)
        }
        Channel::Websocket => panic!("no push channel"),
    };
    sender.expect("the simulator's settings are right")
}

fn token(channel: Channel, device: u64) -> String {
    match channel {
        Channel::Apns => format!("{device:064x}"),
        Channel::Webpush => format!("simulated-{device}"),
        _ => format!("fcm:\"token\"-{device}"),
    }
}

fn address(channel: Channel, device: u64) -> PushAddress {
    let token = token(channel, device);
    match channel {
        Channel::Apns => PushAddress::Apns {
            token,
            environment: ApnsEnvironment::Production,
            topic: Options::default().topic,
        },
        _ => PushAddress::Fcm { kind: FcmAddressKind::Token, value: token },
    }
}

pub(crate) fn content() -> PushContent {
    let id = Uuid::now_v7();
    PushContent {
        publication: PublicationId(id),
        chain: ChainId(id),
        action: Action::Alert,
        lane: Lane::Emergency,
        severity: Severity::Extreme,
        language: "vi".to_owned(),
        title: "Lũ quét: di dời ngay".to_owned(),
        body: "Nước sông dâng nhanh. Đến \"nhà văn hoá\" phường 🌊".to_owned(),
        loudness: Loudness::Critical,
        public: true,
        kind: None,
        exercise: false,
        coarse: false,
        expires: Timestamp::now() + Duration::from_secs(3600),
        signature: None,
    }
}

fn reason(outcome: &Outcome) -> &'static str {
    outcome.reason()
}

/// Waits until something holds, at most ten seconds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(tokio::time::Instant::now() < patience, "never: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

type Shared = Arc<Bench>;
