//! What every store of drills promises.

use jiff::{SignedDuration, Timestamp};
use loa::domain::ids::DeviceId;
use loa::store::drills::{CANARIES_MAX, Canary, Drills, Error, HISTORY_MAX, LinkTest, Settings};
use uuid::Uuid;

use crate::support::home::{Home, connect, contract};

contract!(
    canaries_are_kept_replaced_and_listed_by_unit,
    there_are_so_many_canaries,
    the_newest_link_tests_are_remembered,
    a_link_test_is_heard_of,
);

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-09-01T00:00:00Z".parse().expect("an instant");
    start + SignedDuration::from_mins(minutes)
}

fn canary(n: u128, unit: &str) -> Canary {
    Canary {
        unit: unit.parse().expect("a unit"),
        device: DeviceId(Uuid::from_u128(n)),
        last_sent: None,
        last_received: None,
    }
}

fn test(minutes: i64) -> LinkTest {
    LinkTest { at: at(minutes), sent: 3, received: 2, ms_p50: Some(150) }
}

async fn open(home: &Home) -> Drills {
    match home {
        Home::Embedded(dir) => Drills::open(&Settings { dir: dir.path().to_owned() }).await,
        Home::Redis(settings) => Drills::shared(&connect(settings).await).await,
    }
    .expect("it opens")
}

async fn canaries_are_kept_replaced_and_listed_by_unit(home: Home) {
    let drills = open(&home).await;
    for one in [canary(1, "26737"), canary(2, "26734"), canary(3, "26734")] {
        drills.put(one).await.expect("put");
    }
    let sent = Canary { last_sent: Some(at(1)), last_received: Some(at(2)), ..canary(3, "26740") };
    drills.put(sent.clone()).await.expect("replaced");
    let drills = open(&home).await;
    let all = [canary(2, "26734"), canary(1, "26737"), sent];
    assert_eq!(drills.canaries().await.expect("a list"), all);
    assert!(drills.remove(all[0].device).await.expect("removed"));
    assert!(!drills.remove(all[0].device).await.expect("nothing to remove"));
    assert_eq!(drills.canaries().await.expect("a list"), all[1..]);
}

async fn there_are_so_many_canaries(home: Home) {
    let drills = open(&home).await;
    for n in 0..CANARIES_MAX as u128 {
        drills.put(canary(n, "26734")).await.expect("put");
    }
    let more = drills.put(canary(9_999, "26734")).await;
    assert!(matches!(more, Err(Error::TooMany)), "{more:?}");
    drills.put(canary(7, "26737")).await.expect("one that is there is replaced");
}

async fn the_newest_link_tests_are_remembered(home: Home) {
    let drills = open(&home).await;
    assert_eq!(drills.history(10).await.expect("a list"), []);
    for minutes in 0..=HISTORY_MAX as i64 {
        drills.add(test(minutes)).await.expect("added");
    }
    drills.add(test(0)).await.expect("one that looks like another is another");
    let all = drills.history(usize::MAX).await.expect("a list");
    assert_eq!(all.len(), HISTORY_MAX);
    assert_eq!((&all[0], &all[1]), (&test(0), &test(HISTORY_MAX as i64)));
    let unanswered = LinkTest { received: 0, ms_p50: None, ..test(2_000) };
    drills.add(unanswered.clone()).await.expect("added");
    assert_eq!(drills.history(1).await.expect("a list"), [unanswered]);
    assert_eq!(drills.history(0).await.expect("a list"), []);
}

async fn a_link_test_is_heard_of(home: Home) {
    let one = open(&home).await;
    // A file's handle hears of its own tests; in a cluster each hears of all.
    let other = if matches!(home, Home::Redis(_)) { open(&home).await } else { one.clone() };
    let mut watch = other.watch();
    let began = *watch.borrow_and_update();
    one.add(test(1)).await.expect("added");
    watch.wait_for(|number| *number == began + 1).await.expect("it is open");
    assert_eq!(other.history(1).await.expect("a list"), [test(1)]);
}
