//! A request's body in shared pieces: one DATA frame, without copying a push's payload per device.
//! It notes when it leaves, which `h2` does not tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use tokio::time::{Duration, Instant};

/// A body of fewer bytes is written whole or not at all; of a larger one `h2` may hold a frame half
/// written, which goes out even when its stream is given up.
const WHOLE_BYTES: usize = 1024;

/// One piece, or three sent one after the other. Clones share the bytes. Small, since `h2` moves it
/// several times on its way.
#[derive(Clone, Debug)]
pub struct Body {
    pieces: Pieces,
    departure: Option<Arc<Departure>>,
}

#[derive(Clone, Debug)]
enum Pieces {
    One(Bytes),
    Three { pieces: Arc<[Bytes; 3]>, sent: usize },
}

impl Body {
    /// A body that is the same for all.
    pub fn whole(bytes: Bytes) -> Self {
        Self { pieces: Pieces::One(bytes), departure: None }
    }

    /// A body of which only the middle differs.
    pub fn spliced(prefix: Bytes, middle: Bytes, suffix: Bytes) -> Self {
        let pieces = Pieces::Three { pieces: Arc::new([prefix, middle, suffix]), sent: 0 };
        Self { pieces, departure: None }
    }

    /// The same body, and where it is noted when it leaves. Until then the server cannot have acted
    /// on the request, whatever became of its headers.
    pub(super) fn noted(&self, since: Instant) -> (Self, Arc<Departure>) {
        let departure = Arc::new(Departure { since, after: AtomicU64::new(STAYED) });
        if !self.has_remaining() {
            departure.note();
        }
        let body = Self { pieces: self.pieces.clone(), departure: Some(Arc::clone(&departure)) };
        (body, departure)
    }

    /// Whether no part of it leaves once its stream is given up before [`Departure::at`] is set.
    pub(super) fn is_whole(&self) -> bool {
        self.remaining() < WHOLE_BYTES
    }
}

const STAYED: u64 = u64::MAX;

/// When a body was handed to the transport.
#[derive(Debug)]
pub struct Departure {
    since: Instant,
    /// Nanoseconds after `since`.
    after: AtomicU64,
}

impl Departure {
    /// The instant, if it was.
    pub fn at(&self) -> Option<Instant> {
        let after = self.after.load(Ordering::Acquire);
        (after != STAYED).then(|| self.since + Duration::from_nanos(after))
    }

    fn note(&self) {
        if self.after.load(Ordering::Relaxed) == STAYED {
            let after = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(STAYED - 1);
            self.after.store(after, Ordering::Release);
        }
    }
}

impl Buf for Body {
    fn remaining(&self) -> usize {
        match &self.pieces {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Three { pieces, sent } => pieces.iter().map(Bytes::len).sum::<usize>() - sent,
        }
    }

    fn chunk(&self) -> &[u8] {
        if let Some(departure) = &self.departure {
            departure.note();
        }
        match &self.pieces {
            Pieces::One(bytes) => bytes,
            Pieces::Three { pieces, sent } => {
                let mut sent = *sent;
                for piece in pieces.iter() {
                    match piece.get(sent..) {
                        Some(rest) if !rest.is_empty() => return rest,
                        _ => sent -= piece.len(),
                    }
                }
                &[]
            }
        }
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "advanced past the end of the body");
        match &mut self.pieces {
            Pieces::One(bytes) => bytes.advance(count),
            Pieces::Three { sent, .. } => *sent += count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order_and_shared() {
        let prefix = Bytes::from_static(b"{\"token\":\"");
        let body = Body::spliced(prefix.clone(), Bytes::from_static(b"abc"), "\"}".into());
        assert_eq!(body.chunk().as_ptr(), prefix.as_ptr());
        assert_eq!(body.remaining(), 15);
        let mut again = body.clone();
        again.advance(11);
        assert_eq!(again.chunk(), b"bc");
        assert_eq!(body.clone().copy_to_bytes(15), "{\"token\":\"abc\"}");
        assert_eq!(again.copy_to_bytes(4), "bc\"}");
        again.advance(0);
        assert_eq!((again.remaining(), again.chunk()), (0, &b""[..]));
        assert!(!Body::whole(Bytes::new()).has_remaining());
    }

    #[test]
    fn it_is_noted_when_the_first_byte_is_taken() {
        let since = Instant::now();
        let (body, departure) = Body::whole(Bytes::from_static(b"abc")).noted(since);
        assert_eq!((body.remaining(), departure.at()), (3, None));
        body.clone().copy_to_bytes(1);
        let left = departure.at().expect("it left");
        body.chunk();
        assert_eq!(departure.at(), Some(left), "once");
        let (_, departure) = Body::whole(Bytes::new()).noted(since);
        assert!(departure.at().is_some(), "nothing of it is left behind");
    }
}
