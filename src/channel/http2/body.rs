//! A request's body in shared pieces: one DATA frame, without copying a push's payload per device.

use bytes::{Buf, Bytes};

/// Up to three pieces, sent one after the other. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pieces: [Bytes; 3],
}

impl Body {
    /// A body that is the same for all.
    pub fn whole(bytes: Bytes) -> Self {
        Self { pieces: [bytes, Bytes::new(), Bytes::new()] }
    }

    /// A body of which only the middle differs.
    pub fn spliced(prefix: Bytes, middle: Bytes, suffix: Bytes) -> Self {
        Self { pieces: [prefix, middle, suffix] }
    }
}

impl Buf for Body {
    fn remaining(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        for piece in &mut self.pieces {
            let step = count.min(piece.len());
            piece.advance(step);
            count -= step;
        }
        assert_eq!(count, 0, "advanced past the end of the body");
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
        assert!(!Body::whole(Bytes::new()).has_remaining());
    }
}
