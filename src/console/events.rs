//! `GET /v1/console/events`: what changes, as server-sent events, for as long as the session is
//! good. An open stream counts as use of its session: a screen on the wall stays until the
//! session's last hour.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, sleep_until};

use crate::auth::desk::{Caller, Token};
use crate::console::Console;
use crate::console::pulse::{Listeners, Message};
use crate::http::problem::{Code, Problem, Refused};

/// Between two signs of life, which are also when the session is looked at again.
const PING: Duration = Duration::from_secs(15);
/// Streams of consoles at once: every desk of a city, twice.
pub const STREAMS_MAX: usize = 500;

/// What changes, live: `drafts`, `publication`, `funnel`, `providers`, `links`, `ping`.
#[utoipa::path(get, path = "/v1/console/events", tag = "desk",
    responses((status = 200, description = "Events", content_type = "text/event-stream",
        body = String), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn events(
    State(console): State<Console>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = console.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        let detail = format!("{STREAMS_MAX} consoles listen already");
        Problem::new(Code::Unavailable, detail).retry_after(5)
    })?;
    let listener = Listener {
        messages: console.pulse.listen(),
        token: Token::of(&headers),
        ping_at: Instant::now(),
        console,
        caller,
        _permit: permit,
    };
    let next = |mut listener: Listener| async move {
        listener.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), listener))
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(stream::unfold(listener, next))).into_response())
}

struct Listener {
    console: Console,
    caller: Caller,
    token: Option<Token>,
    messages: Receiver<Message>,
    ping_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Ok(message) if self.hears(&message.audience) => {
                        return Some(written(message.event, &message.data));
                    }
                    Ok(_) => {}
                    // Too far behind, or over: the page comes back and loads its lists again.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
                () = sleep_until(self.ping_at) => {
                    self.ping_at = Instant::now() + PING;
                    if !self.is_welcome().await {
                        return None;
                    }
                    return Some(written("ping", "{}"));
                }
                () = self.console.tasks.token().cancelled() => return None,
            }
        }
    }

    fn hears(&self, audience: &Listeners) -> bool {
        match audience {
            Listeners::Agency(agency) => self.caller.sees(agency),
            Listeners::Operators => self.caller.operates(),
        }
    }

    /// Whether the session is still good; a key was when the stream began.
    async fn is_welcome(&self) -> bool {
        let Some(token) = self.token.as_ref().filter(|_| self.caller.is_person()) else {
            return true;
        };
        let now = self.console.clock.now();
        let session = self.console.desk.people.session(token.hash(), now, Timestamp::MIN).await;
        matches!(session, Ok(Some(_)))
    }
}

fn written(event: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}
