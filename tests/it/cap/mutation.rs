//! Damaged documents: whatever arrives, the reader answers, and says what is wrong.

use std::fs;

use super::{assert_explained, fixtures, lenient, strict};

/// A small generator (SplitMix64), so that a failure can be repeated from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("smaller than a usize")
    }
}

/// One to three wounds: a flipped byte, a cut, a piece twice, a piece missing, two tags exchanged.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
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
                let word: &[u8] =
                    [&b"<info>"[..], b"</info>", b"&#x0;", b"<!--", b"]]>", b"\"", b",,"]
                        [random.below(7)];
                bytes.splice(from..from, word.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn a_thousand_damaged_documents_are_each_accepted_or_explained() {
    let bodies: Vec<_> = ["accept", "lenient"]
        .into_iter()
        .flat_map(fixtures)
        .map(|file| fs::read(file).expect("a fixture"))
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..1_000u64 {
        let mut random = Random(seed);
        let body = damage(&bodies[random.below(bodies.len())], &mut random);
        for result in [strict(&body), lenient(&body)] {
            assert_explained(&result, &format!("seed {seed}"));
            if result.is_ok() { accepted += 1 } else { refused += 1 }
        }
    }
    println!("2,000 readings: {accepted} accepted, {refused} refused");
    assert!(accepted > 0 && refused > 1_000, "the damage is neither harmless nor total");
}
