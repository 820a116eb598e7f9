//! What only a registry that several nodes share must hold: who is answered on one node is seen
//! on the others, one router follows the late joiners, and a Redis that dies, fails over or is
//! full loses no more than it says.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use loa::clock::Clock;
use loa::domain::audience::{Audience, Coverage};
use loa::domain::channel::Channel;
use loa::domain::ids::{DeviceId, Seq};
use loa::store::redis::{Redis, Settings};
use loa::store::registry::{Error, Registry};
use uuid::Uuid;

use super::{Home, area, device, fcm, profile, scan_all, unit};
use crate::support::process::eventually;
use crate::support::redis::Server;

async fn open(settings: &Settings) -> Registry {
    let redis = Redis::open(settings).await.expect("open");
    Registry::shared(redis, 4, Clock::System).await.expect("it opens")
}

#[tokio::test]
async fn what_one_node_answered_is_seen_on_another_at_once() {
    let home = Home::redis();
    let (one, other) = (home.open().await, home.open().await);
    let mut watch = other.watch();
    let whole = Audience::Area(area(&[("1", Coverage::Whole)]));
    for number in 1..=20_u64 {
        let new = device(number.into(), profile(fcm("a"), &["1"]));
        let node = if number % 2 == 0 { &one } else { &other };
        node.register(new).await.expect("registered");
        let (a, b) = (one.last_seq().await.expect("asked"), other.last_seq().await);
        assert_eq!((a, b.expect("asked")), (Seq(number), Seq(number)));
        for node in [&one, &other] {
            assert_eq!(node.estimate(&whole).await.expect("an estimate").total, number);
        }
    }
    watch.wait_for(|seq| *seq == Seq(20)).await.expect("it is open");
    // Both change one device all the time: every change is whole, none is lost.
    let id = DeviceId(Uuid::from_u128(1));
    let moves = (0..20).map(|index| {
        let node = if index % 2 == 0 { &one } else { &other };
        let to = ["2", "3", "4"][index % 3];
        async move { node.update(&id, profile(fcm("a"), &[to])).await.expect("moved") }
    });
    join_all(moves).await;
    let num = one.get(&id).await.expect("a look").expect("it is there").device.num;
    let own = other.memberships_of(num).await.expect("memberships");
    assert_eq!(own.iter().filter(|m| m.left_at.is_none()).count(), 1);
    let seqs: BTreeSet<_> = own.iter().map(|m| m.seq).collect();
    assert_eq!(seqs.len(), own.len());
}

#[tokio::test]
async fn a_router_whose_lease_ended_cannot_move_the_cursor() {
    let home = Home::redis();
    let (one, other) = (home.open().await, home.open().await);
    let ttl = Duration::from_millis(300);
    let mine = one.late_lease("one", ttl).await.expect("asked").expect("nobody has it");
    assert_eq!(other.late_lease("other", ttl).await.expect("asked"), None);
    let theirs = eventually(async || other.late_lease("other", ttl).await.expect("asked")).await;
    assert!(other.set_late_cursor(Seq(9), theirs).await.expect("set"));
    assert!(!one.set_late_cursor(Seq(12), mine).await.expect("refused"));
    one.leave_late(mine).await.expect("nothing to give back");
    assert_eq!(one.late_lease("one", ttl).await.expect("asked"), None);
    assert_eq!(one.late_cursor().await.expect("the cursor"), Seq(9));
}

/// Registers a thousand devices, kills Redis in their middle and starts it again; the answered.
async fn register_through_a_kill(server: &mut Server, registry: &Registry) -> Vec<u128> {
    let writers = (0..20_u128).map(|writer| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let mut answered = Vec::new();
            for number in (writer..1_000).step_by(20) {
                let new = device(number, profile(fcm("a"), &["1", "2"]));
                registry.register(new).await.expect("it waits for Redis");
                answered.push(number);
            }
            answered
        })
    });
    let writers: Vec<_> = writers.collect();
    let whole = Audience::Area(area(&[("1", Coverage::Whole)]));
    while registry.estimate(&whole).await.expect("an estimate").total < 300 {}
    server.kill();
    server.restart();
    join_all(writers).await.into_iter().flat_map(|answered| answered.expect("no panic")).collect()
}

async fn check_whole(registry: &Registry, answered: &[u128]) -> usize {
    let mut missing = 0;
    for number in answered {
        match registry.get(&DeviceId(Uuid::from_u128(*number))).await.expect("a look") {
            Some(stored) => {
                let own = registry.memberships_of(stored.device.num).await.expect("memberships");
                assert_eq!(own.len(), 2, "no half registration");
            }
            None => missing += 1,
        }
    }
    let upto = registry.last_seq().await.expect("the newest");
    let there = scan_all(registry, &unit("1"), Channel::Fcm, upto, 1000).await;
    assert_eq!(there.len(), answered.len() - missing, "each once");
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_redis_loses_nobody_who_was_answered() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let registry = open(&Settings::single(server.url())).await;
    let answered = register_through_a_kill(&mut server, &registry).await;
    assert_eq!((answered.len(), check_whole(&registry, &answered).await), (1_000, 0));
    assert_eq!(registry.last_seq().await.expect("the newest"), Seq(2_000), "no gaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everysec_a_kill_loses_at_most_the_last_second_and_registering_heals() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let registry = open(&Settings::single(server.url())).await;
    let answered = register_through_a_kill(&mut server, &registry).await;
    let missing = check_whole(&registry, &answered).await;
    println!("{missing} of {} answered are missing", answered.len());
    for number in answered.iter().copied() {
        let new = device(number, profile(fcm("a"), &["1", "2"]));
        registry.register(new).await.expect("registered again");
    }
    assert_eq!(check_whole(&registry, &answered).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_is_registered_again_and_no_seq_comes_twice() {
    // No append-only file: a restart goes back to the snapshot.
    let mut server = Server::start(&["--save", "", "--appendonly", "no"]);
    let registry = open(&Settings::single(server.url())).await;
    let new = |number| device(number, profile(fcm("a"), &["1"]));
    for number in 0..50 {
        registry.register(new(number)).await.expect("registered");
    }
    assert_eq!(server.cli(&["SAVE"]), "OK");
    for number in 50..100 {
        registry.register(new(number)).await.expect("registered");
    }
    server.kill();
    server.restart();
    // The node that knew of a hundred raises the counter before it goes on.
    assert_eq!(registry.last_seq().await.expect("the newest"), Seq(100), "none comes twice");
    for number in 0..100 {
        registry.register(new(number)).await.expect("registered again");
    }
    let upto = registry.last_seq().await.expect("the newest");
    let there = scan_all(&registry, &unit("1"), Channel::Fcm, upto, 7).await;
    assert_eq!((there.len(), upto), (100, Seq(150)));
    let feed = registry.changes(Seq(50), 1000).await.expect("the feed");
    assert_eq!(feed.len(), 50, "a gap in the feed is no end of it");
    let whole = Audience::Area(area(&[("1", Coverage::Whole)]));
    assert_eq!(registry.estimate(&whole).await.expect("an estimate").total, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_hand_is_waited_out() {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let registry = open(&Settings::single(primary.url())).await;
    for number in 0..100 {
        let new = device(number, profile(fcm("a"), &["1"]));
        registry.register(new).await.expect("registered");
    }
    let follows = || replica.cli(&["GET", "loa:{reg}:seq"]) == "100";
    eventually(async || follows().then_some(())).await;
    // They change places; the address in the settings leads to a replica for a while.
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    primary.cli(&["REPLICAOF", "127.0.0.1", &replica.port.to_string()]);
    let asked = tokio::spawn({
        let registry = registry.clone();
        async move { registry.register(device(100, profile(fcm("a"), &["1"]))).await }
    });
    eventually(async || primary.refused("READONLY").then_some(())).await;
    assert!(!asked.is_finished(), "READONLY is waited out");
    primary.cli(&["REPLICAOF", "NO", "ONE"]);
    asked.await.expect("no panic").expect("registered");
    assert_eq!(check_count(&registry).await, 101);
}

async fn check_count(registry: &Registry) -> usize {
    let upto = registry.last_seq().await.expect("the newest");
    scan_all(registry, &unit("1"), Channel::Fcm, upto, 1000).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_refuses_and_nothing_is_half_done() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let patience = Duration::from_millis(400);
    let settings = Settings {
        patience,
        command_timeout: Duration::from_millis(300),
        ..Settings::single(server.url())
    };
    let registry = open(&settings).await;
    let new = |number| device(number, profile(fcm(&"x".repeat(200)), &["1"]));
    for number in 0..100 {
        registry.register(new(number)).await.expect("registered");
    }
    let used = server.cli(&["INFO", "memory"]);
    let used = used.lines().find_map(|line| line.trim().strip_prefix("used_memory:"));
    server.cli(&["CONFIG", "SET", "maxmemory", used.expect("its memory")]);
    let mut refused = None;
    for number in 100..5_000 {
        if let Err(error) = registry.register(new(number)).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.expect("it is full at some time");
    assert!(matches!(&error, Error::Storage(_)) && error.to_string().contains("maxmemory"));
    let id = DeviceId(Uuid::from_u128(number));
    assert_eq!(registry.get(&id).await.expect("a look"), None);
    let upto = registry.last_seq().await.expect("the newest");
    assert_eq!((upto, check_count(&registry).await), (Seq(number as u64), number as usize));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    registry.register(new(number)).await.expect("there is room");
    assert_eq!(check_count(&registry).await, number as usize + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_lives_in_a_cluster() {
    let (_servers, settings) = crate::redis::cluster::cluster().await;
    let registry = open(&settings).await;
    let many = (0..300).map(|number| device(number, profile(fcm("a"), &["1", "2"])));
    assert_eq!(registry.bulk_load(many).await.expect("loaded"), 300);
    for number in 0..10 {
        let id = DeviceId(Uuid::from_u128(number));
        registry.update(&id, profile(fcm("a"), &["2", "3"])).await.expect("moved");
    }
    assert!(registry.remove(&DeviceId(Uuid::from_u128(11))).await.expect("removed"));
    let upto = registry.last_seq().await.expect("the newest");
    assert_eq!(upto, Seq(610));
    let there = scan_all(&registry, &unit("2"), Channel::Fcm, upto, 50).await;
    assert_eq!((there.len(), check_count(&registry).await), (300, 300));
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(9);
    assert_eq!(registry.forget_departed(later).await.expect("forgotten"), 12);
    assert_eq!(check_count(&registry).await, 289);
}
