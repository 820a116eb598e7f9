//! A connection as a face serves it: bare, or under TLS of our own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::http::tls::ClientCertificate;

/// What may come of a client at first, before it is known what it speaks: a request's head mostly.
const EARLY_BYTES: usize = 1 << 10;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    kind: Kind,
    /// What was read to see how the client begins, and is to be read again.
    early: Vec<u8>,
    unanswered: Unanswered,
}

/// Whether something was read of a connection since its last answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Unanswered(Arc<AtomicBool>);

impl Unanswered {
    /// Whether something was.
    pub fn is_some(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What was read is answered.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Kind {
    Bare(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// A connection without TLS.
    pub fn bare(stream: TcpStream) -> Self {
        Self { kind: Kind::Bare(stream), early: Vec::new(), unanswered: Unanswered::default() }
    }

    /// A connection whose handshake is done.
    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        let kind = Kind::Tls(Box::new(stream));
        Self { kind, early: Vec::new(), unanswered: Unanswered::default() }
    }

    /// Whether something was read since the last answer.
    pub fn unanswered(&self) -> Unanswered {
        self.unanswered.clone()
    }

    /// Whether TLS is ours here.
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Tls(_))
    }

    /// Whether both ends agreed on HTTP/2 (ALPN).
    pub fn agreed_on_h2(&self) -> bool {
        let Kind::Tls(stream) = &self.kind else { return false };
        stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// The certificate that the client proved to hold.
    pub fn client(&self) -> Option<ClientCertificate> {
        let Kind::Tls(stream) = &self.kind else { return None };
        let presented = stream.get_ref().1.peer_certificates()?.first()?;
        ClientCertificate::of(presented)
    }

    /// Waits until the client's first bytes tell whether it begins so, and lets them be read again.
    pub async fn begins_with(&mut self, preface: &[u8]) -> io::Result<bool> {
        let mut begun = Vec::with_capacity(EARLY_BYTES);
        loop {
            if self.read_buf(&mut begun).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let so_far = begun.len().min(preface.len());
            if begun[..so_far] != preface[..so_far] || so_far == preface.len() {
                let is_so = begun.starts_with(preface);
                self.early = begun;
                return Ok(is_so);
            }
        }
    }

    /// What waits to be read again.
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.early)
    }

    /// The socket, and the session over it if there is one. Only for a connection of which nothing
    /// waits to be read again.
    pub fn into_parts(self) -> (TcpStream, Option<Box<ServerConnection>>) {
        match self.kind {
            Kind::Bare(stream) => (stream, None),
            Kind::Tls(stream) => {
                let (stream, session) = stream.into_inner();
                (stream, Some(Box::new(session)))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(into.remaining());
            into.put_slice(&self.early[..count]);
            self.early.drain(..count);
            if self.early.is_empty() {
                self.early = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        let polled = match &mut self.kind {
            Kind::Bare(stream) => Pin::new(stream).poll_read(cx, into),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
        };
        if into.filled().len() > before {
            self.unanswered.0.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Bare(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.kind {
            Kind::Bare(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Bare(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Bare(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Bare(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
