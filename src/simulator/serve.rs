//! The provider side of HTTP/2: accepts connections, judges requests, and does what the faults say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::io::BufWriter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::apns::Apns;
use super::faults::{Faults, Refusal, Service, Then};
use super::fcm::Fcm;
use super::record::{Delivered, Record};
use super::webpush::Webpush;
use super::wire::{Injector, Wire};
use crate::channel::apns::bundle_id;

/// Largest request body read; both providers refuse far smaller ones.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// Lets many requests in before the peer must hear that there is room.
const RECEIVE_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Within this time what was handed to `h2` is on the wire.
const HEAD_GOES_OUT: Duration = Duration::from_millis(5);
/// A stalled connection is forgotten after this; no client waits longer.
const STALL_MAX: Duration = Duration::from_secs(120);

/// Which protocol a listener speaks.
#[derive(Debug)]
pub enum Provider {
    /// Apple.
    Apns(Apns),
    /// Google, with its token endpoint.
    Fcm(Fcm),
    /// A browsers' push service.
    Webpush(Webpush),
}

/// A request, read whole.
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The app of the client's certificate, if the connection has one.
    pub certificate_of: Option<Arc<str>>,
}

/// An answer.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a provider makes of a request, faults aside.
pub struct Judged {
    pub service: Service,
    /// Whom a fault may be meant for.
    pub token: Box<str>,
    /// The push, if it was one and is accepted.
    pub delivered: Option<Delivered>,
    pub reply: Reply,
}

impl Provider {
    fn judge(&self, asked: &Asked) -> Judged {
        match self {
            Self::Apns(apns) => apns.judge(asked),
            Self::Fcm(fcm) => fcm.judge(asked),
            Self::Webpush(webpush) => webpush.judge(asked),
        }
    }

    fn refuse(&self, refusal: &Refusal, service: Service) -> Reply {
        match self {
            Self::Apns(apns) => apns.refuse(refusal),
            Self::Fcm(fcm) => fcm.refuse(refusal, service),
            Self::Webpush(webpush) => webpush.refuse(refusal),
        }
    }
}

/// One listener's shared parts.
pub struct Server {
    pub provider: Provider,
    pub faults: Faults,
    pub record: Record,
    pub tls: Arc<ArcSwap<ServerConfig>>,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// Accepts connections until the server stops.
pub async fn listen(listener: TcpListener, server: Arc<Server>) {
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // An accept that fails concerns one peer (it went away) or none at all.
        let Ok((tcp, _)) = accepted else { continue };
        let stop = server.stop.clone();
        let connection = connection(tcp, server.clone());
        server.tasks.spawn(async move { stop.run_until_cancelled_owned(connection).await });
    }
}

/// What the handlers of one connection's requests may do to it.
#[derive(Default)]
struct Control {
    cut: CancellationToken,
    stall: CancellationToken,
    open: AtomicU64,
    certificate_of: Option<Arc<str>>,
}

async fn connection(tcp: TcpStream, server: Arc<Server>) {
    let Ok(()) = tcp.set_nodelay(true) else { return };
    let acceptor = TlsAcceptor::from(server.tls.load_full());
    let Ok(tls) = acceptor.accept(tcp).await else { return server.faults.broke_off() };
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate_of = certificate.and_then(|one| bundle_id(one)).map(Into::into);
    let injector = Injector::default();
    let wire = Wire::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, tls), injector.clone());
    let mut limits = server.faults.limits();
    let streams = limits.borrow_and_update().max_concurrent_streams;
    // Said beside `h2`, which would hold a connection to the limit of its beginning.
    injector.max_concurrent_streams(streams);
    let mut builder = server::Builder::new();
    builder.initial_connection_window_size(RECEIVE_WINDOW_BYTES);
    let Ok(mut http) = builder.handshake::<_, Bytes>(wire).await else { return };
    server.faults.connected();
    let control = Arc::new(Control { certificate_of, ..Control::default() });
    let (mut accepted, mut last) = (0, streams);
    // Requests after GOAWAY: never processed, kept so that no reset overtakes the GOAWAY.
    let mut unprocessed = Vec::new();
    let mut going = false;
    loop {
        let next = tokio::select! {
            biased;
            () = control.cut.cancelled() => return,
            () = control.stall.cancelled() => break sleep(STALL_MAX).await,
            Ok(()) = limits.changed() => {
                let streams = limits.borrow_and_update().max_concurrent_streams;
                if streams != last {
                    last = streams;
                    injector.max_concurrent_streams(streams);
                }
                continue;
            }
            next = http.accept() => next,
        };
        let Some(Ok((request, respond))) = next else { return };
        if going {
            unprocessed.push((request, respond));
            continue;
        }
        accepted += 1;
        if limits.borrow().goaway_every.is_some_and(|nth| accepted >= nth) {
            going = true;
            injector.goaway(respond.stream_id().as_u32());
        }
        let open = control.open.fetch_add(1, Ordering::Relaxed) + 1;
        server.faults.streams(open);
        let handler = handle(request, respond, server.clone(), control.clone());
        let stop = server.stop.clone();
        server.tasks.spawn(async move { stop.run_until_cancelled_owned(handler).await });
    }
}

/// Counts an open request down, however its handler ends.
struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn handle(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    server: Arc<Server>,
    control: Arc<Control>,
) {
    let open = Open(&control.open);
    let (parts, body) = request.into_parts();
    let Some(body) = read(body).await else { return };
    let path = parts.uri.path().to_owned();
    let certificate_of = control.certificate_of.clone();
    let headers = parts.headers;
    let asked = Asked { method: parts.method, path, headers, body, certificate_of };
    let Judged { service, token, mut delivered, mut reply } = server.provider.judge(&asked);
    let fault = server.faults.meet(service, &token);
    match &fault {
        Some(Then::Refuse(refusal)) => {
            reply = server.provider.refuse(refusal, service);
            delivered = None;
        }
        Some(Then::Torn(refusal, code)) => {
            let reply = server.provider.refuse(refusal, service);
            return torn(respond, reply, Reason::from(*code)).await;
        }
        Some(Then::Slow(late)) => sleep(*late).await,
        Some(Then::Reset(code)) => return respond.send_reset(Reason::from(*code)),
        Some(Then::CutBefore) => return control.cut.cancel(),
        Some(Then::Stall) => return control.stall.cancel(),
        Some(Then::ResetAfter(_) | Then::CutAfter) | None => {}
    }
    if let Some(push) = delivered {
        if server.faults.over_quota(push.at) {
            let reason =
                if service == Service::Apns { "TooManyRequests" } else { "QUOTA_EXCEEDED" };
            reply = server.provider.refuse(&Refusal::new(429, reason), service);
        } else {
            server.record.add(push).await;
        }
    }
    match fault {
        Some(Then::ResetAfter(code)) => return respond.send_reset(Reason::from(code)),
        Some(Then::CutAfter) => return control.cut.cancel(),
        _ => {}
    }
    drop(open);
    answer(respond, reply);
}

async fn read(mut body: RecvStream) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        let _ = body.flow_control().release_capacity(chunk.len());
        if whole.is_empty() && body.is_end_stream() {
            return Some(chunk);
        }
        let room = BODY_MAX_BYTES - whole.len();
        whole.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Some(whole.freeze())
}

/// The peer may be gone, or have lost interest in the stream: nothing more to do then.
fn answer(mut respond: SendResponse<Bytes>, reply: Reply) {
    let empty = reply.body.is_empty();
    if let Ok(mut stream) = respond.send_response(head(reply.status, reply.headers), empty)
        && !empty
    {
        let _ = stream.send_data(reply.body, true);
    }
}

/// Only the head of an answer.
async fn torn(mut respond: SendResponse<Bytes>, reply: Reply, code: Reason) {
    if let Ok(mut stream) = respond.send_response(head(reply.status, reply.headers), false) {
        // `h2` drops a head that is still in its buffer when the stream is reset.
        sleep(HEAD_GOES_OUT).await;
        stream.send_reset(code);
    }
}

fn head(status: u16, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}
