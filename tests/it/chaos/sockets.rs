//! Gateways that die, and gateways that say goodbye.

use super::broadcast::under_fire;
use super::nodes::GATEWAYS;
use super::stage::{Stage, scenario};

/// The close code of a gateway that drains.
const SHUTDOWN: u64 = 4000;

#[test]
fn a_gateway_killed_in_mid_broadcast_leaves_its_clients_to_the_other_without_a_gap() {
    scenario(async |stage| {
        let what = "kill -9 of a gateway";
        under_fire(stage, (what, 20, 0), async |stage| {
            stage.nodes.kill(GATEWAYS[0]);
            // Everyone resumes on the one that is left.
            stage.crowd.everyone().await;
            stage.nodes.start(GATEWAYS[0]).await;
        })
        .await;
        let (resumed, reloads) = came_back(stage);
        eprintln!("{resumed} streams were resumed on the other gateway, {reloads} told to reload");
        assert!(resumed > 0, "somebody was connected to it");
        assert_eq!(reloads, 0, "both gateways read one log");
    });
}

#[test]
fn a_gateway_that_is_stopped_sends_its_clients_away_spread_over_time() {
    scenario(async |stage| {
        let what = "SIGTERM of a gateway";
        under_fire(stage, (what, 20, 0), async |stage| {
            stage.nodes.terminate(GATEWAYS[1]);
            stage.nodes.ended(GATEWAYS[1]).await;
            stage.crowd.everyone().await;
            stage.nodes.start(GATEWAYS[1]).await;
        })
        .await;
        let (resumed, reloads) = came_back(stage);
        let people = stage.crowd.now().into_values();
        let closed = people.flat_map(|person| person.closed);
        let mut waits: Vec<u64> =
            closed.filter(|(number, _)| *number == SHUTDOWN).map(|(_, wait)| wait).collect();
        waits.sort_unstable();
        let (first, last) = (waits.first(), waits.last());
        eprintln!(
            "{} clients were sent away, to come back after {first:?} to {last:?} ms; {resumed} \
             resumed, {reloads} told to reload",
            waits.len()
        );
        assert!(!waits.is_empty(), "somebody was connected to it");
        assert!(resumed >= waits.len(), "{resumed} of {} resumed", waits.len());
        assert_eq!(reloads, 0, "both gateways read one log");
        // No tenth of the time takes more than a third of the clients.
        let spread = waits[waits.len() - 1] - waits[0];
        assert!(spread >= 500, "within {spread} ms");
        for from in (0..10).map(|tenth| waits[0] + tenth * spread / 10) {
            let until = from + spread / 10;
            let herd = waits.iter().filter(|wait| (from..until).contains(*wait)).count();
            assert!(3 * herd <= waits.len(), "{herd} of {} from {from} ms", waits.len());
        }
    });
}

/// How many streams were resumed, and how many clients were told to begin anew.
fn came_back(stage: &Stage) -> (usize, usize) {
    let people = stage.crowd.now();
    let resumed = people.values().map(|person| person.resumed).sum();
    (resumed, people.values().map(|person| person.reloads).sum())
}
