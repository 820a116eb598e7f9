use super::*;
use crate::gateway::book::Shape;
use crate::gateway::fixture::{alert, at, device, id, stays, viewer};

fn hub() -> Hub {
    let shape = Shape { epoch: "e".into(), partitions: [1, 1, 1], ring_max: 64, live_max: 64 };
    Hub::new(Book::new(shape, vec![0; 3]), Settings::default(), Clock::manual(at(10)))
}

async fn publish(hub: &Hub, offset: u64, publication: Publication) {
    hub.publish(vec![(Slot { index: 0, offset }, Some(Arc::new(publication)))]).await;
}

/// The publications that wait for a connection, in order.
fn waiting(conn: &Conn) -> Vec<PublicationId> {
    let next = || conn.outbox().try_next().map(|next| next.expect("it is open"));
    let all = std::iter::from_fn(next);
    all.filter_map(|outgoing| outgoing.delivers.map(|delivers| delivers.publication)).collect()
}

#[tokio::test]
async fn a_device_that_moves_while_its_stream_is_joining_is_found_where_it_is_now() {
    let hub = hub();
    publish(&hub, 0, alert(1, 0, &["2"])).await;
    let Entrance { conn, follow, .. } = hub.enter(viewer(device(&["1"])), None);
    assert!(follow.is_empty(), "it is not there yet");
    let moved = Arc::new(device(&["2"]));
    hub.device_changed(&moved, &stays(&moved, 5));
    // Before it is live nothing is sent out of its turn, and nothing of the new place is missed.
    publish(&hub, 1, alert(2, 1, &["2"])).await;
    assert!(waiting(&conn).is_empty());
    hub.go_live(&conn);
    let mut told = waiting(&conn);
    told.sort();
    assert_eq!(told, [id(1), id(2)], "what was live there, and what came meanwhile, once each");
    publish(&hub, 2, alert(3, 2, &["2"])).await;
    publish(&hub, 3, alert(4, 3, &["1"])).await;
    assert_eq!(waiting(&conn), [id(3)], "and it is not found where it was");
    hub.leave(&conn);
    publish(&hub, 4, alert(5, 4, &["2"])).await;
    assert_eq!((waiting(&conn), hub.stats().streams), (vec![], 0));
}

#[tokio::test]
async fn a_device_that_moves_again_and_again_while_joining_is_listed_once() {
    let hub = hub();
    let Entrance { conn, .. } = hub.enter(viewer(device(&["1"])), None);
    for unit in ["2", "3", "2", "4"] {
        let moved = Arc::new(device(&[unit]));
        hub.device_changed(&moved, &stays(&moved, 5));
    }
    hub.go_live(&conn);
    for (offset, unit) in (0..).zip(["1", "2", "3", "4"]) {
        publish(&hub, offset, alert(u128::from(offset) + 1, 1, &[unit])).await;
    }
    assert_eq!(waiting(&conn), [id(4)]);
    hub.device_removed(device(&[]).num);
    assert_eq!(conn.outbox().why(), Some(Close::Removed), "it is still found by its number");
}

#[tokio::test]
async fn what_is_offered_together_comes_in_order_to_those_it_is_for() {
    let hub = hub();
    let streams = [vec!["1"], vec!["2"], vec!["1", "2"]].map(|units| {
        let Entrance { conn, .. } = hub.enter(viewer(device(&units)), None);
        hub.go_live(&conn);
        conn
    });
    let units = [vec!["1"], vec!["2"], vec!["1", "2"], vec!["3"], vec!["2"], vec!["1"]];
    let mut read: Vec<_> = (0..)
        .zip(&units)
        .map(|(offset, units)| {
            let publication = alert(u128::from(offset) + 1, 1, units);
            (Slot { index: 0, offset }, Some(Arc::new(publication)))
        })
        .collect();
    read.insert(2, (Slot { index: 1, offset: 0 }, None));
    hub.publish(read).await;
    let ids = |numbers: &[u128]| numbers.iter().copied().map(id).collect::<Vec<_>>();
    let expected = [ids(&[1, 3, 6]), ids(&[2, 3, 5]), ids(&[1, 2, 3, 5, 6])];
    assert_eq!(streams.each_ref().map(|conn| waiting(conn)), expected);
    assert_eq!((hub.stats().published, hub.stats().queued), (6, 11));
    // Who comes now is told that nothing is missing after it.
    let position = hub.position_after(0).expect("all were offered everything");
    let from = Position::decode(&position).expect("a position");
    assert_eq!((from.next[0], from.next[1]), (6, 1));
    let Entrance { recovered, follow, .. } = hub.enter(viewer(device(&["1"])), Some(from));
    assert!(recovered && follow.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_tell_each_stream_everything_once_and_in_order() {
    let mut hub = hub();
    Arc::get_mut(&mut hub.inner).expect("nobody else has it yet").writers = 4;
    let streams: Vec<_> = (0..3_000)
        .map(|stream| hub.enter(viewer(device(&[["1", "2", "3"][stream % 3]])), None).conn)
        .inspect(|conn| hub.go_live(conn))
        .collect();
    // One alone, then three together: to all, to a third of them, and to two thirds.
    let to = |offset: u64, units: &[&str]| {
        let publication = Arc::new(alert(u128::from(offset) + 1, 1, units));
        (Slot { index: 0, offset }, Some(publication))
    };
    hub.publish(vec![to(0, &["1", "2", "3"])]).await;
    hub.publish(vec![to(1, &["1"]), to(2, &["1", "2", "3"]), to(3, &["2", "1"])]).await;
    let told = [vec![id(1), id(2), id(3), id(4)], vec![id(1), id(3), id(4)], vec![id(1), id(3)]];
    for (stream, conn) in streams.iter().enumerate() {
        assert_eq!(waiting(conn), told[stream % 3], "stream {stream}");
    }
    assert_eq!(hub.stats().queued, 3_000 + 3_000 + 2_000 + 1_000);
}
