//! One connection: how it comes about, what its users see of it, and the task that drives it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use h2::client::{self, SendRequest};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::gather::Gather;
use super::resolve::Host;
use super::{Body, Settings, WarmUp, watchdog};

/// Answers are small; this lets thousands of them in before we must say that there is room.
const RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024;

/// Streams used before the peer has said how many it allows. Otherwise as many as `h2` sees fit
/// would be handed to it, and those beyond the peer's limit would wait in its line, unseen.
const UNSETTLED: u32 = 1;

/// A connection that ends sooner, unproven, counts as a failed connect.
const USEFUL: Duration = Duration::from_secs(30);

/// The transport under HTTP/2.
pub type Io = Gather<TlsStream<TcpStream>>;

/// A connection, not driven yet.
pub struct Fresh {
    /// Opens streams on it.
    pub sender: SendRequest<Body>,
    connection: client::Connection<Io, Body>,
    io: Io,
}

/// Where connections go.
#[derive(Debug)]
pub struct Endpoint {
    host: Host,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Endpoint {
    /// The host and port of an https URL; `None` for any other URL.
    pub fn of(url: &Url, tls: Arc<ClientConfig>, settings: &Settings) -> Option<Self> {
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).ok()?;
        let (port, patience) = (url.port_or_known_default()?, settings.connect_timeout() / 3);
        let host = Host::new(host, port, settings.resolver.clone(), patience);
        Some(Self { host, name, tls })
    }

    /// Looks the name up (each time anew), connects, and shakes hands.
    pub async fn connect(&self) -> io::Result<Fresh> {
        let tcp = self.host.connect().await?;
        // Lone pushes would wait 40 ms for the peer's delayed acknowledgement.
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(self.tls.clone()).connect(self.name.clone(), tcp).await?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server does not speak HTTP/2"));
        }
        let gather = Gather::new(tls);
        let io = gather.handle();
        let (sender, connection) = client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(UNSETTLED as usize)
            .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
            .handshake(gather)
            .await
            .map_err(io::Error::other)?;
        Ok(Fresh { sender, connection, io })
    }
}

/// A live connection as its users see it.
#[derive(Debug)]
pub struct Link {
    /// Distinguishes it from the others of its pool.
    pub id: u64,
    /// Cancelled when nobody needs it any more.
    pub end: CancellationToken,
    sender: SendRequest<Body>,
    peer_limit: AtomicU32,
    warm_up: WarmUp,
    proven: AtomicBool,
    suspect: AtomicBool,
    since: Instant,
    in_flight: AtomicU32,
    answers: AtomicU64,
}

impl Link {
    /// A link over a fresh connection.
    pub fn new(
        id: u64,
        sender: SendRequest<Body>,
        warm_up: WarmUp,
        end: CancellationToken,
    ) -> Self {
        Self {
            id,
            end,
            sender,
            peer_limit: AtomicU32::new(UNSETTLED),
            warm_up,
            proven: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            since: Instant::now(),
            in_flight: AtomicU32::new(0),
            answers: AtomicU64::new(0),
        }
    }

    /// A handle to open one stream with.
    pub fn sender(&self) -> SendRequest<Body> {
        self.sender.clone()
    }

    /// How many streams may be in use right now, at most `ours`.
    pub fn limit(&self, ours: u32) -> u32 {
        let peers = self.peer_limit.load(Ordering::Relaxed);
        let limit = ours.min(peers);
        if self.is_warm() { limit } else { limit.min(1) }
    }

    /// Whether all its streams may be used: the peer's settings came, before any answer of its
    /// (RFC 9113 section 3.4), and it proved itself where it must.
    pub fn is_warm(&self) -> bool {
        let settled = self.peer_limit.load(Ordering::Relaxed) > UNSETTLED || self.answers() > 0;
        settled && (self.warm_up == WarmUp::None || self.is_proven())
    }

    /// Whether a request was ever accepted on it: 200 of Apple and Google, 201 of a push service.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Whether it fell silent under load and has not answered a ping yet: nothing new goes out on
    /// it meanwhile.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// Notes whether it is suspected dead.
    pub fn suspect(&self, suspect: bool) {
        self.suspect.store(suspect, Ordering::Relaxed);
    }

    /// Whether it served for a while, or proved itself sooner.
    pub fn was_useful(&self) -> bool {
        self.is_proven() || self.since.elapsed() >= USEFUL
    }

    /// Streams in use.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Answers it ever brought.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Counts a stream taken (only under the pool's lock, so that limits hold).
    pub fn take_stream(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a stream given back; tells how many are left.
    pub fn give_stream(&self) -> u32 {
        self.in_flight.fetch_sub(1, Ordering::Relaxed) - 1
    }

    /// Counts an answer; true when `accepted` just proved the connection.
    pub fn answered(&self, accepted: bool) -> bool {
        self.answers.fetch_add(1, Ordering::Relaxed);
        accepted && !self.proven.swap(true, Ordering::Relaxed)
    }
}

/// What a driver tells its pool while the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Streams came to be usable: the peer allows more, or answered a ping after a silence.
    MoreStreams,
    /// The peer takes no new streams (GOAWAY); those it has may still be answered.
    NoNewStreams,
}

/// Drives a connection to its end and tells why it ended.
pub async fn drive(
    link: &Link,
    Fresh { mut connection, io, .. }: Fresh,
    settings: &Settings,
    tell: impl Fn(Event),
) -> &'static str {
    let pings = connection.ping_pong().expect("nobody took the ping handle before");
    let alive = || tell(Event::MoreStreams);
    let mut probe = link.sender();
    let mut open = true;
    let traffic = poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx).map_err(|_| ());
        let left = io.send_off(cx).map_err(|_| ());
        let limit = u32::try_from(connection.max_concurrent_send_streams()).unwrap_or(u32::MAX);
        if limit > link.peer_limit.swap(limit, Ordering::Relaxed) {
            tell(Event::MoreStreams);
        }
        if open && matches!(probe.poll_ready(cx), Poll::Ready(Err(_))) {
            open = false;
            tell(Event::NoNewStreams);
        }
        if matches!(left, Poll::Ready(Err(()))) { left } else { ended }
    });
    tokio::select! {
        () = link.end.cancelled() => "closed by us",
        ended = traffic => match ended {
            Ok(()) => "closed by the peer",
            Err(()) => "broken",
        },
        () = watchdog::watch(pings, link, settings, alive) => "silent",
    }
}
