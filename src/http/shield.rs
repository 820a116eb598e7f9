//! What stands around every face: a request id, a span without tokens or bodies, the total time
//! limit, panics caught, and every bare refusal of a library turned into a problem.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::http::limits::Settings;
use crate::http::pace::{RateGuard, Together, rate_limit};
use crate::http::problem::{Code, MEDIA_TYPE, Problem};
use crate::http::tls;
use crate::lifecycle::panic_message;

/// The header that carries the request id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken from a client; a longer one is replaced.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// Longest refusal text of a library that is passed on.
const REFUSAL_BYTES_MAX: usize = 2_048;

/// Puts the shield around a face. Call once, on the outermost router. In a cluster the nodes count
/// rates together.
pub fn around(router: Router, settings: &Settings, together: Option<Together>) -> Router {
    router
        .fallback(|| async { Problem::new(Code::NotFound, "this path does not exist") })
        .layer(DefaultBodyLimit::max(settings.body_bytes_max))
        .layer(from_fn_with_state(settings.request_time(), in_time))
        .layer(from_fn_with_state(RateGuard::new(settings, together), rate_limit))
        .layer(from_fn(only_problems))
        .layer(from_fn_with_state(settings.tls.as_ref().and_then(strict), says_strict))
        .layer(from_fn(watched))
}

/// What browsers are told to keep to where TLS is ours (RFC 6797). Not for subdomains: those are
/// others'.
fn strict(tls: &tls::Settings) -> Option<HeaderValue> {
    let seconds = u64::from(tls.hsts_days) * 24 * 60 * 60;
    let told = HeaderValue::from_str(&format!("max-age={seconds}"));
    (seconds > 0).then(|| told.expect("digits are a header's value"))
}

async fn says_strict(
    State(strict): State<Option<HeaderValue>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if let Some(strict) = strict {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, strict);
    }
    response
}

/// Request id and span; the path is the route's pattern, so that no id reaches the log.
async fn watched(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = match given.filter(|id| fits_as_id(id)) {
        Some(id) => id.to_owned(),
        // A secret to nobody: the kernel need not be asked for it.
        None => uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string(),
    };
    let value = HeaderValue::from_str(&id).expect("a checked id is visible ASCII");
    request.headers_mut().insert(REQUEST_ID, value.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!(
        "http", request.id = id, http.method = %request.method(), http.route = route
    );
    let began = Instant::now();
    let mut response = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::debug!(status, elapsed_us = began.elapsed().as_micros() as u64, "answered");
        response
    }
    .instrument(span)
    .await;
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

fn fits_as_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= REQUEST_ID_CHARS_MAX
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Total time of a request, and its panics.
async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(&panic_message(&*panic)).into_response(),
        Err(_) => {
            let detail = format!("the request did not end within {} s", limit.as_secs());
            Problem::new(Code::RequestTimeout, detail).into_response()
        }
    }
}

/// Turns the bare refusals of axum and hyper into problems.
async fn only_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    let status = response.status();
    if !bare || kind == Some(MEDIA_TYPE) || !(status.is_client_error() || status.is_server_error())
    {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let mut problem = Problem::from_status(status, &String::from_utf8_lossy(&text)).into_response();
    for name in [ALLOW, RETRY_AFTER] {
        if let Some(value) = parts.headers.get(&name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    async fn panics() -> &'static str {
        panic!("a secret of ours")
    }

    fn face() -> Router {
        let settings = Settings { body_bytes_max: 8, request_seconds: 1, ..Settings::default() };
        let router = Router::new()
            .route("/ok", get(|| async { "fine" }))
            .route("/panic", get(panics))
            .route("/slow", get(|| async { std::future::pending::<()>().await }))
            .route("/echo", post(|body: String| async { body }));
        around(router, &settings, None)
    }

    async fn ask(method: &str, path: &str, body: &'static str) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body));
        let response = face().oneshot(request.expect("a request")).await.expect("infallible");
        let kind = response.headers().get(CONTENT_TYPE).expect("a type").to_str().expect("ascii");
        let (status, kind) = (response.status(), kind.to_owned());
        assert!(response.headers().contains_key(REQUEST_ID));
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        (status, kind, String::from_utf8(body.into()).expect("utf-8"))
    }

    #[tokio::test]
    async fn every_refusal_is_a_problem() {
        let cases = [
            ("GET", "/nowhere", "", 404, "not_found"),
            ("POST", "/ok", "", 405, "method_not_allowed"),
            ("POST", "/echo", "more than eight", 413, "too_large"),
            ("GET", "/slow", "", 408, "request_timeout"),
            ("GET", "/panic", "", 500, "internal"),
        ];
        for (method, path, body, status, code) in cases {
            let (got, kind, text) = ask(method, path, body).await;
            assert_eq!((got.as_u16(), kind.as_str()), (status, MEDIA_TYPE), "{path}: {text}");
            assert!(text.contains(&format!("\"code\":\"{code}\"")), "{path}: {text}");
            assert!(!text.contains("secret"), "{text}");
        }
        let (status, ..) = ask("GET", "/ok", "").await;
        assert_eq!(status, StatusCode::OK);
    }

    #[test]
    fn request_ids_from_outside_are_checked() {
        assert!(fits_as_id("a1-b_2.c") && !fits_as_id("") && !fits_as_id("a b"));
        assert!(!fits_as_id(&"a".repeat(65)));
    }
}
