//! What goes wrong, by turns, with a calm turn after each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use rand::RngExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::churn::Deleted;
use crate::client::Client;
use crate::crowd::Crowd;
use crate::plan::{Plan, TURNS};
use crate::pushed::{Manner, Pushed};

/// Streams that are opened and never read, and how little the kernel takes for each.
const SLOW: u32 = 50;
const SLOW_BUFFER: u32 = 2_048;
/// Where they live.
const UNIT: &str = "26740";
/// Between two connections with garbage.
const GARBAGE: Duration = Duration::from_millis(100);
/// Of a garbage connection's answer nobody reads more, or longer.
const READ: usize = 4_096;
const PATIENCE: Duration = Duration::from_millis(500);
/// Connections are cut so often in a turn.
const CUTS: u32 = 4;

/// What goes wrong at present.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Providers answer 503 to many requests.
    Refused,
    /// Connections are cut, providers' and citizens'.
    Cut,
    /// Providers answer late, and some citizens do not read.
    Slow,
    /// Garbage comes in.
    Garbage,
    /// Apps are deleted, as only their providers know.
    Deleted,
}

impl Trouble {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "calm",
            Self::Refused => "503",
            Self::Cut => "cut",
            Self::Slow => "slow",
            Self::Garbage => "garbage",
            Self::Deleted => "deleted",
        }
    }
}

/// The turns of a third of a run.
const BY_TURN: [Trouble; TURNS as usize] = [
    Trouble::None,
    Trouble::Refused,
    Trouble::None,
    Trouble::Cut,
    Trouble::None,
    Trouble::Slow,
    Trouble::None,
    Trouble::Garbage,
    Trouble::None,
    Trouble::Deleted,
];

/// Whom it befalls.
pub struct Victims {
    /// The node.
    pub node: SocketAddr,
    /// The providers.
    pub pushed: Arc<Pushed>,
    /// Those with a stream.
    pub crowd: Crowd,
    /// Who deletes apps.
    pub deletions: mpsc::Sender<Deleted>,
}

/// Makes it, turn after turn, until it is told to stop; says what goes wrong at present.
pub async fn work(
    plan: Plan,
    victims: Victims,
    present: watch::Sender<Trouble>,
    stop: CancellationToken,
) -> Result<()> {
    for trouble in BY_TURN.into_iter().cycle() {
        present.send_replace(trouble);
        let over = stop.child_token();
        let ending = over.clone();
        tokio::spawn(async move {
            tokio::time::sleep(plan.turn()).await;
            ending.cancel();
        });
        victims.suffer(plan, trouble, &over).await?;
        over.cancelled().await;
        victims.pushed.behave(Manner::Well).await?;
        if stop.is_cancelled() {
            break;
        }
    }
    present.send_replace(Trouble::None);
    Ok(())
}

impl Victims {
    async fn suffer(&self, plan: Plan, trouble: Trouble, over: &CancellationToken) -> Result<()> {
        match trouble {
            Trouble::None => {}
            Trouble::Refused => self.pushed.behave(Manner::Refusing).await?,
            Trouble::Cut => {
                self.pushed.behave(Manner::Cutting).await?;
                for _ in 0..CUTS {
                    self.crowd.cut();
                    let pause = tokio::time::sleep(plan.turn() / CUTS);
                    over.run_until_cancelled(pause).await;
                }
            }
            Trouble::Slow => {
                self.pushed.behave(Manner::Slow).await?;
                self.hold_unread(over).await?;
            }
            Trouble::Garbage => {
                while !over.is_cancelled() {
                    // A connection that the node ends is what garbage is answered with.
                    let _ = garbage(self.node).await;
                    tokio::time::sleep(GARBAGE).await;
                }
            }
            Trouble::Deleted => {
                let (tell, told) = oneshot::channel();
                // Neither answers once the run is over.
                if self.deletions.send(tell).await.is_ok()
                    && let Ok(addresses) = told.await
                {
                    self.pushed.behave(Manner::Gone(addresses)).await?;
                }
            }
        }
        Ok(())
    }

    /// Event streams of somebody in a unit, whose events are not read; then they leave.
    async fn hold_unread(&self, over: &CancellationToken) -> Result<()> {
        let (mut client, mut held) = (Client::connect(self.node).await?, Vec::new());
        let body = json!({"places": [{"unit": UNIT}]});
        for _ in 0..SLOW {
            let line = (Method::POST, "/v1/devices", None);
            let device = client.expect(line, Some(&body), StatusCode::CREATED).await?;
            let text = |name: &str| device[name].as_str().context("a text");
            let (id, secret) = (text("id")?, text("secret")?);
            let own = format!("Loa-Device {id}:{secret}");
            held.push((unread(self.node, &own).await?, format!("/v1/devices/{id}"), own));
        }
        over.cancelled().await;
        for (stream, path, own) in held {
            drop(stream);
            let line = (Method::DELETE, path.as_str(), Some(own.as_str()));
            client.expect(line, None, StatusCode::NO_CONTENT).await?;
        }
        Ok(())
    }
}

/// A stream with little room.
async fn unread(node: SocketAddr, own: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SLOW_BUFFER)?;
    let mut stream = socket.connect(node).await?;
    let head = format!("GET /v1/events HTTP/1.1\r\nhost: loa\r\nauthorization: {own}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// One connection that makes no sense.
async fn garbage(node: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(node).await?;
    let noise: Vec<u8> = {
        let mut random = rand::rng();
        (0..random.random_range(1..2_000)).map(|_| random.random()).collect()
    };
    let length = noise.len();
    let (kind, head) = match rand::rng().random_range(0..6) {
        0 => ("", String::new()),
        1 => ("application/json", "POST /v1/devices HTTP/1.1".to_owned()),
        2 => ("application/cap+xml", "POST /v1/alerts HTTP/1.1".to_owned()),
        3 => ("application/json", "PUT /v1/devices/nobody HTTP/1.1".to_owned()),
        4 => ("text/plain", format!("GET /v1/units?search={} HTTP/1.1", "%".repeat(length))),
        _ => ("", "GET /v1/stream HTTP/1.1\r\nupgrade: websocket".to_owned()),
    };
    if !head.is_empty() {
        let key = "authorization: Bearer loa_nothing-that-anybody-was-ever-given";
        let lines = format!("{head}\r\nhost: loa\r\ncontent-type: {kind}\r\n{key}\r\n");
        stream.write_all(format!("{lines}content-length: {length}\r\n\r\n").as_bytes()).await?;
    }
    stream.write_all(&noise).await?;
    let mut answer = vec![0; READ];
    tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await??;
    Ok(())
}
