//! Sends to Google: the spliced body, the access token, and the connections.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::oauth::{Failure, ServiceAccount, Token, Tokens};
use super::outcome::{Reply, outcome};
use super::settings::NotificationChannels;
use super::{Payload, Settings, payload};
use crate::channel::http2::{self, Answer, Body, WarmUp};
use crate::channel::{Delivery, Error, retry_after, time_left, unanswered};
use crate::clock::Clock;
use crate::config::secret::Secret;
use crate::domain::channel::{Channel, FcmAddressKind};
use crate::domain::lane::Lane;
use crate::domain::outcome::{Arrival, Outcome, RetryScope};
use crate::domain::push::PushContent;

/// A push whose answer was lost is tried again after this: Google asks for 10 seconds after faults
/// of its own, and a lost answer often is one.
const LOST_WAIT: Duration = Duration::from_secs(10);
/// Google asks for so much patience with a request.
const REQUEST_TIMEOUT_MIN_MS: u64 = 10_000;

/// Where one push goes. It has no Debug form: a token is never logged.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// Which of the two the value is.
    pub kind: FcmAddressKind,
    /// A registration token or an installation id.
    pub value: &'a str,
}

/// The channel to Google; clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: http2::Client,
    oauth: http2::Client,
    tokens: Tokens,
    path: PathAndQuery,
    channels: NotificationChannels,
    settings: http2::Settings,
    clock: Clock,
}

impl Client {
    /// Opens the channel; see [`crate::channel::Sender::fcm`].
    pub fn open(settings: &Settings, clock: Clock, stop: CancellationToken) -> Result<Self, Error> {
        let setting = |setting, why: String| Error::Setting { channel: Channel::Fcm, setting, why };
        if let Some((name, rule)) = settings.http2.broken_rule() {
            return Err(setting(name, rule.to_owned()));
        }
        if settings.http2.request_timeout_ms < REQUEST_TIMEOUT_MIN_MS {
            let rule = format!("must be at least {REQUEST_TIMEOUT_MIN_MS}");
            return Err(setting("http2.request_timeout_ms", rule));
        }
        let account = account(settings)?;
        let project = settings.project.as_ref().unwrap_or(&account.project_id);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if project.is_empty() || !project.chars().all(plain) {
            return Err(setting("project", "must be a project id".to_owned()));
        }
        let path = PathAndQuery::try_from(format!("/v1/projects/{project}/messages:send"))
            .expect("a project id is plain ASCII");
        let tls = http2::tls::config(&settings.http2)
            .map_err(|source| Error::Trust { channel: Channel::Fcm, source })?;
        let connect = |name, url, limits: &http2::Settings| {
            http2::Client::new(url, tls.clone(), limits, WarmUp::None, stop.clone())
                .ok_or_else(|| setting(name, "must be an https URL".to_owned()))
        };
        // One token at a time is fetched: one connection is enough.
        let one = http2::Settings { connections: 1, streams: 4, ..settings.http2.clone() };
        let oauth = connect("token_uri", &account.token_uri, &one)?;
        let http = connect("endpoint", &settings.endpoint, &settings.http2)?;
        let tokens = Tokens::new(account, oauth.clone(), clock.clone())
            .map_err(|error| setting("service_account", format!("private_key: {error}")))?;
        Ok(Self(Arc::new(Inner {
            http,
            oauth,
            tokens,
            path,
            channels: settings.notification_channels.clone(),
            settings: settings.http2.clone(),
            clock,
        })))
    }

    /// Renders a push once.
    pub fn prepare(
        &self,
        content: &PushContent,
    ) -> Result<Payload, crate::channel::payload::Error> {
        payload::render(content, &self.0.channels)
    }

    /// Sends a push to one device.
    pub async fn send(&self, payload: &Payload, to: Address<'_>, delivery: &Delivery) -> Outcome {
        let Some(left) = time_left(delivery) else { return Outcome::Expired };
        if to.value.is_empty() {
            return Outcome::Rejected { reason: "malformed_address" };
        }
        let deadline = Instant::now() + left.min(self.0.settings.request_timeout());
        let token = match self.0.tokens.token(deadline).await {
            Ok(token) => token,
            Err(failure) => return no_token(failure),
        };
        let [prefix, middle, suffix] = payload.pieces(to, delivery.expires, delivery.now);
        let body = Body::spliced(prefix, middle, suffix);
        let mut answer =
            self.post((&token, payload), body.clone(), (delivery.lane, deadline)).await;
        if let Ok(first) = &answer
            && self.read(first).wants_new_token()
        {
            let token = match self.0.tokens.after_refused(&token, deadline).await {
                Ok(token) => token,
                Err(failure) => return no_token(failure),
            };
            answer = self.post((&token, payload), body, (delivery.lane, deadline)).await;
        }
        match answer {
            Ok(answer) => outcome(&self.read(&answer)),
            Err(error) => unanswered(error, LOST_WAIT),
        }
    }

    /// Waits for a connection and an access token.
    pub async fn ready(&self) -> bool {
        let deadline = Instant::now() + self.0.settings.connect_timeout();
        let (up, token) = tokio::join!(self.0.http.ready(deadline), self.0.tokens.token(deadline));
        up && token.is_ok()
    }

    /// Waits for the answers of what is in flight.
    pub async fn drain(&self) {
        self.0.http.drain().await;
        self.0.oauth.drain().await;
    }

    async fn post(
        &self,
        (token, payload): (&Token, &Payload),
        body: Body,
        way: (Lane, Instant),
    ) -> Result<Answer, http2::Error> {
        let head = || {
            let mut request = self.0.http.post(self.0.path.clone());
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, token.bearer.clone());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request
        };
        self.0.http.send(|| payload.recall.unless(head), body, way).await
    }

    fn read(&self, answer: &Answer) -> Reply {
        if answer.status == StatusCode::OK {
            return Reply { status: 200, ..Reply::default() };
        }
        let wish = retry_after::parse(&answer.headers, self.0.clock.now());
        Reply::read(answer.status, &answer.body, wish)
    }
}

fn account(settings: &Settings) -> Result<ServiceAccount, Error> {
    let (inline, file) = (&settings.service_account, &settings.service_account_file);
    let json = Secret::resolve("service_account", inline.as_ref(), file.as_deref())
        .map_err(|source| Error::Secret { channel: Channel::Fcm, source })?;
    let mut account: ServiceAccount = serde_json::from_str(json.expose()).map_err(|error| {
        // The text of a JSON error may quote the key file; its place does not.
        let why = format!("not a key file: line {}, column {}", error.line(), error.column());
        Error::Setting { channel: Channel::Fcm, setting: "service_account", why }
    })?;
    if let Some(token_uri) = &settings.token_uri {
        account.token_uri = token_uri.clone();
    }
    Ok(account)
}

fn no_token(failure: Failure) -> Outcome {
    match failure {
        Failure::Refused(reason) => Outcome::Misconfigured { reason },
        Failure::Unavailable { reason, after } => {
            let scope = RetryScope::Channel;
            Outcome::Retry { after: Some(after), scope, arrival: Arrival::Excluded, reason }
        }
    }
}
