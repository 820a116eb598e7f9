//! An HTTP client over one kept connection, which is opened again when the node has closed it.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The client.
pub struct Client {
    to: SocketAddr,
    open: SendRequest<Full<Bytes>>,
}

/// A request's method, path and `Authorization`.
pub type Line<'a> = (Method, &'a str, Option<&'a str>);

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        Ok(Self { to, open: connect(to).await? })
    }

    /// Sends a request with a JSON body, or none.
    pub async fn send(
        &mut self,
        (method, path, authorization): Line<'_>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, self.to.to_string());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(body))?;
        if self.open.ready().await.is_err() {
            self.open = connect(self.to).await?;
        }
        let response = self.open.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// The same; any other status than the expected one is an error.
    pub async fn expect(
        &mut self,
        line: Line<'_>,
        body: Option<&Value>,
        expected: StatusCode,
    ) -> Result<Value> {
        let path = line.1.to_owned();
        let (status, answer) = self.send(line, body).await?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(status == expected, "{path}: {status}: {text}");
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (client, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(client)
}
