//! A transport under `h2`'s server that can say what `h2` cannot: a GOAWAY with a chosen last
//! stream, and a new MAX_CONCURRENT_STREAMS in mid-connection. Frames are RFC 9113's.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const READ_BYTES: usize = 16 * 1024;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const ACK: u8 = 0x1;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;

/// Says what shall be slipped in. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Injector(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    frames: BytesMut,
    /// Settings of ours that the peer will acknowledge, which `h2` must not see.
    acks: u32,
}

impl Injector {
    /// Says that no stream after `last` will be processed. Goes out with the next flush.
    pub fn goaway(&self, last: u32) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        head(&mut queue.frames, 8, GOAWAY);
        queue.frames.put_u32(last);
        queue.frames.put_u32(0);
    }

    /// Changes how many streams the peer may have open. Goes out with the next flush.
    pub fn max_concurrent_streams(&self, streams: u32) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        head(&mut queue.frames, 6, SETTINGS);
        queue.frames.put_u16(MAX_CONCURRENT_STREAMS);
        queue.frames.put_u32(streams);
        queue.acks += 1;
    }

    fn take(&self) -> BytesMut {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).frames.split()
    }

    fn swallow_ack(&self) -> bool {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = queue.acks > 0;
        queue.acks -= u32::from(ours);
        ours
    }
}

fn head(frames: &mut BytesMut, len: u32, kind: u8) {
    frames.put_uint(u64::from(len), 3);
    frames.put_u8(kind);
    frames.put_u8(0);
    frames.put_u32(0);
}

/// The transport.
#[derive(Debug)]
pub struct Wire<T> {
    io: T,
    injector: Injector,
    sending: BytesMut,
    raw: BytesMut,
    clean: BytesMut,
    /// Bytes of the preface or of a frame's payload that pass unseen.
    passing: usize,
}

impl<T> Wire<T> {
    /// Wraps a transport before its first byte.
    pub fn new(io: T, injector: Injector) -> Self {
        let (raw, clean) = (BytesMut::new(), BytesMut::new());
        Self { io, injector, sending: BytesMut::new(), raw, clean, passing: PREFACE_BYTES }
    }

    fn sift(&mut self) {
        while !self.raw.is_empty() {
            if self.passing > 0 {
                let pass = self.passing.min(self.raw.len());
                self.clean.unsplit(self.raw.split_to(pass));
                self.passing -= pass;
                continue;
            }
            let Some(head) = self.raw.get(..HEAD_BYTES) else { return };
            let len = (&head[..3]).get_uint(3) as usize;
            let ack = len == 0 && head[3] == SETTINGS && head[4] & ACK != 0;
            // As many as were slipped in; `h2` looks for the rest, whichever they are.
            if ack && self.injector.swallow_ack() {
                self.raw.advance(HEAD_BYTES);
                continue;
            }
            self.passing = HEAD_BYTES + len;
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.clean.is_empty() {
            let mut block = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.raw.extend_from_slice(read.filled());
            this.sift();
        }
        let count = this.clean.len().min(buf.remaining());
        buf.put_slice(&this.clean.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Wire<T> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sending.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.sending))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sending.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    /// `h2` flushes when it has written whole frames: the place to slip one in.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let frames = self.injector.take();
        self.sending.unsplit(frames);
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const OWN_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

    #[tokio::test]
    async fn only_the_acknowledgement_of_what_was_slipped_in_is_swallowed() {
        let (mut peer, io) = tokio::io::duplex(4096);
        let injector = Injector::default();
        let mut wire = Wire::new(io, injector.clone());
        let mut sent = vec![b'P'; PREFACE_BYTES];
        sent.extend(OWN_ACK);
        // A DATA frame whose payload looks like an acknowledgement.
        sent.extend([0, 0, 9, 0, 1, 0, 0, 0, 1]);
        sent.extend(OWN_ACK);
        let expected = sent.clone();
        // Byte by byte, so that heads are torn.
        for byte in sent {
            peer.write_all(&[byte]).await.unwrap();
        }
        let mut got = vec![0; expected.len()];
        wire.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);

        injector.max_concurrent_streams(1);
        injector.goaway(5);
        wire.flush().await.unwrap();
        let mut frames = [0; 15 + 17];
        peer.read_exact(&mut frames).await.unwrap();
        assert_eq!(frames[..15], [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
        assert_eq!(frames[15..], [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]);
        peer.write_all(&[OWN_ACK, OWN_ACK].concat()).await.unwrap();
        let mut one = [0; 9];
        wire.read_exact(&mut one).await.unwrap();
        assert_eq!(one, OWN_ACK);
        drop(peer);
        assert_eq!(wire.read(&mut one).await.unwrap(), 0);
    }
}
