//! Units' FCM topics: an extra beside the pushes to devices, on a whole node.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::Mix;
use loa::simulator::faults::{Refusal, Rule, Service, Then};

use crate::support::node::{AlertXml, TestNode};
use crate::support::process::eventually;

const MIX: Mix = Mix { apns: 0, fcm: 1000, second_place: 0, cell: 0, english: 0 };
/// Some units whole, others in part.
const AREA: &str = "<polygon>10.70,106.60 10.70,106.80 10.90,106.80 10.90,106.60 10.70,106.60\
                    </polygon>";

/// Where the simulated FCM got posts of a publication, each topic with its collapse ids.
fn posts(test: &TestNode, id: PublicationId, topics: &BTreeSet<String>) -> BTreeSet<String> {
    let posted = |topic: &&String| {
        let seen = test.providers.record.of(topic);
        let of_it: Vec<_> = seen.iter().filter(|one| one.publication == id).collect();
        assert!(of_it.len() <= 1, "{topic} was posted to {} times", of_it.len());
        !of_it.is_empty()
    };
    topics.iter().filter(posted).cloned().collect()
}

/// The topics of every unit of the city.
fn everywhere(test: &TestNode) -> BTreeSet<String> {
    let city = &test.node.parts.city;
    let vintage = city.vintage();
    city.units().iter().map(|unit| format!("/topics/loa-unit-{vintage}-{}", unit.code)).collect()
}

/// The topics of the units that a publication covers whole.
async fn whole(test: &TestNode, id: PublicationId) -> BTreeSet<String> {
    use loa::domain::audience::{Audience, Coverage};
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    let Audience::Area(area) = &stored.publication.audience else { panic!("an area") };
    let units = area.units.iter().filter(|unit| unit.coverage == Coverage::Whole);
    units.map(|unit| format!("/topics/loa-unit-{}-{}", area.vintage, unit.code)).collect()
}

fn over(now: &Funnel) -> bool {
    now.total.targeted > 0 && now.open_dispatches == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_units_topics_are_posted_to_once_and_nobody_is_counted_by_it() {
    let with_topics = |config: &mut loa::config::Config| {
        let fcm = config.channel.fcm.as_mut().expect("the simulator's settings");
        fcm.unit_topics = true;
    };
    let test = TestNode::with(with_topics).await;
    test.populate(300, MIX).await;
    let all = everywhere(&test);
    // The first post meets a busy server and is made again.
    let busy = Refusal { retry_after: Some("1".into()), ..Refusal::new(503, "UNAVAILABLE") };
    test.providers.faults.set(Service::Fcm, vec![Rule::once(Then::Refuse(busy))]);
    let id = test.publish(AlertXml::hot("topics", AREA).render()).await;
    let expected = whole(&test, id).await;
    assert!(!expected.is_empty() && expected.len() < all.len());
    let done = async || (posts(&test, id, &all) == expected).then_some(());
    eventually(done).await;
    let funnel = test.funnel_where(id, over).await;
    let targeted = funnel.total.targeted;
    assert!(targeted <= 300 && funnel.total.accepted == targeted, "{:?}", funnel.total);
    for topic in &expected {
        let seen = test.providers.record.of(topic);
        assert_eq!(seen[0].collapse_id, Some(id.0), "the chain's");
    }
    let body = Some(("application/json", Bytes::from("{}")));
    let answer = test.ask(Method::POST, &format!("/v1/alerts/{id}/cancel"), body).await;
    let cancel: PublicationId =
        answer.json()["id"].as_str().expect("an id").parse().expect("an id");
    let recalled = async || (posts(&test, cancel, &all) == expected).then_some(());
    eventually(recalled).await;
    // A node that starts again posts nothing a second time.
    let (dir, providers) = test.stop().await;
    let test = TestNode::over(dir, providers, with_topics).await;
    let next = test.publish(AlertXml::hot("next", AREA).render()).await;
    let done = async || (posts(&test, next, &all) == expected).then_some(());
    eventually(done).await;
    assert_eq!(posts(&test, id, &all), expected);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_no_topic_is_posted_to() {
    let test = TestNode::start().await;
    test.populate(300, MIX).await;
    let id = test.publish(AlertXml::hot("none", AREA).render()).await;
    test.funnel_where(id, over).await;
    assert_eq!(posts(&test, id, &everywhere(&test)), BTreeSet::new());
    test.stop().await;
}
