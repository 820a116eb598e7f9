//! Sends to push services: encrypts for each browser, and keeps a sender and a token for each
//! service that the subscriptions name, as many as the settings allow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};
use rustls::ClientConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ece::{self, Recipient};
use super::outcome::{Reply, outcome};
use super::vapid::{Key, Signer, Token};
use super::{Payload, Settings, payload};
use crate::channel::http2::{self, Answer, Body, WarmUp};
use crate::channel::open::Opening;
use crate::channel::{Delivery, Error, retry_after, time_left, unanswered};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::outcome::{Outcome, RetryScope};
use crate::domain::push::PushContent;
use crate::domain::webpush::{Addresses, PushServices, Subscription};

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");
/// Longest time that every service stores a message: four weeks.
const TTL_MAX_SECONDS: i64 = 2_419_200;
/// A push whose answer was lost is tried again after this.
const LOST_WAIT: Duration = Duration::from_secs(1);
/// A service that cannot be reached, or answers nothing, is left alone for this long, so that it
/// holds up one batch and not each.
const REST: Duration = Duration::from_secs(15);

/// The channel to browsers; clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: Arc<Key>,
    contact: Arc<str>,
    known: PushServices,
    tls: Arc<ClientConfig>,
    settings: http2::Settings,
    /// The most recently used first.
    services: Mutex<Vec<Arc<Service>>>,
    services_max: usize,
    closed: AtomicBool,
    clock: Clock,
    stop: CancellationToken,
}

/// One push service: an origin.
#[derive(Debug)]
struct Service {
    origin: String,
    http: http2::Client,
    signer: Signer,
    rests_until: Mutex<Option<Instant>>,
    /// Ends its connections when the last who sends by it is done.
    stop: CancellationToken,
}

impl Client {
    /// Opens the channel; see [`crate::channel::Sender::webpush`].
    pub fn open(
        settings: &Settings,
        key: Key,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let opening = Opening::new(Channel::Webpush, &settings.http2, stop.clone())?;
        if let Some((setting, rule)) = settings.broken_rule() {
            return Err(opening.setting(setting, rule));
        }
        Ok(Self(Arc::new(Inner {
            key: Arc::new(key),
            contact: settings.contact.as_str().into(),
            known: settings.push_services(),
            tls: opening.tls(None)?,
            settings: settings.http2.clone(),
            services: Mutex::default(),
            services_max: settings.services,
            closed: AtomicBool::new(false),
            clock,
            stop,
        })))
    }

    /// Renders a push once.
    pub fn prepare(
        &self,
        content: &PushContent,
    ) -> Result<Payload, crate::channel::payload::Error> {
        payload::render(content)
    }

    /// Sends a push to one browser.
    pub async fn send(&self, payload: &Payload, to: &Subscription, delivery: &Delivery) -> Outcome {
        let Some(left) = time_left(delivery) else { return Outcome::Expired };
        let url = to.url();
        let path = url.as_ref().and_then(path_of);
        let (Some(url), Some(path), Some(keys)) = (url, path, Recipient::of(to)) else {
            return Outcome::Rejected { reason: "malformed_address" };
        };
        // Looked at again: the settings may have changed since the registration.
        let Some(addresses) = self.0.known.admit(&url) else {
            return Outcome::Rejected { reason: "unknown_push_service" };
        };
        let Some(service) = self.service(&url, addresses) else {
            return waiting(http2::Error::NotSent("closing"));
        };
        let deadline = Instant::now() + left.min(self.0.settings.request_timeout());
        if let Err(outcome) = service.is_up(deadline, &self.0.settings).await {
            return outcome;
        }
        let Ok(message) = ece::seal(&payload.plaintext, &keys) else {
            return Outcome::Rejected { reason: "malformed_key" };
        };
        let token = service.signer.token(self.0.clock.now());
        let head = || service.head(&path, (payload, &token), delivery);
        let body = Body::whole(message.into());
        let way = (delivery.lane, deadline);
        match service.http.send(|| payload.recall.unless(head), body, way).await {
            Ok(answer) => {
                service.heard();
                self.judge(&service, &token, &answer)
            }
            Err(error) => {
                if error == http2::Error::Lost("timed_out") {
                    service.rest();
                }
                waiting(error)
            }
        }
    }

    /// Which services there are only the subscriptions say: there is nothing to wait for.
    pub async fn ready(&self) -> bool {
        true
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        self.0.closed.store(true, Ordering::Release);
        let services = std::mem::take(&mut *self.services());
        join_all(services.iter().map(|service| service.http.drain())).await;
    }

    /// The service of an endpoint; opened when it is new. `None` once the channel drains.
    fn service(&self, url: &Url, addresses: Addresses) -> Option<Arc<Service>> {
        let origin = url.origin().ascii_serialization();
        let mut services = self.services();
        if self.0.closed.load(Ordering::Acquire) {
            return None;
        }
        if let Some(at) = services.iter().position(|service| service.origin == origin) {
            services[..=at].rotate_right(1);
            return Some(Arc::clone(&services[0]));
        }
        let inner = &self.0;
        let stop = inner.stop.child_token();
        let mut settings = inner.settings.clone();
        if addresses == Addresses::Public {
            settings.resolver = settings.resolver.public();
        }
        let tls = Arc::clone(&inner.tls);
        let http = http2::Client::new(url, tls, &settings, WarmUp::None, stop.clone())?;
        let (key, contact) = (Arc::clone(&inner.key), Arc::clone(&inner.contact));
        let signer = Signer::new(key, contact, origin.clone(), inner.clock.now()).ok()?;
        let service = Service { origin, http, signer, rests_until: Mutex::default(), stop };
        let service = Arc::new(service);
        services.truncate(inner.services_max - 1);
        services.insert(0, Arc::clone(&service));
        Some(service)
    }

    fn services(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Service>>> {
        self.0.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, service: &Service, token: &Token, answer: &Answer) -> Outcome {
        if answer.status.is_success() {
            token.was_accepted();
            return Outcome::Accepted;
        }
        let now = self.0.clock.now();
        let wish = retry_after::parse(&answer.headers, now);
        let reply = Reply::read(answer.status, &answer.body, wish, token.is_proven(now));
        if reply.refuses_token() && !reply.proven && token.was_refused() {
            tracing::error!(
                service = service.origin,
                status = reply.status,
                reason = reply.reason,
                "the push service does not take our VAPID token; look at channel.webpush.contact, \
                 the clock, and whether the key was changed"
            );
        }
        outcome(&reply)
    }
}

impl Service {
    /// Waits until a connection stands. A service that could not be reached a moment ago is not
    /// asked again, and this push waits.
    async fn is_up(&self, deadline: Instant, settings: &http2::Settings) -> Result<(), Outcome> {
        let unreachable = http2::Error::NotSent("push_service_unreachable");
        let now = Instant::now();
        if self.resting().is_some_and(|until| now < until) {
            return Err(waiting(unreachable));
        }
        if self.http.ready(deadline.min(now + settings.connect_timeout())).await {
            return Ok(());
        }
        self.rest();
        Err(waiting(unreachable))
    }

    fn head(
        &self,
        path: &PathAndQuery,
        (payload, token): (&Payload, &Token),
        delivery: &Delivery,
    ) -> Request<()> {
        let mut request = self.http.post(path.clone());
        let headers = request.headers_mut();
        // Relative to the send: a push that is tried again must not live longer for it.
        let ttl = delivery.expires.as_second() - delivery.now.as_second();
        headers.insert(TTL, ttl.clamp(0, TTL_MAX_SECONDS).into());
        headers.insert(URGENCY, HeaderValue::from_static(payload.urgency));
        headers.insert(TOPIC, payload.topic.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        headers.insert(AUTHORIZATION, token.header.clone());
        request
    }

    fn heard(&self) {
        let mut until = self.resting();
        if until.is_some() {
            *until = None;
        }
    }

    fn rest(&self) {
        *self.resting() = Some(Instant::now() + REST);
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The endpoint's path and query, as a request names them.
fn path_of(url: &Url) -> Option<PathAndQuery> {
    let whole = &url[url::Position::BeforePath..url::Position::AfterQuery];
    PathAndQuery::try_from(whole).ok()
}

/// A push without an answer. Whatever happened, only its own device waits: another service may be
/// well.
fn waiting(error: http2::Error) -> Outcome {
    let mut outcome = unanswered(error, LOST_WAIT);
    if let Outcome::Retry { scope, .. } = &mut outcome {
        *scope = RetryScope::Device;
    }
    outcome
}
