//! The phones' way back: receipts over kept-alive HTTP connections, as apps would send them. What
//! became of each is counted, so that a receipt the node lost is told from one it never got.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::domain::ids::PublicationId;
use crate::domain::receipt::Stage;
use crate::simulator::citizens::Population;

/// Connections that carry receipts.
const CONNECTIONS: usize = 32;
/// Receipts that may wait for a connection.
const WAITING: usize = 1 << 16;
/// Phones try again while the node is away. A real app would for as long as it is installed, so the
/// limit is only there that nothing of a run is left behind for ever.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30 * 60);
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

/// What became of the receipts.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Receipts the phones had to send.
    pub due: u64,
    /// Those the node answered with 2xx: it must never lose one of them.
    pub answered: u64,
    /// Those it refused for good (4xx); an app does not repeat them.
    pub refused: u64,
    /// Those that never got an answer, though tried again and again.
    pub given_up: u64,
    /// Tries that were repeated.
    pub repeated: u64,
    /// Why the last of those was.
    pub last_failure: Option<String>,
}

impl Told {
    /// Receipts still under way.
    pub fn waiting(&self) -> u64 {
        self.due - self.answered - self.refused - self.given_up
    }
}

/// Sends receipts. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Uplink {
    queues: Vec<mpsc::Sender<Post>>,
    told: watch::Sender<Told>,
}

impl Uplink {
    /// Opens the uplink to a node. Its tasks end when every clone is dropped.
    pub fn open(node: SocketAddr, population: &Population) -> Self {
        let told = watch::Sender::new(Told::default());
        let queues = (0..CONNECTIONS).map(|_| {
            let (sender, mut posts) = mpsc::channel::<Post>(WAITING / CONNECTIONS);
            let (population, told) = (population.clone(), told.clone());
            let mut line = Line { node, population, connection: None, told };
            tokio::spawn(async move {
                while let Some(post) = posts.recv().await {
                    line.insist(post).await;
                }
            });
            sender
        });
        Self { queues: queues.collect(), told }
    }

    /// Sends a receipt; waits while too many wait.
    pub async fn send(&self, post: Post) {
        self.told.send_modify(|told| told.due += 1);
        let queue = &self.queues[post.device as usize % self.queues.len()];
        // The queue's task ends only with the runtime.
        let _ = queue.send(post).await;
    }

    /// What became of the receipts so far.
    pub fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    /// Waits until something holds of it.
    pub async fn told_when(&self, holds: impl FnMut(&Told) -> bool) -> Told {
        let mut told = self.told.subscribe();
        let told = told.wait_for(holds).await;
        told.expect("the sender is ours").clone()
    }
}

/// One connection, and the phones that share it.
struct Line {
    node: SocketAddr,
    population: Population,
    connection: Option<SendRequest<Full<Bytes>>>,
    told: watch::Sender<Told>,
}

impl Line {
    /// Sends a receipt until it is answered.
    async fn insist(&mut self, post: Post) {
        let until = Instant::now() + GIVE_UP_AFTER;
        loop {
            let failure = match timeout(PATIENCE, self.once(post)).await {
                Ok(Ok((status, _))) if status.is_success() => {
                    self.told.send_modify(|told| told.answered += 1);
                    return;
                }
                Ok(Ok((status, answer))) if is_final(status) => {
                    tracing::warn!(%status, answer, "a simulated phone's receipt was refused");
                    self.told.send_modify(|told| told.refused += 1);
                    return;
                }
                Ok(Ok((status, answer))) => format!("{status}: {answer}"),
                Ok(Err(error)) => format!("{error:#}"),
                Err(elapsed) => elapsed.to_string(),
            };
            self.connection = None;
            if Instant::now() >= until {
                tracing::warn!(failure, "a simulated phone gave up on a receipt");
                self.told.send_modify(|told| told.given_up += 1);
                return;
            }
            self.told.send_modify(|told| {
                told.repeated += 1;
                told.last_failure = Some(failure);
            });
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(&mut self, post: Post) -> Result<(StatusCode, String)> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = TcpStream::connect(self.node).await?;
            stream.set_nodelay(true)?;
            let (sender, driver) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            self.connection = Some(sender);
        }
        let sender = self.connection.as_mut().context("just opened")?;
        let body = serde_json::json!({
            "receipts": [{ "publication": post.publication, "stage": post.stage }]
        });
        let (id, secret) = (self.population.id(post.device), self.population.secret(post.device));
        let request = Request::post("/v1/receipts")
            .header(HOST, self.node.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Loa-Device {id}:{}", secret.reveal()))
            .body(Full::new(Bytes::from(body.to_string())))?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// Whether a repeat would be refused as well. A node that is slow or full says so with 408 or 429.
fn is_final(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !passing.contains(&status)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;
    use crate::geofence::City;
    use crate::simulator::citizens::Mix;

    /// Answers one request a connection; an empty answer cuts it.
    async fn node(listener: TcpListener, answers: Vec<&'static str>) {
        for status in answers {
            let (mut peer, _) = listener.accept().await.expect("a phone");
            let mut head = [0; 4096];
            assert!(peer.read(&mut head).await.expect("a request") > 0);
            if !status.is_empty() {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                peer.write_all(answer.as_bytes()).await.expect("written");
            }
        }
    }

    async fn told_after(answers: Vec<&'static str>) -> Told {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let city = City::builtin("hcmc").expect("built in");
        let uplink = Uplink::open(address, &Population::new(&city, 1, (1, Mix::default())));
        let publication = PublicationId(Uuid::from_u128(7));
        uplink.send(Post { device: 0, publication, stage: Stage::Shown }).await;
        assert_eq!(uplink.told().waiting(), 1);
        node(listener, answers).await;
        uplink.told_when(|told| told.waiting() == 0).await
    }

    #[tokio::test]
    async fn a_phone_repeats_its_receipt_until_the_node_takes_or_refuses_it() {
        let passing = ["", "503 Service Unavailable", "408 Request Timeout", "429 Too Many"];
        let told = told_after([&passing[..], &["202 Accepted"]].concat()).await;
        assert_eq!((told.due, told.answered, told.refused, told.given_up), (1, 1, 0, 0));
        assert_eq!(told.repeated, 4);
        let told = told_after(vec!["422 Unprocessable Entity"]).await;
        assert_eq!((told.answered, told.refused, told.repeated), (0, 1, 0));
    }
}
