//! Brokers and Redis that die, move, or take nothing any more.

use std::time::{Duration, Instant};

use super::broadcast::under_fire;
use super::nodes::WORKERS;
use super::stage::{LOOK, is_full, scenario};
use crate::support::wire::lasts;

/// The broker whose disk is full.
const BROKER: usize = 2;
/// How long it may go on without room.
const FELT: Duration = Duration::from_secs(10);

#[test]
fn a_broker_killed_and_restarted_loses_nothing() {
    // Each of them at full size.
    let brokers = if is_full() { 0..3 } else { 1..2 };
    scenario(async |stage| {
        for broker in brokers {
            let what = format!("kill -9 of broker {}", broker + 1);
            under_fire(stage, (&what, 20, WORKERS.len()), async |stage| {
                stage.kafka.kill(broker);
                lasts(Duration::from_secs(2)).await;
                stage.kafka.restart(broker).await;
            })
            .await;
        }
    });
}

#[test]
fn redis_killed_and_restarted_over_its_file_loses_nothing() {
    scenario(async |stage| {
        let what = "kill -9 of Redis, restart over its file";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.stores.kill_primary();
            lasts(Duration::from_secs(1)).await;
            stage.stores.restart_primary().await;
        })
        .await;
        stage.stores.settled().await;
    });
}

#[test]
fn redis_that_fails_over_to_its_replica_goes_on() {
    scenario(async |stage| {
        let what = "kill -9 of Redis, failover to the replica";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.stores.kill_primary();
            lasts(Duration::from_secs(1)).await;
            stage.stores.fail_over();
            stage.stores.restart_replica().await;
        })
        .await;
    });
}

#[test]
fn redis_without_memory_holds_work_up_and_loses_none() {
    scenario(async |stage| {
        let what = "Redis is full for 3 s (OOM)";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.stores.full_for(Duration::from_secs(3)).await;
        })
        .await;
        assert!(stage.stores.refused("OOM"), "a write was refused");
    });
}

#[test]
fn redis_whose_disk_is_full_holds_work_up_and_loses_none() {
    scenario(async |stage| {
        let what = "the file of Redis takes nothing for 3 s";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.stores.disk_full_for(Duration::from_secs(3)).await;
        })
        .await;
        assert!(stage.stores.refused("MISCONF"), "a write was refused");
        stage.stores.settled().await;
    });
}

#[test]
fn a_broker_whose_disk_is_full_is_out_until_it_has_room() {
    scenario(async |stage| {
        let what = "the files of a broker take nothing more";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.kafka.fill_disk(BROKER);
            let began = Instant::now();
            while stage.kafka.runs(BROKER) && began.elapsed() < FELT {
                lasts(LOOK).await;
            }
            let ended = if stage.kafka.runs(BROKER) { "runs on" } else { "ended by itself" };
            eprintln!("a broker whose files take nothing {ended}");
            stage.kafka.kill(BROKER);
            stage.kafka.restart(BROKER).await;
        })
        .await;
    });
}
