//! Serves a router on a socket: HTTP/1.1 and HTTP/2, under TLS of our own or bare, bounded in
//! connections and time, drained within a grace period. A face binds first and serves later, so
//! that a taken port stops the node before any work starts.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::limits::Settings;
use crate::http::problem::Code;
use crate::http::refusals::Listener;
use crate::http::tls::{ClientCertificate, Door, Wire};
use crate::metrics::Handshake;

/// Connections the kernel may queue before we accept them.
const BACKLOG: u32 = 4_096;
/// Bytes the kernel may hold for a client that does not read: bounds what a slow reader costs
/// outside our own queue. Inherited by every accepted socket.
const SEND_BUFFER_BYTES: u32 = 128 << 10;
/// Headers in one request.
const HEADERS_MAX: usize = 64;
/// Read buffer of one HTTP/1 connection; also the largest request head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// HTTP/2 streams of one connection at a time.
const STREAMS_MAX: u32 = 128;
/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a connection did not get beyond, as it is told.
const HANDSHAKE: &str = "a TLS handshake";
const SLOW_HEAD: &str = "a request's head";
/// Pause after the kernel refuses a connection, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of the connection; an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A request came over TLS of our own; an extension of it.
#[derive(Clone, Copy, Debug)]
pub struct Secured {
    /// The certificate that the client proved to hold.
    pub client: Option<ClientCertificate>,
    /// Whether no API key is taken without one.
    pub keys_need_one: bool,
}

/// What is served where.
#[derive(Debug)]
pub struct Face {
    /// The bound socket.
    pub listener: TcpListener,
    /// The answers.
    pub router: axum::Router,
    /// TLS of our own; without it the face speaks plain HTTP.
    pub door: Option<Arc<Door>>,
    /// Who is told of connections that are closed on a client which does not go on.
    pub refusals: Option<Listener>,
}

/// Binds a listener.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the token is cancelled, then lets requests in flight end within the grace period.
pub async fn serve(
    face: Face,
    limits: &Settings,
    stop: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
    let Face { listener, router, door, refusals } = face;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let header_time = Duration::from_secs(limits.header_seconds);
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A full node closes at once: the client backs off, those connected are not disturbed.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::debug!(limit = limits.connections_max, "connection limit reached");
            continue;
        };
        let (router, door, refusals) = (router.clone(), door.clone(), refusals.clone());
        let served = Served { router, door, refusals, header_time };
        // Boxed: as a part of the task it would be moved with it, several kibibytes each time.
        let work = Box::pin(connection(stream, Peer(peer), served, stop.clone()));
        let cut = cut.clone();
        tracker.spawn(async move {
            tokio::select! {
                () = work => {}
                () = cut.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(grace, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "connections cut at the end of the grace");
        cut.cancel();
        tracker.wait().await;
    }
    Ok(())
}

/// What a connection is served with.
struct Served {
    router: axum::Router,
    door: Option<Arc<Door>>,
    refusals: Option<Listener>,
    header_time: Duration,
}

impl Served {
    fn refused(&self, Peer(peer): Peer, code: Code, step: &str) {
        if let Some(listener) = &self.refusals {
            listener.connection(peer.ip(), code, step);
        }
    }
}

async fn connection(stream: TcpStream, peer: Peer, served: Served, stop: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return; // already gone
    }
    let keys_need_one = served.door.as_ref().is_some_and(|door| door.keys_need_certificates());
    let begun = tokio::select! {
        begun = begin(stream, peer, &served) => begun,
        () = stop.cancelled() => return,
    };
    let Some((wire, version)) = begun else { return };
    let secured = wire.is_tls().then(|| Secured { client: wire.client(), keys_need_one });
    let unanswered = wire.unanswered();
    let answered = unanswered.clone();
    let service = served.router.clone().map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        if let Some(secured) = secured {
            request.extensions_mut().insert(secured);
        }
        request
    });
    let service = service.map_response(move |response: Response| {
        answered.clear();
        response
    });
    let builder = builder(version, served.header_time);
    let io = TokioIo::new(wire);
    let work = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service));
    let mut work = pin!(work);
    let outcome = tokio::select! {
        outcome = work.as_mut() => outcome,
        () = stop.cancelled() => {
            work.as_mut().graceful_shutdown();
            work.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "connection ended early");
        // The same time ends a connection that waits for a next request, which is no refusal.
        if is_slow_head(error.as_ref()) && unanswered.is_some() {
            served.refused(peer, Code::RequestTimeout, SLOW_HEAD);
        }
    }
}

/// Whether a connection ended because a head took too long. An HTTP/2 connection that answers no
/// PING ends with a timeout, too, and has the cause beneath.
fn is_slow_head(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper::Error>();
    error.is_some_and(|error| error.is_timeout() && error.source().is_none())
}

/// What a connection speaks.
#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

fn builder(version: Version, header_time: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(Duration::from_secs(25))
        .keep_alive_timeout(Duration::from_secs(8));
    match version {
        Version::Http2 => builder.http2_only(),
        Version::Http1 => builder.http1_only(),
    }
}

/// The connection, once it is known that its client speaks HTTP/1 or HTTP/2: hyper's own limit on
/// headers only starts after that. `None`: it came to nothing in time.
async fn begin(stream: TcpStream, peer: Peer, served: &Served) -> Option<(Wire, Version)> {
    let Some(door) = &served.door else {
        let mut wire = Wire::bare(stream);
        let begun = tokio::time::timeout(served.header_time, wire.begins_with(PREFACE)).await;
        let version = if begun.ok()?.ok()? { Version::Http2 } else { Version::Http1 };
        return Some((wire, version));
    };
    let mut wire = match door.enter(stream, peer.0).await {
        Ok(wire) => wire,
        Err(outcome) => {
            if let Some(code) = weight(outcome) {
                served.refused(peer, code, HANDSHAKE);
            }
            return None;
        }
    };
    if wire.agreed_on_h2() {
        let begun = tokio::time::timeout(served.header_time, wire.begins_with(PREFACE)).await;
        return matches!(begun, Ok(Ok(true))).then_some((wire, Version::Http2));
    }
    Some((wire, Version::Http1))
}

/// The code that a failed handshake is told under; `None` where the client only went away or took
/// the wrong port.
fn weight(outcome: Handshake) -> Option<Code> {
    match outcome {
        Handshake::Slow => Some(Code::RequestTimeout),
        Handshake::TurnedAway => Some(Code::RateLimited),
        Handshake::Certificate => Some(Code::CertificateRequired),
        Handshake::Refused => Some(Code::BadRequest),
        Handshake::Done | Handshake::Plain | Handshake::Gone => None,
    }
}
