//! The channel against one or two push services: what they answer, what they do not, and where
//! they are.

use std::time::Duration;

use jiff::Timestamp;
use loa::channel::webpush::Settings;
use loa::channel::webpush::vapid::Key;
use loa::channel::{Delivery, Sender};
use loa::clock::Clock;
use loa::domain::channel::PushAddress;
use loa::domain::outcome::{Arrival, Outcome, RetryScope};
use loa::domain::webpush::Subscription;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use loa::simulator::providers::{Options, Providers};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::channel::content;

const A: &str = "simulated-a";

struct Bench {
    providers: Providers,
    sender: Sender,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let providers = Providers::start(Options::default()).await.expect("the simulator starts");
        let mut settings = providers.webpush_settings();
        // One connection each, to be counted.
        settings.http2.reserved_connections = 0;
        change(&mut settings);
        let sender = open(&providers, &settings);
        Self { providers, sender }
    }

    fn fault(&self, rules: Vec<Rule>) {
        self.providers.faults.set(Service::Webpush, rules);
    }

    async fn answer(&self, status: u16, retry_after: Option<&str>) -> Outcome {
        let retry_after = retry_after.map(str::to_owned);
        let refusal = Refusal { retry_after, ..Refusal::new(status, "") };
        self.fault(vec![Rule::once(Then::Refuse(refusal))]);
        self.send(A).await
    }

    async fn send(&self, name: &str) -> Outcome {
        send(&self.sender, self.providers.browsers.subscription(name)).await
    }
}

fn open(providers: &Providers, settings: &Settings) -> Sender {
    let key = Key::parse(providers.webpush_key.expose()).expect("the simulator's key");
    let stop = CancellationToken::new();
    Sender::webpush(settings, key, Clock::System, stop).expect("the settings are right")
}

async fn send(sender: &Sender, to: Subscription) -> Outcome {
    let content = content();
    let prepared = sender.prepare(&content).expect("it fits");
    let delivery = Delivery {
        id: Uuid::now_v7(),
        expires: content.expires,
        now: Timestamp::now(),
        lane: content.lane,
    };
    sender.send(&prepared, &PushAddress::Webpush(to), &delivery).await
}

fn wait(seconds: u64, reason: &'static str, arrival: Arrival) -> Outcome {
    let after = Some(Duration::from_secs(seconds));
    Outcome::Retry { after, scope: RetryScope::Device, arrival, reason }
}

#[tokio::test]
async fn what_a_service_refuses_becomes_its_outcome() {
    let bench = Bench::start().await;
    let excluded = |seconds, reason| wait(seconds, reason, Arrival::Excluded);
    // Before any push was accepted, a refused token says nothing about the subscription.
    assert_eq!(bench.answer(403, None).await, excluded(30, "http_403"));
    assert_eq!(bench.send(A).await, Outcome::Accepted);
    let dead = |reason| Outcome::DeadAddress { reason, since: None };
    let rows = [
        (403, None, dead("vapid_mismatch")),
        (404, None, dead("http_404")),
        (410, None, dead("http_410")),
        (400, None, Outcome::Rejected { reason: "http_400" }),
        (413, None, Outcome::Rejected { reason: "payload_too_large" }),
        (307, None, Outcome::Rejected { reason: "http_3xx" }),
        (429, Some("7"), excluded(7, "http_429")),
        (429, None, excluded(60, "http_429")),
        (503, Some("3"), excluded(3, "http_503")),
        (500, None, excluded(10, "http_5xx")),
    ];
    for (status, retry_after, expected) in rows {
        assert_eq!(bench.answer(status, retry_after).await, expected, "{status}");
    }
    assert_eq!(bench.providers.record.of(A).len(), 1);
    assert_eq!(bench.providers.faults.connections(), 1);
}

#[tokio::test]
async fn a_subscription_of_another_key_is_told_apart_from_a_wrong_token() {
    let bench = Bench::start().await;
    let other = Key::parse(&Key::generate().expect("a key")).expect("a key");
    bench.providers.browsers.watch("simulated-other", Some(other.public()));
    assert_eq!(bench.send("simulated-other").await, wait(30, "http_403", Arrival::Excluded));
    assert_eq!(bench.send(A).await, Outcome::Accepted);
    let dead = Outcome::DeadAddress { reason: "vapid_mismatch", since: None };
    assert_eq!(bench.send("simulated-other").await, dead);
}

#[tokio::test]
async fn nothing_expired_is_sent() {
    let bench = Bench::start().await;
    let prepared = bench.sender.prepare(&content()).expect("it fits");
    let now = Timestamp::now();
    let delivery = Delivery { id: Uuid::now_v7(), expires: now, now, lane: content().lane };
    let to = PushAddress::Webpush(bench.providers.browsers.subscription(A));
    assert_eq!(bench.sender.send(&prepared, &to, &delivery).await, Outcome::Expired);
    assert_eq!(bench.providers.faults.connections(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_the_inside_is_not_connected_to() {
    // The name is allowed, with the simulator's port; its address is not public.
    let mut endpoint = String::new();
    let bench = Bench::with(|settings| {
        let own = settings.private.pop().expect("the simulator's");
        let (_, port) = own.rsplit_once(':').expect("a port");
        settings.hosts = vec![format!("localhost:{port}")];
        settings.http2.connect_timeout_ms = 300;
        endpoint = format!("https://localhost:{port}/push/{A}");
    })
    .await;
    let keys = bench.providers.browsers.subscription(A).keys;
    let rebound = Subscription { endpoint, keys };
    let unreachable = wait(1, "push_service_unreachable", Arrival::Excluded);
    assert_eq!(send(&bench.sender, rebound).await, unreachable);
    // And one that the settings do not know is not even looked up.
    assert_eq!(bench.send(A).await, Outcome::Rejected { reason: "unknown_push_service" });
    assert_eq!(bench.providers.faults.connections(), 0);
}

#[tokio::test]
async fn a_service_that_answers_nothing_holds_up_no_other() {
    let slow = Providers::start(Options::default()).await.expect("the simulator starts");
    let bench = Bench::with(|settings| {
        settings.private.extend(slow.webpush_settings().private);
        settings.http2.ca_pem.as_mut().expect("a root").push_str(&slow.ca_pem);
        settings.http2.request_timeout_ms = 3_000;
    })
    .await;
    slow.faults.set(Service::Webpush, vec![Rule::new(When::Always, Then::Stall)]);
    let stalled = send(&bench.sender, slow.browsers.subscription(A));
    tokio::pin!(stalled);
    let others = async {
        for _ in 0..20 {
            assert_eq!(bench.send(A).await, Outcome::Accepted);
        }
    };
    tokio::select! {
        outcome = &mut stalled => panic!("the others waited until {outcome:?}"),
        () = others => {}
    }
    assert_eq!(stalled.await, wait(1, "timed_out", Arrival::Possible));
    // It is left alone for a while, so that it does not hold up each batch.
    let again = Instant::now();
    let rests = send(&bench.sender, slow.browsers.subscription("simulated-b")).await;
    assert_eq!(rests, wait(1, "push_service_unreachable", Arrival::Excluded));
    assert!(again.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn the_least_recently_used_service_makes_room() {
    let second = Providers::start(Options::default()).await.expect("the simulator starts");
    let bench = Bench::with(|settings| {
        settings.services = 1;
        // Both services know the same key of ours.
        settings.private.extend(second.webpush_settings().private);
        settings.http2.ca_pem.as_mut().expect("a root").push_str(&second.ca_pem);
    })
    .await;
    let key = Key::parse(bench.providers.webpush_key.expose()).expect("a key");
    second.browsers.watch(A, Some(key.public()));
    for _ in 0..3 {
        assert_eq!(bench.send(A).await, Outcome::Accepted);
        assert_eq!(send(&bench.sender, second.browsers.subscription(A)).await, Outcome::Accepted);
    }
    assert_eq!(bench.providers.faults.connections(), 3);
    assert_eq!(second.faults.connections(), 3);
}

#[tokio::test]
async fn a_drained_channel_takes_nothing_more() {
    let bench = Bench::start().await;
    assert_eq!(bench.send(A).await, Outcome::Accepted);
    bench.sender.drain().await;
    assert_eq!(bench.send(A).await, wait(1, "closing", Arrival::Excluded));
}
