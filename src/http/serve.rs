//! Serves a router on a socket: HTTP/1.1 and HTTP/2 (cleartext), bounded in connections and time,
//! drained within a grace period. A face binds first and serves later, so that a taken port stops
//! the node before any work starts.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
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
/// Pause after the kernel refuses a connection, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of the connection; an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

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
    listener: TcpListener,
    router: axum::Router,
    limits: &Settings,
    stop: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
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
        let work = connection(stream, Peer(peer), router.clone(), header_time, stop.clone());
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

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: axum::Router,
    header_time: Duration,
    stop: CancellationToken,
) {
    if stream.set_nodelay(true).is_err() {
        return; // already gone
    }
    let begun = tokio::select! {
        begun = tokio::time::timeout(header_time, begin(&stream)) => begun,
        () = stop.cancelled() => return,
    };
    if !matches!(begun, Ok(Ok(()))) {
        return;
    }
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request
    });
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
    let io = TokioIo::new(stream);
    let served = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service));
    let mut served = pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = %error, "connection ended early");
    }
}

/// Waits until the connection's first bytes decide between HTTP/1 and HTTP/2: hyper's own limit on
/// headers only starts after that.
async fn begin(stream: &TcpStream) -> io::Result<()> {
    let mut head = [0u8; PREFACE.len()];
    loop {
        let got = stream.peek(&mut head).await?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if got == PREFACE.len() || !PREFACE.starts_with(&head[..got]) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // peek does not wait for *more* bytes
    }
}
