//! `GET /v1/stream`: the websocket. One loop per stream over its queue, its socket and its timer;
//! what each means is decided in [`session`](crate::gateway::session) and by the hub.
//!
//! Credentials never stand in the URL: they come in the first message, `hello`, or in the
//! `Authorization` header of clients that can set one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::auth::citizen::Citizen;
use crate::gateway::Gateway;
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Conn;
use crate::gateway::outbox::Outgoing;
use crate::gateway::session::{Session, Tick};
use crate::gateway::wire::{CLIENT_MESSAGE_BYTES_MAX, FromClient, Hello, ToClient};
use crate::http::problem::{Code, Document, Problem};
use crate::http::serve::Peer;

/// Read buffer of one socket: clients say little (tungstenite's own default is 128 KiB).
const READ_BUFFER_BYTES: usize = 4 << 10;
/// Bytes gathered before a write to the socket; every frame is flushed anyway.
const WRITE_BUFFER_BYTES: usize = 4 << 10;
/// Time for the close frame to go out, and for the client's own to come back.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// The citizens' websocket
///
/// Speaks the messages of `StreamEvent`. The first message must be
/// `{"type":"hello","device":"…","secret":"…","position":"…"}` (or `bearer` in place of the
/// secret); then come `hello`, what was missed or is live, `live`, and publications as they
/// happen. Further messages of a client: `ack{publication,stage}`, `places{places}`, `pong`.
#[utoipa::path(
    get,
    path = "/v1/stream",
    tag = "streams",
    responses(
        (status = 101, description = "Upgraded; messages as JSON text", body = ToClient<'static>),
        (status = 426, description = "Not a websocket", body = Document),
        (status = 429, description = "Too many streams of this address", body = Document),
        (status = 503, description = "Starting, draining or full", body = Document)
    )
)]
pub(super) async fn stream(
    State(gateway): State<Gateway>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade =
        upgrade.map_err(|refusal| Problem::new(Code::UpgradeRequired, refusal.body_text()))?;
    let slot = gateway.room(&headers, peer.map(|Extension(peer)| peer))?;
    let known = gateway.parts.doorkeeper.of_headers(&headers).await?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(gateway.hub.settings().queue_bytes.max(2 * WRITE_BUFFER_BYTES))
        .max_message_size(CLIENT_MESSAGE_BYTES_MAX)
        .max_frame_size(CLIENT_MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let life = gateway.life.clone();
        let work = async move {
            run(gateway, socket, known).await;
            drop(slot);
        };
        // Owned by the node's lifecycle, so that a drain waits for the close frames.
        let _ = life.job("websocket", work).await;
    }))
}

struct Stream {
    gateway: Gateway,
    session: Session,
    output: SplitSink<WebSocket, Message>,
}

async fn run(gateway: Gateway, socket: WebSocket, known: Option<Citizen>) {
    let (output, mut input) = socket.split();
    let session = Session::new(gateway.hub.settings(), Instant::now());
    let mut stream = Stream { gateway, session, output };
    let close = match stream.greet(&mut input, known).await {
        Ok(conn) => {
            let close = stream.serve(&mut input, &conn).await;
            stream.gateway.hub.leave(&conn);
            close
        }
        Err(close) => close,
    };
    if let Some(close) = close {
        stream.close(&mut input, close).await;
    }
}

impl Stream {
    /// From the open socket to a stream that is live. `Err(None)`: the client is gone.
    async fn greet(
        &mut self,
        input: &mut SplitStream<WebSocket>,
        known: Option<Citizen>,
    ) -> Result<Arc<Conn>, Option<Close>> {
        let hello = self.hello(input).await?;
        let citizen = self.gateway.recognise(&hello, known).await.map_err(refusal)?;
        let opened = self.gateway.admit(citizen, hello.position.as_deref(), hello.languages).await;
        let opened = opened.map_err(refusal)?;
        self.session.open(Instant::now());
        let conn = opened.entrance.conn;
        for outgoing in opened.first {
            if let Err(close) = self.write(&conn, outgoing).await {
                self.gateway.hub.leave(&conn);
                return Err(close);
            }
        }
        self.gateway.hub.go_live(&conn);
        Ok(conn)
    }

    async fn hello(&mut self, input: &mut SplitStream<WebSocket>) -> Result<Hello, Option<Close>> {
        let stop = self.gateway.life.token().clone();
        loop {
            let message = tokio::select! {
                message = input.next() => message,
                () = sleep_until(self.session.deadline()) => return Err(Some(Close::HelloTimeout)),
                () = stop.cancelled() => return Err(Some(Close::Shutdown)),
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    if let FromClient::Hello(hello) = self.session.read(&text).map_err(Some)? {
                        return Ok(hello);
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(Some(Close::BadHello)),
                Some(Ok(Message::Close(_))) | None => return Err(None),
                Some(Err(error)) => return Err(failure(&error)),
            }
        }
    }

    /// A live stream, until it ends; why, unless the client is gone.
    async fn serve(
        &mut self,
        input: &mut SplitStream<WebSocket>,
        conn: &Arc<Conn>,
    ) -> Option<Close> {
        let stop = self.gateway.life.token().clone();
        loop {
            let step = tokio::select! {
                outgoing = conn.outbox().next() => match outgoing {
                    Ok(outgoing) => self.write(conn, outgoing).await,
                    Err(close) => Err(Some(close)),
                },
                message = input.next() => self.heard(conn, message).await,
                () = sleep_until(self.session.deadline()) => self.tick(conn).await,
                () = stop.cancelled() => Err(Some(Close::Shutdown)),
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    async fn heard(
        &mut self,
        conn: &Arc<Conn>,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), Option<Close>> {
        self.session.heard(Instant::now());
        match message {
            Some(Ok(Message::Text(text))) => {
                let message = self.session.read(&text).map_err(Some)?;
                self.act(conn, message).await
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => Err(Some(Close::Protocol)),
            Some(Ok(Message::Close(_))) | None => Err(None),
            Some(Err(error)) => Err(failure(&error)),
        }
    }

    async fn act(&mut self, conn: &Arc<Conn>, message: FromClient) -> Result<(), Option<Close>> {
        let done = match message {
            FromClient::Hello(_) | FromClient::Pong {} => Ok(()),
            FromClient::Ack { publication, stage } => match conn.device() {
                Some(device) => self.gateway.acknowledge(&device, publication, stage).await,
                None => Err(Problem::new(Code::Forbidden, "only a device acknowledges")),
            },
            FromClient::Places { places } => match conn.device() {
                Some(device) => self.gateway.change_places(conn, &device, places).await,
                None => Err(Problem::new(Code::Forbidden, "only a device has places")),
            },
        };
        if let Err(problem) = done {
            let frame = Frame::of(&ToClient::Problem { problem: problem.document() });
            self.write(conn, Outgoing::plain(frame)).await?;
        }
        Ok(())
    }

    async fn tick(&mut self, conn: &Conn) -> Result<(), Option<Close>> {
        match self.session.tick(Instant::now()) {
            Tick::Wait => Ok(()),
            Tick::Close(close) => Err(Some(close)),
            Tick::Ping => {
                // Ours carries the position; the protocol's own is answered by every library
                // without being asked.
                self.gateway.hub.ping(conn);
                self.send(conn, Message::Ping(bytes::Bytes::new())).await
            }
        }
    }

    async fn write(&mut self, conn: &Conn, outgoing: Outgoing) -> Result<(), Option<Close>> {
        self.send(conn, Message::Text(outgoing.frame.text())).await?;
        if let (Some(delivers), Some(device)) = (outgoing.delivers, conn.device()) {
            let now = self.gateway.hub.now();
            self.gateway.deliveries.written(&device, delivers, now).await;
        }
        Ok(())
    }

    /// Writes one message; a client that does not read is found out by its queue or by the time.
    async fn send(&mut self, conn: &Conn, message: Message) -> Result<(), Option<Close>> {
        let limit = self.gateway.hub.settings().write();
        tokio::select! {
            sent = timeout(limit, self.output.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(None),
                Err(_) => Err(Some(Close::Slow)),
            },
            close = conn.outbox().closing() => Err(Some(close)),
        }
    }

    /// Sends the close frame and waits for the client's, so that it is not lost in a reset.
    async fn close(&mut self, input: &mut SplitStream<WebSocket>, close: Close) {
        let base = self.gateway.hub.settings().reconnect_ms;
        let reason = close.reason(base, rand::random_range(0.0..1.0));
        tracing::debug!(code = close.name(), "stream closed");
        let frame = CloseFrame { code: close.number(), reason: reason.into() };
        let goodbye = async {
            if self.output.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = input.next().await {}
            }
        };
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }
}

/// Why a stream closes whose hello met a problem.
fn refusal(problem: Problem) -> Option<Close> {
    Some(match problem.code {
        Code::Unauthorized | Code::Forbidden => Close::Unauthorized,
        Code::BadParameter | Code::Invalid => Close::BadHello,
        _ => Close::Internal,
    })
}

/// Why a stream closes whose socket failed; `None` if it is gone.
fn failure(error: &axum::Error) -> Option<Close> {
    use tokio_tungstenite::tungstenite::Error;
    let cause = std::error::Error::source(error)?.downcast_ref::<Error>()?;
    match cause {
        Error::Capacity(_) => Some(Close::TooLarge),
        Error::Protocol(_) | Error::Utf8(_) => Some(Close::Protocol),
        _ => None,
    }
}
