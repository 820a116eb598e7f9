//! `GET /v1/events`: the same events as server-sent events (WHATWG HTML, 9.2), for browsers'
//! EventSource and for `curl -N`. `id:` is the position, so `Last-Event-ID` resumes.
//!
//! EventSource cannot set headers: it takes a ticket of `POST /v1/stream-tickets` in the URL, good
//! for two minutes and for nothing but opening a stream. When the ticket is too old the browser
//! gets a 401, fetches a new one and passes its last position as `position`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::auth::citizen::AsCitizen;
use crate::auth::ticket::TICKET_SECONDS;
use crate::gateway::Gateway;
use crate::gateway::close::Close;
use crate::gateway::hub::Conn;
use crate::gateway::opening::jittered;
use crate::gateway::outbox::Outgoing;
use crate::gateway::wire::ToClient;
use crate::http::input::Query;
use crate::http::limits::Slot;
use crate::http::problem::{Document, Problem};
use crate::http::serve::Peer;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How an event stream is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Ask {
    /// A ticket, in place of the `Authorization` header.
    ticket: Option<String>,
    /// The last position, in place of `Last-Event-ID`.
    position: Option<String>,
    /// Languages, comma-separated, in place of the device's own.
    languages: Option<String>,
}

/// A ticket for an event stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ticket {
    /// Goes into the URL of `GET /v1/events`.
    ticket: String,
    /// Seconds it is good for.
    expires_in: i64,
}

/// Get a ticket for an event stream
#[utoipa::path(
    post,
    path = "/v1/stream-tickets",
    tag = "streams",
    responses(
        (status = 201, description = "A ticket", body = Ticket),
        (status = 401, description = "Wrong credentials", body = Document)
    ),
    security(("device" = []), ("citizen" = []))
)]
pub(super) async fn ticket(
    State(gateway): State<Gateway>,
    AsCitizen(citizen): AsCitizen,
) -> impl IntoResponse {
    let ticket = gateway.parts.doorkeeper.ticket(&citizen);
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, no_store, axum::Json(Ticket { ticket, expires_in: TICKET_SECONDS }))
}

/// The citizens' event stream
///
/// The events of `StreamEvent` as server-sent events; ends with an event `close`, whose data is
/// `{"number":4001,"code":"slow","reconnect":true,"after_ms":1840}`.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "streams",
    params(
        Ask,
        ("Last-Event-ID" = Option<String>, Header, description = "The last position: resume there")
    ),
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream",
            body = ToClient<'static>),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 429, description = "Too many streams of this address", body = Document),
        (status = 503, description = "Starting, draining or full", body = Document)
    ),
    security(("device" = []), ("citizen" = []))
)]
pub(super) async fn events(
    State(gateway): State<Gateway>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(ask): Query<Ask>,
) -> Result<Response, Problem> {
    let slot = gateway.room(&headers, peer.map(|Extension(peer)| peer))?;
    let citizen = match (&ask.ticket, gateway.parts.doorkeeper.of_headers(&headers).await?) {
        (_, Some(citizen)) => citizen,
        (Some(ticket), None) => gateway.parts.doorkeeper.of_ticket(ticket).await?,
        (None, None) => {
            return Err(crate::auth::unauthorized("`Authorization`, or a `ticket` in the URL"));
        }
    };
    // The header is the newer one: a browser sends it when it comes back by itself.
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let position = last.or(ask.position.as_deref());
    let languages = ask.languages.map(|list| list.split(',').map(str::to_owned).collect());
    let visitor = gateway.visitor(citizen).await?;
    let opened = gateway.admit(visitor, position, languages).await?;
    let feed = Feed {
        gateway: gateway.clone(),
        conn: Leaving { gateway, conn: opened.conn },
        first: opened.first.into_iter(),
        phase: Phase::First,
        ping_at: Instant::now(),
        _slot: slot,
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(feed.into_stream())).into_response())
}

/// Takes the connection out of the hub when the response is dropped, however that comes.
struct Leaving {
    gateway: Gateway,
    conn: Arc<Conn>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.gateway.hub.leave(&self.conn);
    }
}

enum Phase {
    First,
    Live,
    Ended,
}

struct Feed {
    gateway: Gateway,
    conn: Leaving,
    first: std::vec::IntoIter<Outgoing>,
    phase: Phase,
    ping_at: Instant,
    _slot: Option<Slot>,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(
            self,
            |mut feed| async move { feed.next().await.map(|bytes| (Ok(bytes), feed)) },
        )
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Phase::First = self.phase {
            if let Some(outgoing) = self.first.next() {
                return Some(self.told(outgoing));
            }
            self.phase = Phase::Live;
            self.ping_at = Instant::now() + self.gateway.hub.settings().ping();
            self.gateway.hub.go_live(&self.conn.conn);
        }
        if let Phase::Ended = self.phase {
            return None;
        }
        let conn = Arc::clone(&self.conn.conn);
        let next = loop {
            tokio::select! {
                outgoing = conn.outbox().next() => break outgoing,
                () = tokio::time::sleep_until(self.ping_at) => {
                    self.ping_at = Instant::now() + self.gateway.hub.settings().ping();
                    self.gateway.hub.ping(&conn);
                }
                () = self.gateway.life.token().cancelled() => break Err(Close::Shutdown),
            }
        };
        match next {
            Ok(outgoing) => Some(self.told(outgoing)),
            Err(close) => {
                self.phase = Phase::Ended;
                Some(last_words(close, self.gateway.hub.settings().reconnect_ms))
            }
        }
    }

    fn told(&self, outgoing: Outgoing) -> Bytes {
        if let Some(delivers) = outgoing.delivers {
            self.gateway.deliveries.written(delivers, self.gateway.hub.now());
        }
        outgoing.frame.event()
    }
}

/// The event `close`, and how long EventSource waits before it comes back by itself.
fn last_words(close: Close, reconnect_ms: u64) -> Bytes {
    let reason = close.reason(reconnect_ms, rand::random_range(0.0..1.0));
    let data = format!("{{\"number\":{},{}", close.number(), &reason[1..]);
    Bytes::from(format!("retry: {}\nevent: close\ndata: {data}\n\n", jittered(reconnect_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_says_why_and_when_to_come_back() {
        let text = String::from_utf8(last_words(Close::Slow, 1_000).to_vec()).expect("utf-8");
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&data["number"], &data["code"]), (&4001.into(), &"slow".into()));
        assert!(text.starts_with("retry: ") && text.ends_with("\n\n"), "{text}");
    }
}
