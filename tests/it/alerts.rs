//! What every store of accepted publications promises.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use loa::domain::alert::{Alert, CapTime, MsgType, Scope, Status};
use loa::domain::audience::{AreaAudience, Audience, Boundaries};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::domain::secret_code::SecretCode;
use loa::domain::status_change::{Owner, StatusChange};
use loa::store::alerts::{
    Accepted, Accepting, Alerts, Dropped, Error, Identity, Over, PAGE_MAX, Settings,
};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};
use crate::support::vault;

mod names;
pub mod nodes;
mod sealed;

use names::{
    a_citizen_with_two_keys_is_read_under_one_name_and_gone_with_both,
    at_a_keys_end_its_names_are_gone_with_whatever_lies_under_them,
    whoever_is_called_otherwise_keeps_what_was_said_to_them,
};
use sealed::{
    what_is_one_citizens_is_read_by_an_older_release_until_it_is_sealed,
    what_is_one_citizens_is_sealed_and_gone_with_their_key,
};

contract!(
    what_was_accepted_is_found_unchanged_after_a_restart,
    one_identity_has_one_publication_whoever_comes_at_once,
    identities_of_different_kinds_and_steps_do_not_clash,
    a_batch_is_accepted_whole_or_not_at_all_and_meets_itself,
    what_a_crash_left_unlogged_is_found_oldest_first,
    live_is_what_says_something_now,
    a_chain_is_read_oldest_first,
    an_anonymous_report_is_found_by_its_codes_hash_alone,
    listings_page_without_gap_or_repeat_and_show_nobody_elses,
    what_is_long_over_can_be_forgotten_but_not_what_is_not_logged,
    what_is_one_citizens_is_sealed_and_gone_with_their_key,
    what_is_one_citizens_is_read_by_an_older_release_until_it_is_sealed,
    whoever_is_called_otherwise_keeps_what_was_said_to_them,
    a_citizen_with_two_keys_is_read_under_one_name_and_gone_with_both,
    at_a_keys_end_its_names_are_gone_with_whatever_lies_under_them,
);

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minutes)
}

fn id(n: u128) -> PublicationId {
    PublicationId(Uuid::from_u128(n))
}

fn alert(n: u128, msg_type: MsgType) -> Publication {
    let alert = Alert {
        identifier: format!("KTTV-{n}"),
        sender: "kttv@example.vn".to_owned(),
        sent: CapTime::new(at(0), 420),
        status: Status::Actual,
        msg_type,
        source: None,
        scope: Scope::Public,
        restriction: None,
        addresses: Vec::new(),
        codes: Vec::new(),
        note: None,
        references: Vec::new(),
        incidents: Vec::new(),
        infos: Vec::new(),
        signatures: Vec::new(),
    };
    let audience = AreaAudience {
        boundaries: Boundaries::Approximate,
        vintage: "2025-07".parse().expect("a vintage"),
        units: Vec::new(),
    };
    Publication {
        id: id(n),
        chain: ChainId(id(n).0),
        lane: Lane::Emergency,
        agency: "kttv".parse().expect("an id"),
        accepted_at: at(0),
        expires: at(60),
        supersedes: Vec::new(),
        audience: Audience::Area(audience),
        content: Content::Alert(Box::new(alert)),
        agency_name: None,
        signature: None,
        signed_by: None,
    }
}

fn status_change(n: u128, subject: &str, reference: &str, step: u64) -> Publication {
    let subject = subject.parse::<loa::domain::ids::SubjectId>().expect("a subject");
    let change = StatusChange {
        kind: "report-1022".to_owned(),
        reference: reference.to_owned(),
        state: "received".to_owned(),
        owner: Owner::Citizen(subject.clone()),
        changed_at: at(0),
        step,
        remark: None,
    };
    Publication {
        lane: Lane::Personal,
        audience: Audience::of_subject(subject),
        content: Content::StatusChange(Box::new(change)),
        ..alert(n, MsgType::Alert)
    }
}

fn accepting(publication: Publication) -> Accepting {
    let identity = Identity::of(&publication);
    Accepting { publication, identity, digest: [1; 32], raw: None }
}

async fn open(home: &Home) -> Alerts {
    open_plain(home).await.sealed(vault(&[1]))
}

/// As releases before the vault opened it.
async fn open_plain(home: &Home) -> Alerts {
    match home {
        Home::Embedded(dir) => Alerts::open(&Settings { dir: dir.path().to_owned() }).await,
        Home::Redis(settings) => Alerts::shared(&connect(settings).await, Duration::ZERO).await,
    }
    .expect("it opens")
}

async fn accept(alerts: &Alerts, publication: Publication) {
    let accepted = alerts.accept(accepting(publication)).await.expect("answered");
    assert!(matches!(accepted, Accepted::New), "{accepted:?}");
}

fn live(alerts: &Alerts, minutes: i64) -> Vec<PublicationId> {
    alerts.live(at(minutes)).iter().map(|publication| publication.id).collect()
}

async fn what_was_accepted_is_found_unchanged_after_a_restart(home: Home) {
    let alerts = open(&home).await;
    let raw = Bytes::from_static(b"<alert>\xff</alert>");
    let given = Accepting { raw: Some(raw.clone()), ..accepting(alert(1, MsgType::Alert)) };
    alerts.accept(given).await.expect("accepted");
    alerts.mark_logged(id(1), "loa.publications.emergency/1@7".to_owned()).await.expect("marked");
    alerts.mark_logged(id(1), "elsewhere".to_owned()).await.expect("a repeat is no error");
    let before = alerts.get(id(1)).await.expect("read").expect("there");
    drop(alerts);
    let alerts = open(&home).await;
    let stored = alerts.get(id(1)).await.expect("read").expect("there");
    assert_eq!(stored, before);
    assert_eq!(*stored.publication, alert(1, MsgType::Alert));
    assert_eq!(stored.raw, Some(raw));
    assert_eq!(stored.logged.as_deref(), Some("loa.publications.emergency/1@7"));
    let same_instant = "2026-09-01T07:00:00+07:00".parse().expect("an instant");
    let found = alerts.by_identity("kttv@example.vn", "KTTV-1", same_instant).await;
    assert_eq!(found.expect("read").expect("there"), stored);
    let others = alerts.by_identity("kttv@example.vn", "KTTV-1", at(1)).await;
    assert_eq!(others.expect("read"), None);
    assert_eq!(alerts.by_identifier("kttv@example.vn", "KTTV-1").await.expect("read").len(), 1);
    assert_eq!(alerts.get(id(2)).await.expect("read"), None);
}

async fn one_identity_has_one_publication_whoever_comes_at_once(home: Home) {
    let alerts = open(&home).await;
    let racing = (1..=40).map(|n| {
        let mut given = accepting(alert(n, MsgType::Alert));
        given.identity = Identity::of(&alert(0, MsgType::Alert));
        given.digest = [(n % 2) as u8; 32];
        alerts.accept(given)
    });
    let accepted = futures_util::future::join_all(racing).await;
    let accepted: Vec<_> = accepted.into_iter().map(|one| one.expect("answered")).collect();
    let count = |kind: fn(&Accepted) -> bool| accepted.iter().filter(|one| kind(one)).count();
    assert_eq!(count(|one| matches!(one, Accepted::New)), 1);
    assert_eq!(count(|one| matches!(one, Accepted::Same(_))), 19);
    assert_eq!(count(|one| matches!(one, Accepted::Conflict(_))), 20);
    assert_eq!(alerts.unlogged().await.expect("read").len(), 1);
}

async fn identities_of_different_kinds_and_steps_do_not_clash(home: Home) {
    let alerts = open(&home).await;
    accept(&alerts, status_change(1, "s", "a", 1)).await;
    accept(&alerts, status_change(2, "s", "a", 2)).await;
    accept(&alerts, status_change(3, "s", "a\",\"b", 1)).await;
    accept(&alerts, alert(4, MsgType::Alert)).await;
    let again = alerts.accept(accepting(status_change(5, "s", "a", 2))).await.expect("answered");
    assert!(matches!(&again, Accepted::Same(stored) if stored.publication.id == id(2)));
    let mut taken = accepting(alert(4, MsgType::Alert));
    taken.identity = Identity::of(&alert(9, MsgType::Alert));
    let taken = alerts.accept(taken).await;
    assert!(matches!(taken, Err(Error::IdTaken(_))), "{taken:?}");
}

async fn a_batch_is_accepted_whole_or_not_at_all_and_meets_itself(home: Home) {
    let alerts = open(&home).await;
    let twice = vec![
        accepting(status_change(1, "s", "a", 1)),
        accepting(status_change(2, "s", "b", 1)),
        accepting(status_change(3, "s", "a", 1)),
    ];
    let accepted = alerts.accept_all(twice).await.expect("answered");
    assert!(matches!(&accepted[..], [Accepted::New, Accepted::New, Accepted::Same(_)]));
    let mut clash = accepting(status_change(2, "s", "c", 1));
    clash.publication.id = id(1);
    let refused = alerts.accept_all(vec![accepting(status_change(8, "s", "d", 1)), clash]).await;
    assert!(matches!(refused, Err(Error::IdTaken(_))), "{refused:?}");
    assert_eq!(alerts.get(id(8)).await.expect("read"), None);
    let mut other = accepting(status_change(9, "s", "a", 1));
    other.digest = [99; 32];
    let refused = alerts.accept_all(vec![accepting(status_change(8, "s", "d", 1)), other]).await;
    assert!(
        matches!(refused, Err(Error::Clash { index: 1, known }) if known == id(1)),
        "{refused:?}"
    );
    assert_eq!(alerts.get(id(8)).await.expect("read"), None);
    let many = (0..=PAGE_MAX as u128).map(|n| accepting(alert(n, MsgType::Alert))).collect();
    assert!(matches!(alerts.accept_all(many).await, Err(Error::TooMany(_))));
}

async fn what_a_crash_left_unlogged_is_found_oldest_first(home: Home) {
    let alerts = open(&home).await;
    for n in [3, 1, 2] {
        accept(&alerts, alert(n, MsgType::Alert)).await;
    }
    alerts.mark_logged(id(2), "x".to_owned()).await.expect("marked");
    drop(alerts);
    let alerts = open(&home).await;
    let left = alerts.unlogged().await.expect("read");
    assert_eq!(left, [alert(1, MsgType::Alert), alert(3, MsgType::Alert)]);
    let unknown = alerts.mark_all_logged(vec![(id(1), "x".into()), (id(9), "x".into())]).await;
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
    assert_eq!(alerts.unlogged().await.expect("read").len(), 2, "all or nothing");
}

async fn live_is_what_says_something_now(home: Home) {
    let alerts = open(&home).await;
    for n in 1..=3 {
        accept(&alerts, alert(n, MsgType::Alert)).await;
    }
    accept(&alerts, status_change(4, "s", "a", 1)).await;
    accept(&alerts, alert(5, MsgType::Cancel)).await;
    accept(&alerts, Publication { expires: at(30), ..alert(6, MsgType::Update) }).await;
    alerts.supersede(&[id(1), id(5), id(99)], id(5)).await.expect("superseded");
    alerts.supersede(&[id(1), id(2)], id(6)).await.expect("superseded");
    for alerts in [alerts.clone(), open(&home).await] {
        assert_eq!(live(&alerts, 29), [id(3), id(6)]);
        assert_eq!(live(&alerts, 30), [id(3)]);
        assert_eq!(live(&alerts, 60), []);
        let superseded = alerts.get(id(1)).await.expect("read").expect("there");
        assert_eq!(superseded.superseded_by, Some(id(5)), "the first stays");
        let itself = alerts.get(id(5)).await.expect("read").expect("there");
        assert_eq!(itself.superseded_by, None, "nothing supersedes itself");
    }
}

async fn a_chain_is_read_oldest_first(home: Home) {
    let alerts = open(&home).await;
    for n in [2, 1, 3] {
        accept(&alerts, Publication { chain: ChainId(id(1).0), ..alert(n, MsgType::Update) }).await;
    }
    accept(&alerts, alert(4, MsgType::Alert)).await;
    let chain = alerts.chain(ChainId(id(1).0)).await.expect("read");
    let ids: Vec<_> = chain.iter().map(|stored| stored.publication.id).collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
}

async fn an_anonymous_report_is_found_by_its_codes_hash_alone(home: Home) {
    let code = SecretCode::parse("K7QM2XR9PDWA4T6H").expect("a code");
    let anonymous = |n: u128, reference: &str, step: u64| {
        let hash = code.hash("report-1022", reference);
        let mut publication = status_change(n, hash.subject().as_str(), reference, step);
        if let Content::StatusChange(change) = &mut publication.content {
            change.owner = Owner::Code(hash);
        }
        publication
    };
    let alerts = open(&home).await;
    for (n, reference, step) in [(1, "a", 1), (2, "a", 2), (3, "b", 1)] {
        accept(&alerts, anonymous(n, reference, step)).await;
    }
    let again = alerts.accept(accepting(anonymous(4, "a", 2))).await.expect("answered");
    assert!(matches!(again, Accepted::Same(_)), "{again:?}");
    drop(alerts);
    let alerts = open(&home).await;
    let subject = code.hash("report-1022", "a").subject();
    let found = alerts.for_subject(&subject, None, 10).await.expect("read");
    let found: Vec<_> = found.iter().map(|stored| (*stored.publication).clone()).collect();
    assert_eq!(found, [anonymous(2, "a", 2), anonymous(1, "a", 1)]);
    let other = SecretCode::parse("K7QM2XR9PDWA4T6J").expect("a code");
    let other = other.hash("report-1022", "a").subject();
    assert_eq!(alerts.for_subject(&other, None, 10).await.expect("read"), []);
}

async fn listings_page_without_gap_or_repeat_and_show_nobody_elses(home: Home) {
    let alerts = open(&home).await;
    for n in 1..=10 {
        accept(&alerts, alert(n, MsgType::Alert)).await;
        accept(&alerts, status_change(100 + n, "mine", &n.to_string(), 1)).await;
        accept(&alerts, status_change(200 + n, "other", &n.to_string(), 2)).await;
    }
    let subject = "mine".parse().expect("a subject");
    let (mut recent, mut inbox) = (Vec::new(), Vec::new());
    loop {
        let page = alerts.recent(recent.last().copied(), 3).await.expect("read");
        recent.extend(page.iter().map(|stored| stored.publication.id));
        let own = alerts.for_subject(&subject, inbox.last().copied(), 3).await.expect("read");
        inbox.extend(own.iter().map(|stored| stored.publication.id));
        if page.is_empty() && own.is_empty() {
            break;
        }
    }
    assert_eq!(recent, (1..=10).rev().map(id).collect::<Vec<_>>());
    assert_eq!(inbox, (101..=110).rev().map(id).collect::<Vec<_>>());
}

async fn what_is_long_over_can_be_forgotten_but_not_what_is_not_logged(home: Home) {
    let alerts = open(&home).await;
    for n in 1..=3 {
        accept(&alerts, alert(n, MsgType::Alert)).await;
    }
    for n in 1..=2 {
        alerts.mark_logged(id(n), "x".to_owned()).await.expect("marked");
    }
    let over = |minutes| Over { areas: at(minutes), personal: at(minutes) };
    let dropped = alerts.forget(over(60)).await.expect("done");
    assert_eq!(dropped, Dropped::default(), "expired at 60, not before");
    assert_eq!(alerts.forget(over(61)).await.expect("done").areas, 2);
    assert_eq!(alerts.get(id(1)).await.expect("read"), None);
    assert!(alerts.get(id(3)).await.expect("read").is_some());
}
