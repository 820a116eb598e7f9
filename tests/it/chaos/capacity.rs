//! What the cluster does when nothing fails: more workers take less time, and an emergency does not
//! wait for a routine alert that is on its way to everyone. The figures are printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use loa::domain::ids::PublicationId;
use loa::simulator::record::Seen;
use tokio::runtime::Runtime;

use super::nodes::WORKERS;
use super::stage::{LOOK, PATIENCE, Size, Stage, scenario};
use crate::support::node::AlertXml;
use crate::support::people::{everywhere, received};
use crate::support::wire::lasts;

/// What a provider takes for an answer: it, and not this machine, limits a worker.
const ANSWER: Duration = Duration::from_millis(50);
/// Units that an emergency is for.
const UNITS: usize = 10;
/// Pairs of an idle and a busy run.
const PAIRS: usize = 3;
/// Broadcasts with each number of workers; the quickest counts.
const RUNS: usize = 2;
/// Numbers of workers, and the most of one worker's time that each may take. Dispatches fall to
/// partitions by chance, so it is not quite a half and a quarter.
const SHARES: [(usize, f64); 3] = [(1, 1.0), (2, 0.6), (4, 0.35)];

#[test]
fn doubling_the_workers_halves_the_time() {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut stage = Stage::set(Size { answer: ANSWER, ..Size::scaling() }).await;
        let mut times = Vec::new();
        let mut running = 1;
        for (workers, share) in SHARES {
            for name in &WORKERS[running..workers] {
                stage.nodes.add(name);
                stage.nodes.start(name).await;
            }
            running = workers;
            // The first finds the partitions shared out, connections open and tokens fetched.
            broadcast(&mut stage).await;
            let mut best = f64::INFINITY;
            for _ in 0..RUNS {
                best = best.min(broadcast(&mut stage).await);
            }
            times.push((workers, share, best));
        }
        let one = times[0].2;
        eprintln!("| workers | s to {} devices | of one worker's time |", stage.tokens.len());
        eprintln!("| --- | --- | --- |");
        for (workers, _, time) in &times {
            eprintln!("| {workers} | {time:.1} | {:.2} |", time / one);
        }
        let slow = times.iter().find(|(_, share, time)| *time > share * one);
        assert!(slow.is_none(), "{slow:?} of {times:?}");
        stage.nodes.assert_all_run();
    });
}

/// Seconds from the request to the last device's push.
async fn broadcast(stage: &mut Stage) -> f64 {
    let asked = Timestamp::now();
    let id = stage.broadcast("everyone", 100).await;
    stage.over(id, u64::from(stage.population.size())).await;
    let received = received(&stage.providers, &stage.tokens, id);
    let firsts = received.values().map(|seen| seen[0].at_ms);
    let last = firsts.max().expect("somebody");
    (last - asked.as_millisecond()) as f64 / 1_000.0
}

#[test]
fn an_emergency_overtakes_a_routine_alert_to_everyone() {
    scenario(async |stage| {
        let before = stage.size.answer;
        stage.size.answer = ANSWER;
        stage.slow_down();
        let units = stage.parts.city.units().iter().take(UNITS);
        let area: String = units
            .map(|unit| {
                let code = &unit.code;
                format!("<geocode><valueName>loa:unit</valueName><value>{code}</value></geocode>")
            })
            .collect();
        let people = people(stage, &area).await;
        let (mut idle, mut busy) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            idle.push(hot(stage, &area, &people).await);
            let everyone = everywhere(&stage.parts.city);
            let name = stage.fresh("routine");
            let calm = AlertXml::hot(&name, &everyone);
            let calm = AlertXml { severity: "Minor", urgency: "Future", ..calm }.render();
            let routine = stage.publisher().alert("/v1/alerts", calm).await;
            stage.pushed(routine, stage.tokens.len() / 20).await;
            busy.push(hot(stage, &area, &people).await);
            let sent = stage.counted.now(routine);
            assert!(sent < stage.tokens.len(), "the routine alert ended first");
            stage.over(routine, u64::from(stage.population.size())).await;
        }
        let median = |times: &mut Vec<i64>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        eprintln!(
            "hot first across the cluster, p99 of {} in ms: {idle:?} idle, {busy:?} busy",
            people.len()
        );
        let (idle, busy) = (median(&mut idle), median(&mut busy));
        eprintln!(
            "hot first across the cluster: p99 {idle} ms idle, {busy} ms beside a routine alert to \
             everyone, ratio {:.2}",
            busy as f64 / idle as f64
        );
        stage.size.answer = before;
        stage.nodes.assert_all_run();
    });
}

/// Who is in an area, found with an alert to them, which also opens the connections.
async fn people(stage: &mut Stage, area: &str) -> BTreeMap<u32, String> {
    let xml = AlertXml::hot(&stage.fresh("hot"), area).render();
    let id = stage.publisher().alert("/v1/alerts", xml).await;
    let inside = stage.devices_of(id).await;
    let mut people = stage.tokens.clone();
    people.retain(|index, _| inside.contains(index));
    everyone(stage, &people, id).await;
    people
}

/// The 99th of a hundred devices' milliseconds from an emergency's request to the push.
async fn hot(stage: &mut Stage, area: &str, people: &BTreeMap<u32, String>) -> i64 {
    let xml = AlertXml::hot(&stage.fresh("hot"), area).render();
    let asked = Timestamp::now().as_millisecond();
    let id = stage.publisher().alert("/v1/alerts", xml).await;
    let received = everyone(stage, people, id).await;
    let mut at: Vec<i64> = received.values().map(|seen| seen[0].at_ms - asked).collect();
    at.sort_unstable();
    at[at.len() * 99 / 100]
}

/// What of a publication each of these people got, once all of them have it.
async fn everyone(
    stage: &Stage,
    people: &BTreeMap<u32, String>,
    id: PublicationId,
) -> BTreeMap<u32, Vec<Seen>> {
    let began = Instant::now();
    loop {
        let received = received(&stage.providers, people, id);
        if received.len() == people.len() {
            return received;
        }
        assert!(began.elapsed() < PATIENCE, "{} of {}", received.len(), people.len());
        lasts(LOOK).await;
    }
}
