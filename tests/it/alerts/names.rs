//! Citizens who are called otherwise: what is kept of them is found under every name of theirs.

use loa::domain::audience::Audience;
use loa::domain::ids::SubjectId;
use loa::domain::publication::Publication;
use loa::store::alerts::{Accepted, Alerts};

use super::sealed::{sealed, subject, told};
use super::{accept, accepting, id, open};
use crate::support::home::Home;

async fn rename(alerts: &Alerts, from: &str, to: &str) -> Option<SubjectId> {
    alerts.rename((&subject(from), &subject(to)), false).await.expect("renamed")
}

/// Every name of a citizen: the present one, then the others in the order of the alphabet.
async fn names(alerts: &Alerts, name: &str) -> Vec<String> {
    let names = alerts.names(&subject(name)).await.expect("names");
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names[1..].sort_unstable();
    names
}

async fn inbox(alerts: &Alerts, name: &str) -> usize {
    alerts.for_subject(&subject(name), None, 10).await.expect("read").len()
}

/// The same, for a citizen who is called so.
fn addressed(told: Publication, name: &str, former: &[&str]) -> Publication {
    let former = former.iter().map(|name| subject(name)).collect();
    Publication { audience: Audience::Subject { subject: subject(name), former }, ..told }
}

pub async fn whoever_is_called_otherwise_keeps_what_was_said_to_them(home: Home) {
    let alerts = open(&home).await;
    assert_eq!(rename(&alerts, "ana", "anb").await, None, "nobody knows them");
    for (n, who) in [(1, "ana"), (2, "ana"), (3, "ben")] {
        accept(&alerts, told(n, who, n as u64)).await;
    }
    let first = sealed(&alerts, 1).await;
    assert_eq!(rename(&alerts, "ana", "anb").await, Some(subject("anb")));
    assert_eq!(rename(&alerts, "ana", "anb").await, Some(subject("anb")), "twice is once");
    for name in ["ana", "anb"] {
        assert_eq!(names(&alerts, name).await, ["anb", "ana"]);
        assert_eq!(inbox(&alerts, name).await, 2);
    }
    assert_eq!((names(&alerts, "ben").await, inbox(&alerts, "ben").await), (vec!["ben".into()], 1));
    // As it is stored, and as it lies on the log since before.
    let expected = addressed(told(1, "ana", 1), "anb", &["ana"]);
    let stored = alerts.get(id(1)).await.expect("read").expect("stored");
    assert_eq!(*stored.publication, expected);
    let opened = alerts.open_sealed(first.clone()).await.expect("read");
    assert_eq!(opened, Some(expected));
    // An agency goes on with the name it has, and is the same when it repeats itself.
    accept(&alerts, told(4, "ana", 4)).await;
    let again = alerts.accept(accepting(told(4, "ana", 4))).await.expect("accepted");
    assert!(matches!(again, Accepted::New | Accepted::Same(_)), "{again:?}");
    let fourth = sealed(&alerts, 4).await;
    assert_eq!(fourth.handle, first.handle, "their steps stay in order");
    let opened = alerts.open_sealed(fourth).await.expect("read");
    assert_eq!(opened, Some(addressed(told(4, "ana", 4), "anb", &["ana"])));
    assert_eq!(inbox(&alerts, "anb").await, 3);
    // A second rotation, and a node that has not heard of it.
    assert_eq!(rename(&alerts, "anb", "anc").await, Some(subject("anc")));
    assert_eq!(rename(&alerts, "ana", "anb").await, Some(subject("anc")));
    drop(alerts);
    let alerts = open(&home).await;
    for name in ["ana", "anb", "anc"] {
        assert_eq!(names(&alerts, name).await, ["anc", "ana", "anb"]);
        assert_eq!(inbox(&alerts, name).await, 3);
    }
    alerts.erase(&subject("anc")).await.expect("erased");
    for name in ["ana", "anb", "anc"] {
        assert_eq!(
            (names(&alerts, name).await, inbox(&alerts, name).await),
            (vec![name.into()], 0)
        );
    }
    assert_eq!(alerts.open_sealed(first).await.expect("read"), None);
    assert_eq!(inbox(&alerts, "ben").await, 1);
}

pub async fn a_citizen_with_two_keys_is_read_under_one_name_and_gone_with_both(home: Home) {
    let alerts = open(&home).await;
    // Two agencies, each with a name of its own for them, before they come.
    accept(&alerts, told(1, "old", 1)).await;
    accept(&alerts, told(2, "new", 2)).await;
    let (old, new) = (sealed(&alerts, 1).await, sealed(&alerts, 2).await);
    assert_ne!(old.handle, new.handle);
    assert_eq!(rename(&alerts, "old", "new").await, Some(subject("new")));
    assert_eq!(inbox(&alerts, "new").await, 2);
    accept(&alerts, told(3, "old", 3)).await;
    let third = sealed(&alerts, 3).await;
    for (n, sealed, asked) in [(1, &old, "old"), (2, &new, "new"), (3, &third, "old")] {
        let opened = alerts.open_sealed(sealed.clone()).await.expect("read");
        assert_eq!(opened, Some(addressed(told(n, asked, n as u64), "new", &["old"])));
    }
    alerts.erase(&subject("new")).await.expect("erased");
    for sealed in [old, new, third] {
        assert_eq!(alerts.open_sealed(sealed).await.expect("read"), None);
    }
}

pub async fn at_a_keys_end_its_names_are_gone_with_whatever_lies_under_them(home: Home) {
    let alerts = open(&home).await;
    for (n, who) in [(1, "x-moved"), (2, "x-stayed"), (3, "y-other")] {
        accept(&alerts, told(n, who, n as u64)).await;
        alerts.mark_logged(id(n), n.to_string()).await.expect("logged");
    }
    let stayed = sealed(&alerts, 2).await;
    rename(&alerts, "x-moved", "y-moved").await;
    let known = alerts.rename((&subject("x-device"), &subject("y-device")), true).await;
    assert_eq!(known.expect("renamed"), Some(subject("y-device")), "the registry knows them");
    for _ in 0..2 {
        alerts.erase_all(|name| name.as_str().starts_with("x-")).await.expect("erased");
        for name in ["x-moved", "x-device", "x-stayed"] {
            assert_eq!(names(&alerts, name).await, [name]);
            assert_eq!(inbox(&alerts, name).await, 0);
        }
        assert_eq!(names(&alerts, "y-moved").await, ["y-moved"]);
        assert_eq!((inbox(&alerts, "y-moved").await, inbox(&alerts, "y-other").await), (1, 1));
        assert_eq!(alerts.open_sealed(stayed.clone()).await.expect("read"), None);
    }
}
