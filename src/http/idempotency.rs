//! `Idempotency-Key` on every POST: a request that is repeated, because its answer was lost, is
//! answered again and not done again.
//!
//! The scope of a key is who asks: the credentials (a session's cookie too), or the address of
//! those who have none. A failure of ours (5xx) and a "slow down" (429) are not kept, since a
//! repeat may succeed; nor is a refusal of credentials (401), or whoever has none could fill the
//! store.

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::http::input::body_problem;
use crate::http::limits::ClientAddress;
use crate::http::problem::{Code, Problem};
use crate::store::replies::{BODY_BYTES_MAX, Begun, Error, Lease, Replies, Reply};

/// The request header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Seconds after which a client may ask again for one in progress.
const ASK_AGAIN_S: u64 = 1;
/// The headers of an answer that are worth repeating.
const KEPT: [HeaderName; 2] = [CONTENT_TYPE, LOCATION];

/// Middleware: gives a POST with a key its earlier answer, or keeps the answer it gets now. Lay it
/// on the routes of a face, inside the shield.
pub async fn idempotent(
    State(replies): State<Replies>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = key_of(&request)? else {
        return Ok(next.run(request).await);
    };
    let scope = scope_of(&request);
    let (parts, body) = request.into_parts();
    // Read through the extractor, so that the face's body limit holds here too.
    let buffered = Request::from_parts(parts.clone(), body);
    let body = Bytes::from_request(buffered, &()).await.map_err(body_problem)?;
    let digest = digest(parts.uri.path(), parts.uri.query(), &body);
    match replies.begin(&scope, &key, digest).await.map_err(store_problem)? {
        Begun::Replay(reply) => Ok(replayed(reply)),
        Begun::InProgress => Err(in_progress()),
        Begun::Mismatch => Err(mismatch()),
        Begun::New(lease) => {
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            keep(&replies, lease, response).await
        }
    }
}

/// The key of a POST, if it has one.
pub fn key_of(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(&KEY).filter(|_| request.method() == Method::POST)
    else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| !text.is_empty());
    text.map(|text| Some(text.to_owned())).ok_or_else(|| {
        let message = "must be 1 to 255 visible ASCII characters";
        Problem::fields(
            Code::BadHeader,
            vec![crate::http::FieldError::new("Idempotency-Key", "visible_ascii", message)],
        )
    })
}

/// Who asks, as a digest: credentials never reach the store.
pub fn scope_of(request: &Request) -> String {
    let headers = request.headers();
    let who = match headers.get(AUTHORIZATION).or_else(|| headers.get(COOKIE)) {
        Some(credentials) => credentials.as_bytes().to_vec(),
        None => request
            .extensions()
            .get::<ClientAddress>()
            .map_or_else(|| b"anonymous".to_vec(), |address| address.to_string().into_bytes()),
    };
    hex(&Sha256::digest(who))
}

/// The digest of what is asked: path, query and body.
pub fn digest(path: &str, query: Option<&str>, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [path.as_bytes(), query.unwrap_or_default().as_bytes(), body] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The answer to a repeat that came too early.
pub fn in_progress() -> Problem {
    let detail = "the request with this Idempotency-Key has not ended yet";
    Problem::new(Code::InProgress, detail).retry_after(ASK_AGAIN_S)
}

/// The answer to a key that another request has used.
pub fn mismatch() -> Problem {
    let detail = "this Idempotency-Key came before with another path or body";
    Problem::new(Code::IdempotencyMismatch, detail)
}

/// A failure of the replies store.
pub fn store_problem(error: Error) -> Problem {
    match error {
        Error::BadKey => {
            let wrong = crate::http::FieldError::new("Idempotency-Key", "length", &error);
            Problem::fields(Code::BadHeader, vec![wrong])
        }
        other => Problem::internal(&other),
    }
}

async fn keep(replies: &Replies, lease: Lease, response: Response) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|error| Problem::internal(&error))?;
    let status = parts.status;
    let passing = [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED];
    let kept = if status.is_server_error() || passing.contains(&status) {
        replies.abandon(lease).await
    } else {
        let headers = KEPT
            .iter()
            .filter_map(|name| Some((name, parts.headers.get(name)?.to_str().ok()?)))
            .map(|(name, value)| (name.to_string(), value.to_owned()))
            .collect();
        let reply = Reply { status: status.as_u16(), headers, body: body.clone() };
        replies.finish(lease, reply).await
    };
    if let Err(error) = kept {
        // What was done is done; only a repeat would suffer, and it is idempotent by content too.
        tracing::warn!(error = %error, "an idempotent reply was not kept");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replayed(reply: Reply) -> Response {
    let mut response = Body::from(reply.body).into_response();
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_keeps_its_parts_apart() {
        assert_ne!(digest("/a", Some("b"), b""), digest("/a", None, b"b"));
        assert_ne!(digest("/ab", None, b""), digest("/a", Some("b"), b""));
        assert_eq!(digest("/a", None, b"x"), digest("/a", None, b"x"));
    }

    #[test]
    fn only_a_post_has_a_key_and_a_strange_one_is_refused_by_name() {
        let request = |method: &str, key: &[u8]| {
            let key = HeaderValue::from_bytes(key).expect("a header");
            let built = Request::builder().method(method).header(KEY, key).body(Body::empty());
            built.expect("a request")
        };
        assert_eq!(key_of(&request("GET", b"k")), Ok(None));
        assert_eq!(key_of(&request("POST", b"k")), Ok(Some("k".into())));
        let problem = key_of(&request("POST", &[0xff])).expect_err("not ASCII");
        assert_eq!(problem.errors[0].path, "Idempotency-Key");
    }

    #[test]
    fn scopes_differ_by_credentials_and_hide_them() {
        let with = |token: &str| {
            let built = Request::builder().header(AUTHORIZATION, token).body(Body::empty());
            scope_of(&built.expect("a request"))
        };
        assert_ne!(with("Bearer a"), with("Bearer b"));
        assert!(!with("Bearer secret").contains("secret"));
    }
}
