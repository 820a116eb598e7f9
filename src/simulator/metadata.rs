//! The metadata server of Google's machines, which gives access tokens to whatever runs on them,
//! and beside it that of another platform, whose tokens Google exchanges: plain HTTP/1.1, and a
//! header that keeps browsers out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::faults::{Faults, Service, Then};
use super::fcm::Issued;
use super::federation::{Federation, SUBJECT_HEADER, SUBJECT_PATH};

const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const FLAVOR: &str = "metadata-flavor";

/// Serves one connection after another until it is stopped.
pub async fn listen(
    listener: TcpListener,
    (issued, federation): (Arc<Issued>, Federation),
    faults: Faults,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, (&issued, &federation), &faults);
        async move { Ok::<_, Infallible>(answer) }
    });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // An accept that fails concerns one peer (it went away) or none at all.
        let Ok((tcp, _)) = accepted else { continue };
        let connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), &service);
        // A peer that goes away early has its answer or wants none.
        let _ = stop.run_until_cancelled(connection).await;
    }
}

fn answer(
    request: &Request<Incoming>,
    (issued, federation): (&Issued, &Federation),
    faults: &Faults,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let (name, value) = if path == SUBJECT_PATH { SUBJECT_HEADER } else { (FLAVOR, "Google") };
    let asked_well = request.method() == Method::GET
        && request.headers().get(name).is_some_and(|given| given == value);
    let (status, body) = match faults.meet(Service::OAuth, "") {
        Some(Then::Refuse(refusal)) => {
            let status = StatusCode::from_u16(refusal.status);
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), String::new())
        }
        _ if !asked_well => (StatusCode::FORBIDDEN, String::new()),
        _ if path == SUBJECT_PATH => (StatusCode::OK, federation.subject_answer()),
        _ if path == TOKEN_PATH => (StatusCode::OK, issued.issue()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(FLAVOR, http::HeaderValue::from_static("Google"));
    answer
}
