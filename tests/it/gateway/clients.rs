//! Clients in other languages: Node's `ws` and `curl -N`, each cut and resumed. Nothing missing,
//! nothing twice.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::house::{House, alert};
use crate::support::citizen::{Citizen, within};
use crate::support::clients::npm_package;

fn start(program: &str, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

#[tokio::test]
async fn a_node_client_misses_nothing_over_a_cut() {
    let ws = npm_package("ws").await;
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/stream.mjs");
    let url = format!("ws://{}/v1/stream", house.to);
    let script = script.to_str().expect("a path in UTF-8");
    let ws = ws.to_str().expect("a path in UTF-8");
    let arguments = [script, &url, &citizen.id, &citizen.secret, "6", "3", ws];
    let (mut node, mut lines) = start("node", &arguments);
    let mut line = async || within("a line", lines.next_line()).await.expect("open").expect("one");
    assert_eq!(line().await, "live");
    for _ in 0..3 {
        let id = house.publish(&alert(&[&unit])).await;
        assert_eq!(line().await, id);
    }
    assert_eq!(line().await, "cut");
    let mut missed = Vec::new();
    for _ in 0..2 {
        missed.push(house.publish(&alert(&[&unit])).await);
    }
    node.stdin.take().expect("piped").write_all(b"go\n").await.expect("open");
    let mut got = Vec::new();
    while got.len() < missed.len() {
        let line = line().await;
        if line != "live" {
            got.push(line);
        }
    }
    got.sort();
    missed.sort();
    assert_eq!(got, missed);
    let last = house.publish(&alert(&[&unit])).await;
    loop {
        let line = line().await;
        if line != "live" {
            assert_eq!(line, last);
            break;
        }
    }
    assert!(within("the end", node.wait()).await.expect("ended").success());
    house.close().await;
}

#[tokio::test]
async fn curl_misses_nothing_over_a_cut() {
    let house = House::open().await;
    let unit = house.unit(0).to_owned();
    let citizen = Citizen::register(&house.to, json!({"places": [{"unit": unit}]})).await;
    let (url, auth) = (format!("http://{}/v1/events", house.to), citizen.auth());
    let (mut curl, mut lines) = start("curl", &["-sN", "-H", &auth, &url]);
    let mut position = String::new();
    loop {
        let line = within("a line", lines.next_line()).await.expect("open").expect("one");
        position = line.strip_prefix("id: ").map_or(position, str::to_owned);
        if line == "event: live" {
            break;
        }
    }
    let first = house.publish(&alert(&[&unit])).await;
    let read = read_publication(&mut lines, &mut position).await;
    assert_eq!(read, first);
    curl.kill().await.expect("cut");

    let mut missed = vec![house.publish(&alert(&[&unit])).await];
    missed.push(house.publish(&alert(&[&unit])).await);
    let last_id = format!("last-event-id: {position}");
    let (_curl, mut lines) = start("curl", &["-sN", "-H", &auth, "-H", &last_id, &url]);
    let mut got = Vec::new();
    for _ in 0..2 {
        got.push(read_publication(&mut lines, &mut position).await);
    }
    got.sort();
    missed.sort();
    assert_eq!(got, missed);
    let last = house.publish(&alert(&[&unit])).await;
    assert_eq!(read_publication(&mut lines, &mut position).await, last);
    house.close().await;
}

async fn read_publication(
    lines: &mut Lines<BufReader<ChildStdout>>,
    position: &mut String,
) -> String {
    loop {
        let line = within("a line", lines.next_line()).await.expect("open").expect("one");
        if let Some(id) = line.strip_prefix("id: ") {
            *position = id.to_owned();
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: serde_json::Value = serde_json::from_str(data).expect("JSON");
        if event["type"] == "publication" {
            return crate::support::citizen::id_of(&event);
        }
    }
}
