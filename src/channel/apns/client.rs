//! Sends to Apple: headers, provider token, and the two environments' connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outcome::{Reply, outcome};
use super::payload::{self, App};
use super::token::{Signer, Token};
use super::{Payload, Settings};
use crate::channel::http2::{self, Answer, Body, WarmUp};
use crate::channel::{Delivery, Error, retry_after, time_left, unanswered};
use crate::clock::Clock;
use crate::config::secret::Secret;
use crate::domain::channel::{ApnsEnvironment, Channel};
use crate::domain::outcome::Outcome;
use crate::domain::push::{Loudness, PushContent};

const APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const APNS_TOPIC: HeaderName = HeaderName::from_static("apns-topic");
const APNS_PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const APNS_PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const APNS_EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const APNS_COLLAPSE_ID: HeaderName = HeaderName::from_static("apns-collapse-id");
/// Length of Apple's team and key ids.
const ID_CHARS: usize = 10;
/// A push whose answer was lost is tried again after this.
const LOST_WAIT: Duration = Duration::from_secs(1);

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
    production: http2::Client,
    sandbox: http2::Client,
    signer: Signer,
    app: App,
    warned: AtomicBool,
    settings: http2::Settings,
    clock: Clock,
}

impl Client {
    /// Opens the channel; see [`crate::channel::Sender::apns`].
    pub fn open(settings: &Settings, clock: Clock, stop: CancellationToken) -> Result<Self, Error> {
        let setting =
            |setting, why: String| Error::Setting { channel: Channel::Apns, setting, why };
        if let Some((name, rule)) = settings.http2.broken_rule() {
            return Err(setting(name, rule.to_owned()));
        }
        for (name, id) in [("team_id", &settings.team_id), ("key_id", &settings.key_id)] {
            if id.len() != ID_CHARS || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(setting(name, format!("must be {ID_CHARS} letters or digits")));
            }
        }
        let key = Secret::resolve("key", settings.key.as_ref(), settings.key_file.as_deref())
            .map_err(|source| Error::Secret { channel: Channel::Apns, source })?;
        let signer = Signer::new(key.expose(), &settings.key_id, &settings.team_id, clock.now())
            .map_err(|error| setting("key", error.to_string()))?;
        let tls = http2::tls::config(&settings.http2)
            .map_err(|source| Error::Trust { channel: Channel::Apns, source })?;
        let connect = |name, url| {
            let (tls, stop, warm_up) = (tls.clone(), stop.clone(), WarmUp::FirstAccepted);
            http2::Client::new(url, tls, &settings.http2, warm_up, stop)
                .ok_or_else(|| setting(name, "must be an https URL".to_owned()))
        };
        Ok(Self(Arc::new(Inner {
            production: connect("production", &settings.production)?,
            sandbox: connect("sandbox", &settings.sandbox)?,
            signer,
            app: App {
                critical: settings.critical_entitlement,
                critical_sound: settings.critical_sound.clone(),
            },
            warned: AtomicBool::new(settings.critical_entitlement),
            settings: settings.http2.clone(),
            clock,
        })))
    }

    /// Renders a push once.
    pub fn prepare(
        &self,
        content: &PushContent,
    ) -> Result<Payload, crate::channel::payload::Error> {
        let critical = content.loudness == Loudness::Critical;
        if critical && !self.0.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "apns.critical_entitlement is false: critical pushes go out as time-sensitive \
                 and stay silent on muted phones"
            );
        }
        payload::render(content, &self.0.app)
    }

    /// Sends a push to one device.
    pub async fn send(&self, payload: &Payload, to: Address<'_>, delivery: &Delivery) -> Outcome {
        let Some(left) = time_left(delivery) else { return Outcome::Expired };
        let deadline = Instant::now() + left.min(self.0.settings.request_timeout());
        let way = (delivery.lane, deadline);
        let Some((path, topic)) = wire_form(to) else {
            return Outcome::Rejected { reason: "malformed_address" };
        };
        let host = match to.environment {
            ApnsEnvironment::Production => &self.0.production,
            ApnsEnvironment::Sandbox => &self.0.sandbox,
        };
        let request = |token: &Token| {
            let mut request = host.post(path.clone());
            fill(&mut request, payload, token, delivery);
            request.headers_mut().insert(APNS_TOPIC, topic.clone());
            request
        };
        let token = self.0.signer.token(self.0.clock.now());
        let body = Body::whole(payload.body.clone());
        let mut answer =
            host.send(|| payload.recall.unless(|| request(&token)), body.clone(), way).await;
        if let Ok(first) = &answer
            && self.read(first).wants_new_token()
        {
            let token = self.0.signer.after_expired(&token, self.0.clock.now());
            answer = host.send(|| payload.recall.unless(|| request(&token)), body, way).await;
        }
        match answer {
            Ok(answer) => {
                let reply = self.read(&answer);
                if reply.wants_new_connection() {
                    host.retire(&answer);
                }
                outcome(&reply)
            }
            Err(error) => unanswered(error, LOST_WAIT),
        }
    }

    /// Waits for a connection to the production environment.
    pub async fn ready(&self) -> bool {
        self.0.production.ready(Instant::now() + self.0.settings.connect_timeout()).await
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        tokio::join!(self.0.production.drain(), self.0.sandbox.drain());
    }

    fn read(&self, answer: &Answer) -> Reply {
        if answer.status == http::StatusCode::OK {
            return Reply { status: 200, ..Reply::default() };
        }
        let wish = retry_after::parse(&answer.headers, self.0.clock.now());
        Reply::read(answer.status, &answer.body, wish)
    }
}

/// Path and topic; `None` for what cannot be an address, which never goes out.
fn wire_form(to: Address<'_>) -> Option<(PathAndQuery, HeaderValue)> {
    let hexadecimal = to.token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if to.token.is_empty() || !hexadecimal {
        return None;
    }
    let path = PathAndQuery::try_from(format!("/3/device/{}", to.token)).ok()?;
    Some((path, HeaderValue::from_str(to.topic).ok()?))
}

fn fill(request: &mut Request<()>, payload: &Payload, token: &Token, delivery: &Delivery) {
    let mut id =
        HeaderValue::try_from(delivery.id.hyphenated().to_string()).expect("a UUID is plain ASCII");
    // Differs each time: kept out of HPACK's table, where it would push out what repeats.
    id.set_sensitive(true);
    let headers = request.headers_mut();
    headers.reserve(7);
    headers.insert(AUTHORIZATION, token.bearer.clone());
    headers.insert(APNS_PUSH_TYPE, payload.push_type.clone());
    headers.insert(APNS_PRIORITY, payload.priority.clone());
    headers.insert(APNS_EXPIRATION, delivery.expires.as_second().into());
    headers.insert(APNS_COLLAPSE_ID, payload.collapse_id.clone());
    headers.insert(APNS_ID, id);
}
