//! Promises 4, 5 and 6 on streams: nothing missed, nothing twice, nothing false.

use loa::domain::device::{Place, Profile};
use loa::domain::ids::DeviceId;
use loa::gateway::opening::Visitor;
use loa::gateway::wire::FromClient;
use loa::http::problem::Code;
use serde_json::json;

use super::house::{House, alert, cancel};
use crate::support::citizen::{Citizen, Events, ask_json, id_of, within};

#[tokio::test]
async fn a_client_that_reconnects_gets_exactly_what_it_missed() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let mut socket = citizen.stream(None).await;
    assert_eq!(socket.expect("hello").await["recovered"], false);
    assert!(socket.until_live().await.is_empty());
    let first = house.publish(&alert(&[&unit])).await;
    assert_eq!(socket.publication().await, first);
    let position = socket.position.clone();
    drop(socket);

    let mut missed = Vec::new();
    for _ in 0..5 {
        missed.push(house.publish(&alert(&[&unit])).await);
        house.publish(&alert(&[house.unit(1)])).await;
    }
    let mut back = citizen.stream(position.as_deref()).await;
    assert_eq!(back.expect("hello").await["recovered"], true);
    let mut got = back.until_live().await;
    while got.len() < missed.len() {
        got.push(back.publication().await); // not yet read from the log when it came back
    }
    got.sort();
    missed.sort();
    assert_eq!(got, missed);
    let last = house.publish(&alert(&[&unit])).await;
    assert_eq!(back.publication().await, last);
    house.close().await;
}

#[tokio::test]
async fn a_gap_is_told_and_what_is_live_is_sent() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let mut socket = citizen.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    let live = house.publish(&alert(&[&unit])).await;
    assert_eq!(socket.publication().await, live);
    for strange in ["garbage", "AWUwAAA"] {
        let mut back = citizen.stream(Some(strange)).await;
        assert_eq!(back.expect("hello").await["recovered"], false);
        assert_eq!(back.until_live().await, std::slice::from_ref(&live));
    }
    house.close().await;
}

#[tokio::test]
async fn a_late_joiner_by_place_change_gets_it_once() {
    let house = House::open().await;
    let (here, there) = (house.unit(0).to_owned(), house.unit(1).to_owned());
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": here}]})).await;
    let mut socket = citizen.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    let mut neighbour =
        Citizen::register(&house.to, json!({"places": [{"unit": there}]})).await.stream(None).await;
    neighbour.expect("hello").await;
    neighbour.until_live().await;
    let live = house.publish(&alert(&[&there])).await;
    assert_eq!(neighbour.publication().await, live);

    socket.say(&json!({"type": "places", "places": [{"unit": there}]})).await;
    // The gateway hears of it from the stream and from the registry: whichever is first.
    let (one, two) = (socket.next().await, socket.next().await);
    let (places, late) = if one["type"] == "places" { (one, two) } else { (two, one) };
    assert_eq!(places["units"], json!([there]));
    assert_eq!(id_of(&late), live);
    assert!(late.get("position").is_none(), "it is out of order: {late}");
    // Over HTTP, to the same place and more: nothing twice, and an open stream is told.
    let body = json!({"places": [{"unit": there}, {"unit": house.unit(2)}]});
    let path = format!("/v1/devices/{}", citizen.id);
    let answer = ask_json(&house.to, "PUT", &path, &citizen.auth(), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let next = house.publish(&alert(&[house.unit(2)])).await;
    assert_eq!(socket.publication().await, next);
    house.close().await;
}

#[tokio::test]
async fn a_cancel_reaches_only_the_warned() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let places = json!({"places": [{"unit": unit}]});
    let warned = Citizen::register(&house.to, places.clone()).await;
    let mut socket = warned.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    let original = alert(&[&unit]);
    let id = house.publish(&original).await;
    assert_eq!(socket.publication().await, id);
    let all_clear = house.publish(&cancel(&original)).await;
    let event = socket.expect("publication").await;
    assert_eq!((id_of(&event), &event["publication"]["action"]), (all_clear, &json!("cancel")));

    let mut newcomer = Citizen::register(&house.to, places).await.stream(None).await;
    newcomer.expect("hello").await;
    assert!(newcomer.until_live().await.is_empty(), "neither the original nor the all-clear");
    house.close().await;
}

#[tokio::test]
async fn one_device_with_two_places_gets_it_once_and_it_is_counted_once() {
    let house = House::open().await;
    let units = [house.unit(0).to_owned(), house.unit(1).to_owned()];
    let places = json!({"places": [{"unit": units[0]}, {"unit": units[1]}]});
    let citizen = Citizen::register(&house.to, places).await;
    let mut socket = citizen.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    let both = alert(&[&units[0], &units[1]]);
    let id = house.publish(&both).await;
    assert_eq!(socket.publication().await, id);
    let next = house.publish(&alert(&[&units[1]])).await;
    assert_eq!(socket.publication().await, next, "and not the first once more");
    socket.say(&json!({"type": "ack", "publication": id, "stage": "shown"})).await;

    let mut changed = house.ledger.watch();
    loop {
        let funnel = house.ledger.funnel(both.id).await.expect("a funnel");
        let text = serde_json::to_string(&funnel).expect("JSON");
        if text.contains("\"accepted\":1") {
            break;
        }
        assert!(!text.contains("\"accepted\":2"), "{text}");
        crate::support::citizen::within("a count", changed.changed()).await.expect("open");
    }
    let topic = loa::bus::TopicId::Receipts;
    let mut receipts = house.bus.consumer("test", &[topic]).await.expect("a consumer");
    let batch = receipts.next_batch(10).await.expect("a receipt");
    let receipt = loa::event::receipt::decode(&batch[0].headers, &batch[0].payload);
    let receipt = receipt.expect("a receipt");
    assert_eq!(receipt.publication, both.id);
    assert_eq!(receipt.unit.expect("a unit").as_str(), units[0]);
    house.close().await;
}

#[tokio::test]
async fn an_event_stream_tells_the_same_and_resumes_by_last_event_id() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let auth = citizen.auth();
    let mut socket = citizen.stream(None).await;
    socket.expect("hello").await;
    socket.until_live().await;
    let mut events = Events::open(&house.to, "/v1/events", &[&auth]).await;
    assert!(events.until_live().await.is_empty());
    let first = house.publish(&alert(&[&unit])).await;
    let (name, event) = events.next().await;
    assert_eq!(name, "publication");
    assert_eq!(event, socket.next().await, "the same event on both");
    assert_eq!(id_of(&event), first);
    let last = format!("last-event-id: {}", events.last_id.clone().expect("a position"));
    drop(events);

    let missed = house.publish(&alert(&[&unit])).await;
    assert_eq!(socket.publication().await, missed);
    let mut back = Events::open(&house.to, "/v1/events", &[&auth, &last]).await;
    assert_eq!(back.until_live().await, [missed]);

    // A browser: a ticket in the URL, and nothing else.
    let auth = citizen.auth();
    let ticket = ask_json(&house.to, "POST", "/v1/stream-tickets", &auth, &json!({})).await;
    assert_eq!(ticket.status, 201);
    let ticket = ticket.json()["ticket"].as_str().expect("a ticket").to_owned();
    let mut browser = Events::open(&house.to, &format!("/v1/events?ticket={ticket}"), &[]).await;
    assert_eq!(browser.until_live().await.len(), 2);
    house.close().await;
}

#[tokio::test]
async fn one_encoded_frame_is_shared_by_all_who_get_the_same() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let body = json!({"places": [{"unit": unit}], "languages": ["vi"]});
        let mut socket = Citizen::register(&house.to, body).await.stream(None).await;
        socket.expect("hello").await;
        socket.until_live().await;
        sockets.push(socket);
    }
    let publication = alert(&[&unit]);
    let id = house.publish(&publication).await;
    for socket in &mut sockets {
        assert_eq!(socket.publication().await, id);
    }
    assert_eq!(house.gateway.hub().encoded(&publication.id), Some(1));
    house.close().await;
}

/// A citizen whose hello was believed and whose stream is not yet let in.
async fn at_the_door(house: &House, unit: &str) -> (DeviceId, Visitor) {
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let FromClient::Hello(hello) = serde_json::from_value(citizen.hello(None)).expect("a hello")
    else {
        panic!("it says hello");
    };
    let visitor = house.gateway.recognise(&hello, None).await.expect("it is known");
    (citizen.id.parse().expect("an id"), visitor)
}

#[tokio::test]
async fn a_device_that_moves_while_it_is_let_in_is_found_where_it_is_now() {
    let house = House::open().await;
    let (here, there) = (house.unit(0).to_owned(), house.unit(1).to_owned());
    let (id, visitor) = at_the_door(&house, &here).await;
    // As another node does it: this gateway is not told, and no stream of the device is open.
    let stored = house.registry.get(&id).await.expect("a look").expect("it is there");
    let place = Place { unit: there.parse().expect("a unit"), cell: None };
    let profile = Profile { places: vec![place], ..stored.device.profile.clone() };
    house.registry.update(&id, profile).await.expect("moved");
    let opened = house.gateway.admit(visitor, None, None).await.expect("let in");
    house.gateway.hub().go_live(&opened.conn);
    house.publish(&alert(&[&here])).await;
    let live = house.publish(&alert(&[&there])).await;
    let told = async {
        loop {
            let next = opened.conn.outbox().next().await.expect("it is open");
            if let Some(delivers) = next.delivers {
                break delivers.publication.to_string();
            }
        }
    };
    assert_eq!(within("an alert", told).await, live);
    house.gateway.hub().leave(&opened.conn);
    house.close().await;
}

#[tokio::test]
async fn a_device_that_is_removed_while_it_is_let_in_stays_out() {
    let house = House::open().await;
    let (id, visitor) = at_the_door(&house, house.unit(0)).await;
    house.registry.remove(&id).await.expect("removed");
    let refused = house.gateway.admit(visitor, None, None).await.expect_err("it is gone");
    assert_eq!(refused.code, Code::Unauthorized);
    assert_eq!(house.gateway.hub().stats().streams, 0, "nothing of it is left behind");
    house.close().await;
}
