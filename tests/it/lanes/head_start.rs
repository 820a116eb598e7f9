//! Every node makes way for an emergency as soon as it is on the log.

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
use serde_json::Value;

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
    follow(&bus, (&superseded, &gate), &seals, &tasks).await.expect("it follows");
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
    tasks.token().cancel();
}
