//! A kept-alive HTTP/1.1 connection, and one of raw bytes for what no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::http::Answer;

/// A connection that is kept; opened again where the node closed it.
pub struct Client {
    node: SocketAddr,
    open: Option<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)>,
}

impl Client {
    /// A client of a node; connects when it first asks.
    pub fn new(node: SocketAddr) -> Self {
        Self { node, open: None }
    }

    /// Asks, with any headers.
    pub async fn ask(
        &mut self,
        (method, path): (Method, &str),
        headers: &[(HeaderName, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, self.node.to_string());
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let mut kept = self.open.take();
        if let Some((sender, _)) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut open = match kept {
            Some(open) => open,
            None => connect(self.node).await?,
        };
        let response = open.0.send_request(request).await.context("no answer")?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        // A request that was not read to its end takes its connection with it.
        let cut = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT];
        if !cut.contains(&parts.status) {
            self.open = Some(open);
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

async fn connect(node: SocketAddr) -> Result<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)> {
    let stream = TcpStream::connect(node).await.context("cannot connect")?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((sender, AbortOnDropHandle::new(driver)))
}

/// Writes bytes as they are, and answers what comes back until the node closes the connection;
/// fails if it does not within the time given.
pub async fn raw(
    node: SocketAddr,
    pieces: &[&[u8]],
    (finish, within): (bool, Duration),
) -> Result<String> {
    let mut stream = TcpStream::connect(node).await.context("cannot connect")?;
    for piece in pieces {
        // The node may have closed already: what it said is still to be read.
        if stream.write_all(piece).await.is_err() {
            break;
        }
    }
    if finish {
        let _ = stream.shutdown().await;
    }
    let mut heard = Vec::new();
    let read = tokio::time::timeout(within, async {
        let mut buffer = [0; 4_096];
        // A reset after an answer ends the connection like a close.
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
        }
    });
    read.await.context("the node keeps the connection")?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}
