//! kill -9 in the middle of publishing, again and again, on one log: nothing that was acknowledged
//! is lost, nothing moves.
//!
//! The test runs its own binary again as the victim; an environment variable tells the victim its
//! directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use loa::bus::{Bus, Position, Settings, TopicId};
use loa::clock::Clock;
use loa::domain::lane::Lane;

use super::{placed, record, tail};

const TOPIC: TopicId = TopicId::Publications(Lane::Emergency);
const DIR: &str = "LOA_TEST_BUS_VICTIM_DIR";
const ROUNDS: u32 = 12;
const PUBLISHERS: u32 = 8;
/// In every other round, and how many bytes each of their records has: a rush, the first batches
/// of which are on the disk before it is over.
const RUSH_PUBLISHERS: u32 = 100;
const RUSH_BYTES: usize = 1000;

/// What the victim said was durable: partition and offset, and what was written there.
type Acknowledged = BTreeMap<(u32, u64), String>;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = Acknowledged::new();
    let mut epoch = None;
    for round in 0..ROUNDS {
        let path = dir.path().to_owned();
        let lines = rand::random_range(1..1500);
        let killed = tokio::task::spawn_blocking(move || run_and_kill(&path, round, lines));
        let before = acknowledged.len();
        acknowledged.extend(killed.await.expect("no panic"));
        assert!(acknowledged.len() > before, "round {round} acknowledged nothing");

        let bus = Bus::open(&Settings::new(dir.path()), Clock::System).await.expect("it opens");
        assert_eq!(*epoch.get_or_insert_with(|| bus.epoch().to_owned()), bus.epoch());
        let found = check(&bus, &acknowledged).await;
        println!("round {round}: {} acknowledged in all, {found} on the log", acknowledged.len());
        bus.close().await.expect("closed");
    }
}

/// Runs a victim until it acknowledged some records, and kills it.
fn run_and_kill(dir: &Path, round: u32, lines: usize) -> Acknowledged {
    let mut victim = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "bus::crash::the_victim", "--nocapture"])
        .env(DIR, dir)
        .env("LOA_TEST_BUS_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the victim starts");
    let mut output = BufReader::new(victim.stdout.take().expect("piped"));
    let (mut acknowledged, mut line) = (Acknowledged::new(), String::new());
    while output.read_line(&mut line).expect("readable") > 0 {
        // A line without its end was cut off by the kill.
        if let Some(said) = line.strip_prefix("ack ").and_then(|rest| rest.strip_suffix('\n')) {
            let mut words = said.split(' ');
            let mut word = || words.next().expect("three words").to_owned();
            let (partition, offset) = (word().parse().expect("u32"), word().parse().expect("u64"));
            acknowledged.insert((partition, offset), word());
            if acknowledged.len() == lines {
                victim.kill().expect("killed");
            }
        }
        line.clear();
    }
    victim.kill().expect("killed");
    victim.wait().expect("ended");
    acknowledged
}

/// Every acknowledged record is where it was said to be, offsets have no gap, and each
/// publisher's records lie in the order in which it wrote them.
async fn check(bus: &Bus, acknowledged: &Acknowledged) -> usize {
    let mut log = Acknowledged::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for partition in 0..bus.partitions(TOPIC) {
        let end = bus.bounds(TOPIC, partition).await.expect("it exists").end;
        let mut reader = bus.reader(TOPIC, partition, 0).await.expect("in range");
        for (expected, delivery) in (0..end).zip(tail(&mut reader, end as usize).await) {
            let Position { offset, .. } = delivery.position;
            assert_eq!(offset, expected);
            let text = std::str::from_utf8(&delivery.payload).expect("text");
            let text = text.trim_end().to_owned();
            let number = text.rsplit('-').next().expect("a number").parse().expect("a number");
            let before = last.insert(delivery.key, number);
            assert!(before.is_none_or(|before| before < number), "{text} after {before:?}");
            log.insert((partition, offset), text);
        }
    }
    for (place, text) in acknowledged {
        assert_eq!(log.get(place), Some(text), "at {place:?}");
    }
    log.len()
}

/// Not a test by itself: publishes until it is killed, and says what was acknowledged.
#[tokio::test]
async fn the_victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round = std::env::var("LOA_TEST_BUS_ROUND").expect("given with the directory");
    let bus = Bus::open(&Settings::new(dir), Clock::System).await.expect("it opens");
    let is_rush = round.parse::<u32>().expect("a number") % 2 == 1;
    let (publishers, bytes) = if is_rush { (RUSH_PUBLISHERS, RUSH_BYTES) } else { (PUBLISHERS, 0) };
    let publishers = (0..publishers).map(|publisher| {
        let (bus, key) = (bus.clone(), format!("{round}-{publisher}"));
        tokio::spawn(async move {
            let mut number = 0;
            loop {
                let texts = (0..1 + number % 3).map(|n| format!("{key}-{}", number + n));
                let texts: Vec<String> = texts.collect();
                let records = texts.iter().map(|text| record(&key, format!("{text:bytes$}")));
                let records = records.collect();
                let positions = placed(&bus, TOPIC, records).await;
                number += texts.len() as u64;
                let mut out = std::io::stdout().lock();
                for (at, text) in positions.iter().zip(texts) {
                    writeln!(out, "ack {} {} {text}", at.partition, at.offset).expect("said");
                }
            }
        })
    });
    futures_util::future::join_all(publishers).await;
}
