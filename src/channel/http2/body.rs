//! A request's body in shared pieces: one DATA frame, without copying a push's payload per device.

use std::sync::Arc;

use bytes::{Buf, Bytes};

/// One piece, or three sent one after the other. Clones share the bytes. Small, since `h2` moves it
/// several times on its way.
#[derive(Clone, Debug)]
pub struct Body(Pieces);

#[derive(Clone, Debug)]
enum Pieces {
    One(Bytes),
    Three { pieces: Arc<[Bytes; 3]>, sent: usize },
}

impl Body {
    /// A body that is the same for all.
    pub fn whole(bytes: Bytes) -> Self {
        Self(Pieces::One(bytes))
    }

    /// A body of which only the middle differs.
    pub fn spliced(prefix: Bytes, middle: Bytes, suffix: Bytes) -> Self {
        Self(Pieces::Three { pieces: Arc::new([prefix, middle, suffix]), sent: 0 })
    }
}

impl Buf for Body {
    fn remaining(&self) -> usize {
        match &self.0 {
            Pieces::One(bytes) => bytes.len(),
            Pieces::Three { pieces, sent } => pieces.iter().map(Bytes::len).sum::<usize>() - sent,
        }
    }

    fn chunk(&self) -> &[u8] {
        match &self.0 {
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
        match &mut self.0 {
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
}
