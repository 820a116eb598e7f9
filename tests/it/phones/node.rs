//! The same on a whole node: fan-out, ledger and registry take part.

use loa::domain::channel::Channel;
use loa::simulator::citizens::Mix;
use loa::simulator::faults::{Refusal, Rule, Service, Then, When};

use crate::support::node::{AlertXml, CENTRE, TestNode};

const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
/// Apple's devices only: after a lost answer Google asks for ten seconds.
const MIX: Mix = Mix { apns: 1000, fcm: 0, second_place: 0, cell: 0, english: 60 };

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reaches_everybody_once_through_a_troubled_provider() {
    let test = TestNode::start().await;
    test.populate(2_000, MIX).await;
    test.providers.faults.limit(|limits| limits.goaway_every = Some(100));
    let wait = Refusal { retry_after: Some("1".into()), ..Refusal::new(503, "ServiceUnavailable") };
    test.providers.faults.set(
        Service::Apns,
        vec![
            Rule { limit: Some(3), ..Rule::new(When::Every(97), Then::Refuse(wait)) },
            Rule { limit: Some(10), ..Rule::new(When::Every(41), Then::ResetAfter(CANCEL)) },
            Rule::new(When::Every(7), Then::Reset(REFUSED_STREAM)),
        ],
    );
    let id = test.publish(AlertXml::hot("troubled", CENTRE).render()).await;
    let over =
        |now: &loa::domain::funnel::Funnel| now.total.targeted > 0 && now.open_dispatches == 0;
    let funnel = test.funnel_where(id, over).await;
    let total = &funnel.total;
    assert_eq!((total.accepted, total.dead, total.expired), (total.targeted, 0, 0), "{total:?}");
    let record = &test.providers.record;
    assert_eq!(record.reached(id) as u64, total.targeted);
    assert!((1..=10).contains(&record.repeats()), "{}", record.repeats());
    assert_eq!(record.of_channel(Channel::Fcm), 0);
    test.stop().await;
}
