//! The whole path: publish, route, fan out, receive, count.

use loa::metrics::Room;
use loa::simulator::citizens::Mix;

use crate::support::metrics;
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(an_accepted_alert_reaches_every_phone_in_its_area_once,);

async fn an_accepted_alert_reaches_every_phone_in_its_area_once(shape: Shape) {
    let test = TestNode::shaped(&shape, |_| {}).await;
    let mix = Mix { apns: 500, fcm: 500, ..Mix::default() };
    let population = test.populate(2_000, mix).await;
    let id = test.publish(AlertXml::hot("path-1", CENTRE).render()).await;
    let funnel = test
        .funnel_where(id, |funnel| funnel.total.targeted > 0 && funnel.open_dispatches == 0)
        .await;
    let stored = test.node.parts.alerts.get(id).await.expect("a store").expect("stored");
    let loa::domain::audience::Audience::Area(area) = &stored.publication.audience else {
        panic!("an alert has an area");
    };
    let inside = (0..population.size())
        .filter(|index| area.owner(&population.device(*index).profile.places).is_some())
        .count() as u64;
    assert!(inside > 200, "{inside}");
    assert_eq!(funnel.total.accepted, inside, "{:?}", funnel.total);
    assert_eq!(test.providers.record.total(), inside);
    assert_eq!(funnel.total.repeated, 0);
    for room in Room::ALL {
        let steps = metrics::value(&format!("loa_room_steps_total{{room=\"{}\"}}", room.as_str()));
        assert!(steps > 0, "{room:?} was passed, and says nothing of it");
    }
    test.stop().await;
}
