//! The connection to Redis: what passes is waited for, what does not is an error, and a counter
//! that another node raises is heard of.

use std::time::{Duration, Instant};

use loa::store::redis::{Redis, Script, Settings};

use crate::support::process::eventually;
use crate::support::redis::{Server, fresh, handle};

pub mod cluster;
mod secure;

const PUT: &str = "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])";
const RAISE: &str = "local v = redis.call('INCR', KEYS[1]); \
                     redis.call('PUBLISH', KEYS[1], v); return v";

async fn put(redis: &Redis, value: &str) -> Result<String, loa::store::Failure> {
    let script = Script::new(PUT);
    let key = redis.keys("t").key("value");
    redis.run(&script.call().key(key).arg(value)).await
}

fn hasty(server: &Server) -> Settings {
    let patience = Duration::from_millis(600);
    let command_timeout = Duration::from_millis(300);
    Settings { patience, command_timeout, ..Settings::single(server.url()) }
}

#[tokio::test]
async fn a_script_that_the_server_has_not_seen_is_told_with_the_call() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let redis = Redis::open(&Settings::single(server.url())).await.expect("open");
    assert_eq!(put(&redis, "one").await.expect("put"), "one");
    assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(put(&redis, "two").await.expect("put"), "two");
    // Killed and started again: the request waits for it.
    server.kill();
    let asked = tokio::spawn({
        let redis = redis.clone();
        async move { put(&redis, "three").await }
    });
    server.restart();
    assert_eq!(asked.await.expect("no panic").expect("put"), "three");
}

#[tokio::test]
async fn a_server_that_stays_away_is_an_error_within_the_bound() {
    let mut server = Server::start(&[]);
    let redis = Redis::open(&hasty(&server)).await.expect("open");
    server.kill();
    let began = Instant::now();
    let failure = put(&redis, "lost").await.expect_err("nobody is there");
    assert!(failure.to_string().contains("did not take it within"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_full_memory_is_waited_out_and_then_an_error() {
    let server = Server::start(&["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"]);
    let redis = Redis::open(&hasty(&server)).await.expect("open");
    let failure = put(&redis, "x").await.expect_err("redis needs more than a megabyte itself");
    assert!(failure.to_string().contains("maxmemory"), "{failure}");
    let waiting = tokio::spawn({
        let redis = redis.clone();
        async move { put(&redis, "room").await }
    });
    server.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert_eq!(waiting.await.expect("no panic").expect("there is room"), "room");
}

#[tokio::test]
async fn a_replica_answers_readonly_until_it_is_promoted() {
    let primary = Server::start(&[]);
    let server = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let redis = Redis::open(&Settings::single(server.url())).await.expect("open");
    let asked = tokio::spawn({
        let redis = redis.clone();
        async move { put(&redis, "late").await }
    });
    eventually(async || server.refused("READONLY").then_some(())).await;
    assert!(!asked.is_finished(), "READONLY is waited out");
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(asked.await.expect("no panic").expect("put"), "late");
}

#[tokio::test]
async fn a_write_that_must_last_waits_for_the_replica() {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let settings = Settings {
        wait_replicas: 1,
        wait: Duration::from_millis(500),
        ..Settings::single(primary.url())
    };
    let redis = Redis::open(&settings).await.expect("open");
    let (keys, script) = (redis.keys("t"), Script::new(PUT));
    let call = script.call().key(keys.key("value")).arg("kept");
    let alone = redis.run_lasting::<String>(&keys, &call).await.expect_err("no replica");
    assert!(alone.to_string().contains("0 of 1 replicas"), "{alone}");
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    eventually(async || redis.run_lasting::<String>(&keys, &call).await.ok()).await;
    assert_eq!(replica.cli(&["GET", &keys.key("value")]), "kept");
    // Many at once share rounds of WAIT.
    let waits = || {
        let stats = primary.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_wait:calls="));
        let calls = line.and_then(|line| line.split(',').next()).expect("WAIT was called");
        calls.parse::<u32>().expect("a number")
    };
    let before = waits();
    let all = (0..100).map(|_| redis.run_lasting::<String>(&keys, &call));
    for kept in futures_util::future::join_all(all).await {
        assert_eq!(kept.expect("the replica follows"), "kept");
    }
    assert!(waits() - before < 50, "{} rounds for a hundred writes", waits() - before);
}

#[tokio::test]
async fn a_counter_that_another_node_raises_is_heard_of() {
    let settings = fresh();
    let (mine, other) = (Redis::open(&settings).await, Redis::open(&settings).await);
    let (mine, other) = (mine.expect("open"), other.expect("open"));
    let (key, script) = (mine.keys("t").key("counter"), Script::new(RAISE));
    let mut feed = mine.follow(&key).await.expect("a feed");
    for value in 1..=3_u64 {
        let began = Instant::now();
        let raised: u64 = other.run(&script.call().key(&key)).await.expect("raised");
        assert_eq!(raised, value);
        feed.wait_for(|known| *known == value).await.expect("it is open");
        println!("heard after {:?}", began.elapsed());
    }
    // Not published: found by the poll.
    let mut raise = redis::cmd("SET");
    other.ask::<()>(raise.arg(&key).arg(9)).await.expect("set");
    feed.wait_for(|known| *known == 9).await.expect("it is open");
}

#[tokio::test]
async fn a_server_of_the_wrong_kind_is_refused() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    let error = Redis::open(&hasty(&server)).await.expect_err("a cluster's node");
    assert!(error.to_string().contains("cluster"), "{error}");
    let alone = handle().await;
    assert!(format!("{alone:?}").contains("Single"));
}
