//! What every store of drafts promises.

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use loa::domain::draft::{Draft, DraftKind, Move, State, Step};
use loa::domain::ids::{DraftId, PublicationId};
use loa::store::drafts::{Drafts, Error, Filter, OPEN_MAX, Settings};
use serde_json::json;
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

contract!(
    a_draft_comes_back_as_it_was_with_its_xml,
    of_two_who_change_one_version_one_is_told,
    lists_are_by_agency_and_state_the_newest_change_first,
    changes_are_followed_in_order_on_every_handle,
    what_is_decided_is_due_until_it_is_published,
    a_draft_is_thrown_away_at_its_version_only,
    an_agency_has_so_many_open_drafts,
    what_is_closed_and_old_is_forgotten,
);

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minutes)
}

fn draft(n: u128, agency: &str) -> Draft {
    Draft {
        id: DraftId(Uuid::from_u128(n)),
        agency: agency.parse().expect("an id"),
        kind: DraftKind::Alert,
        of: None,
        exercise: false,
        body: json!({"infos": [{"headline": "Ngập ở kênh Tẻ", "number": n as u64}]}),
        state: State::Editing,
        version: 1,
        created_by: "person:an".to_owned(),
        created_at: at(0),
        updated_at: at(0),
        submitted_by: None,
        decided_by: None,
        decided_at: None,
        reason: None,
        publication: None,
        raw: false,
    }
}

fn after(draft: &Draft, step: Move, minutes: i64) -> Draft {
    let by = if step == Move::Approve { "person:binh" } else { "person:an" };
    let step = Step { step, by: by.into(), at: at(minutes), reason: Some("vì".into()) };
    draft.after(step).expect("a legal step")
}

async fn open(home: &Home) -> Drafts {
    match home {
        Home::Embedded(dir) => Drafts::open(&Settings { dir: dir.path().to_owned() }).await,
        Home::Redis(settings) => Drafts::shared(&connect(settings).await).await,
    }
    .expect("it opens")
}

fn all(limit: usize) -> Filter {
    Filter { agency: None, state: None, limit }
}

async fn a_draft_comes_back_as_it_was_with_its_xml(home: Home) {
    let drafts = open(&home).await;
    let (one, raw) = (draft(1, "kttv"), Bytes::from_static(b"<alert>\xff</alert>"));
    drafts.create(one.clone(), Some(raw.clone())).await.expect("created");
    drafts.create(draft(2, "kttv"), None).await.expect("created");
    let submitted = after(&one, Move::Submit, 1);
    drafts.change(1, submitted.clone()).await.expect("changed");
    drop(drafts);
    let drafts = open(&home).await;
    assert_eq!(drafts.get(one.id).await.expect("a look"), Some(submitted));
    assert_eq!(drafts.raw(one.id).await.expect("a look"), Some(raw), "a change keeps the XML");
    assert_eq!(drafts.raw(draft(2, "kttv").id).await.expect("a look"), None);
    assert_eq!(drafts.get(draft(3, "kttv").id).await.expect("a look"), None);
    let other = Draft { body: json!({"other": true}), ..draft(1, "kttv") };
    drafts.create(other, None).await.expect_err("an id is of one draft");
}

async fn of_two_who_change_one_version_one_is_told(home: Home) {
    let handles = [open(&home).await, open(&home).await];
    let one = draft(1, "kttv");
    handles[0].create(one.clone(), None).await.expect("created");
    let edits = (0..10).map(|number| {
        let mine = Draft { body: json!({"by": number}), ..after(&one, Move::Edit, number) };
        let drafts = &handles[number as usize % 2];
        async move { drafts.change(1, mine).await }
    });
    let outcomes = join_all(edits).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        let stale = matches!(outcome, Error::Stale { given: 1, now: 2, .. });
        assert!(stale, "{outcome}");
    }
    let unknown = handles[1].change(1, after(&draft(9, "kttv"), Move::Edit, 1)).await;
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
}

async fn lists_are_by_agency_and_state_the_newest_change_first(home: Home) {
    let drafts = open(&home).await;
    for (n, agency) in [(1, "kttv"), (2, "pc07"), (3, "kttv")] {
        drafts.create(draft(n, agency), None).await.expect("created");
    }
    drafts.change(1, after(&draft(1, "kttv"), Move::Submit, 1)).await.expect("changed");
    let list = async |agency: Option<&str>, state, limit| -> Vec<u128> {
        let agency = agency.map(|agency| agency.parse().expect("an id"));
        let found = drafts.list(Filter { agency, state, limit }).await.expect("a list");
        found.iter().map(|draft| draft.id.0.as_u128()).collect()
    };
    assert_eq!(list(None, None, 10).await, [1, 3, 2]);
    assert_eq!(list(None, None, 2).await, [1, 3]);
    assert_eq!(list(Some("kttv"), None, 10).await, [1, 3]);
    assert_eq!(list(None, Some(State::Editing), 10).await, [3, 2]);
    assert_eq!(list(Some("kttv"), Some(State::Editing), 10).await, [3]);
    assert_eq!(list(Some("kttv"), Some(State::Submitted), 10).await, [1]);
    assert_eq!(list(Some("other"), None, 10).await, [] as [u128; 0]);
    assert_eq!(list(None, None, 0).await, [] as [u128; 0]);
}

async fn changes_are_followed_in_order_on_every_handle(home: Home) {
    let one = open(&home).await;
    one.create(draft(1, "kttv"), None).await.expect("created");
    // A file's handle hears of its own changes; in a cluster each hears of all.
    let other = if matches!(home, Home::Redis(_)) { open(&home).await } else { one.clone() };
    let mut watch = other.watch();
    let began = *watch.borrow_and_update();
    for n in 2..=4 {
        one.create(draft(n, "kttv"), None).await.expect("created");
    }
    one.change(1, after(&draft(3, "kttv"), Move::Submit, 1)).await.expect("changed");
    one.remove(draft(2, "kttv").id, 1).await.expect("removed");
    watch.wait_for(|number| *number == began + 5).await.expect("it is open");
    let changed = other.changed(began).await.expect("changes");
    let seen: Vec<(u64, u128)> =
        changed.iter().map(|(number, draft)| (number - began, draft.id.0.as_u128())).collect();
    assert_eq!(seen, [(3, 4), (4, 3)], "each with its last change, what is removed is not there");
    assert_eq!(other.changed(began + 4).await.expect("changes"), []);
}

async fn what_is_decided_is_due_until_it_is_published(home: Home) {
    let drafts = open(&home).await;
    let mut one = draft(1, "kttv");
    drafts.create(one.clone(), None).await.expect("created");
    for step in [Move::Submit, Move::Approve] {
        assert_eq!(drafts.due().await.expect("what is due"), []);
        let next = after(&one, step, 1);
        drafts.change(one.version, next.clone()).await.expect("changed");
        one = next;
    }
    let drafts = open(&home).await;
    assert_eq!(drafts.due().await.expect("what is due"), [one.clone()]);
    let id = PublicationId(Uuid::from_u128(77));
    assert_eq!(drafts.of_publication(id).await.expect("a look"), None);
    let published = one.published(id, at(2));
    drafts.change(one.version, published.clone()).await.expect("marked");
    assert_eq!(drafts.due().await.expect("what is due"), []);
    assert_eq!(drafts.of_publication(id).await.expect("a look"), Some(published));
}

async fn a_draft_is_thrown_away_at_its_version_only(home: Home) {
    let drafts = open(&home).await;
    let one = draft(1, "kttv");
    drafts.create(one.clone(), None).await.expect("created");
    let stale = drafts.remove(one.id, 2).await;
    assert!(matches!(stale, Err(Error::Stale { given: 2, now: 1, .. })), "{stale:?}");
    drafts.remove(one.id, 1).await.expect("removed");
    assert_eq!(drafts.get(one.id).await.expect("a look"), None);
    assert_eq!(drafts.list(all(10)).await.expect("a list"), []);
    let gone = drafts.remove(one.id, 1).await;
    assert!(matches!(gone, Err(Error::Unknown(_))), "{gone:?}");
}

async fn an_agency_has_so_many_open_drafts(home: Home) {
    let drafts = open(&home).await;
    let creating = (0..OPEN_MAX as u128).map(|n| drafts.create(draft(n, "kttv"), None));
    for created in join_all(creating).await {
        created.expect("created");
    }
    let more = drafts.create(draft(5_000, "kttv"), None).await;
    assert!(matches!(more, Err(Error::TooMany(_))), "{more:?}");
    drafts.create(draft(5_001, "pc07"), None).await.expect("another agency has its own");
    drafts.remove(draft(0, "kttv").id, 1).await.expect("removed");
    drafts.create(draft(5_000, "kttv"), None).await.expect("there is room again");
}

async fn what_is_closed_and_old_is_forgotten(home: Home) {
    let drafts = open(&home).await;
    for n in 1..=4 {
        drafts.create(draft(n, "kttv"), None).await.expect("created");
        let submitted = after(&draft(n, "kttv"), Move::Submit, 1);
        drafts.change(1, submitted.clone()).await.expect("changed");
        let (step, minutes) = match n {
            1 => (Move::Reject, 10),
            2 => (Move::Reject, 30),
            3 => (Move::Approve, 10),
            _ => continue,
        };
        drafts.change(2, after(&submitted, step, minutes)).await.expect("decided");
    }
    assert_eq!(drafts.forget(at(20)).await.expect("forgotten"), 1, "due and open ones stay");
    let left = drafts.list(all(10)).await.expect("a list");
    let left: Vec<u128> = left.iter().map(|draft| draft.id.0.as_u128()).collect();
    assert_eq!(left, [4, 3, 2]);
}
