//! The program's own sender, whole: throttle, pool, provider token, judgement.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use loa::channel::throttle;
use loa::channel::{Delivery, Prepared, Sender, apns, http2};
use loa::clock::Clock;
use loa::config::secret::Secret;
use loa::domain::alert::Severity;
use loa::domain::channel::{ApnsEnvironment, PushAddress};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::outcome::Outcome;
use loa::domain::publication::Action;
use loa::domain::push::{Loudness, PushContent};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::measure::{Figures, Peer, measured};

/// The app.
const TOPIC: &str = "vn.loa.app";
/// Addresses that take turns: a device's address comes from the registry, not from the sender.
const ADDRESSES: u64 = 1024;

/// A device token.
pub fn token(device: u64) -> String {
    format!("{:064x}", u128::from(device).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// A sender to the peer, over one connection.
pub fn sender(peer: &Peer) -> Result<Sender> {
    let url = Url::parse(&format!("https://127.0.0.1:{}", peer.port))?;
    let key = rcgen::KeyPair::generate()?;
    let settings = apns::Settings {
        production: url.clone(),
        sandbox: url,
        credentials: apns::Credentials {
            team_id: "LOATEAM123".to_owned(),
            key_id: "LOAKEY1234".to_owned(),
            key: Some(Secret::new(key.serialize_pem())),
            ..apns::Credentials::default()
        },
        apps: vec![apns::App { bundle_id: TOPIC.to_owned(), ..apns::App::default() }],
        http2: http2::Settings {
            connections: 1,
            ca_file: Some(peer.ca.clone()),
            ..http2::Settings::default()
        },
        throttle: throttle::Settings { in_flight_min: 1000, ..throttle::Settings::default() },
    };
    Ok(Sender::apns(&settings, Clock::System, CancellationToken::new())?)
}

/// A push of usual length.
pub fn prepared(sender: &Sender, now: Timestamp) -> Result<Prepared> {
    let id = Uuid::now_v7();
    Ok(sender.prepare(&PushContent {
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
        expires: now + Duration::from_secs(3600),
        signature: None,
    })?)
}

/// Sends so many, so many at once.
pub async fn send(peer: &Peer, count: u64, at_once: usize) -> Result<Figures> {
    let sender = sender(peer)?;
    let now = Timestamp::now();
    let prepared = prepared(&sender, now)?;
    let address = |device| PushAddress::Apns {
        token: token(device),
        environment: ApnsEnvironment::Production,
        topic: TOPIC.to_owned(),
    };
    let addresses: Vec<_> = (0..ADDRESSES).map(address).collect();
    let (sender, prepared, addresses) = (&sender, &prepared, &addresses);
    let expires = now + Duration::from_secs(3600);
    let one = async |device: u64| {
        let id = Uuid::from_u64_pair(7, device);
        let delivery = Delivery { id, expires, now, lane: Lane::Emergency };
        let address = addresses.get((device % ADDRESSES) as usize).context("an address")?;
        let started = Instant::now();
        let outcome = sender.send(prepared, address, &delivery).await;
        ensure!(outcome == Outcome::Accepted, "{outcome:?}");
        Ok(started.elapsed())
    };
    // The connection stands and is proven before anything is measured.
    one(0).await?;
    let sending = stream::iter(0..count).map(one).buffer_unordered(at_once);
    measured(count, sending).await
}
