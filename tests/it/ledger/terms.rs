//! Of two workers on one dispatch the newer goes on, and the older changes nothing any more.

use loa::domain::ids::Seq;
use loa::store::ledger::{Progress, Saved, State};

use super::{dispatch, open, publication, sent, total};
use crate::support::home::Home;

pub async fn a_replaced_worker_is_stopped_and_forgets_nobody(home: Home) {
    let ledger = open(&home).await;
    let mut progress = ledger.open(&dispatch(publication(0), "1", 0)).await.expect("opened");
    sent(&mut progress, 100);
    progress.cursor = Seq(50);
    let behind = Progress { cursor: Seq(49), ..progress.clone() };
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    assert_eq!(ledger.save(&behind).await.expect("an answer"), Saved::Replaced);
    // The next worker repeats 51..=100 in smaller batches; 81..=100 may have been reached.
    let smaller = Progress { intent: Seq(80), ..progress.clone() };
    assert_eq!(ledger.save(&smaller).await.expect("an answer"), Saved::Saved);
    let kept = ledger.get(&progress.dispatch.id).await.expect("a look").expect("opened");
    assert_eq!(kept.intent, Seq(100));
}

pub async fn a_dispatch_taken_over_is_its_new_workers_alone(home: Home) {
    let ledger = open(&home).await;
    let mut old = ledger.open(&dispatch(publication(0), "1", 0)).await.expect("opened");
    sent(&mut old, 100);
    assert_eq!(ledger.save(&old).await.expect("an answer"), Saved::Saved);
    let mut new = ledger.open(&old.dispatch).await.expect("taken over");
    assert!(new.term > old.term);
    assert_eq!(new, Progress { term: new.term, ..old.clone() }, "it goes on where the old one was");
    // Neither the next batch, nor the outcomes of the last, nor the end are the old one's to say.
    let outcomes = Progress { cursor: Seq(100), ..old.clone() };
    let next_batch = Progress { intent: Seq(200), ..outcomes.clone() };
    let end = Progress { state: State::Done, ..outcomes.clone() };
    for late in [&outcomes, &next_batch, &end] {
        assert_eq!(ledger.save(late).await.expect("an answer"), Saved::Replaced);
        let kept = ledger.get(&old.dispatch.id).await.expect("a look").expect("opened");
        assert_eq!(kept, new, "a refused save changes nothing");
    }
    sent(&mut new, 200);
    new.cursor = Seq(100);
    assert_eq!(ledger.save(&new).await.expect("an answer"), Saved::Saved);
    assert_eq!(total(&ledger, publication(0)).await.sent, 200, "counted by one of them");
    // Frozen, it takes outcomes of the new worker alone.
    ledger.freeze(&new.dispatch.id).await.expect("an answer").expect("opened");
    new.cursor = Seq(200);
    let late = Progress { cursor: Seq(200), ..old };
    assert_eq!(ledger.save(&late).await.expect("an answer"), Saved::Replaced);
    assert_eq!(ledger.save(&new).await.expect("an answer"), Saved::Saved);
}

pub async fn of_workers_that_open_at_once_one_goes_on(home: Home) {
    let ledger = open(&home).await;
    let dispatch = dispatch(publication(0), "1", 0);
    let opening = (0..8).map(|_| ledger.open(&dispatch));
    let workers = futures_util::future::try_join_all(opening).await.expect("opened");
    let mut goes_on = Vec::new();
    for (number, progress) in workers.iter().enumerate() {
        let mut progress = progress.clone();
        sent(&mut progress, 1);
        if ledger.save(&progress).await.expect("an answer") == Saved::Saved {
            goes_on.push(number);
        }
    }
    let newest = (0..workers.len()).max_by_key(|number| workers[*number].term);
    assert_eq!(goes_on, Vec::from_iter(newest));
    // A server that lost its last second may not know of the newest: it is believed.
    let mut newer = workers[goes_on[0]].clone();
    newer.term += 1;
    assert_eq!(ledger.save(&newer).await.expect("an answer"), Saved::Saved);
    let was_newest = &workers[goes_on[0]];
    assert_eq!(ledger.save(was_newest).await.expect("an answer"), Saved::Replaced);
}

pub async fn a_dispatch_that_is_over_is_taken_from_nobody(home: Home) {
    let ledger = open(&home).await;
    let mut progress = ledger.open(&dispatch(publication(0), "1", 0)).await.expect("opened");
    progress.state = State::Expired;
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
    assert_eq!(ledger.open(&progress.dispatch).await.expect("looked at"), progress);
    // Its worker still counts whom it did not reach.
    progress.counts.expired = 7;
    assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
}

pub async fn what_is_free_is_opened_once_and_taken_from_nobody(home: Home) {
    let ledger = open(&home).await;
    let dispatch = dispatch(publication(0), "1", 0);
    // Begun by a router it is still free.
    ledger.open_all(std::slice::from_ref(&dispatch)).await.expect("begun");
    let opening = (0..8).map(|_| ledger.open_if_free(&dispatch));
    let opened = futures_util::future::try_join_all(opening).await.expect("answers");
    let mut mine: Vec<_> = opened.into_iter().flatten().collect();
    let mut first = mine.pop().expect("somebody opened it");
    assert_eq!(mine, [], "nobody else");
    sent(&mut first, 100);
    assert_eq!(ledger.save(&first).await.expect("an answer"), Saved::Saved);
    assert_eq!(ledger.open_if_free(&dispatch).await.expect("an answer"), None);
    first.cursor = Seq(100);
    assert_eq!(ledger.save(&first).await.expect("an answer"), Saved::Saved, "it goes on");
    // Taken over it is somebody's too, and over it is looked at.
    let mut second = ledger.open(&dispatch).await.expect("taken over");
    assert_eq!(ledger.open_if_free(&dispatch).await.expect("an answer"), None);
    second.state = State::Done;
    assert_eq!(ledger.save(&second).await.expect("an answer"), Saved::Saved);
    assert_eq!(ledger.open_if_free(&dispatch).await.expect("an answer"), Some(second));
}
