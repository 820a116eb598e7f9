//! Redis loses its last moments (a power cut with `appendfsync everysec`, a failover): what it
//! lost is on the log or in the workers' hands, and comes back. Shown over a real server that is
//! killed and started again over its append-only file as it was a while before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use http::Method;
use loa::clock::Clock;
use loa::domain::ids::PublicationId;
use loa::simulator::citizens::{Mix, Population, Tally, Uplink, answer_pushes};
use loa::simulator::faults::{Rule, Service, Then, When};
use loa::simulator::record::Delivered;
use loa::store;
use loa::store::ledger::{Counted, Ledger};
use loa::store::redis::Settings;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::home::connect;
use crate::support::node::{AlertXml, CENTRE, PATIENCE, TestNode};
use crate::support::people::{audience, everywhere, received, repeats, tokens};
use crate::support::redis::Server;

const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 120, cell: 150, english: 60 };
const DEVICES: u32 = 2_500;
/// Deliveries that may wait for the test: all there are.
const ALL: usize = 10 * DEVICES as usize;
const BATCH: usize = 20;
const DISPATCHES: usize = 8;
/// The append-only file as usual, and no snapshots beside it.
const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];

/// A server, and what its disk held a while ago.
struct Disk {
    server: Server,
    earlier: TempDir,
}

impl Disk {
    fn new() -> Self {
        let earlier = tempfile::tempdir().expect("a directory");
        Self { server: Server::start(&DURABLE), earlier }
    }

    fn settings(&self) -> Settings {
        Settings::single(self.server.url())
    }

    /// Keeps what is on the disk now.
    fn remember(&self) {
        copy(self.server.dir(), self.earlier.path());
    }

    /// The power fails, and what came since is lost.
    fn turn_back(&mut self) {
        self.server.kill();
        for entry in fs::read_dir(self.server.dir()).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                fs::remove_dir_all(path).expect("removed");
            } else {
                fs::remove_file(path).expect("removed");
            }
        }
        copy(self.earlier.path(), self.server.dir());
        self.server.restart();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// A node over such a server, and its people.
struct Scene {
    disk: Disk,
    test: TestNode,
    population: Population,
    tokens: BTreeMap<u32, String>,
    pushes: mpsc::Receiver<Delivered>,
    phones: JoinHandle<()>,
}

impl Scene {
    async fn new() -> Self {
        let disk = Disk::new();
        let settings = disk.settings();
        let test = TestNode::with(|config| {
            config.store = store::Settings::Redis(Box::new(settings));
            config.fanout.batch = BATCH;
            config.fanout.dispatches_emergency = DISPATCHES;
        })
        .await;
        let population = test.populate(DEVICES, MIX).await;
        let uplink = Uplink::open(test.node.address, &population);
        let deliveries = test.providers.deliveries(ALL);
        let answering = answer_pushes(deliveries, population.clone(), (Tally::default(), uplink));
        let (tokens, pushes) = (tokens(&population), test.providers.deliveries(ALL));
        let phones = tokio::spawn(answering);
        Self { disk, test, population, tokens, pushes, phones }
    }

    fn slow(&self, ms: u64) {
        for service in [Service::Apns, Service::Fcm] {
            let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(ms)));
            self.test.providers.faults.set(service, vec![slow]);
        }
    }

    async fn see(&mut self, pushes: usize) {
        for _ in 0..pushes {
            let push = tokio::time::timeout(PATIENCE, self.pushes.recv()).await;
            push.expect("pushes go out").expect("the providers run");
        }
    }

    /// Waits until counts are what is true: everyone reached once, everyone told back.
    async fn counts_are_true(&self, id: PublicationId) -> usize {
        let stored = self.test.node.parts.alerts.get(id).await.expect("read").expect("stored");
        let everyone = audience(&stored.publication, &self.population);
        let inside = everyone.len() as u64;
        let funnel = self
            .test
            .funnel_where(id, |now| {
                let told = now.total.received == inside && now.total.shown == inside;
                now.open_dispatches == 0 && now.total.accepted >= inside && told
            })
            .await;
        assert_eq!(funnel.total.accepted, inside, "{:?}", funnel.total);
        assert_eq!(funnel.total.waiting, 0);
        let got = received(&self.test.providers, &self.tokens, id);
        assert_eq!(got.keys().copied().collect::<BTreeSet<_>>(), everyone);
        repeats(&got)
    }

    async fn over(&self, id: PublicationId) {
        self.test.funnel_where(id, |now| now.total.targeted > 0 && now.open_dispatches == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_goes_on_and_its_counts_are_true_after_redis_lost_its_last_moments() {
    let mut scene = Scene::new().await;
    scene.slow(40);
    let area = everywhere(&scene.test.node.parts.city);
    let id = scene.test.publish(AlertXml::hot("turned-back", &area).render()).await;
    scene.see(500).await;
    scene.disk.remember();
    scene.see(500).await;
    scene.disk.turn_back();
    let repeats = scene.counts_are_true(id).await;
    eprintln!("of 500 pushes in the lost moments {repeats} went out again");
    // What was in work when it was remembered and when it was cut off comes on top.
    let in_work = 2 * 2 * DISPATCHES * BATCH;
    assert!(repeats <= 500 + in_work, "{repeats}");
    scene.phones.abort();
    scene.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_and_withdrawn_in_the_lost_moments_is_so_again() {
    let scene = Scene::new().await;
    let withdrawn = scene.test.publish(AlertXml::hot("withdrawn", CENTRE).render()).await;
    scene.counts_are_true(withdrawn).await;
    scene.disk.remember();
    let lost = scene.test.publish(AlertXml::hot("lost", CENTRE).render()).await;
    scene.counts_are_true(lost).await;
    let path = format!("/v1/alerts/{withdrawn}/cancel");
    let answer = scene.test.ask(Method::POST, &path, None).await.json();
    let cancel: PublicationId = answer["id"].as_str().expect("an id").parse().expect("an id");
    scene.over(cancel).await;
    let mut disk = scene.disk;
    disk.turn_back();
    let scene = Scene { disk, ..scene };

    let parts = &scene.test.node.parts;
    let restored = async {
        loop {
            let all = [parts.alerts.get(lost).await, parts.alerts.get(cancel).await];
            if all.iter().all(|one| matches!(one, Ok(Some(_)))) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, restored).await.expect("stored again from the log");
    // Nothing of it was remembered, so everyone gets it once more, and no more than that.
    let again = scene.counts_are_true(lost).await as u64;
    let inside = scene.test.funnel(lost).await.total.accepted;
    assert!(again <= inside, "{again} > {inside}");
    let stored = parts.alerts.get(withdrawn).await.expect("read").expect("there");
    assert_eq!(stored.superseded_by, Some(cancel));
    scene.over(cancel).await;
    let rows = parts.ledger.of_publication(withdrawn).await.expect("read");
    assert!(rows.iter().all(|row| row.frozen), "nothing more of it is sent");
    let live: Vec<_> = parts.alerts.live(Clock::System.now()).iter().map(|one| one.id).collect();
    assert_eq!(live, [lost]);
    scene.phones.abort();
    scene.test.stop().await;
}

#[tokio::test]
async fn a_reader_is_told_to_count_again_from_a_while_before_and_once() {
    let mut disk = Disk::new();
    let start: jiff::Timestamp = "2026-08-01T00:00:00Z".parse().expect("an instant");
    let clock = Clock::manual(start);
    let redis = connect(&disk.settings()).await;
    let ledger = Ledger::shared(&redis, clock.clone()).await.expect("open");
    let first = ledger.restarted("receipt").await.expect("asked").expect("nobody settled yet");
    assert_eq!(first.from, Counted::new());
    ledger.settled("receipt", &first).await.expect("settled");
    assert_eq!(ledger.restarted("receipt").await.expect("asked"), None);
    for (seconds, offset) in [(0, 5), (30, 8), (61, 10), (90, 12), (122, 15), (125, 16)] {
        clock.set(start + jiff::SignedDuration::from_secs(seconds));
        let counted = Counted::from([("0".to_owned(), offset), ("1".to_owned(), 1)]);
        ledger.counted("receipt", &counted).await.expect("remembered");
    }
    disk.server.kill();
    disk.server.restart();
    let again = ledger.restarted("receipt").await.expect("asked").expect("another server");
    assert_eq!(again.from, Counted::from([("0".to_owned(), 10), ("1".to_owned(), 1)]));
    assert!(ledger.restarted("router").await.expect("asked").is_some(), "each for itself");
    ledger.settled("receipt", &again).await.expect("settled");
    assert_eq!(ledger.restarted("receipt").await.expect("asked"), None);
}
