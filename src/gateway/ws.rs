//! `GET /v1/stream`: the websocket, from its handshake to the moment it is live. Then it is seated
//! in the table of [`sockets`](crate::gateway::sockets), and no task of its own is left.
//!
//! Credentials never stand in the URL: they come in the first message, `hello`, or in the
//! `Authorization` header of clients that can set one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use axum::http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::auth::citizen::Citizen;
use crate::domain::device::Device;
use crate::gateway::Gateway;
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Conn;
use crate::gateway::opening::Opened;
use crate::gateway::outbox::Outgoing;
use crate::gateway::places::registry_problem;
use crate::gateway::rfc6455::{self, Decoder, Event};
use crate::gateway::session::Session;
use crate::gateway::sockets::Guest;
use crate::gateway::wire::{CLIENT_MESSAGE_BYTES_MAX, FromClient, Hello, ToClient};
use crate::http::limits::Slot;
use crate::http::problem::{Code, Document, Problem};
use crate::http::refusals::Asked;
use crate::http::serve::Peer;
use crate::http::tls::Wire;

/// What one read takes before the stream is live.
const READ_BYTES: usize = 4 << 10;
/// Time for a close frame to go out, and for the client's own to come back.
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
    mut request: Request,
) -> Result<Response, Problem> {
    let accept = accepted(&request)?;
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(refused("this connection cannot become a websocket"));
    };
    let headers = request.headers();
    let slot = gateway.room(headers, peer.map(|Extension(peer)| peer))?;
    let known = gateway.parts.doorkeeper.of_headers(headers).await?;
    let asked = request.extensions_mut().remove::<Asked>();
    let life = gateway.life.clone();
    // Owned by the node's lifecycle, so that a drain waits for the close frames.
    life.job("websocket", async move {
        match upgrade.await.map(stream_of) {
            Ok(Ok((wire, early))) => greet(gateway, wire, early, (known, slot, asked)).await,
            Ok(Err(_)) => tracing::warn!("a websocket that is no connection of ours"),
            Err(error) => tracing::debug!(error = %error, "a websocket was not opened"),
        }
    });
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

/// The answer to a client's key, if the request is a websocket's (RFC 6455, 4.2.1).
fn accepted(request: &Request) -> Result<HeaderValue, Problem> {
    let headers = request.headers();
    if !(says(headers, CONNECTION, "upgrade") && says(headers, UPGRADE, "websocket")) {
        return Err(refused("`Connection: upgrade` and `Upgrade: websocket` are missing"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refused("`Sec-WebSocket-Version` must be 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(true, |nonce| nonce.len() != 16) {
        return Err(refused("`Sec-WebSocket-Key` must be 16 bytes in base 64"));
    }
    let accept = HeaderValue::from_str(&derive_accept_key(key));
    Ok(accept.expect("base 64 is a header's value"))
}

fn refused(detail: &str) -> Problem {
    Problem::new(Code::UpgradeRequired, detail)
}

/// Whether a header's list of tokens has one.
fn says(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The connection itself, and what was read of it already.
fn stream_of(upgraded: Upgraded) -> Result<(Wire, Vec<u8>), Upgraded> {
    let parts = downcast::<TokioIo<Wire>>(upgraded)?;
    let (mut wire, mut early) = (parts.io.into_inner(), parts.read_buf.to_vec());
    early.extend(wire.take_early());
    Ok((wire, early))
}

/// From the open socket to a stream that is live and has its seat.
async fn greet(
    gateway: Gateway,
    wire: Wire,
    early: Vec<u8>,
    (known, slot, asked): (Option<Citizen>, Option<Slot>, Option<Asked>),
) {
    let session = Session::new(gateway.hub.settings(), Instant::now());
    let decoder = Decoder::new(CLIENT_MESSAGE_BYTES_MAX);
    let mut entry = Entry { gateway, wire, session, decoder, events: VecDeque::new() };
    match entry.let_in(&early, known).await {
        Ok(conn) => {
            let Entry { gateway, wire, session, decoder, events } = entry;
            let early = events.into();
            let guest = Guest { conn: Arc::clone(&conn), wire, decoder, early, session, slot };
            // Before it has its socket: what it is told first goes out in one write.
            gateway.hub.go_live(&conn);
            if let Err(error) = gateway.sockets.seat(guest) {
                tracing::warn!(error = %error, "a stream could not be seated");
                gateway.hub.leave(&conn);
            }
        }
        Err(Some(close)) => {
            if let (Some(asked), Some(code)) = (asked, weight(close)) {
                asked.refused(None, code);
            }
            // Boxed: its buffer would be a part of every stream's beginning, and moved with it.
            Box::pin(entry.close(close)).await;
        }
        Err(None) => {}
    }
}

/// A stream that is not live yet.
struct Entry {
    gateway: Gateway,
    wire: Wire,
    session: Session,
    decoder: Decoder,
    /// What was read and not looked at.
    events: VecDeque<Event>,
}

impl Entry {
    /// `Err(None)`: the client is gone.
    async fn let_in(
        &mut self,
        early: &[u8],
        known: Option<Citizen>,
    ) -> Result<Arc<Conn>, Option<Close>> {
        self.feed(early)?;
        let hello = self.hello().await?;
        let visitor = self.gateway.recognise(&hello, known).await.map_err(refusal)?;
        let opened = self.gateway.admit(visitor, hello.position.as_deref(), hello.languages).await;
        let Opened { conn, first } = opened.map_err(refusal)?;
        self.session.open(Instant::now());
        if self.has_room(&first) {
            first.into_iter().for_each(|outgoing| conn.outbox().push(outgoing));
            return Ok(conn);
        }
        for outgoing in first {
            if let Err(close) = self.write(outgoing.frame.wire()).await {
                self.gateway.hub.leave(&conn);
                return Err(close);
            }
            if let Some(delivers) = outgoing.delivers {
                self.gateway.deliveries.written(delivers, self.gateway.hub.now());
            }
        }
        Ok(conn)
    }

    /// Whether what a stream is told first fills no more than half its queue. Else it goes out
    /// frame by frame, as the client reads: who missed much is not slow for that.
    fn has_room(&self, first: &[Outgoing]) -> bool {
        let settings = self.gateway.hub.settings();
        let bytes: usize = first.iter().map(|outgoing| outgoing.frame.bytes()).sum();
        first.len() < settings.queue_frames / 2 && bytes < settings.queue_bytes / 2
    }

    async fn hello(&mut self) -> Result<Hello, Option<Close>> {
        let stop = self.gateway.life.token().clone();
        loop {
            let deadline = self.session.deadline();
            let Some(event) = self.events.pop_front() else {
                tokio::select! {
                    read = self.read() => read?,
                    () = sleep_until(deadline) => return Err(Some(Close::HelloTimeout)),
                    () = stop.cancelled() => return Err(Some(Close::Shutdown)),
                }
                continue;
            };
            match event {
                Event::Text(text) => {
                    if let FromClient::Hello(hello) = self.session.read(&text).map_err(Some)? {
                        return Ok(hello);
                    }
                }
                Event::Ping(payload) => {
                    self.session.count().map_err(Some)?;
                    self.write(&rfc6455::pong(&payload)).await?;
                }
                Event::Pong => self.session.count().map_err(Some)?,
                Event::Binary => return Err(Some(Close::BadHello)),
                Event::Close(code) => {
                    self.write(&rfc6455::close(code, "")).await?;
                    return Err(None);
                }
            }
        }
    }

    /// Reads once. Cancel-safe, and without a buffer while nothing comes.
    async fn read(&mut self) -> Result<(), Option<Close>> {
        poll_fn(|cx| {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.wire).poll_read(cx, &mut read) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    Poll::Ready(self.feed(read.filled()))
                }
                Poll::Ready(_) => Poll::Ready(Err(None)),
            }
        })
        .await
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Option<Close>> {
        let mut events = Vec::new();
        let fed = self.decoder.feed(bytes, &mut events);
        self.events.extend(events);
        fed.map_err(|broken| Some(broken.into()))
    }

    /// Writes one frame; a client that does not read is found out by the time.
    async fn write(&mut self, frame: &[u8]) -> Result<(), Option<Close>> {
        let limit = self.gateway.hub.settings().write();
        let written = async {
            self.wire.write_all(frame).await?;
            self.wire.flush().await
        };
        match timeout(limit, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Close::Slow)),
        }
    }

    /// Sends the close frame and waits for the client's end, so that it is not lost in a reset.
    async fn close(&mut self, close: Close) {
        let frame = Frame::goodbye(close, self.gateway.hub.settings().reconnect_ms);
        let goodbye = async {
            self.wire.write_all(frame.wire()).await?;
            self.wire.flush().await?;
            self.wire.shutdown().await?;
            let mut rest = [0; READ_BYTES];
            while self.wire.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }
}

impl Gateway {
    /// Does what a client asks for on its stream, and tells it if that may not be.
    pub(super) async fn act(&self, conn: &Arc<Conn>, asked: FromClient) {
        if let Err(problem) = self.done(conn, asked).await {
            let frame = Frame::of(&ToClient::Problem { problem: problem.document() });
            conn.outbox().push(Outgoing::plain(frame));
        }
    }

    async fn done(&self, conn: &Arc<Conn>, asked: FromClient) -> Result<(), Problem> {
        match asked {
            FromClient::Hello(_) | FromClient::Pong {} => Ok(()),
            FromClient::Ack { publication, stage } => {
                let device = self.device_of(conn, "only a device acknowledges").await?;
                self.acknowledge(&device, publication, stage).await
            }
            FromClient::Places { places } => {
                let device = self.device_of(conn, "only a device has places").await?;
                self.change_places(conn, &device, places).await
            }
        }
    }

    /// The device of a stream as the registry has it now: another gateway may have changed it.
    async fn device_of(&self, conn: &Conn, rule: &str) -> Result<Arc<Device>, Problem> {
        let id = conn.device().ok_or_else(|| Problem::new(Code::Forbidden, rule))?;
        let stored = self.parts.registry.get(&id).await.map_err(registry_problem)?;
        let gone = || Problem::new(Code::NotFound, "this device is not registered any more");
        Ok(stored.ok_or_else(gone)?.device)
    }
}

/// The code that a stream which was not let in is told under; `None` where nobody asked for what is
/// not theirs.
fn weight(close: Close) -> Option<Code> {
    match close {
        Close::Unauthorized => Some(Code::Unauthorized),
        Close::HelloTimeout => Some(Code::RequestTimeout),
        Close::Flood => Some(Code::RateLimited),
        Close::TooLarge => Some(Code::TooLarge),
        _ => None,
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
