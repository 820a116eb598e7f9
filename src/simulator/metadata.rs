//! The metadata server of Google's machines, which gives access tokens to whatever runs on them,
//! and beside it that of another platform, with Google's service that exchanges its tokens: plain
//! HTTP/1.1, and for what gives tokens to whoever asks a header that keeps browsers out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::faults::{Faults, Service, Then};
use super::fcm::Issued;
use super::federation::{Federation, SUBJECT_HEADER, SUBJECT_PATH};
use super::serve::Asked;

const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: &str = "metadata-flavor";
/// Largest body read.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// Serves one connection after another until it is stopped.
pub async fn listen(
    listener: TcpListener,
    (issued, federation): (Arc<Issued>, Federation),
    faults: Faults,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (issued, federation, faults) =
            (Arc::clone(&issued), federation.clone(), faults.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, BODY_MAX_BYTES).collect().await;
            let asked = Asked {
                method: head.method,
                path: head.uri.path().to_owned(),
                headers: head.headers,
                body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
                certificate_of: None,
            };
            Ok::<_, Infallible>(answer(&asked, (&issued, &federation), &faults))
        }
    });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // An accept that fails concerns one peer (it went away) or none at all.
        let Ok((tcp, _)) = accepted else { continue };
        let mut http1 = http1::Builder::new();
        let connection = http1.keep_alive(false).serve_connection(TokioIo::new(tcp), &service);
        // A peer that goes away early has its answer or wants none.
        let _ = stop.run_until_cancelled(connection).await;
    }
}

fn answer(
    asked: &Asked,
    (issued, federation): (&Issued, &Federation),
    faults: &Faults,
) -> Response<Full<Bytes>> {
    let path = asked.path.as_str();
    let has = |(name, value)| asked.headers.get(name).is_some_and(|given| given == value);
    let gives = |header, body: &dyn Fn() -> String| match asked.method == Method::GET && has(header)
    {
        true => (StatusCode::OK, Bytes::from(body())),
        false => (StatusCode::FORBIDDEN, Bytes::new()),
    };
    let status_of = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, body) = match (faults.meet(Service::OAuth, ""), path) {
        (Some(Then::Refuse(refusal)), _) => (status_of(refusal.status), Bytes::new()),
        (_, SUBJECT_PATH) => gives(SUBJECT_HEADER, &|| federation.subject_answer()),
        (_, TOKEN_PATH) => gives((FLAVOR, "Google"), &|| issued.issue()),
        _ => match federation.judge(asked) {
            Some(reply) => (status_of(reply.status), reply.body),
            None => (StatusCode::NOT_FOUND, Bytes::new()),
        },
    };
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(FLAVOR, http::HeaderValue::from_static("Google"));
    answer
}
