//! A kill -9 in the middle of saves and receipts loses nothing that was answered.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use loa::clock::Clock;
use loa::domain::ids::{DeviceNum, Seq};
use loa::domain::receipt::Stage;
use loa::store::ledger::{AcceptedAt, Ledger, Saved, Settings};

use super::{dispatch, publication, receipt, sent, total};

const DIR: &str = "LOA_TEST_LEDGER_DIR";
const WORKERS: u16 = 30;

/// Runs a test of this binary as a child with a directory in its environment, kills it (SIGKILL)
/// after so many lines `acked …`, and answers what was acked, also while the kill was under way.
pub fn kill_after(lines: usize, child: &str, (name, dir): (&str, &Path)) -> Vec<String> {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", child, "--nocapture"])
        .env(name, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut acked = Vec::new();
    for line in out.lines() {
        let line = line.expect("text");
        let Some((_, answered)) = line.split_once("acked ") else { continue };
        acked.push(answered.to_owned());
        if acked.len() == lines {
            child.kill().expect("it is killed");
        }
    }
    let status = child.wait().expect("it ended");
    assert!(acked.len() >= lines && !status.success(), "it ended by itself: {status}");
    acked
}

async fn open(dir: &Path) -> Ledger {
    let settings = Settings { dir: dir.into() };
    Ledger::start(&settings, Clock::System).await.expect("it opens")
}

/// The child's part; without the variable there is nothing to do.
#[tokio::test]
async fn child_that_saves_until_it_is_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let ledger = open(Path::new(&dir)).await;
    let workers = (0..WORKERS).map(|shard| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let id = publication(0);
            let mut progress = ledger.open(&dispatch(id, "1", shard)).await.expect("opened");
            loop {
                let intent = progress.intent.0 + 1;
                sent(&mut progress, intent);
                assert_eq!(ledger.save(&progress).await.expect("an answer"), Saved::Saved);
                println!("acked save {shard} {intent}");
                let device = u64::from(shard) << 32 | intent;
                let receipts = vec![receipt(id, device, Stage::Received)];
                ledger.record_receipts(receipts, &AcceptedAt::new()).await.expect("counted");
                println!("acked receipt {shard} {device}");
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("it writes until it is killed");
    }
}

#[tokio::test]
async fn nothing_answered_is_lost_by_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut saved: BTreeMap<u16, u64> = BTreeMap::new();
    let mut devices: Vec<u64> = Vec::new();
    for round in 1..=3 {
        let child = "ledger::crash::child_that_saves_until_it_is_killed";
        for line in kill_after(500 * round, child, (DIR, dir.path())) {
            let mut words = line.split(' ');
            let mut next = || words.next().expect("three words");
            let (kind, shard, number) = (next(), next(), next());
            let number: u64 = number.parse().expect("a number");
            match kind {
                "save" => {
                    let newest = saved.entry(shard.parse().expect("a shard")).or_default();
                    *newest = number.max(*newest);
                }
                _ => devices.push(number),
            }
        }
        let ledger = open(dir.path()).await;
        for (shard, intent) in &saved {
            let id = dispatch(publication(0), "1", *shard).id;
            let progress = ledger.get(&id).await.expect("a look").expect("it was opened");
            assert!(progress.intent >= Seq(*intent), "{shard}: {:?} < {intent}", progress.intent);
        }
        for device in &devices {
            let stage = ledger.stage_of(publication(0), DeviceNum(*device)).await;
            assert_eq!(stage.expect("a look"), Some(Stage::Received));
        }
        let counted = total(&ledger, publication(0)).await.received;
        assert!(counted >= devices.len() as u64, "{counted} < {}", devices.len());
    }
}
