//! Sends to Apple: the app a device's topic selects, its headers, its provider token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::fmt::Hyphenated;

use super::apps::{self, App};
use super::outcome::{Reply, outcome};
use super::payload::{Form, Style};
use super::token::Token;
use super::{Payload, Settings};
use crate::channel::http2::{self, Answer, Body};
use crate::channel::open::{Checked, Opening};
use crate::channel::recall::Recall;
use crate::channel::{Delivery, Error, retry_after, time_left, unanswered};
use crate::clock::Clock;
use crate::domain::channel::{ApnsEnvironment, Channel};
use crate::domain::lane::Lane;
use crate::domain::outcome::Outcome;
use crate::domain::push::{Loudness, PushContent};

const APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const APNS_TOPIC: HeaderName = HeaderName::from_static("apns-topic");
const APNS_PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const APNS_PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const APNS_EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const APNS_COLLAPSE_ID: HeaderName = HeaderName::from_static("apns-collapse-id");
/// A push whose answer was lost is tried again after this.
const LOST_WAIT: Duration = Duration::from_secs(1);

/// Before a device's token.
const DEVICE: &[u8] = b"/3/device/";
/// Longest token sent to; Apple's have 64 to 200 digits and may grow.
const TOKEN_CHARS_MAX: usize = 1_000;
/// A device token that Apple never issued.
const NOBODYS_PATH: &str =
    "/3/device/ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// Where one push goes. It has no Debug form: a token is never logged.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// The device token, lower-case hexadecimal.
    pub token: &'a str,
    /// Which environment issued it.
    pub environment: ApnsEnvironment,
    /// The app's bundle id.
    pub topic: &'a str,
}

/// The channel to Apple; clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    apps: Vec<App>,
    styles: Vec<Style>,
    warned: AtomicBool,
    settings: http2::Settings,
    clock: Clock,
}

impl Client {
    /// Opens the channel; see [`crate::channel::Sender::apns`].
    pub fn open(settings: &Settings, clock: Clock, stop: CancellationToken) -> Result<Self, Error> {
        let opening = Opening::new(Channel::Apns, &settings.http2, stop)?;
        let (apps, styles) = apps::open(settings, &opening, &clock)?;
        let warned = AtomicBool::new(styles.iter().all(|style| style.critical));
        let settings = settings.http2.clone();
        Ok(Self(Arc::new(Inner { apps, styles, warned, settings, clock })))
    }

    /// Renders a push once for all apps of one style.
    pub fn prepare(
        &self,
        content: &PushContent,
    ) -> Result<Payload, crate::channel::payload::Error> {
        let critical = content.loudness == Loudness::Critical;
        if critical && !self.0.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an app without critical_entitlement gets critical pushes as time-sensitive ones, \
                 which stay silent on muted phones"
            );
        }
        Payload::render(content, &self.0.styles, self.0.apps.len())
    }

    /// Sends a push to one device.
    pub async fn send(&self, payload: &Payload, to: Address<'_>, delivery: &Delivery) -> Outcome {
        let Some(left) = time_left(delivery) else { return Outcome::Expired };
        let deadline = Instant::now() + left.min(self.0.settings.request_timeout());
        let way = (delivery.lane, deadline);
        if !is_token(to.token) {
            return Outcome::Rejected { reason: "malformed_address" };
        }
        let serves = |app: &App| app.is(to.topic, to.environment);
        let Some(index) = self.0.apps.iter().position(serves) else {
            return Outcome::Rejected { reason: "unknown_app" };
        };
        let app = &self.0.apps[index];
        // Where several apps share the channel it does not pause for one: this one stays silent.
        let now = delivery.now;
        if let Some(reason) = app.road.refused(now).filter(|_| !self.one_account()) {
            return Outcome::Misconfigured { reason };
        }
        let form = &payload.forms[app.style];
        let host = app.road.host(to.environment);
        let head = |token: Option<&Token>| {
            let mut request = host.post(path(to.token));
            let key = (token.map(|token| token.generation), delivery.expires.as_second());
            let shared = || shared((app, payload, form), token, delivery);
            *request.headers_mut() = payload.heads.get(index, key, shared);
            request.headers_mut().insert(APNS_ID, id(delivery));
            request
        };
        let answer = self.ask(app, host, (&payload.recall, &form.body, (way, now)), &head).await;
        match answer {
            Ok(answer) => {
                let reply = self.read(&answer);
                if reply.wants_new_connection() {
                    host.retire(&answer);
                }
                let outcome = outcome(&reply);
                if let Outcome::Misconfigured { reason } = outcome {
                    app.road.refuse(now, reason);
                }
                outcome
            }
            Err(error) => unanswered(error, LOST_WAIT),
        }
    }

    /// Sends a request, and again with a new token where Apple calls the token expired.
    async fn ask(
        &self,
        app: &App,
        host: &http2::Client,
        (recall, body, (way, now)): (&Recall, &Bytes, ((Lane, Instant), Timestamp)),
        head: &impl Fn(Option<&Token>) -> Request<()>,
    ) -> Result<Answer, http2::Error> {
        let send = async |token: Option<&Token>| {
            let head = || recall.unless(|| head(token));
            host.send(head, Body::whole(body.clone()), way).await
        };
        let Some(signer) = &app.road.signer else { return send(None).await };
        let token = signer.token(now);
        let answer = send(Some(&token)).await?;
        if !self.read(&answer).wants_new_token() {
            return Ok(answer);
        }
        send(Some(&signer.after_expired(&token, self.0.clock.now()))).await
    }

    /// Whether all apps share their credentials: what Apple says of one then holds for all.
    pub fn one_account(&self) -> bool {
        let first = &self.0.apps[0].road;
        self.0.apps.iter().all(|app| Arc::ptr_eq(&app.road, first))
    }

    /// Waits for a connection of each app to its first environment.
    pub async fn ready(&self) -> bool {
        let deadline = Instant::now() + self.0.settings.connect_timeout();
        let hosts = self.0.apps.iter().map(|app| app.road.host(app.environments()[0]));
        join_all(hosts.map(|host| host.ready(deadline))).await.into_iter().all(|up| up)
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        let environments = [ApnsEnvironment::Production, ApnsEnvironment::Sandbox];
        let hosts = self.0.apps.iter().flat_map(|app| environments.map(|one| app.road.host(one)));
        join_all(hosts.map(http2::Client::drain)).await;
    }

    /// Asks for a push to a token that no phone has, in each app's name: Apple looks at credentials
    /// and topic first, and only then refuses the token.
    pub async fn check(&self) -> Vec<Checked> {
        let places =
            self.0.apps.iter().flat_map(|app| {
                app.environments().iter().map(move |environment| (app, *environment))
            });
        join_all(places.map(async |(app, environment)| {
            let what = format!("{} ({})", app.topic.to_str().unwrap_or_default(), environment);
            Checked { what, problem: self.probe(app, environment).await }
        }))
        .await
    }

    async fn probe(&self, app: &App, environment: ApnsEnvironment) -> Option<String> {
        let host = app.road.host(environment);
        let deadline = Instant::now() + self.0.settings.request_timeout();
        let head = |token: Option<&Token>| {
            let mut request = host.post(PathAndQuery::from_static(NOBODYS_PATH));
            let headers = request.headers_mut();
            headers.extend(token.map(|token| (AUTHORIZATION, token.bearer.clone())));
            headers.insert(APNS_TOPIC, app.topic.clone());
            headers.insert(APNS_PUSH_TYPE, HeaderValue::from_static("background"));
            headers.insert(APNS_PRIORITY, HeaderValue::from_static("5"));
            headers.insert(APNS_EXPIRATION, HeaderValue::from_static("0"));
            request
        };
        let body = Bytes::from_static(br#"{"aps":{"content-available":1}}"#);
        let way = ((Lane::Routine, deadline), self.0.clock.now());
        let answer = self.ask(app, host, (&Recall::default(), &body, way), &head).await;
        match answer.map(|answer| self.read(&answer)) {
            Ok(Reply { status: 200, .. }) => None,
            Ok(Reply { reason: Some(reason), .. }) if reason == "BadDeviceToken" => None,
            Ok(Reply { status, reason, .. }) => {
                Some(format!("{status} {}", reason.as_deref().unwrap_or("without a reason")))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    fn read(&self, answer: &Answer) -> Reply {
        if answer.status == http::StatusCode::OK {
            return Reply { status: 200, ..Reply::default() };
        }
        let wish = retry_after::parse(&answer.headers, self.0.clock.now());
        Reply::read(answer.status, &answer.body, wish)
    }
}

/// Whether it can be a device token; what cannot never goes out. Without an early end, which lets
/// the compiler look at many bytes at once.
fn is_token(text: &str) -> bool {
    let length = (1..=TOKEN_CHARS_MAX).contains(&text.len());
    length && text.bytes().fold(true, |so_far, byte| so_far & byte.is_ascii_hexdigit())
}

/// The path of a device.
fn path(token: &str) -> PathAndQuery {
    let mut path = Vec::with_capacity(DEVICE.len() + token.len());
    path.extend_from_slice(DEVICE);
    path.extend_from_slice(token.as_bytes());
    PathAndQuery::from_maybe_shared(Bytes::from(path)).expect("digits and letters make a path")
}

/// The headers all recipients get, and a place for the one that differs.
fn shared(
    (app, payload, form): (&App, &Payload, &Form),
    token: Option<&Token>,
    delivery: &Delivery,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(7);
    headers.extend(token.map(|token| (AUTHORIZATION, token.bearer.clone())));
    headers.insert(APNS_TOPIC, app.topic.clone());
    headers.insert(APNS_PUSH_TYPE, form.push_type.clone());
    headers.insert(APNS_PRIORITY, form.priority.clone());
    headers.insert(APNS_EXPIRATION, delivery.expires.as_second().into());
    headers.insert(APNS_COLLAPSE_ID, payload.collapse_id.clone());
    headers.insert(APNS_ID, HeaderValue::from_static(""));
    headers
}

fn id(delivery: &Delivery) -> HeaderValue {
    let mut text = [0; Hyphenated::LENGTH];
    let text = delivery.id.hyphenated().encode_lower(&mut text);
    let mut id = HeaderValue::from_str(text).expect("a UUID is plain ASCII");
    // Differs each time: kept out of HPACK's table, where it would push out what repeats.
    id.set_sensitive(true);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_digits_make_a_token() {
        assert!(is_token("00ff7A") && is_token(&"a".repeat(200)));
        for bad in ["", "0g", "a/b", "a?b", "ệ", &"a".repeat(TOKEN_CHARS_MAX + 1)] {
            assert!(!is_token(bad), "{bad}");
        }
        assert_eq!(path("00ff7A"), "/3/device/00ff7A");
    }
}
