//! Rates that nodes share: whoever asks, no more is granted than the quota allows.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use loa::clock::Clock;
use loa::domain::channel::Channel;
use loa::domain::funnel::Funnel;
use loa::simulator::citizens::Mix;
use loa::store::Settings;
use loa::store::rates::{Ask, Rates};
use loa::store::redis::Redis;

use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::process::eventually;
use crate::support::redis::{fresh, handle};

fn ask(most: u32, a_second: u32, wanted: u32) -> Ask {
    Ask { most, a_second, wanted }
}

async fn take_all(nodes: &[Rates], quota: &str) -> u32 {
    let asks = (0..60).map(|number| {
        let node = &nodes[number % nodes.len()];
        async move { node.portion(quota, ask(1_000, 1_000, 30)).await.expect("an answer") }
    });
    join_all(asks).await.into_iter().sum()
}

#[tokio::test]
async fn a_quota_is_granted_once_whoever_asks() {
    let clock = Clock::manual("2026-08-01T00:00:00Z".parse().expect("an instant"));
    let local = Rates::local(clock.clone());
    assert_eq!(take_all(std::slice::from_ref(&local), "fcm").await, 1_000);
    clock.set(clock.now() + SignedDuration::from_secs(61));
    assert_eq!(take_all(std::slice::from_ref(&local), "fcm").await, 0, "not within a minute");
    clock.set(clock.now() + SignedDuration::from_secs(1));
    assert_eq!(take_all(&[local], "fcm").await, 1_000);

    let settings = fresh();
    let open = async || Rates::shared(Redis::open(&settings).await.expect("open"));
    let nodes = [open().await, open().await, open().await];
    assert_eq!(take_all(&nodes, "fcm").await, 1_000);
    assert_eq!(take_all(&nodes, "fcm").await, 0);
    assert_eq!(take_all(&nodes, "other").await, 1_000, "each quota for itself");
}

#[tokio::test]
async fn a_portion_is_no_more_than_a_second_may_have() {
    let clock = Clock::manual("2026-08-01T00:00:00Z".parse().expect("an instant"));
    for rates in [Rates::local(clock), Rates::shared(handle().await)] {
        let got = rates.portion("fcm", ask(1_000, 40, 100)).await.expect("an answer");
        assert_eq!(got, 40);
    }
}

#[tokio::test]
async fn a_name_has_its_burst_and_then_its_pace() {
    let clock = Clock::manual("2026-08-01T00:00:00Z".parse().expect("an instant"));
    let local = Rates::local(clock.clone());
    let shared = Rates::shared(handle().await);
    for rates in [&local, &shared] {
        for _ in 0..5 {
            assert_eq!(rates.take("key", 1, 5).await.expect("an answer"), None);
        }
        let wait = rates.take("key", 1, 5).await.expect("an answer").expect("over the burst");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rates.take("other key", 1, 5).await.expect("an answer"), None);
    }
    clock.set(clock.now() + SignedDuration::from_secs(1));
    assert_eq!(local.take("key", 1, 5).await.expect("an answer"), None);
    assert!(local.take("key", 1, 5).await.expect("an answer").is_some());
    let taken = async || shared.take("key", 1, 5).await.expect("an answer").is_none();
    eventually(async || taken().await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_sends_by_a_shared_quota_what_it_was_granted() {
    let redis = fresh();
    let test = TestNode::with(|config| {
        config.store = Settings::Redis(Box::new(redis.clone()));
        let fcm = config.channel.fcm.as_mut().expect("the simulator has it");
        fcm.throttle.per_minute = Some(60_000);
    })
    .await;
    test.populate(2_000, Mix { apns: 0, fcm: 1000, ..Mix::default() }).await;
    let id = test.publish(AlertXml::hot("quota", CENTRE).render()).await;
    let over = |now: &Funnel| now.total.targeted > 0 && now.open_dispatches == 0;
    let funnel = test.funnel_where(id, over).await;
    let sent = funnel.channels[&Channel::Fcm].accepted;
    assert!(sent > 200, "{sent}");
    let handle = Redis::open(&redis).await.expect("open");
    let mut all = redis::cmd("HVALS");
    all.arg(handle.keys("rates").key("q:fcm"));
    let granted: Vec<u64> = handle.ask(&all).await.expect("asked");
    assert!(granted.iter().sum::<u64>() >= sent, "{granted:?} for {sent}");
    test.stop().await;
}
