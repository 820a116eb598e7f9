//! Several nodes over one Kafka and one Redis: two routers, two fan-out nodes, two gateways and an
//! api node, each with a directory and a runtime of its own, so that one can be ended in the middle
//! as kill -9 ends a process: nothing of it runs on, nothing is drained.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use loa::bus::{Record, TopicId};
use loa::channel;
use loa::clock::Clock;
use loa::config::Role;
use loa::domain::agency::Jurisdiction;
use loa::domain::channel::Channel;
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::domain::lane::Lane;
use loa::node::{Node, Outside};
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::faults::{Rule, Service, Then, When};
use loa::simulator::providers::{Options, Providers};
use loa::simulator::record::{Delivered, Seen};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::support::citizen::Citizen;
use crate::support::http::ask;
use crate::support::node::{AlertXml, agency, settings};
use crate::support::people::{audience, everywhere, received, repeats, tokens};
use crate::support::shape::Shape;

/// How long anything may take: groups that rebalance after a death included.
const PATIENCE: Duration = Duration::from_secs(120);
const MIX: Mix = Mix { apns: 500, fcm: 500, second_place: 120, cell: 150, english: 60 };
const ALL: usize = 100_000;
const BATCH: usize = 20;
/// Dispatches in work at once for each channel on a fan-out node.
const DISPATCHES: usize = 8;
/// Most devices of one node that may get something twice when it dies.
const BOUND: usize = Channel::PUSH.len() * DISPATCHES * BATCH;

/// One node in a runtime of its own.
struct Member {
    node: Node,
    runtime: Runtime,
    _dir: TempDir,
}

impl Member {
    async fn start(
        (shape, batch): (&Shape, usize),
        channel: channel::Settings,
        roles: &[Role],
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = settings(&dir);
        shape.apply(&mut config);
        config.channel = channel;
        config.node.roles = roles.iter().copied().collect();
        config.fanout.batch = batch;
        config.fanout.dispatches_emergency = DISPATCHES;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let outside = Outside { clock: Clock::System, listener: None, simulated: true };
        let starting = runtime.spawn(async move { Node::start(&config, outside).await });
        let node = starting.await.expect("no panic").expect("the node starts");
        Self { node, runtime, _dir: dir }
    }

    /// Ends it where it stands.
    fn kill(self) {
        drop(self.node);
        self.runtime.shutdown_background();
    }

    async fn stop(self) {
        let Self { node, runtime, _dir } = self;
        let stopping = runtime.spawn(node.stop());
        stopping.await.expect("no panic").expect("the node drains");
        runtime.shutdown_background();
    }
}

/// The nodes, and who is to be reached.
struct Cluster {
    shape: Shape,
    batch: usize,
    providers: Providers,
    api: Member,
    routers: Vec<Member>,
    fanouts: Vec<Member>,
    gateways: Vec<Member>,
    key: String,
    population: Population,
    tokens: BTreeMap<u32, String>,
    pushes: mpsc::Receiver<Delivered>,
}

impl Cluster {
    async fn start(devices: u32) -> Self {
        Self::with(devices, BATCH).await
    }

    async fn with(devices: u32, batch: usize) -> Self {
        let shape = Shape::cluster().await;
        let providers = Providers::start(Options::default()).await.expect("the simulator starts");
        let on = (&shape, batch);
        let start = async |role| Member::start(on, providers.channel_settings(), &[role]).await;
        let api = start(Role::Api).await;
        let two = async |role| vec![start(role).await, start(role).await];
        let (routers, fanouts) = (two(Role::Router).await, two(Role::Fanout).await);
        let gateways = two(Role::Gateway).await;
        let key = agency(&api.node, "test", Jurisdiction::unlimited()).await.expect("an agency");
        let population = Population::new(&api.node.parts.city, devices, (1, MIX));
        let everyone = population.clone();
        let all = (0..devices).map(move |index| everyone.device(index));
        api.node.parts.registry.bulk_load(all).await.expect("loaded");
        let tokens = tokens(&population);
        let pushes = providers.deliveries(ALL);
        let members = (api, routers, fanouts, gateways);
        let (api, routers, fanouts, gateways) = members;
        Self {
            shape,
            batch,
            providers,
            api,
            routers,
            fanouts,
            gateways,
            key,
            population,
            tokens,
            pushes,
        }
    }

    fn slow(&self, ms: u64) {
        self.providers.faults.limit(|limits| limits.max_concurrent_streams = 100);
        for service in [Service::Apns, Service::Fcm] {
            let slow = Rule::new(When::Always, Then::Slow(Duration::from_millis(ms)));
            self.providers.faults.set(service, vec![slow]);
        }
    }

    async fn post(&self, path: &str, xml: Option<String>) -> (PublicationId, Timestamp) {
        let credentials = format!("Bearer {}", self.key);
        let body = xml.map(|xml| ("application/cap+xml", Bytes::from(xml)));
        let to = self.api.node.address;
        let answer = ask(to, (Method::POST, path), Some(&credentials), body).await;
        let (answer, at) = (answer.expect("an answer"), Timestamp::now());
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("an id").parse().expect("an id");
        (id, at)
    }

    /// An alert for the whole city.
    async fn publish(&self, identifier: &str) -> PublicationId {
        let area = everywhere(&self.api.node.parts.city);
        self.post("/v1/alerts", Some(AlertXml::hot(identifier, &area).render())).await.0
    }

    async fn see(&mut self, pushes: usize) {
        for _ in 0..pushes {
            let push = tokio::time::timeout(PATIENCE, self.pushes.recv()).await;
            push.expect("pushes go out").expect("the providers run");
        }
    }

    async fn over(&self, id: PublicationId) -> Funnel {
        let ledger = &self.api.node.parts.ledger;
        let mut changes = ledger.watch();
        let over = async {
            loop {
                let now = ledger.funnel(id).await.expect("a funnel");
                let total = &now.total;
                let known = total.accepted + total.superseded + total.skipped;
                if total.targeted > 0 && now.open_dispatches == 0 && known >= total.targeted {
                    return now;
                }
                changes.changed().await.expect("it is followed");
            }
        };
        match tokio::time::timeout(PATIENCE, over).await {
            Ok(funnel) => funnel,
            Err(_) => panic!("not over: {:?}", ledger.funnel(id).await.expect("a funnel")),
        }
    }

    async fn everyone(&self, id: PublicationId) -> BTreeSet<u32> {
        let stored = self.api.node.parts.alerts.get(id).await.expect("read").expect("stored");
        audience(&stored.publication, &self.population)
    }

    fn received(&self, id: PublicationId) -> BTreeMap<u32, Vec<Seen>> {
        received(&self.providers, &self.tokens, id)
    }

    /// One more fan-out node, over a log.
    async fn worker(&self, shape: &Shape) -> Member {
        let channel = self.providers.channel_settings();
        Member::start((shape, self.batch), channel, &[Role::Fanout]).await
    }

    /// Everyone got a publication, and counts once, whoever repeated what. Answers the repeats.
    async fn is_whole(&self, id: PublicationId) -> usize {
        let funnel = self.over(id).await;
        let (got, everyone) = (self.received(id), self.everyone(id).await);
        assert_eq!(people(&got), everyone);
        let pushed = Channel::PUSH.iter().filter_map(|channel| funnel.channels.get(channel));
        let accepted: u64 = pushed.map(|counts| counts.accepted).sum();
        assert_eq!(accepted, everyone.len() as u64, "{:?}", funnel.total);
        repeats(&got)
    }

    async fn no_dead_letters(&self) {
        let bus = &self.api.node.parts.bus;
        for partition in 0..bus.partitions(TopicId::DeadLetters) {
            let bounds = bus.bounds(TopicId::DeadLetters, partition).await.expect("bounds");
            assert!(bounds.is_empty(), "{bounds:?}");
        }
    }

    async fn stop(self) {
        for member in self.gateways.into_iter().chain(self.fanouts).chain(self.routers) {
            member.stop().await;
        }
        self.api.stop().await;
    }
}

fn people(received: &BTreeMap<u32, Vec<Seen>>) -> BTreeSet<u32> {
    received.keys().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_each_role_reach_everyone_once_and_streams_go_on_at_the_other_gateway() {
    let cluster = Cluster::start(2_000).await;
    let unit = cluster.population.device(0).profile.places[0].unit.clone();
    let [one, other]: [SocketAddr; 2] = [0, 1].map(|at| cluster.gateways[at].node.address);
    let place = json!({"places": [{"unit": unit}]});
    let steady = Citizen::register(&one.to_string(), place.clone()).await;
    let moving = Citizen::register(&other.to_string(), place).await;
    let mut steady_stream = steady.stream(None).await;
    let mut moving_stream = moving.stream(None).await;
    for stream in [&mut steady_stream, &mut moving_stream] {
        stream.expect("hello").await;
        stream.until_live().await;
    }
    let first = cluster.publish("first").await;
    assert_eq!(steady_stream.publication().await, first.to_string());
    assert_eq!(moving_stream.publication().await, first.to_string());
    let position = moving_stream.position.clone();
    drop(moving_stream);
    let second = cluster.publish("second").await;
    assert_eq!(steady_stream.publication().await, second.to_string());
    let moved = Citizen { to: one.to_string(), ..moving };
    let mut back = moved.stream(position.as_deref()).await;
    assert_eq!(back.expect("hello").await["recovered"], true);
    assert_eq!(back.until_live().await, [second.to_string()], "exactly what it missed");
    for id in [first, second] {
        assert_eq!(cluster.is_whole(id).await, 0);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_both_fan_out_nodes_within_a_second_and_finds_those_they_reached() {
    let mut cluster = Cluster::start(6_000).await;
    cluster.slow(200);
    let id = cluster.publish("recall").await;
    cluster.see(1_500).await;
    let (cancel, answered) = cluster.post(&format!("/v1/alerts/{id}/cancel"), None).await;
    cluster.over(id).await;
    cluster.over(cancel).await;
    let (alert, recall) = (cluster.received(id), cluster.received(cancel));
    let last = alert.values().flatten().map(|seen| seen.at_ms).max().expect("some were reached");
    let after = last - answered.as_millisecond();
    eprintln!("{} of 6000 reached, the last {after} ms after the cancel's 202", alert.len());
    assert!(after <= 1_000, "a push of the original {after} ms after the cancel's 202");
    assert!(alert.len() < 5_000, "a broadcast that was stopped");
    assert_eq!(people(&recall), people(&alert));
    assert_eq!((repeats(&alert), repeats(&recall)), (0, 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_die_in_the_middle_are_replaced_by_the_others_within_the_bound() {
    let mut cluster = Cluster::start(4_000).await;
    cluster.slow(100);
    let id = cluster.publish("deaths").await;
    cluster.see(800).await;
    cluster.fanouts.remove(0).kill();
    cluster.routers.remove(0).kill();
    cluster.see(400).await;
    let next = cluster.worker(&cluster.shape).await;
    cluster.fanouts.push(next);
    let after = cluster.publish("after-the-deaths").await;
    for id in [id, after] {
        let repeats = cluster.is_whole(id).await;
        eprintln!("{repeats} got it again, at most {BOUND} may");
        assert!(repeats <= BOUND, "{repeats}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_move_in_mid_dispatch_are_handed_over_at_the_cursor() {
    let mut cluster = Cluster::with(4_000, 4).await;
    cluster.slow(100);
    let id = cluster.publish("handed-over").await;
    cluster.see(400).await;
    // Who joins is given partitions with dispatches in the middle, and who leaves gives them back.
    for _ in 0..2 {
        let guest = cluster.worker(&cluster.shape).await;
        cluster.see(400).await;
        guest.stop().await;
    }
    let repeats = cluster.is_whole(id).await;
    eprintln!("{repeats} got it again");
    assert_eq!(repeats, 0, "nobody died");
    cluster.no_dead_letters().await;
    cluster.stop().await;
}

/// Every dispatch of the emergency lane, as it lies on the log.
async fn dispatches(cluster: &Cluster) -> Vec<(TopicId, Vec<Record>)> {
    let bus = &cluster.api.node.parts.bus;
    let mut all = Vec::new();
    for channel in [Channel::Apns, Channel::Fcm] {
        let topic = TopicId::Dispatches(channel, Lane::Emergency);
        let mut records = Vec::new();
        for partition in 0..bus.partitions(topic) {
            let bounds = bus.bounds(topic, partition).await.expect("bounds");
            let mut reader = bus.reader(topic, partition, bounds.start).await.expect("a reader");
            while reader.offset() < bounds.end {
                let batch = tokio::time::timeout(PATIENCE, reader.next_batch(256)).await;
                let batch = batch.expect("in time").expect("read");
                records.extend(batch.into_iter().map(|one| Record {
                    key: one.key,
                    headers: one.headers,
                    payload: one.payload,
                }));
            }
        }
        all.push((topic, records));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_workers_on_one_dispatch_only_the_newer_goes_on() {
    let mut cluster = Cluster::with(6_000, 1).await;
    cluster.slow(100);
    let id = cluster.publish("twins").await;
    cluster.see(200).await;
    // A worker over the same stores that believes it owns every dispatch too, as one does that
    // has not heard yet that its partitions went to others.
    let log = Shape { store: cluster.shape.store.clone(), ..Shape::cluster().await };
    let twin = cluster.worker(&log).await;
    let mut count = 0;
    for (topic, records) in dispatches(&cluster).await {
        count += records.len();
        twin.node.parts.bus.publish(topic, records).await.expect("published");
    }
    let repeats = cluster.is_whole(id).await;
    eprintln!("{repeats} got it again, of {count} dispatches that each of two workers took");
    assert!(repeats <= count, "a batch of one for each dispatch, not {repeats}");
    let most = cluster.received(id).values().map(Vec::len).max().expect("somebody");
    assert!(most <= 2, "one device got it {most} times");
    cluster.no_dead_letters().await;
    twin.stop().await;
    cluster.stop().await;
}
