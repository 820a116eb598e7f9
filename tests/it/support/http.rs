//! One HTTP request over a connection of its own.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem.
    pub fn problem(&self) -> String {
        self.json()["code"].as_str().expect("a problem's code").to_owned()
    }
}

/// Asks; `credentials` is the whole `Authorization` value.
pub async fn ask(
    node: SocketAddr,
    (method, path): (Method, &str),
    credentials: Option<&str>,
    body: Option<(&str, Bytes)>,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, node.to_string());
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    if let Some((kind, _)) = &body {
        request = request.header(CONTENT_TYPE, *kind);
    }
    let body = body.map(|(_, bytes)| bytes).unwrap_or_default();
    let stream = TcpStream::connect(node).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}
