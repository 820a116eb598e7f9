//! Every node makes way for an emergency as soon as it is on the log.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use loa::auth::gate::{self as seals, Gate as Seals};
use loa::auth::ring::{Keyring, Ring};
use loa::bus::{Bus, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;
use loa::domain::publication::Publication;
use loa::fanout::gate::Gate;
use loa::fanout::superseded::{Superseded, follow};
use loa::lifecycle::Lifecycle;
use loa::store::ledger::{self, Ledger, Saved, State};
use serde_json::Value;

use crate::ledger::dispatch;
use crate::support::node::PATIENCE;
use crate::support::process::eventually;
use crate::trust::sealed;

/// An emergency that supersedes another publication, as it lies on the log.
fn emergency() -> Publication {
    let example = include_str!("../../../topics/examples/publication-alert.json");
    let example: Value = serde_json::from_str(example).expect("JSON");
    serde_json::from_value(example["payload"].clone()).expect("a publication")
}

async fn until(holds: impl Fn() -> bool) {
    eventually(async || holds().then_some(())).await;
}

#[tokio::test]
async fn other_lanes_make_way_for_an_emergency_that_is_new_and_only_for_a_while() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings { dir: dir.path().to_owned(), ..Settings::default() };
    let bus = Bus::open(&settings, Clock::System).await.expect("it opens");
    let publication = emergency();
    let hour = SignedDuration::from_hours(1);
    let clock = Clock::manual(publication.accepted_at + hour);
    let (superseded, gate, tasks) = (Superseded::default(), Gate::default(), Lifecycle::new());
    let keys = Keyring::new(Ring::fresh());
    let seals = Seals::new(keys.clone(), clock.clone(), seals::Settings::default());
    let home = ledger::Settings { dir: dir.path().to_owned() };
    let ledger = Ledger::start(&home, clock.clone()).await.expect("it opens");
    let sources = (&seals, &ledger);
    follow(&bus, (&superseded, &gate), sources, &tasks).await.expect("it follows");
    let passes = || gate.pass(Lane::Routine).now_or_never().is_some();
    let publish = async |accepted_at: Timestamp| {
        let publication = Publication { accepted_at, ..publication.clone() };
        let record = sealed(&publication, &keys);
        let topic = TopicId::Publications(Lane::Emergency);
        bus.publish(topic, vec![record]).await.expect("published");
    };
    publish(publication.accepted_at).await;
    until(|| superseded.contains(publication.supersedes[0])).await;
    assert!(passes(), "one of an hour ago, read at a start, holds nobody up");
    publish(clock.now()).await;
    until(|| !passes()).await;
    let emergency = gate.pass(Lane::Emergency).now_or_never();
    assert!(emergency.is_some(), "its own lane goes on");
    tokio::time::timeout(PATIENCE, gate.pass(Lane::Routine)).await.expect("it ends");
    // As long as another node works on it, this one makes way for longer, and not for ever.
    let work = dispatch(publication.id, "26743", 0);
    let mut progress = ledger.open(&work).await.expect("opened");
    publish(clock.now()).await;
    until(|| !passes()).await;
    let longer = Duration::from_secs(3);
    let waited = tokio::time::timeout(longer, gate.pass(Lane::Routine)).await;
    assert!(waited.is_err(), "the emergency is at work elsewhere");
    progress.state = State::Done;
    let saved = ledger.save(&progress).await.expect("saved");
    assert_eq!(saved, Saved::Saved);
    tokio::time::timeout(longer, gate.pass(Lane::Routine)).await.expect("it ends with the work");
    tasks.token().cancel();
}
