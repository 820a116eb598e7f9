//! What is said to one citizen alone: sealed under their key, and unreadable once it is destroyed.

use loa::clock::Clock;
use loa::domain::ids::SubjectId;
use loa::domain::publication::{Content, Publication};
use loa::domain::sealed::Sealed;
use loa::store::alerts::{Alerts, Carried};

use super::{accept, alert, at, id, open, open_plain, status_change};
use crate::support::home::Home;
use crate::support::vault;

/// A text that stands nowhere else.
const REMARK: &str = "Kh\u{f4}ng ai kh\u{e1}c \u{111}\u{1b0}\u{1ee3}c \u{111}\u{1ecd}c 58213";

pub fn told(n: u128, subject: &str, step: u64) -> Publication {
    let mut told = status_change(n, subject, "R-1", step);
    if let Content::StatusChange(change) = &mut told.content {
        change.remark = Some(REMARK.to_owned());
    }
    told
}

pub async fn sealed(alerts: &Alerts, n: u128) -> Sealed {
    match alerts.carried(vec![id(n)]).await.expect("read").remove(0) {
        Carried::Sealed(sealed) => sealed,
        other => panic!("{other:?}"),
    }
}

pub fn subject(name: &str) -> SubjectId {
    name.parse().expect("a subject")
}

pub async fn what_is_one_citizens_is_sealed_and_gone_with_their_key(home: Home) {
    // One that an older release accepted and did not log any more.
    let old = open_plain(&home).await;
    accept(&old, told(1, "ana", 1)).await;
    drop(old);
    let alerts = open(&home).await;
    accept(&alerts, told(2, "ana", 2)).await;
    accept(&alerts, told(3, "ana", 3)).await;
    accept(&alerts, told(4, "ben", 4)).await;
    accept(&alerts, alert(5, loa::domain::alert::MsgType::Alert)).await;
    let carried = alerts.carried(vec![id(1), id(5), id(9)]).await.expect("read");
    assert_eq!(carried, [Carried::Open, Carried::Open, Carried::Gone]);
    let (second, third, bens) =
        (sealed(&alerts, 2).await, sealed(&alerts, 3).await, sealed(&alerts, 4).await);
    assert_eq!(second, sealed(&alerts, 2).await, "the same record each time");
    assert_eq!(second.handle, third.handle, "a citizen's stay in order");
    assert_ne!(second.handle, bens.handle);
    let shows = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(!shows(&second.bytes, REMARK) && !shows(&second.bytes, "ana"));
    assert_eq!(alerts.open_sealed(second.clone()).await.expect("read"), Some(told(2, "ana", 2)));
    // A record under another one's handle or id is nobody's.
    let borrowed = Sealed { handle: bens.handle, ..second.clone() };
    assert_eq!(alerts.open_sealed(borrowed).await.expect("read"), None);
    let moved = Sealed { id: id(3), ..second.clone() };
    assert_eq!(alerts.open_sealed(moved).await.expect("read"), None);
    let inbox = alerts.for_subject(&subject("ana"), None, 10).await.expect("read");
    assert_eq!(inbox.len(), 3);
    alerts.erase(&subject("ana")).await.expect("erased");
    alerts.erase(&subject("ana")).await.expect("twice is once");
    assert_eq!(alerts.open_sealed(second).await.expect("read"), None);
    assert_eq!(alerts.carried(vec![id(2)]).await.expect("read"), [Carried::Gone]);
    assert!(alerts.for_subject(&subject("ana"), None, 10).await.expect("read").is_empty());
    assert!(alerts.get(id(1)).await.expect("read").is_none());
    assert_eq!(alerts.unlogged().await.expect("read").len(), 2, "ben's and the alert");
    assert!(alerts.open_sealed(bens).await.expect("read").is_some());
    // Who comes again has another key.
    accept(&alerts, told(6, "ana", 2)).await;
    assert_ne!(sealed(&alerts, 6).await.handle, third.handle);
    assert_eq!(alerts.open_sealed(third).await.expect("read"), None);
}

pub async fn what_is_one_citizens_is_read_by_an_older_release_until_it_is_sealed(home: Home) {
    let (clock, until) = (Clock::manual(at(0)), at(10));
    let vault = vault(&[1]).unsealed_until(until, clock.clone());
    let alerts = open_plain(&home).await.sealed(vault);
    assert!(alerts.is_unsealed());
    accept(&alerts, told(1, "ana", 1)).await;
    let carried = alerts.carried(vec![id(1)]).await.expect("read");
    assert_eq!(carried, [Carried::Open], "an older router reads it");
    let old = open_plain(&home).await;
    let stored = old.get(id(1)).await.expect("read").expect("stored");
    assert_eq!(*stored.publication, told(1, "ana", 1));
    drop(old);
    clock.set(until);
    assert!(!alerts.is_unsealed());
    accept(&alerts, told(2, "ana", 2)).await;
    let second = sealed(&alerts, 2).await;
    assert_eq!(alerts.open_sealed(second).await.expect("read"), Some(told(2, "ana", 2)));
    let carried = alerts.carried(vec![id(1)]).await.expect("read");
    assert_eq!(carried, [Carried::Open], "as it was accepted, whenever it is logged");
    let inbox = alerts.for_subject(&subject("ana"), None, 10).await.expect("read");
    assert_eq!(inbox.len(), 2);
}
