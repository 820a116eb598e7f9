//! What happens to connections, credentials and names while a city is being warned.

use std::sync::Arc;
use std::time::Duration;

use loa::channel::{Sender, http2};
use loa::domain::channel::Channel;
use loa::simulator::faults::{Rule, Then, When};
use tokio::time::timeout;

use super::drive::{Stage, Tally, heading};
use crate::support::process::eventually;

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Runs a scenario while `meanwhile` does something to the providers.
async fn during(
    stage: &Stage,
    (name, sender): (&str, &Sender),
    meanwhile: impl Future<Output = ()>,
) -> Tally {
    heading();
    let (tally, ()) = tokio::join!(stage.run(name, sender), meanwhile);
    assert_eq!((tally.accepted, tally.dead, tally.rejected), (stage.devices(), 0, 0), "{name}");
    tally
}

async fn delivered(stage: &Stage, share: f64) {
    let enough = (stage.devices() as f64 * share) as u64;
    let record = &stage.providers.record;
    eventually(async || (record.of_channel(stage.channel) >= enough).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goaway_every_thousand_requests() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        // Fewer where there are hardly as many devices.
        let every = 1000.min(stage.devices() / 2);
        stage.providers.faults.limit(|limits| limits.goaway_every = Some(every));
        let sender = stage.sender(|_| {});
        let tally = during(&stage, ("GOAWAY every 1,000 requests", &sender), async {}).await;
        assert_eq!((tally.lost, tally.doubled), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms_of_resets() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        stage.rules(vec![
            Rule::new(When::Share(0.5), Then::Reset(REFUSED_STREAM)),
            Rule::new(When::Share(0.2), Then::Reset(ENHANCE_YOUR_CALM)),
            Rule::new(When::Share(0.2), Then::ResetAfter(INTERNAL_ERROR)),
        ]);
        let tally = during(&stage, ("RST storm", &stage.sender(|_| {})), async {}).await;
        assert!(tally.lost > stage.devices() / 20 && tally.doubled > 0, "{tally:?}");
        assert!(tally.doubled < tally.lost, "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_stop_reading() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        let often = When::Every(stage.devices() / 4);
        stage.rules(vec![Rule { limit: Some(3), ..Rule::new(often, Then::Stall) }]);
        let sender = stage.sender(|settings| {
            (settings.ping_quiet_ms, settings.ping_timeout_ms) = (200, 800);
        });
        let tally = during(&stage, ("stalls: the peer stops reading", &sender), async {}).await;
        assert!(tally.lost > 0, "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_and_back() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        let sender = stage.sender(|_| {});
        let streams = |count| {
            stage.providers.faults.limit(|limits| limits.max_concurrent_streams = count);
        };
        let meanwhile = async {
            delivered(&stage, 0.2).await;
            streams(1);
            delivered(&stage, 0.5).await;
            streams(1000);
        };
        let name = "MAX_CONCURRENT_STREAMS to 1 and back";
        let tally = during(&stage, (name, &sender), meanwhile).await;
        assert_eq!((tally.lost, tally.doubled), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_expire_in_flight() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        let sender = stage.sender(|_| {});
        // A VAPID token is good for twelve hours, the others for one.
        let hours = if channel == Channel::Webpush { 12 } else { 1 };
        let life = Duration::from_secs(hours * 3600 + 60);
        let meanwhile = async {
            for share in [0.2, 0.6] {
                delivered(&stage, share).await;
                stage.clock.set(stage.clock.now() + life);
            }
        };
        let name = "the provider token expires in flight, twice";
        let tally = during(&stage, (name, &sender), meanwhile).await;
        assert_eq!((tally.lost, tally.doubled), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_changes() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        stage.providers.faults.limit(|limits| limits.goaway_every = Some(stage.devices() / 8));
        // Slow enough that there is a middle, in which the certificate changes.
        stage.rules(vec![Rule::new(When::Always, Then::Slow(Duration::from_millis(10)))]);
        let sender = stage.sender(|settings| {
            (settings.backoff_min_ms, settings.backoff_max_ms) = (1, 20);
            (settings.connections, settings.streams) = (2, 10);
        });
        let change = |trusted| {
            stage.providers.change_certificate(trusted).expect("a certificate");
        };
        let meanwhile = async {
            delivered(&stage, 0.2).await;
            change(true);
            delivered(&stage, 0.4).await;
            // Somebody else's, for a moment: nothing may go to him.
            change(false);
            let faults = &stage.providers.faults;
            eventually(async || (faults.broken_handshakes() > 0).then_some(())).await;
            change(true);
        };
        let name = "the certificate changes, for a moment to a stranger's";
        let tally = during(&stage, (name, &sender), meanwhile).await;
        assert_eq!((tally.lost, tally.doubled), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_slow_to_look_up() {
    for channel in Channel::PUSH {
        let stage = Stage::start(channel).await;
        stage.providers.faults.limit(|limits| limits.goaway_every = Some(stage.devices() / 8));
        let look_up: Arc<http2::Lookup> = Arc::new(|_, port| {
            Box::pin(async move {
                let _ = timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
                Ok(vec![([192, 0, 2, 1], 9).into(), ([127, 0, 0, 1], port).into()])
            })
        });
        let sender = stage.sender(|settings| {
            settings.resolver = http2::Resolver::Given(look_up);
        });
        let name = "slow DNS, and its first address is dead";
        let tally = during(&stage, (name, &sender), async {}).await;
        assert_eq!((tally.lost, tally.doubled), (0, 0));
    }
}
