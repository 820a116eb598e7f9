//! The transport under `h2`, which gathers what is written in one turn of the connection. `h2`
//! itself would flush after each larger body: a TLS record and a system call for every push.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// What is smaller is gathered before it becomes a TLS record and a system call; `h2` fills a
/// buffer of twice this size itself, which passes without another copy.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;

/// A transport of which `h2` has one handle and the connection's driver another.
#[derive(Debug)]
pub struct Gather<T>(Arc<Mutex<BufWriter<T>>>);

impl<T: AsyncWrite + Unpin> Gather<T> {
    /// Gathers what is written to a transport.
    pub fn new(io: T) -> Self {
        Self(Arc::new(Mutex::new(BufWriter::with_capacity(WRITE_BUFFER_BYTES, io))))
    }

    /// The driver's handle.
    pub fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Sends off what was gathered. Where the transport takes no more for now the task is woken
    /// when it does.
    pub fn send_off(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_flush(cx)
    }

    fn io(&self) -> MutexGuard<'_, BufWriter<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_read(cx, buf)
    }
}

/// Not vectored: so bodies below a kilobyte are put beside their headers and need no write of their
/// own.
impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io()).poll_write(cx, buf)
    }

    /// The driver flushes, when the turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_written_leaves_when_it_is_sent_off() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut gather = Gather::new(ours);
        let driver = gather.handle();
        gather.write_all(b"one").await.unwrap();
        gather.flush().await.unwrap();
        let mut got = [0; 6];
        let early = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut got);
            Poll::Ready(Pin::new(&mut theirs).poll_read(cx, &mut buf).is_ready())
        });
        assert!(!early.await, "kept until the turn is over");
        gather.write_all(b"two").await.unwrap();
        poll_fn(|cx| driver.send_off(cx)).await.unwrap();
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"onetwo");
        theirs.write_all(b"three").await.unwrap();
        let mut answer = [0; 5];
        gather.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"three");
        gather.write_all(b"last").await.unwrap();
        gather.shutdown().await.unwrap();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"last", "an end sends off too");
    }
}
