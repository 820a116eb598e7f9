//! A kill -9 in the middle of registrations loses nobody who was answered.

use std::env;
use std::path::Path;

use futures_util::future::join_all;
use loa::clock::Clock;
use loa::domain::audience::{Audience, Coverage};
use loa::domain::channel::Channel;
use loa::domain::ids::{DeviceId, Seq};
use loa::store::registry::{Registry, Settings};
use uuid::Uuid;

use super::{area, device, fcm, profile, scan_all, unit};
use crate::ledger::crash::kill_after;

const DIR: &str = "LOA_TEST_REGISTRY_DIR";
const WRITERS: u128 = 20;

async fn open(dir: &Path) -> Registry {
    Registry::open(&Settings::at(dir), Clock::System).await.expect("it opens")
}

/// The child's part; without the variable there is nothing to do.
#[tokio::test]
async fn child_that_registers_until_it_is_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let registry = open(Path::new(&dir)).await;
    let writers = (0..WRITERS).map(|writer| {
        let registry = registry.clone();
        tokio::spawn(async move {
            for number in (writer..).step_by(WRITERS as usize) {
                let new = device(number, profile(fcm("a"), &["1", "2"]));
                registry.register(new).await.expect("registered");
                println!("acked {number}");
            }
        })
    });
    join_all(writers.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn nobody_who_was_answered_is_lost_by_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut answered: Vec<u128> = Vec::new();
    for round in 1..=3 {
        let child = "registry::crash::child_that_registers_until_it_is_killed";
        let lines = kill_after(300 * round, child, (DIR, dir.path()));
        answered.extend(lines.iter().map(|line| line.parse::<u128>().expect("a number")));
        let registry = open(dir.path()).await;
        for number in &answered {
            let found = registry.get(&DeviceId(Uuid::from_u128(*number))).await.expect("a look");
            let num = found.expect("it was answered, so it is there").device.num;
            assert_eq!(registry.memberships_of(num).await.expect("memberships").len(), 2);
        }
        let upto = registry.last_seq().await.expect("the newest");
        let there = scan_all(&registry, &unit("1"), Channel::Fcm, upto, 1000).await;
        assert_eq!(upto, Seq(2 * there.len() as u64), "no half registrations, no gaps");
        let whole = Audience::Area(area(&[("1", Coverage::Whole)]));
        let counted = registry.estimate(&whole).await.expect("an estimate").total;
        assert_eq!(counted, there.len() as u64, "as many are counted as are there");
    }
    assert!(answered.len() >= 1800);
}
