//! Damaged bodies, the same ones from the same number.

/// A small generator (SplitMix64), so that a failure can be repeated from its number.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..end.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("smaller than a usize")
    }
}

/// One to three wounds: a flipped bit, a cut, a piece twice, a piece missing, a strange word.
pub fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const WORDS: [&[u8]; 10] = [
        b"<info>",
        b"</info>",
        b"&#x0;",
        b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
        b"]]>",
        b"\"",
        b"null",
        b"{\"a\":",
        b"1e999",
        b"\xff\xfe",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..random.below(4).max(1) {
        let from = random.below(bytes.len());
        let to = (from + random.below(40)).min(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[from] ^= 1 << random.below(8),
            1 if random.below(4) == 0 => bytes.truncate(from),
            2 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(to..to, piece);
            }
            3 => drop(bytes.drain(from..to)),
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(from..from, word.iter().copied());
            }
        }
    }
    bytes
}
