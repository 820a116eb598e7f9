//! The wires between nodes and servers: cut, and slow.

use std::time::Duration;

use super::broadcast::under_fire;
use super::nodes::WORKERS;
use super::stage::scenario;
use crate::support::wire::{Wire, lasts};

/// How long a wire is cut.
const CUT: Duration = Duration::from_secs(3);
/// What each piece waits on a slow one.
const SLOW: Duration = Duration::from_millis(100);

#[test]
fn brokers_that_nobody_reaches_for_a_while_are_waited_for() {
    scenario(async |stage| {
        let what = "the wires to all brokers are cut for 3 s";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.wires.iter().for_each(Wire::cut);
            lasts(CUT).await;
            stage.wires.iter().for_each(Wire::mend);
        })
        .await;
    });
}

#[test]
fn a_redis_that_nobody_reaches_for_a_while_is_waited_for() {
    scenario(async |stage| {
        let what = "the wire to Redis is cut for 3 s";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.stores.wire.cut();
            lasts(CUT).await;
            stage.stores.wire.mend();
        })
        .await;
    });
}

#[test]
fn a_broker_that_nobody_reaches_for_a_while_is_waited_for_or_gone_round() {
    scenario(async |stage| {
        let what = "the wire of all nodes to each broker in turn is cut for 3 s";
        let brokers = stage.wires.len();
        under_fire(stage, (what, 10, brokers * WORKERS.len()), async |stage| {
            for wire in &stage.wires {
                wire.cut();
                lasts(CUT).await;
                wire.mend();
            }
        })
        .await;
    });
}

#[test]
fn brokers_that_do_not_reach_each_other_hold_records_up_and_lose_none() {
    scenario(async |stage| {
        // No record is in sync on two of them meanwhile, so none is acknowledged.
        let what = "the wires between all brokers are cut for 3 s";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.between.iter().for_each(Wire::cut);
            lasts(CUT).await;
            stage.between.iter().for_each(Wire::mend);
        })
        .await;
    });
}

#[test]
fn controllers_that_do_not_reach_each_other_elect_again_and_nothing_is_lost() {
    scenario(async |stage| {
        // First one of three: if it leads, the others elect; then all: nobody leads until the end.
        let what = "the wires of the controllers' votes are cut, one and then all, 3 s each";
        under_fire(stage, (what, 10, 2 * WORKERS.len()), async |stage| {
            for some in [&stage.votes[..1], &stage.votes[..]] {
                some.iter().for_each(Wire::cut);
                lasts(CUT).await;
                some.iter().for_each(Wire::mend);
            }
        })
        .await;
    });
}

#[test]
fn a_replica_that_does_not_reach_its_primary_catches_up() {
    scenario(async |stage| {
        let what = "the wire between Redis and its replica is cut for 3 s, then 100 ms slow";
        under_fire(stage, (what, 10, WORKERS.len()), async |stage| {
            let stores = &stage.stores;
            stores.copies.cut();
            lasts(CUT).await;
            assert!(stores.is_alone(), "the wire was cut");
            stores.copies.mend();
            stores.copied().await;
            stores.copies.slow(SLOW);
            lasts(CUT).await;
            stores.copied().await;
            stores.copies.slow(Duration::ZERO);
        })
        .await;
    });
}

#[test]
fn citizens_who_reach_no_gateway_for_a_while_get_what_they_missed() {
    scenario(async |stage| {
        let what = "the wires from the citizens to both gateways are cut for 3 s, then 100 ms slow";
        under_fire(stage, (what, 10, 0), async |stage| {
            stage.citizens.iter().for_each(Wire::cut);
            lasts(CUT).await;
            stage.citizens.iter().for_each(Wire::mend);
            stage.citizens.iter().for_each(|wire| wire.slow(SLOW));
            lasts(CUT).await;
            stage.citizens.iter().for_each(|wire| wire.slow(Duration::ZERO));
        })
        .await;
    });
}

#[test]
fn providers_that_nobody_reaches_for_a_while_are_asked_again() {
    scenario(async |stage| {
        // What was in flight may have arrived.
        let what = "the wires to Apple and Google are cut for 3 s";
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            stage.outside.iter().for_each(Wire::cut);
            lasts(CUT).await;
            stage.outside.iter().for_each(Wire::mend);
        })
        .await;
    });
}

#[test]
fn slow_wires_slow_everything_down_and_change_nothing() {
    scenario(async |stage| {
        let what = "100 ms on every wire, each way, for 6 s";
        // An answer of Redis that comes too late is an answer that was lost.
        under_fire(stage, (what, 20, WORKERS.len()), async |stage| {
            let brokers = || stage.wires.iter().chain(&stage.between).chain(&stage.votes);
            let others = || stage.outside.iter().chain(&stage.citizens);
            let stores = [&stage.stores.wire, &stage.stores.copies];
            let wires = || brokers().chain(others()).chain(stores);
            wires().for_each(|wire| wire.slow(SLOW));
            lasts(2 * CUT).await;
            wires().for_each(|wire| wire.slow(Duration::ZERO));
        })
        .await;
    });
}
