//! Sends to Google: the spliced body, the access token, and the connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::oauth::{Failure, Token};
use super::outcome::{Reply, outcome};
use super::payload::{Kind, Payload, Style};
use super::source::{Source, source};
use super::{Settings, Topics};
use crate::channel::http2::{self, Answer, Body, WarmUp};
use crate::channel::open::{Checked, Opening};
use crate::channel::payload::PAYLOAD_MAX_BYTES;
use crate::channel::recall::Recall;
use crate::channel::{Delivery, Error, retry_after, time_left, unanswered};
use crate::clock::Clock;
use crate::domain::channel::Channel;
use crate::domain::lane::Lane;
use crate::domain::outcome::{Arrival, Outcome, RetryScope};
use crate::domain::push::PushContent;

/// A push whose answer was lost is tried again after this: Google asks for 10 seconds after faults
/// of its own, and a lost answer often is one.
const LOST_WAIT: Duration = Duration::from_secs(10);
/// Google asks for so much patience with a request.
const REQUEST_TIMEOUT_MIN_MS: u64 = 10_000;
/// Google looks at everything and delivers nothing.
const DRY_RUN: &str = r#"{"validate_only":true,"message":{"topic":"loa-check","data":{}}}"#;

/// Where one push goes. It has no Debug form: a token is never logged.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// What the value is.
    pub kind: Kind,
    /// A registration token, an installation id, or a topic.
    pub value: &'a str,
}

/// The channel to Google; clones share everything.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: http2::Client,
    tokens: Source,
    path: PathAndQuery,
    style: Style,
    unit_topics: bool,
    settings: http2::Settings,
    clock: Clock,
}

impl Client {
    /// Opens the channel; see [`crate::channel::Sender::fcm`].
    pub fn open(settings: &Settings, clock: Clock, stop: CancellationToken) -> Result<Self, Error> {
        let opening = Opening::new(Channel::Fcm, &settings.http2, stop)?;
        if settings.http2.request_timeout_ms < REQUEST_TIMEOUT_MIN_MS {
            let rule = format!("must be at least {REQUEST_TIMEOUT_MIN_MS}");
            return Err(opening.setting("http2.request_timeout_ms", rule));
        }
        let (tokens, own) = source(settings, &opening, &clock)?;
        let project = settings.project.clone().or(own).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if project.is_empty() || !project.chars().all(plain) {
            return Err(opening.setting("project", "must be a project id"));
        }
        let path = PathAndQuery::try_from(format!("/v1/projects/{project}/messages:send"))
            .expect("a project id is plain ASCII");
        let endpoint = ("endpoint", &settings.endpoint);
        let channels = settings.notification_channels.clone();
        Ok(Self(Arc::new(Inner {
            http: opening.connect(endpoint, &opening.tls(None)?, WarmUp::None)?,
            tokens,
            path,
            style: Style { channels, data_only: settings.data_only },
            unit_topics: settings.unit_topics,
            settings: settings.http2.clone(),
            clock,
        })))
    }

    /// Renders a push once.
    pub fn prepare(
        &self,
        content: &PushContent,
    ) -> Result<Payload, crate::channel::payload::Error> {
        Payload::render(content, &self.0.style, PAYLOAD_MAX_BYTES)
    }

    /// The topics of units, if alerts are posted to them.
    pub fn topics(&self) -> Option<Topics> {
        self.0.unit_topics.then(|| Topics::new(self.clone()))
    }

    /// How the app wants its pushes.
    pub(super) fn style(&self) -> &Style {
        &self.0.style
    }

    /// Sends a push to one device or topic.
    pub async fn send(&self, payload: &Payload, to: Address<'_>, delivery: &Delivery) -> Outcome {
        let Some(left) = time_left(delivery) else { return Outcome::Expired };
        if to.value.is_empty() {
            return Outcome::Rejected { reason: "malformed_address" };
        }
        let deadline = Instant::now() + left.min(self.0.settings.request_timeout());
        let [prefix, middle, suffix] = payload.pieces(to, delivery.expires, delivery.now);
        let body = Body::spliced(prefix, middle, suffix);
        match self.ask(&payload.recall, body, (delivery.lane, deadline)).await {
            Ok(answer) => outcome(&self.read(&answer)),
            Err(unanswered) => unanswered,
        }
    }

    /// Asks for a message to be looked at and not delivered.
    pub async fn check(&self) -> Vec<Checked> {
        let deadline = Instant::now() + self.0.settings.request_timeout();
        let body = Body::whole(Bytes::from_static(DRY_RUN.as_bytes()));
        let problem = match self.ask(&Recall::default(), body, (Lane::Routine, deadline)).await {
            Ok(answer) if answer.status == StatusCode::OK => None,
            Ok(answer) => {
                let code = self.read(&answer).code;
                Some(format!("{} {}", answer.status.as_u16(), code.unwrap_or_default()))
            }
            Err(outcome) => Some(outcome.reason().to_owned()),
        };
        vec![Checked { what: self.0.path.path().to_owned(), problem }]
    }

    /// Sends a request, and again with a new token where Google refuses the token; what became of
    /// it where there is no answer.
    async fn ask(
        &self,
        recall: &Recall,
        body: Body,
        way: (Lane, Instant),
    ) -> Result<Answer, Outcome> {
        let (_, deadline) = way;
        let lost = |error| unanswered(error, LOST_WAIT);
        let token = self.0.tokens.token(deadline).await.map_err(no_token)?;
        let answer = self.post((&token, recall), body.clone(), way).await.map_err(lost)?;
        if !self.read(&answer).wants_new_token() {
            return Ok(answer);
        }
        let token = self.0.tokens.after_refused(&token, deadline).await.map_err(no_token)?;
        self.post((&token, recall), body, way).await.map_err(lost)
    }

    /// Connections × streams.
    pub fn capacity(&self) -> usize {
        self.0.settings.capacity()
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
        self.0.tokens.drain().await;
    }

    async fn post(
        &self,
        (token, recall): (&Token, &Recall),
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
        self.0.http.send(|| recall.unless(head), body, way).await
    }

    fn read(&self, answer: &Answer) -> Reply {
        if answer.status == StatusCode::OK {
            return Reply { status: 200, ..Reply::default() };
        }
        let wish = retry_after::parse(&answer.headers, self.0.clock.now());
        Reply::read(answer.status, &answer.body, wish)
    }
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
