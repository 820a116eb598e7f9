//! Citizens with a browser: each holds a real websocket, says hello, resumes after a cut, and
//! acknowledges what it is shown.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use crate::domain::channel::Channel;
use crate::simulator::citizens::{Population, Tally};

/// Sockets opened at once.
const OPENING: usize = 64;
/// Pause before a socket that was cut is opened again, times a share that differs by device.
const REOPEN: Duration = Duration::from_millis(500);
/// Largest message taken, in bytes.
const MESSAGE_MAX: usize = 1 << 20;

/// Holds a socket for each websocket citizen until `stop`; `open` counts those that are live.
pub async fn hold_sockets(
    node: SocketAddr,
    population: Population,
    (tally, open): (Tally, watch::Sender<usize>),
    stop: CancellationToken,
) {
    let opening = std::sync::Arc::new(tokio::sync::Semaphore::new(OPENING));
    let mut sockets = tokio::task::JoinSet::new();
    let citizens: Vec<u32> = population
        .citizens()
        .filter(|citizen| citizen.channel == Channel::Websocket)
        .map(|citizen| citizen.index)
        .collect();
    for device in citizens {
        let socket = Socket {
            node,
            device,
            hello: json!({
                "type": "hello",
                "device": population.id(device),
                "secret": population.secret(device).reveal(),
            }),
            tally: tally.clone(),
            open: open.clone(),
            position: None,
        };
        let (opening, stop) = (opening.clone(), stop.clone());
        sockets.spawn(async move {
            tokio::select! {
                () = socket.keep(&opening) => {}
                () = stop.cancelled() => {}
            }
        });
    }
    while sockets.join_next().await.is_some() {}
}

#[derive(Debug)]
struct Socket {
    node: SocketAddr,
    device: u32,
    hello: Value,
    tally: Tally,
    open: watch::Sender<usize>,
    position: Option<String>,
}

impl Socket {
    async fn keep(mut self, opening: &tokio::sync::Semaphore) {
        loop {
            let mut live = false;
            if let Err(error) = self.session(opening, &mut live).await {
                tracing::debug!(error = %error, "a simulated websocket was cut");
            }
            if live {
                self.open.send_modify(|count| *count -= 1);
            }
            let share = 1.0 + f64::from(self.device % 16) / 8.0;
            tokio::time::sleep(REOPEN.mul_f64(share)).await;
        }
    }

    async fn session(&mut self, opening: &tokio::sync::Semaphore, live: &mut bool) -> Result<()> {
        let permit = opening.acquire().await.context("closed")?;
        let stream = TcpStream::connect(self.node).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_MAX));
        let url = format!("ws://{}/v1/stream", self.node);
        let (mut socket, _) =
            tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        if let Some(position) = &self.position {
            self.hello["position"] = json!(position);
        }
        socket.send(Message::text(self.hello.to_string())).await?;
        let mut permit = Some(permit);
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            let event: Value = serde_json::from_str(&text)?;
            if let Some(position) = event["position"].as_str() {
                self.position = Some(position.to_owned());
            }
            match event["type"].as_str() {
                Some("live") => {
                    permit = None;
                    *live = true;
                    self.open.send_modify(|count| *count += 1);
                }
                Some("ping") => socket.send(Message::text(r#"{"type":"pong"}"#)).await?,
                Some("publication") => {
                    let id = &event["publication"]["id"];
                    let publication = serde_json::from_value(id.clone())?;
                    self.tally.saw(publication, self.device, Channel::Websocket);
                    let ack = json!({ "type": "ack", "publication": id, "stage": "shown" });
                    socket.send(Message::text(ack.to_string())).await?;
                }
                _ => {}
            }
        }
        drop(permit);
        Ok(())
    }
}
