//! The sender: takes a stream for each request, sends again what a server refused unprocessed, and
//! keeps its connections standing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::attempt::{Answer, Attempt};
use super::connection::{Endpoint, Event, Link, drive};
use super::error::{Fate, NO_CONNECTION, NO_STREAM};
use super::pool::{Connect, Found, Pool};
use super::{Body, Error, Settings, WarmUp};
use crate::domain::lane::Lane;

/// So often a refused request goes out again at once; then with a pause that grows to a second, so
/// that a server that refuses everything is not hammered.
const RESENDS_AT_ONCE: u32 = 8;

/// A sender to one host. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    authority: Authority,
    endpoint: Endpoint,
    settings: Settings,
    warm_up: WarmUp,
    stop: CancellationToken,
    pool: Mutex<Pool>,
    /// Requests that wait for a stream or an answer.
    callers: AtomicUsize,
    /// Woken when the last of them has ended.
    alone: Notify,
    /// Woken for each stream that may have become free: who may not use the reserved connections,
    /// who may.
    freed: [Notify; 2],
    /// How many wait for that, so that nobody is woken for nothing.
    waiting: AtomicUsize,
}

impl Client {
    /// A sender to the host of an https URL; `None` for any other URL. It connects when the first
    /// request comes, and ends when `stop` is cancelled.
    pub fn new(
        url: &Url,
        tls: Arc<ClientConfig>,
        settings: &Settings,
        warm_up: WarmUp,
        stop: CancellationToken,
    ) -> Option<Self> {
        Some(Self(Arc::new(Shared {
            authority: Authority::try_from(url.authority()).ok()?,
            endpoint: Endpoint::of(url, tls, settings)?,
            settings: settings.clone(),
            warm_up,
            stop,
            pool: Mutex::default(),
            callers: AtomicUsize::new(0),
            alone: Notify::new(),
            freed: Default::default(),
            waiting: AtomicUsize::new(0),
        })))
    }

    /// The head of a POST to a path of this host.
    pub fn post(&self, path: PathAndQuery) -> Request<()> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.0.authority.clone());
        parts.path_and_query = Some(path);
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_parts(parts).expect("scheme, authority and path are there");
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        request
    }

    /// Sends a request, to the deadline, and waits for its answer; that has its time even where the
    /// request waited for a stream. `head` is called once for each time the request goes out, when
    /// a stream is free for it; without a head it does not go out ([`Error::Withdrawn`]). The
    /// emergency lane may use the reserved connections. Dropping the future resets the stream.
    pub async fn send(
        &self,
        head: impl Fn() -> Option<Request<()>>,
        body: Body,
        (lane, deadline): (Lane, Instant),
    ) -> Result<Answer, Error> {
        let _caller = Caller::new(&self.0);
        let started = Instant::now();
        let hot = lane == Lane::Emergency;
        let mut refusals = 0;
        loop {
            let lease = self.lease(hot, deadline).await?;
            let Some(head) = head() else { return Err(Error::Withdrawn) };
            let attempt = match Attempt::start(&lease.link, head, &body, started) {
                Ok(attempt) => attempt.finish((started, deadline)).await,
                Err(fate) => Err(fate),
            };
            match attempt {
                Ok(answer) => {
                    self.answered(&lease.link, answer.status);
                    return Ok(answer);
                }
                Err(Fate::Closed) => {
                    self.pool().retire(lease.link.id);
                    continue;
                }
                Err(Fate::Refused) => {}
                Err(Fate::Stayed) => return Err(Error::NotSent(NO_STREAM)),
                Err(Fate::Lost(reason)) => return Err(Error::Lost(reason)),
            }
            drop(lease);
            refusals += 1;
            if refusals > RESENDS_AT_ONCE {
                let pause = Duration::from_millis(1 << (refusals - RESENDS_AT_ONCE).min(10));
                sleep_until(deadline.min(Instant::now() + pause)).await;
            }
        }
    }

    /// Waits until a connection stands, to the deadline; tells whether one does.
    pub async fn ready(&self, deadline: Instant) -> bool {
        if self.pool().is_up() {
            return true;
        }
        self.lease(false, deadline).await.is_ok()
    }

    /// Gives no further streams of the connection that brought this answer.
    pub fn retire(&self, answer: &Answer) {
        self.pool().retire(answer.connection);
    }

    /// Takes no new requests, waits for the answers of those in flight, at most as long as a
    /// request may take, and ends the connections.
    pub async fn drain(&self) {
        self.pool().close();
        self.0.freed.iter().for_each(Notify::notify_waiters);
        let left = async {
            loop {
                let alone = self.0.alone.notified();
                tokio::pin!(alone);
                alone.as_mut().enable();
                if !self.is_used() {
                    return;
                }
                alone.await;
            }
        };
        // Running out of time leaves the rest to end with the connections.
        let _ = timeout(self.0.settings.request_timeout(), left).await;
        self.pool().end();
    }

    fn is_used(&self) -> bool {
        self.0.callers.load(Ordering::SeqCst) > 0
    }

    /// A stream may have become free. Who waits counts himself before he looks for one, and looks
    /// under the pool's lock: so he finds the stream, or is counted here.
    fn freed(&self) {
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.freed.iter().for_each(Notify::notify_one);
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lease(&self, hot: bool, deadline: Instant) -> Result<Lease<'_>, Error> {
        if let Some(lease) = self.try_lease(hot)? {
            return Ok(lease);
        }
        let _waiting = Count::new(&self.0.waiting);
        loop {
            let freed = self.0.freed[usize::from(hot)].notified();
            tokio::pin!(freed);
            // Registered before the second look, so that no stream is freed unseen in between.
            freed.as_mut().enable();
            if let Some(lease) = self.try_lease(hot)? {
                return Ok(lease);
            }
            tokio::select! {
                () = &mut freed => {}
                () = self.0.stop.cancelled() => return Err(Error::NotSent("stopped")),
                () = sleep_until(deadline) => {
                    let up = self.pool().is_up();
                    return Err(Error::NotSent(if up { NO_STREAM } else { NO_CONNECTION }));
                }
            }
        }
    }

    fn try_lease(&self, hot: bool) -> Result<Option<Lease<'_>>, Error> {
        let found = self.pool().take(&self.0.settings, hot);
        match found {
            Found::Stream { link, more, connect } => {
                let lease = Lease { client: self, link };
                self.connect(connect);
                if more {
                    self.freed();
                }
                Ok(Some(lease))
            }
            Found::Full { connect } => {
                self.connect(connect);
                Ok(None)
            }
            Found::Closing => Err(Error::NotSent("closing")),
        }
    }

    fn connect(&self, connect: Connect) {
        for (reserved, _) in [false, true].into_iter().zip(connect).filter(|(_, wanted)| *wanted) {
            tokio::spawn(open(self.clone(), reserved));
        }
    }

    fn answered(&self, link: &Link, status: StatusCode) {
        if link.answered(status.is_success()) {
            self.pool().proven();
            self.freed();
        }
    }
}

/// A stream in use; given back when dropped.
struct Lease<'a> {
    client: &'a Client,
    link: Arc<Link>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.client.pool().give(&self.link);
        self.client.freed();
    }
}

/// Counts a request for as long as it lives.
struct Caller<'a>(&'a Shared);

impl<'a> Caller<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.callers.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.0.callers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.alone.notify_waiters();
        }
    }
}

/// Counts one more for as long as it lives.
struct Count<'a>(&'a AtomicUsize);

impl<'a> Count<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Opens a connection, however often it takes, and drives it to its end. Ends with the client's
/// `stop`, or when the deadlines of all who waited have passed; a reserved one is opened again.
async fn open(client: Client, reserved: bool) {
    let stop = client.0.stop.clone();
    let whole = async {
        connect_and_drive(&client, reserved).await;
        while reserved && client.pool().reopen() {
            connect_and_drive(&client, reserved).await;
        }
    };
    stop.run_until_cancelled(whole).await;
}

async fn connect_and_drive(client: &Client, reserved: bool) {
    let shared = &client.0;
    let settings = &shared.settings;
    let (link, fresh) = loop {
        let not_before = client.pool().not_before();
        if let Some(instant) = not_before {
            sleep_until(instant).await;
        }
        let connecting = timeout(settings.connect_timeout(), shared.endpoint.connect()).await;
        let error = match connecting {
            Ok(Ok(fresh)) => {
                let id = client.pool().next_id();
                let end = shared.stop.child_token();
                let sender = fresh.sender.clone();
                break (Arc::new(Link::new(id, sender, shared.warm_up, end)), fresh);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        let failures = client.pool().failed(settings, Instant::now());
        // Once, and then ever more seldom.
        if failures.is_power_of_two() {
            let host = shared.authority.as_str();
            tracing::warn!(host, failures, error, "cannot connect; trying on");
        }
        if !reserved && !client.is_used() {
            client.pool().gave_up(reserved);
            // Whoever came since the count was read opens anew.
            client.freed();
            return;
        }
    };
    client.pool().connected(link.clone(), reserved);
    client.freed();
    let tell = |event| match event {
        Event::MoreStreams => client.freed(),
        Event::NoNewStreams => client.pool().retire(link.id),
    };
    let why = drive(&link, fresh, settings, tell).await;
    tracing::debug!(host = shared.authority.as_str(), connection = link.id, why, "ended");
    client.pool().remove(&link, settings);
    // Whoever waited for a stream of this one must see that another is needed.
    client.freed();
}
