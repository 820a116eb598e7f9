//! Canaries and link tests.

use loa::simulator::citizens::{Mix, Tally, Uplink, answer_pushes};

use super::*;
use crate::support::process::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_test_goes_to_canaries_alone_and_their_receipts_come_back() {
    let house = House::open().await;
    let mix = Mix { apns: 1000, fcm: 0, ..Mix::default() };
    let population = house.test.populate(30, mix).await;
    let uplink = Uplink::open(house.test.node.address, &population);
    let pushes = house.test.providers.deliveries(1_000);
    tokio::spawn(answer_pushes(pushes, population.clone(), (Tally::default(), uplink)));
    let ops = house.login("ops").await;
    let units = house.test.node.parts.city.units();
    for index in [3_u32, 7] {
        let unit = &units[index as usize].code;
        let body = json!({"unit": unit, "device": population.id(index)});
        let made = ops.ask("POST", "/v1/console/drills", Some(&body)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    // Whose device it is stays so.
    let owner = "citizen-1".parse().expect("a subject");
    let registry = &house.test.node.parts.registry;
    registry.claim(&population.id(9), Some(owner)).await.expect("claimed");
    let body = json!({"unit": units[9].code, "device": population.id(9)});
    let taken = ops.refused("/v1/console/drills", body).await;
    assert_eq!(taken, (409, "conflict".to_owned()));
    assert_eq!(ops.ask("POST", "/v1/console/drills/link-test", None).await.status, 202);
    let found = eventually(async || {
        let drills = ops.get("/v1/console/drills").await.json();
        (drills["history"].as_array().is_some_and(|tests| !tests.is_empty())).then_some(drills)
    });
    let found = found.await;
    let test = &found["history"][0];
    assert_eq!((&test["sent"], &test["received"]), (&json!(2), &json!(2)), "{found}");
    assert!(test["ms_p50"].is_u64(), "{found}");
    let canaries = found["canaries"].as_array().expect("canaries");
    assert!(canaries.len() == 2 && canaries.iter().all(|one| one["ok"] == true), "{found}");
    let pushed = house.test.providers.record.of_channel(loa::domain::channel::Channel::Apns);
    assert_eq!(pushed, 2, "nobody else was sent anything");
    let path = format!("/v1/console/drills/{}", population.id(3));
    assert_eq!(ops.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(ops.ask("DELETE", &path, None).await.status, 404);
    let device = registry.get(&population.id(3)).await.expect("read").expect("there");
    assert_eq!(device.device.subject, None, "nobody's again");
    house.test.stop().await;
}
