//! The phones' way back: receipts over kept-alive HTTP connections, as apps would send them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::domain::ids::PublicationId;
use crate::domain::receipt::Stage;
use crate::simulator::citizens::Population;

/// Connections that carry receipts.
const CONNECTIONS: usize = 32;
/// Receipts that may wait for a connection.
const WAITING: usize = 1 << 16;
/// A receipt is tried so often; phones try again when the node is away.
const TRIES: u32 = 60;
/// A try without an answer ends after this, as apps' requests do: one must not hold up the others.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// One receipt to send.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    /// Whose.
    pub device: u32,
    /// Of what.
    pub publication: PublicationId,
    /// How far it got.
    pub stage: Stage,
}

/// Sends receipts. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Uplink {
    queues: Vec<mpsc::Sender<Post>>,
}

impl Uplink {
    /// Opens the uplink to a node. Its tasks end when every clone is dropped.
    pub fn open(node: SocketAddr, population: &Population) -> Self {
        let queues = (0..CONNECTIONS).map(|_| {
            let (sender, mut posts) = mpsc::channel::<Post>(WAITING / CONNECTIONS);
            let population = population.clone();
            tokio::spawn(async move {
                let mut connection = None;
                while let Some(post) = posts.recv().await {
                    if let Err(error) = insist(node, &population, &mut connection, post).await {
                        tracing::warn!(error = %error, "a simulated phone's receipt was lost");
                    }
                }
            });
            sender
        });
        Self { queues: queues.collect() }
    }

    /// Sends a receipt; waits while too many wait.
    pub async fn send(&self, post: Post) {
        let queue = &self.queues[post.device as usize % self.queues.len()];
        // The queue's task ends only with the runtime.
        let _ = queue.send(post).await;
    }
}

type Connection = Option<SendRequest<Full<Bytes>>>;

async fn insist(
    node: SocketAddr,
    population: &Population,
    connection: &mut Connection,
    post: Post,
) -> Result<()> {
    let mut last = None;
    for _ in 0..TRIES {
        match timeout(PATIENCE, once(node, population, connection, post)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => last = Some(error),
            Err(elapsed) => last = Some(elapsed.into()),
        }
        *connection = None;
        tokio::time::sleep(PAUSE).await;
    }
    last.map_or(Ok(()), Err)
}

async fn once(
    node: SocketAddr,
    population: &Population,
    connection: &mut Connection,
    post: Post,
) -> Result<()> {
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        let stream = TcpStream::connect(node).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    let sender = connection.as_mut().context("just opened")?;
    let body = serde_json::json!({
        "receipts": [{ "publication": post.publication, "stage": post.stage }]
    });
    let (id, secret) = (population.id(post.device), population.secret(post.device));
    let request = Request::post("/v1/receipts")
        .header(HOST, node.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Loa-Device {id}:{}", secret.reveal()))
        .body(Full::new(Bytes::from(body.to_string())))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
