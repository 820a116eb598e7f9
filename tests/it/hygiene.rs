//! Address hygiene on a whole node: dead addresses are removed, good ones never.

use std::collections::BTreeSet;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use loa::domain::channel::{Channel, PushAddress};
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};
use serde_json::Value;

use crate::support::node::{AlertXml, TestNode};
use crate::support::people::token;
use crate::support::process::eventually;

/// Half on APNs, half on FCM.
const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 0, cell: 0, english: 0 };
/// The whole city and more.
const EVERYWHERE: &str = "<polygon>8.0,105.0 8.0,108.0 12.0,108.0 12.0,105.0 8.0,105.0</polygon>";

/// A node that judges addresses often, with so many devices.
async fn city(devices: u32) -> (TestNode, Population) {
    let test = TestNode::with(|config| config.fanout.hygiene.window_ms = 20).await;
    let population = test.populate(devices, MIX).await;
    (test, population)
}

/// The push address of a device, if it still has one.
async fn address(test: &TestNode, population: &Population, index: u32) -> Option<PushAddress> {
    let stored = test.node.parts.registry.get(&population.id(index)).await.expect("a registry");
    let address = stored.expect("registered").device.profile.address.clone();
    (address.channel() != Channel::Websocket).then_some(address)
}

/// Who has no push address any more.
async fn removed(test: &TestNode, population: &Population, devices: u32) -> BTreeSet<u32> {
    let mut gone = BTreeSet::new();
    for index in 0..devices {
        if address(test, population, index).await.is_none() {
            gone.insert(index);
        }
    }
    gone
}

async fn alert(test: &TestNode, identifier: &str) -> (PublicationId, Funnel) {
    let id = test.publish(AlertXml::hot(identifier, EVERYWHERE).render()).await;
    let over = |now: &Funnel| now.total.targeted > 0 && now.open_dispatches == 0;
    (id, test.funnel_where(id, over).await)
}

/// What `/readyz` says of pausing, for Apple and Google.
async fn paused(test: &TestNode) -> Vec<bool> {
    let ready: Value = test.ask(Method::GET, "/readyz", None).await.json();
    let channels = ready["channels"].as_array().expect("channels");
    let phones = channels.iter().filter(|one| one["channel"] != "webpush");
    phones.map(|one| one["removal_paused"].as_bool().expect("a flag")).collect()
}

fn refuse(test: &TestNode, when: &When) {
    let apns = Rule::new(when.clone(), Then::Refuse(Refusal::new(410, "Unregistered")));
    test.providers.faults.set(Service::Apns, vec![apns]);
    let fcm = Rule::new(when.clone(), Then::Refuse(Refusal::new(404, "UNREGISTERED")));
    test.providers.faults.set(Service::Fcm, vec![fcm]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_calls_everybody_dead_for_a_while_costs_no_address() {
    const DEVICES: u32 = 3_000;
    let (test, population) = city(DEVICES).await;
    // It begins in the middle of a broadcast that goes well.
    let (_, before) = alert(&test, "before").await;
    assert_eq!(before.total.accepted, u64::from(DEVICES));
    assert_eq!(paused(&test).await, [false, false]);
    refuse(&test, &When::Always);
    let (_, during) = alert(&test, "during").await;
    assert_eq!(during.total.dead, u64::from(DEVICES), "{:?}", during.total);
    eventually(async || (paused(&test).await == [true, true]).then_some(())).await;
    // It goes on sending, and sends well as soon as the provider is itself again.
    test.providers.faults.clear();
    let (_, after) = alert(&test, "after").await;
    assert_eq!(after.total.accepted, u64::from(DEVICES), "{:?}", after.total);
    eventually(async || (paused(&test).await == [false, false]).then_some(())).await;
    let (_, later) = alert(&test, "later").await;
    assert_eq!(later.total.accepted, u64::from(DEVICES), "{:?}", later.total);
    assert_eq!(removed(&test, &population, DEVICES).await, BTreeSet::new());
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_normal_broadcast_removes_exactly_the_dead() {
    const DEVICES: u32 = 3_000;
    let (test, population) = city(DEVICES).await;
    refuse(&test, &When::TokenShare(0.05));
    let (id, funnel) = alert(&test, "normal").await;
    let mut dead = BTreeSet::new();
    for index in 0..DEVICES {
        let address = address(&test, &population, index).await;
        let reached = |address: &PushAddress| {
            test.providers
                .record
                .of(&token(address).expect("a push address"))
                .iter()
                .any(|seen| seen.publication == id)
        };
        if !address.as_ref().is_some_and(reached) {
            dead.insert(index);
        }
    }
    assert_eq!(dead.len() as u64, funnel.total.dead);
    assert!((50..300).contains(&dead.len()), "{}", dead.len());
    let all = async || (removed(&test, &population, DEVICES).await == dead).then_some(());
    eventually(all).await;
    assert_eq!(paused(&test).await, [false, false]);
    let (_, next) = alert(&test, "next").await;
    assert_eq!((next.total.dead, next.total.accepted), (0, u64::from(DEVICES) - funnel.total.dead));
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_registered_after_it_died_is_kept() {
    const DEVICES: u32 = 200;
    let (test, population) = city(DEVICES).await;
    let mut phones = Vec::new();
    for index in 0..DEVICES {
        let address = address(&test, &population, index).await.expect("a push address");
        if address.channel() == Channel::Apns {
            phones.push((index, token(&address).expect("a push address")));
        }
    }
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24);
    let gone = |(_, token): &(u32, String), since| {
        let refusal = Refusal { since, ..Refusal::new(410, "Unregistered") };
        Rule::new(When::Token(token.clone()), Then::Refuse(refusal))
    };
    let rules = vec![gone(&phones[0], None), gone(&phones[1], Some(long_ago))];
    test.providers.faults.set(Service::Apns, rules);
    let (_, funnel) = alert(&test, "dead").await;
    assert_eq!(funnel.total.dead, 2, "{:?}", funnel.total);
    let first = BTreeSet::from([phones[0].0]);
    eventually(async || (removed(&test, &population, DEVICES).await == first).then_some(())).await;
    test.stop().await;
}
