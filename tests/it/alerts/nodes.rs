//! The store of several nodes: what is live is soon so everywhere, and a reservation is finished
//! by one of them.

use std::time::Duration;

use loa::domain::alert::MsgType;
use loa::store::alerts::Alerts;

use super::{accept, alert, id, live};
use crate::support::home::connect;
use crate::support::redis::fresh;

/// A second, and what a machine under load adds.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_one_node_changes_is_live_on_the_others_soon() {
    let settings = fresh();
    let one = Alerts::shared(&connect(&settings).await, Duration::ZERO).await.expect("open");
    let other = Alerts::shared(&connect(&settings).await, Duration::ZERO).await.expect("open");
    let becomes = async |expected: &[u128]| {
        let expected: Vec<_> = expected.iter().map(|n| id(*n)).collect();
        let mut changed = other.watch();
        let seen = async {
            while live(&other, 1) != expected {
                changed.changed().await.expect("it is followed");
            }
        };
        tokio::time::timeout(SOON, seen).await.expect("heard of in time");
    };
    accept(&one, alert(1, MsgType::Alert)).await;
    accept(&one, alert(2, MsgType::Alert)).await;
    assert_eq!(live(&one, 1), [id(1), id(2)], "one's own is live at once");
    becomes(&[1, 2]).await;
    accept(&one, alert(3, MsgType::Update)).await;
    one.supersede(&[id(1)], id(3)).await.expect("superseded");
    assert_eq!(live(&one, 1), [id(2), id(3)]);
    becomes(&[2, 3]).await;
    let stored = other.get(id(1)).await.expect("read").expect("there");
    assert_eq!(stored.superseded_by, Some(id(3)), "what is asked for is answered by the server");
}

#[tokio::test]
async fn a_dead_nodes_reservation_is_finished_by_one_other_after_the_lease() {
    let settings = fresh();
    let lease = Duration::from_millis(1_500);
    let dead = Alerts::shared(&connect(&settings).await, lease).await.expect("open");
    accept(&dead, alert(1, MsgType::Alert)).await;
    drop(dead);
    let one = Alerts::shared(&connect(&settings).await, lease).await.expect("open");
    let other = Alerts::shared(&connect(&settings).await, lease).await.expect("open");
    assert_eq!(one.unlogged().await.expect("read"), [], "it may be on its way to the log");
    let over = async {
        loop {
            let mine = one.unlogged().await.expect("read");
            if !mine.is_empty() {
                return mine;
            }
        }
    };
    let mine = tokio::time::timeout(SOON, over).await.expect("the lease ends");
    assert_eq!(mine, [alert(1, MsgType::Alert)]);
    assert_eq!(other.unlogged().await.expect("read"), [], "one finishes it");
    one.mark_logged(id(1), "x".into()).await.expect("marked");
    let whatever = Alerts::shared(&connect(&settings).await, Duration::ZERO).await.expect("open");
    assert_eq!(whatever.unlogged().await.expect("read"), []);
}
