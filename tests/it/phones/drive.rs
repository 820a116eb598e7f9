//! Sends one push to many devices until each has its final answer, and holds the answers against
//! what the simulated provider delivered.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use loa::channel::webpush::vapid::Key;
use loa::channel::{Delivery, Prepared, Sender, apns, fcm};
use loa::clock::Clock;
use loa::domain::alert::Severity;
use loa::domain::channel::{ApnsEnvironment, Channel, FcmAddressKind, PushAddress};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::outcome::{Arrival, Outcome};
use loa::domain::publication::Action;
use loa::domain::push::{Loudness, PushContent};
use loa::simulator::faults::{Rule, Service};
use loa::simulator::providers::{Options, Providers};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// So many sends at once, as a few dispatches make.
const AT_ONCE: usize = 2_000;
/// So often a device is tried; who needs more is lost.
const ROUNDS: u32 = 60;

/// Devices of one scenario. Encryption makes a browser's push the dearest: fewer in the short form.
pub fn devices(channel: Channel) -> u64 {
    if std::env::var_os("LOA_FULL").is_some_and(|value| value == "1") {
        return 100_000;
    }
    if channel == Channel::Webpush { 600 } else { 2_000 }
}

/// What became of one device.
#[derive(Clone, Debug, Default)]
struct Fate {
    last: Option<Outcome>,
    /// Answers that were lost.
    lost: u32,
}

/// Simulated providers with a sender to one of them.
pub struct Stage {
    /// The providers.
    pub providers: Providers,
    /// The time of both sides.
    pub clock: Clock,
    /// Which of them.
    pub channel: Channel,
}

/// What a scenario came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Devices.
    pub devices: u64,
    /// Accepted at last.
    pub accepted: u64,
    /// Called dead.
    pub dead: u64,
    /// Refused for good.
    pub rejected: u64,
    /// Of them, those whose answer had a status of 400 and no reason.
    pub by_status: u64,
    /// Answers lost.
    pub lost: u64,
    /// Deliveries beyond the first to a device.
    pub doubled: u64,
}

impl Stage {
    /// Starts the providers, under a clock that stands still.
    pub async fn start(channel: Channel) -> Self {
        let clock = Clock::manual(Timestamp::now());
        let options = Options { clock: clock.clone(), ..Options::default() };
        let providers = Providers::start(options).await.expect("the simulator starts");
        Self { providers, clock, channel }
    }

    /// The service of the channel, for faults.
    pub fn service(&self) -> Service {
        match self.channel {
            Channel::Apns => Service::Apns,
            Channel::Webpush => Service::Webpush,
            _ => Service::Fcm,
        }
    }

    /// Devices of one scenario.
    pub fn devices(&self) -> u64 {
        devices(self.channel)
    }

    fn address(&self, device: u64) -> PushAddress {
        let token = token(self.channel, device);
        match self.channel {
            Channel::Apns => PushAddress::Apns {
                token,
                environment: ApnsEnvironment::Production,
                topic: Options::default().topic,
            },
            Channel::Webpush => PushAddress::Webpush(self.providers.browsers.subscription(&token)),
            _ => PushAddress::Fcm { kind: FcmAddressKind::Token, value: token },
        }
    }

    /// Replaces the channel's fault rules.
    pub fn rules(&self, rules: Vec<Rule>) {
        self.providers.faults.set(self.service(), rules);
    }

    /// A sender with changed connection settings.
    pub fn sender(&self, adjust: impl FnOnce(&mut loa::channel::http2::Settings)) -> Sender {
        let (clock, stop) = (self.clock.clone(), CancellationToken::new());
        let sender = match self.channel {
            Channel::Apns => {
                let mut settings: apns::Settings = self.providers.apns_settings();
                adjust(&mut settings.http2);
                Sender::apns(&settings, clock, stop)
            }
            Channel::Webpush => {
                let mut settings = self.providers.webpush_settings();
                adjust(&mut settings.http2);
                let key = Key::parse(self.providers.webpush_key.expose()).expect("a key");
                Sender::webpush(&settings, key, clock, stop)
            }
            _ => {
                let mut settings: fcm::Settings = self.providers.fcm_settings();
                adjust(&mut settings.http2);
                Sender::fcm(&settings, clock, stop)
            }
        };
        sender.expect("the simulator's settings are right")
    }

    /// Sends to every device until it has a final answer, then holds all against the record and
    /// prints a row.
    pub async fn run(&self, name: &str, sender: &Sender) -> Tally {
        let started = Instant::now();
        let connections = self.providers.faults.connections();
        self.providers.record.clear();
        let content = content(self.clock.now());
        let prepared = sender.prepare(&content).expect("it fits");
        let mut fates = vec![Fate::default(); self.devices() as usize];
        for _ in 0..ROUNDS {
            let open: Vec<u64> =
                (0..self.devices()).filter(|device| !fates[*device as usize].is_final()).collect();
            if open.is_empty() {
                break;
            }
            self.round(sender, (&prepared, &content), &open, &mut fates).await;
        }
        sender.drain().await;
        let tally = self.judge(name, &content, &fates);
        let connections = self.providers.faults.connections() - connections;
        report(self.channel, name, &tally, (connections, started.elapsed()));
        tally
    }

    async fn round(
        &self,
        sender: &Sender,
        (prepared, content): (&Prepared, &PushContent),
        open: &[u64],
        fates: &mut [Fate],
    ) {
        let send = async |device: u64| {
            let id = Uuid::new_v5(&content.publication.0, &device.to_be_bytes());
            let (expires, now) = (content.expires, self.clock.now());
            let delivery = Delivery { id, expires, now, lane: content.lane };
            (device, sender.send(prepared, &self.address(device), &delivery).await)
        };
        let mut answers = stream::iter(open.iter().copied()).map(send).buffer_unordered(AT_ONCE);
        while let Some((device, outcome)) = answers.next().await {
            let fate = &mut fates[device as usize];
            let lost = matches!(outcome, Outcome::Retry { arrival: Arrival::Possible, .. });
            fate.lost += u32::from(lost);
            fate.last = Some(outcome);
        }
    }

    fn judge(&self, name: &str, content: &PushContent, fates: &[Fate]) -> Tally {
        let mut tally = Tally { devices: self.devices(), ..Tally::default() };
        for (device, fate) in (0..).zip(fates) {
            let seen = self.providers.record.of(&token(self.channel, device));
            let accepted = match &fate.last {
                Some(Outcome::Accepted) => 1,
                Some(Outcome::DeadAddress { .. }) => {
                    tally.dead += 1;
                    0
                }
                Some(Outcome::Rejected { reason }) => {
                    tally.rejected += 1;
                    tally.by_status += u64::from(*reason == "http_400");
                    0
                }
                other => panic!("{name}: device {device} is lost: {other:?}"),
            };
            tally.accepted += accepted;
            tally.lost += u64::from(fate.lost);
            tally.doubled += (seen.len() as u64).saturating_sub(1);
            let bounds = accepted..=accepted + u64::from(fate.lost);
            assert!(
                bounds.contains(&(seen.len() as u64)),
                "{name}: device {device} got it {} times: {fate:?}",
                seen.len()
            );
            for one in &seen {
                assert_eq!(one.publication, content.publication, "{name}");
                assert_eq!(one.collapse_id, Some(content.chain.0), "{name}: the collapse id");
                let id = Uuid::new_v5(&content.publication.0, &device.to_be_bytes());
                let same = self.channel != Channel::Apns || one.message_id == Some(id);
                assert!(same, "{name}: {:?} is not the push's id", one.message_id);
            }
        }
        tally
    }
}

impl Fate {
    fn is_final(&self) -> bool {
        !matches!(
            self.last,
            None | Some(Outcome::Retry { .. } | Outcome::Misconfigured { .. } | Outcome::Expired)
        )
    }
}

fn report(channel: Channel, name: &str, tally: &Tally, (connections, took): (u64, Duration)) {
    println!(
        "{:<7} {name:<56} {:>7} {:>8} {:>6} {:>8} {:>6} {:>7} {connections:>6} {:>7.1}",
        channel.as_str(),
        tally.devices,
        tally.accepted,
        tally.dead,
        tally.rejected,
        tally.lost,
        tally.doubled,
        took.as_secs_f64()
    );
}

/// What the columns are.
pub fn heading() {
    println!(
        "{:<64} {:>7} {:>8} {:>6} {:>8} {:>6} {:>7} {:>6} {:>7}",
        "scenario",
        "devices",
        "accepted",
        "dead",
        "rejected",
        "lost",
        "doubled",
        "conns",
        "seconds"
    );
}

/// A device's address value.
pub fn token(channel: Channel, device: u64) -> String {
    match channel {
        Channel::Apns => format!("{device:064x}"),
        Channel::Webpush => format!("simulated-{device}"),
        _ => format!("fcm-token-{device}"),
    }
}

fn content(now: Timestamp) -> PushContent {
    let id = Uuid::now_v7();
    PushContent {
        publication: PublicationId(id),
        chain: ChainId(id),
        action: Action::Alert,
        lane: Lane::Emergency,
        kind: None,
        severity: Severity::Severe,
        language: "vi".to_owned(),
        title: "Lũ quét: di dời ngay".to_owned(),
        body: "Nước sông dâng nhanh. Đến nhà văn hoá phường.".to_owned(),
        loudness: Loudness::TimeSensitive,
        public: true,
        exercise: false,
        coarse: false,
        expires: now + Duration::from_secs(36 * 3600),
        signature: None,
    }
}

/// How many devices of each count hold.
pub fn count_where(what: impl Fn(&str) -> bool, channel: Channel) -> u64 {
    (0..devices(channel)).filter(|device| what(&token(channel, *device))).count() as u64
}
