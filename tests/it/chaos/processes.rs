//! Processes of ours that are killed, or come and go, in the middle of a broadcast.

use std::time::Duration;

use jiff::Timestamp;
use loa::domain::ids::PublicationId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::broadcast::under_fire;
use super::nodes::{APIS, GATEWAYS, ROUTERS, WORKERS};
use super::stage::{Stage, is_full, scenario};
use crate::support::node::AlertXml;
use crate::support::wire::lasts;

/// How often a process joins or leaves.
const TURN: Duration = Duration::from_secs(2);

#[test]
fn a_worker_killed_in_mid_broadcast_leaves_nobody_out() {
    scenario(async |stage| {
        under_fire(stage, ("kill -9 of a fan-out worker", 20, 1), async |stage| {
            stage.nodes.kill(WORKERS[0]);
            stage.nodes.start(WORKERS[0]).await;
        })
        .await;
    });
}

#[test]
fn routers_killed_in_turn_route_everything_and_nothing_twice() {
    scenario(async |stage| {
        // Right after the 202: one of them routes, one follows the late joiners.
        under_fire(stage, ("kill -9 of each router in turn", 0, 0), async |stage| {
            for router in ROUTERS {
                stage.nodes.kill(router);
                stage.nodes.start(router).await;
            }
        })
        .await;
    });
}

#[test]
fn an_api_and_the_console_killed_in_mid_broadcast_are_missed_by_nobody() {
    scenario(async |stage| {
        under_fire(stage, ("kill -9 of an api and the console", 20, 0), async |stage| {
            for name in [APIS[1], "console"] {
                stage.nodes.kill(name);
                stage.nodes.start(name).await;
            }
        })
        .await;
    });
}

#[test]
fn nodes_whose_disk_is_full_go_on() {
    // What a node of a cluster writes is its log: a line is lost, and nothing else.
    let nodes = [WORKERS[0], ROUTERS[0], ROUTERS[1], GATEWAYS[0], APIS[0]];
    scenario(async |stage| {
        nodes.iter().for_each(|name| stage.nodes.fill_disk(name, true));
        let what = "the files of a node of each role take nothing";
        under_fire(stage, (what, 20, 0), async |_| lasts(TURN).await).await;
        nodes.iter().for_each(|name| stage.nodes.fill_disk(name, false));
    });
}

#[test]
fn an_api_killed_before_its_answer_has_accepted_it_or_not_at_all() {
    let moments: &[u64] = if is_full() { &[0, 1, 2, 3, 5, 8, 12, 20, 40] } else { &[2, 8, 20] };
    scenario(async |stage| {
        stage.crowd.forget();
        let (publisher, unit, since) = (stage.publisher(), stage.unit(), Timestamp::now());
        let area =
            format!("<geocode><valueName>loa:unit</valueName><value>{unit}</value></geocode>");
        let (mut ids, mut kept) = (Vec::new(), 0);
        for &moment in moments {
            let xml = AlertXml::hot(&stage.fresh("torn"), &area).render();
            let _looks_away = post(stage, "api-1", &xml).await;
            lasts(Duration::from_millis(moment)).await;
            stage.nodes.kill("api-1");
            stage.nodes.start("api-1").await;
            let answer = publisher.post("/v1/alerts", "application/cap+xml", xml).await;
            kept += usize::from(answer["repeated"].as_bool().expect("a bool"));
            let id: PublicationId =
                answer["id"].as_str().expect("an id").parse().expect("a publication id");
            // All of it, or its last part may come after the next alert's first.
            let phones = stage.devices_of(id).await.len();
            let all = phones + stage.people_of(id).await.len();
            stage.over(id, all as u64).await;
            ids.push(id);
        }
        let people = stage.devices_of(ids[0]).await;
        for index in &people {
            let mut seen = stage.providers.record.of(&stage.tokens[index]);
            seen.retain(|one| one.at_ms >= since.as_millisecond());
            let got: Vec<PublicationId> = seen.iter().map(|one| one.publication).collect();
            assert_eq!(got, ids, "device {index}");
        }
        eprintln!(
            "| kill -9 of an api within {:?} ms of the request | {} of {1} each time | 0 (0) | \
             {kept} of {} were complete after the kill, the others absent |",
            moments,
            people.len(),
            moments.len()
        );
        stage.only_poison_is_dead().await;
        stage.nodes.assert_all_run();
    });
}

#[test]
fn groups_that_rebalance_every_two_seconds_reach_everyone() {
    const TURNS: usize = 4;
    scenario(async |stage| {
        stage.nodes.add("fanout-5");
        stage.nodes.add("router-3");
        let what = "a worker and a router join or leave every 2 s";
        // Nobody dies: partitions are handed over at the cursors, and nothing comes twice.
        under_fire(stage, (what, 5, 0), async |stage| {
            for turn in 0..TURNS {
                for name in ["fanout-5", "router-3"] {
                    match turn % 2 {
                        0 => stage.nodes.start(name).await,
                        _ => {
                            stage.nodes.terminate(name);
                            stage.nodes.ended(name).await;
                        }
                    }
                }
                lasts(TURN).await;
            }
        })
        .await;
    });
}

/// Writes a whole publishing request to a node and reads nothing.
async fn post(stage: &Stage, name: &str, xml: &str) -> TcpStream {
    let address = stage.nodes.address(name);
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /v1/alerts HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: application/cap+xml\r\ncontent-length: {}\r\n\r\n",
        stage.key,
        xml.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.write_all(xml.as_bytes()).await.expect("written");
    stream.flush().await.expect("written");
    stream
}
