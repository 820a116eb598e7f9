//! What every audit promises.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use loa::domain::audit::{Act, Actor, BEGINNING, Entry, Verdict, canonical, hash};
use loa::store::audit::{Audit, Checkpoint, Filter, PAGE_MAX, Settings};
use loa::trail::seal::{SEED_BYTES, Seal};
use loa::trail::verify::{Expected, verify};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

contract!(
    entries_have_their_place_and_come_back_as_they_were,
    several_writers_make_one_chain_without_a_gap,
    pages_follow_each_other_without_gap_or_repeat,
    entries_are_found_by_object_and_actor_the_newest_first,
    checkpoints_of_several_writers_lie_on_the_chain,
);

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_secs(seconds)
}

fn entry(n: u128, by: &str, object: &str) -> Entry {
    let (agency, key) = by.split_once('/').expect("AGENCY/KEY");
    Entry {
        id: Uuid::from_u128(n),
        at: at(n as i64),
        actor: Actor::Agency { id: agency.to_owned(), key: key.to_owned() },
        act: Act::Publish,
        object: object.to_owned(),
        verdict: Verdict::Done,
        reason: Some("vì \"nước\" lên".to_owned()),
    }
}

async fn open(home: &Home) -> Audit {
    match home {
        Home::Embedded(dir) => {
            Audit::open(&Settings { dir: dir.path().to_owned() }).await.expect("it opens")
        }
        Home::Redis(settings) => Audit::shared(&connect(settings).await),
    }
}

async fn entries_have_their_place_and_come_back_as_they_were(home: Home) {
    let audit = open(&home).await;
    assert_eq!(audit.head().await.expect("the head"), (0, BEGINNING));
    assert_eq!(audit.links(0).await.expect("a page"), []);
    let mut before = BEGINNING;
    for n in 1..=3 {
        let link = audit.append(entry(n, "kttv/desk", "x")).await.expect("appended");
        let expected = hash(&before, n as u64, &canonical(&entry(n, "kttv/desk", "x")));
        assert_eq!((link.seq, link.hash), (n as u64, expected));
        before = link.hash;
    }
    let audit = open(&home).await;
    assert_eq!(audit.head().await.expect("the head"), (3, before));
    let texts: Vec<String> =
        audit.links(1).await.expect("a page").into_iter().map(|link| link.text).collect();
    assert_eq!(texts, [2, 3].map(|n| canonical(&entry(n, "kttv/desk", "x"))));
    assert_eq!(audit.append(entry(4, "kttv/desk", "x")).await.expect("appended").seq, 4);
}

async fn several_writers_make_one_chain_without_a_gap(home: Home) {
    let writers = [open(&home).await, open(&home).await, open(&home).await];
    let appends = (0..120).map(|n| {
        let audit = &writers[n as usize % writers.len()];
        async move { audit.append(entry(n, "kttv/desk", "x")).await.expect("appended").seq }
    });
    let mut numbers = join_all(appends).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=120).collect::<Vec<u64>>());
    let seal = Seal::new(&[7; SEED_BYTES]).expect("a key");
    let report = verify(&writers[0], &seal.public(), None).await.expect("read");
    assert!(report.is_whole(), "{:?}", report.findings);
    assert_eq!(report.entries, 120);
}

async fn pages_follow_each_other_without_gap_or_repeat(home: Home) {
    let audit = open(&home).await;
    let count = PAGE_MAX as u128 + 100;
    join_all((0..count).map(|n| audit.append(entry(n, "kttv/desk", "x")))).await;
    let (mut last, mut pages) = (0, Vec::new());
    loop {
        let page = audit.links(last).await.expect("a page");
        let Some(end) = page.last() else { break };
        last = end.seq;
        pages.push(page.iter().map(|link| link.seq).collect::<Vec<_>>());
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [PAGE_MAX, 100]);
    assert_eq!(pages.concat(), (1..=count as u64).collect::<Vec<_>>());
}

async fn entries_are_found_by_object_and_actor_the_newest_first(home: Home) {
    let audit = open(&home).await;
    for n in 1..=12 {
        let by = if n % 2 == 0 { "kttv/desk" } else { "pc07/desk" };
        let object = if n % 3 == 0 { "three" } else { "other" };
        audit.append(entry(n, by, object)).await.expect("appended");
    }
    let find = async |object: Option<&str>, actor: Option<&str>, before, limit| -> Vec<u64> {
        let (object, actor) = (object.map(str::to_owned), actor.map(str::to_owned));
        let found = audit.list(Filter { object, actor, before, limit }).await.expect("a list");
        found.iter().map(|link| link.seq).collect()
    };
    assert_eq!(find(None, None, None, 3).await, [12, 11, 10]);
    assert_eq!(find(None, None, Some(3), 10).await, [2, 1]);
    assert_eq!(find(Some("three"), None, None, 10).await, [12, 9, 6, 3]);
    assert_eq!(find(Some("three"), None, Some(9), 1).await, [6]);
    assert_eq!(find(None, Some("kttv/desk"), Some(9), 2).await, [8, 6]);
    assert_eq!(find(Some("three"), Some("kttv/desk"), None, 10).await, [12, 6]);
    assert_eq!(find(Some("three"), Some("nobody"), None, 10).await, [] as [u64; 0]);
}

async fn checkpoints_of_several_writers_lie_on_the_chain(home: Home) {
    let (one, other) = (open(&home).await, open(&home).await);
    let seal = Seal::new(&[7; SEED_BYTES]).expect("a key");
    assert_eq!(one.signed().await.expect("a number"), 0);
    for n in 1..=5 {
        one.append(entry(n, "kttv/desk", "x")).await.expect("appended");
        for audit in [&one, &other] {
            let (seq, hash) = audit.head().await.expect("the head");
            let signature = seal.sign(seq, &hash);
            let checkpoint = Checkpoint { seq, hash, at: at(n as i64), signature };
            audit.add_checkpoint(checkpoint).await.expect("added");
        }
    }
    assert_eq!(other.signed().await.expect("a number"), 5);
    let (seq, hash) = other.head().await.expect("the head");
    let expected = Some(Expected { seq, hash });
    let report = verify(&other, &seal.public(), expected).await.expect("read");
    assert!(report.is_whole() && report.checkpoints >= 5, "{report:?}");
    let stranger = Seal::new(&[8; SEED_BYTES]).expect("a key");
    let report = verify(&other, &stranger.public(), expected).await.expect("read");
    assert!(!report.is_whole(), "signed with another key");
}
