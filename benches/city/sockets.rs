//! Websockets: an alert to 2,000 open sockets of one gateway; the clients are a process of their
//! own (this program again), so that their CPU is not counted.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use loa::geofence::{BUILTIN_CITY, City};
use loa::simulator::citizens::{Mix, Population};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::report::{Row, Table, cpu_seconds, median};
use crate::stage::{Heat, Stage};

const SOCKETS: u32 = 2_000;
const ALERTS: usize = 15;
/// Sockets opened at once.
const OPENING: usize = 32;
const PATIENCE: Duration = Duration::from_secs(120);
/// After the last socket, until deliveries are in the ledger too: they count as CPU of a message.
const SETTLE: Duration = Duration::from_millis(400);
/// Names the node's address to the process of the clients.
const JOB: &str = "LOA_BENCH_SOCKETS_OF";

/// The node whose sockets this process is to hold, if that is what it was started for.
pub fn job() -> Option<String> {
    std::env::var(JOB).ok()
}

fn people() -> Result<Population> {
    let mix = Mix { apns: 0, fcm: 0, second_place: 0, ..Mix::default() };
    Ok(Population::new(&City::builtin(BUILTIN_CITY)?, SOCKETS, (4, mix)))
}

/// Runs it.
pub async fn run(table: &mut Table) -> Result<()> {
    let mut stage = Stage::set().await?;
    let (units, people) = (stage.units(), people()?);
    stage.register((0..SOCKETS).map(move |index| people.device(index))).await?;
    let mut clients = Command::new(std::env::current_exe()?)
        .env(JOB, stage.node.address.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = clients.stdout.take().context("piped")?;
    let mut lines = BufReader::new(output).lines();
    ensure!(line(&mut lines).await? == "ready", "the clients did not start");
    let (mut last_ms, mut cpu_us, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 0..=ALERTS {
        let cpu_before = cpu_seconds()?;
        let alert = stage.publish(Heat::Hot, &units).await?;
        let report = line(&mut lines).await?;
        let mut words = report.split(' ');
        let mut word = || words.next().context("three words");
        ensure!(word()? == alert.id.to_string(), "another publication's report: {report}");
        let last = Timestamp::from_nanosecond(word()?.parse()?)?;
        bytes = word()?.parse()?;
        tokio::time::sleep(SETTLE).await;
        if number > 0 {
            last_ms.push(last.duration_since(alert.answered_at).as_secs_f64() * 1e3);
            cpu_us.push((cpu_seconds()? - cpu_before) * 1e6 / f64::from(SOCKETS));
        }
    }
    clients.kill().await?;
    let frame = format!("{SOCKETS} sockets, {bytes} B");
    table.add(Row::new(format!("sockets: {frame}, 202 to last"), median(&mut last_ms), "ms"));
    table.add(Row::new(format!("sockets: {frame}, CPU a message"), median(&mut cpu_us), "us"));
    stage.strike().await
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    line.context("the clients took too long")??.context("the clients ended")
}

/// Holds the sockets, and writes a line for each publication that all of them have got: its id,
/// when the last had it, and the frame's bytes.
pub async fn watch(node: String) -> Result<()> {
    let people = people()?;
    let opening = Arc::new(Semaphore::new(OPENING));
    let (ready, mut opened) = mpsc::channel(SOCKETS as usize);
    let seen: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    for index in 0..SOCKETS {
        let hello = json!({
            "type": "hello",
            "device": people.id(index),
            "secret": people.secret(index).reveal(),
        });
        let (node, opening, ready) = (node.clone(), opening.clone(), ready.clone());
        let seen = seen.clone();
        tokio::spawn(async move {
            if let Err(error) = hold(&node, hello, (&opening, ready), &seen).await {
                eprintln!("a socket ended: {error:#}");
            }
        });
    }
    drop(ready);
    for _ in 0..SOCKETS {
        opened.recv().await.context("a socket did not open")?;
    }
    println!("ready");
    std::future::pending().await
}

async fn hold(
    node: &str,
    hello: Value,
    (opening, ready): (&Semaphore, mpsc::Sender<()>),
    seen: &Mutex<HashMap<String, u32>>,
) -> Result<()> {
    let permit = opening.acquire().await?;
    let stream = TcpStream::connect(node).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0);
    let url = format!("ws://{node}/v1/stream");
    let client = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
    let (mut socket, _) = client.await?;
    socket.send(Message::text(hello.to_string())).await?;
    let mut permit = Some(permit);
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let now = Timestamp::now();
        let event: Value = serde_json::from_str(&text)?;
        match event["type"].as_str() {
            Some("live") => {
                permit = None;
                ready.send(()).await?;
            }
            Some("ping") => socket.send(Message::text(r#"{"type":"pong"}"#)).await?,
            Some("publication") => {
                let id = event["publication"]["id"].as_str().context("an id")?;
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let count = seen.entry(id.to_owned()).or_default();
                *count += 1;
                if *count == SOCKETS {
                    println!("{id} {} {}", now.as_nanosecond(), text.len());
                }
            }
            _ => {}
        }
    }
    drop(permit);
    Ok(())
}
