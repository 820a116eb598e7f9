//! `h2` with nothing around it: the same request, the same shared payload, one connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use h2::client::{self, SendRequest};
use http::{HeaderName, HeaderValue, Method, Request, Version};
use jiff::Timestamp;
use loa::channel::{Prepared, http2};
use rustls::pki_types::ServerName;
use tokio::io::BufWriter;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::measure::{Figures, Peer, measured};
use crate::ours;

/// As long as a provider token, and of its letters: HPACK needs more work for those than others.
const BEARER: &str = concat!(
    "bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IkxPQUtFWTEyMzQifQ.",
    "eyJpc3MiOiJMT0FURUFNMTIzIiwiaWF0IjoxODAwMDAwMDAwfQ.",
    "nQ3vK9zT0xWmJ7dRfL2cYbE5uHsPgA8iVoX1tZ6rMkNqSjCeBwDyGhUaIpFl4T_9",
    "m-Q2xW7zR0vK5dJ3cYbE8u",
);
/// As in the sender: names that need not be read again for each push.
const NAMES: [HeaderName; 7] = [
    HeaderName::from_static("authorization"),
    HeaderName::from_static("apns-push-type"),
    HeaderName::from_static("apns-priority"),
    HeaderName::from_static("apns-expiration"),
    HeaderName::from_static("apns-collapse-id"),
    HeaderName::from_static("apns-id"),
    HeaderName::from_static("apns-topic"),
];

/// Sends so many, so many at once.
pub async fn send(peer: &Peer, count: u64, at_once: usize) -> Result<Figures> {
    let now = Timestamp::now();
    let Prepared::Apns(payload) = ours::prepared(&ours::sender(peer)?, now)? else {
        bail!("a push of another channel");
    };
    let body = payload.bodies().next().context("a body")?.clone();
    let settings = http2::Settings { ca_file: Some(peer.ca.clone()), ..http2::Settings::default() };
    let tls = http2::tls::config(&settings, None)?;
    let http = connect(peer.port, TlsConnector::from(Arc::clone(&tls))).await?;
    let mut bearer = HeaderValue::from_static(BEARER);
    bearer.set_sensitive(true);
    let expires = HeaderValue::from((now + Duration::from_secs(3600)).as_second());
    let collapse = HeaderValue::try_from(Uuid::now_v7().to_string())?;
    let paths: Vec<_> = (0..1024)
        .map(|device| {
            format!("https://127.0.0.1:{}/3/device/{}", peer.port, ours::token(device)).parse()
        })
        .collect::<Result<Vec<http::Uri>, _>>()?;
    let (http, body, paths) = (&http, &body, &paths);
    let (bearer, expires, collapse) = (&bearer, &expires, &collapse);
    let one = async |device: u64| {
        let started = Instant::now();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = paths.get((device % 1024) as usize).context("a path")?.clone();
        let mut id = HeaderValue::try_from(Uuid::from_u64_pair(7, device).to_string())?;
        id.set_sensitive(true);
        let headers = request.headers_mut();
        headers.reserve(7);
        let [authorization, push_type, priority, expiration, collapse_id, apns_id, topic] = NAMES;
        headers.insert(authorization, bearer.clone());
        headers.insert(push_type, HeaderValue::from_static("alert"));
        headers.insert(priority, HeaderValue::from_static("10"));
        headers.insert(expiration, expires.clone());
        headers.insert(collapse_id, collapse.clone());
        headers.insert(apns_id, id);
        headers.insert(topic, HeaderValue::from_static("vn.loa.app"));
        let mut http = http.clone().ready().await?;
        let (answer, mut stream) = http.send_request(request, false)?;
        stream.send_data(body.clone(), true)?;
        let mut answer = answer.await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        while let Some(chunk) = answer.body_mut().data().await {
            chunk?;
        }
        Ok(started.elapsed())
    };
    one(0).await?;
    measured(count, stream::iter(0..count).map(one).buffer_unordered(at_once)).await
}

async fn connect(port: u16, tls: TlsConnector) -> Result<SendRequest<Bytes>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    tcp.set_nodelay(true)?;
    let tls = tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?;
    let (http, connection) = client::Builder::new()
        .enable_push(false)
        .initial_connection_window_size(1024 * 1024)
        .handshake(BufWriter::with_capacity(16 * 1024, tls))
        .await?;
    tokio::spawn(async move {
        // Its end shows in the requests.
        let _ = connection.await;
    });
    Ok(http)
}
