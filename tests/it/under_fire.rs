//! The short form of `chaos`, for every run of the tests: one cluster, one alert to everyone, and
//! in the middle of it one of each fails: a worker, a router, an api, a gateway, a broker, a wire,
//! and Redis, whose replica takes over.

use std::time::{Duration, Instant};

use crate::chaos::broadcast;
use crate::chaos::nodes::{APIS, GATEWAYS, ROUTERS, WORKERS};
use crate::chaos::stage::{Size, Stage};
use crate::support::wire::{Wire, lasts};

/// How long a wire is cut, and how long a server is away.
const AWAY: Duration = Duration::from_secs(1);
/// The broker that is killed.
const BROKER: usize = 1;
/// How often workers may begin their batches again: one is killed; then a broker, a wire and Redis
/// fail for both.
const BEGUN_AGAIN: usize = 1 + 3 * 2;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_fails_in_one_broadcast_and_everyone_is_reached() {
    let began = Instant::now();
    let mut stage = Stage::set(Size::short()).await;
    eprintln!("a cluster stands after {:?}", began.elapsed());
    let what = "one of each fails, one after another";
    broadcast::under_fire(&mut stage, (what, 10, BEGUN_AGAIN), async |stage| {
        for name in [WORKERS[0], ROUTERS[0], APIS[0], GATEWAYS[0]] {
            stage.nodes.kill(name);
            stage.nodes.start(name).await;
            said(began, name);
        }
        stage.kafka.kill(BROKER);
        lasts(AWAY).await;
        stage.kafka.restart(BROKER).await;
        said(began, "a broker");
        stage.wires.iter().for_each(Wire::cut);
        lasts(AWAY).await;
        stage.wires.iter().for_each(Wire::mend);
        said(began, "all wires to brokers");
        stage.stores.kill_primary();
        lasts(AWAY).await;
        stage.stores.fail_over();
        stage.stores.restart_replica().await;
        said(began, "Redis");
    })
    .await;
    eprintln!("all of it after {:?}", began.elapsed());
}

fn said(began: Instant, what: &str) {
    eprintln!("{what} failed and is back, {:?} after the start", began.elapsed());
}
