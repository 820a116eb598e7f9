//! What an open console is told, and what it is not.

use loa::simulator::citizens::Mix;

use super::*;
use crate::support::citizen::{Events, within};

pub(super) async fn listening(officer: &Officer) -> Events {
    let headers: Vec<&str> = officer.headers.iter().map(String::as_str).collect();
    Events::open(&officer.to, "/v1/console/events", &headers).await
}

/// The next event of a name; others that keep coming do not prolong the wait.
pub(super) async fn next(events: &mut Events, wanted: &str) -> Value {
    let named = async {
        loop {
            let (name, data) = events.next().await;
            if name == wanted {
                return data;
            }
        }
    };
    within(wanted, named).await
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_publications_and_funnels_are_told_live_to_those_they_concern() {
    let house = House::open().await;
    house.test.populate(100, Mix { apns: 1000, fcm: 0, ..Mix::default() }).await;
    let (lan, minh) = (house.login("lan").await, house.login("minh").await);
    let mut own = listening(&minh).await;
    let mut operators = listening(&house.login("ops").await).await;
    let mut other = listening(&house.login("hung").await).await;
    let id = lan.submitted().await;
    let begun = next(&mut own, "drafts").await;
    assert_eq!((&begun["id"], &begun["state"]), (&json!(id), &json!("editing")));
    assert_eq!(next(&mut own, "drafts").await["state"], "submitted");
    let path = format!("/v1/console/drafts/{id}/approve");
    let done = minh.done(&path, json!({})).await;
    let row = next(&mut own, "publication").await;
    assert_eq!((&row["id"], &row["state"]), (&done["publication"], &json!("live")));
    assert_eq!(next(&mut operators, "publication").await["id"], row["id"]);
    let publication = row["id"].as_str().expect("an id").parse().expect("an id");
    let targeted = house.test.funnel_where(publication, |funnel| {
        funnel.total.targeted > 0 && funnel.open_dispatches == 0
    });
    let targeted = targeted.await.total;
    let mut last = next(&mut own, "funnel").await;
    while last["total"]["accepted"] != json!(targeted.accepted) {
        last = next(&mut own, "funnel").await;
    }
    assert_eq!((&last["id"], &last["open_dispatches"]), (&row["id"], &json!(0)));
    minh.done(&format!("/v1/console/publications/{publication}/recall"), json!({})).await;
    let over = next(&mut own, "publication").await;
    assert_eq!((&over["id"], &over["state"]), (&row["id"], &json!("cancelled")));
    // Another agency hears of its own only.
    let hung = house.login("hung").await;
    hung.done("/v1/console/drafts", json!({"kind": "alert", "body": calm()})).await;
    assert_eq!(next(&mut other, "drafts").await["agency"], "b");
    let detail = minh.get(&format!("/v1/console/publications/{publication}")).await.json();
    let sent: f64 = detail["rates"]
        .as_array()
        .expect("rates")
        .iter()
        .map(|rate| rate["sent"].as_f64().expect("a number"))
        .sum();
    assert!(sent > 0.0, "{detail}");
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_filtered_and_paged() {
    let house = House::open().await;
    let lan = house.login("lan").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let mut body = calm();
        body["infos"][0]["headline"] = json!(format!("Mưa lớn số {number}"));
        let draft = lan.done("/v1/console/drafts", json!({"kind": "alert", "body": body})).await;
        let path = format!("/v1/console/drafts/{}/publish", draft["id"].as_str().expect("an id"));
        let done = lan.done(&path, json!({})).await;
        ids.push(done["publication"].clone());
    }
    let list = async |officer: &Officer, query: &str| -> Vec<Value> {
        let answer = officer.get(&format!("/v1/console/publications{query}")).await.json();
        let rows = answer["publications"].as_array().expect("rows").iter();
        rows.map(|row| row["id"].clone()).collect()
    };
    let newest: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(list(&lan, "").await, newest);
    assert_eq!(list(&lan, "?q=mua%20lon%20so%201").await, [ids[1].clone()]);
    assert_eq!(list(&lan, "?kind=notice").await, Vec::<Value>::new());
    assert_eq!(list(&lan, "?state=ended").await, Vec::<Value>::new());
    assert_eq!(list(&lan, "?severity=Minor&limit=2").await, newest[..2]);
    let page = lan.get("/v1/console/publications?limit=2").await.json();
    let next = page["next"].as_str().expect("more").to_owned();
    assert_eq!(list(&lan, &format!("?before={next}")).await, [ids[0].clone()]);
    assert_eq!(list(&house.login("hung").await, "").await, Vec::<Value>::new());
    assert_eq!(list(&house.login("ops").await, "?agency=a").await, newest);
    let bad = lan.get("/v1/console/publications?state=asleep").await;
    assert_eq!(refusal(&bad), (400, "bad_parameter".to_owned()));
    house.test.stop().await;
}
