//! Damaged documents: whatever arrives, the reader answers, and says what is wrong.

use std::fs;

use crate::support::damage::{Random, damage};

use super::{assert_explained, fixtures, lenient, strict};

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
