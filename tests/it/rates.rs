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

use crate::support::home::{Home, connect, contract};
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::process::eventually;
use crate::support::redis::fresh;

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

contract!(
    a_quota_is_granted_once_whoever_asks,
    a_portion_is_no_more_than_a_second_may_have,
    a_name_has_its_burst_and_then_its_pace,
    quotas_and_names_do_not_know_of_each_other,
);

/// The rates of so many nodes; those in a node's memory are one node's.
async fn open(home: &Home, nodes: usize, clock: &Clock) -> Vec<Rates> {
    match home {
        Home::Embedded(_) => vec![Rates::local(clock.clone())],
        Home::Redis(settings) => {
            let connected = join_all((0..nodes).map(|_| connect(settings))).await;
            connected.into_iter().map(Rates::shared).collect()
        }
    }
}

fn clock() -> Clock {
    Clock::manual("2026-08-01T00:00:00Z".parse().expect("an instant"))
}

async fn a_quota_is_granted_once_whoever_asks(home: Home) {
    let clock = clock();
    let nodes = open(&home, 3, &clock).await;
    assert_eq!(take_all(&nodes, "fcm").await, 1_000);
    assert_eq!(take_all(&nodes, "fcm").await, 0);
    // The servers' time is their own: only a node's memory is shown a minute.
    if let Home::Embedded(_) = home {
        clock.set(clock.now() + SignedDuration::from_secs(61));
        assert_eq!(take_all(&nodes, "fcm").await, 0, "not within a minute");
        clock.set(clock.now() + SignedDuration::from_secs(1));
        assert_eq!(take_all(&nodes, "fcm").await, 1_000);
    }
}

async fn a_portion_is_no_more_than_a_second_may_have(home: Home) {
    for rates in open(&home, 1, &clock()).await {
        let got = rates.portion("fcm", ask(1_000, 40, 100)).await.expect("an answer");
        assert_eq!(got, 40);
    }
}

async fn a_name_has_its_burst_and_then_its_pace(home: Home) {
    let clock = clock();
    let nodes = open(&home, 2, &clock).await;
    let take = async |number: usize, name: &str| {
        nodes[number % nodes.len()].take(name, 1, 5).await.expect("an answer")
    };
    for number in 0..5 {
        assert_eq!(take(number, "key").await, None);
    }
    let wait = take(0, "key").await.expect("over the burst");
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(take(1, "other key").await, None);
    clock.set(clock.now() + SignedDuration::from_secs(1));
    eventually(async || take(0, "key").await.is_none().then_some(())).await;
    if let Home::Embedded(_) = home {
        assert!(take(0, "key").await.is_some(), "one a second");
    }
}

async fn quotas_and_names_do_not_know_of_each_other(home: Home) {
    let nodes = open(&home, 1, &clock()).await;
    assert_eq!(take_all(&nodes, "fcm").await, 1_000);
    assert_eq!(take_all(&nodes, "apns").await, 1_000, "each quota for itself");
    assert_eq!(nodes[0].take("fcm", 1, 1).await.expect("an answer"), None);
    assert!(nodes[0].take("fcm", 1, 1).await.expect("an answer").is_some());
    assert_eq!(nodes[0].take("apns", 1, 1).await.expect("an answer"), None);
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
    let mut all = ::redis::cmd("HVALS");
    all.arg(handle.keys("rates").key("q:fcm"));
    let granted: Vec<u64> = handle.ask(&all).await.expect("asked");
    assert!(granted.iter().sum::<u64>() >= sent, "{granted:?} for {sent}");
    test.stop().await;
}
