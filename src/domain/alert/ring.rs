//! Whether a ring crosses or touches itself: exact, and fast on rings of tens of thousands of
//! points.
//!
//! Points are rounded to a billionth of a degree (a tenth of a millimetre) and compared in whole
//! numbers, so that no rounding can turn a crossing into none. The search sweeps the ring from west
//! to east (Shamos and Hoey, 1976) in O(n log n) and stops at the first flaw.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::domain::geo::{LatLon, Ring};

/// What is wrong with a ring. Points and edges are counted from 1, as people count; edge `n` runs
/// from point `n` to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Fewer than three different points.
    #[error("it has fewer than three different points")]
    Flat,
    /// The ring comes back to a point it has already passed.
    #[error("it touches itself: pairs {first} and {again} are the same point")]
    RepeatedPoint {
        /// The first visit.
        first: usize,
        /// The second visit.
        again: usize,
    },
    /// Two edges cross, touch or lie on each other.
    #[error("it crosses itself: the edges after pairs {first} and {second} meet")]
    Crossing {
        /// The earlier edge.
        first: usize,
        /// The later edge.
        second: usize,
    },
}

/// Billionths of a degree: longitude, then latitude, so that the order is from west to east.
type Point = (i64, i64);

/// The first flaw found in a ring, if it has any. The same point twice in a row is harmless.
pub fn flaw(ring: &Ring) -> Option<Flaw> {
    let (points, numbers) = corners(ring.points());
    if points.len() < 3 {
        return Some(Flaw::Flat);
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_unstable_by_key(|&at| (points[at], at));
    for pair in order.windows(2) {
        if points[pair[0]] == points[pair[1]] {
            return Some(Flaw::RepeatedPoint { first: numbers[pair[0]], again: numbers[pair[1]] });
        }
    }
    let (one, other) = sweep(&points, &order)?;
    let (first, second) = (numbers[one.min(other)], numbers[one.max(other)]);
    Some(Flaw::Crossing { first, second })
}

/// The ring's points without the closing one and without repeats in a row, and the number each had.
fn corners(ring: &[LatLon]) -> (Vec<Point>, Vec<usize>) {
    let whole = |degrees: f64| (degrees * 1e9).round() as i64;
    let mut points: Vec<Point> = Vec::with_capacity(ring.len());
    let mut numbers = Vec::with_capacity(ring.len());
    for (at, point) in ring.iter().enumerate() {
        let point = (whole(point.lon()), whole(point.lat()));
        if points.last() != Some(&point) {
            points.push(point);
            numbers.push(at + 1);
        }
    }
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
        numbers.pop();
    }
    (points, numbers)
}

/// Two edges that meet where they should not. The points are all different, at least three, and
/// `order` lists them from west to east.
fn sweep(points: &[Point], order: &[usize]) -> Option<(usize, usize)> {
    let count = points.len();
    let edge = |index: usize| {
        let (from, to) = (points[index], points[(index + 1) % count]);
        Edge { left: from.min(to), right: from.max(to), index }
    };
    let mut active: BTreeSet<Edge> = BTreeSet::new();
    for &at in order {
        let mut edges = [edge((at + count - 1) % count), edge(at)];
        // An edge that ends here makes room before one that starts here.
        edges.sort_by_key(|edge| edge.left == points[at]);
        for edge in edges {
            let below = active.range(..edge).next_back().copied();
            let above = active.range((Bound::Excluded(edge), Bound::Unbounded)).next().copied();
            let neighbours = if edge.right == points[at] {
                active.remove(&edge);
                [below.zip(above), None]
            } else {
                active.insert(edge);
                [below.map(|below| (below, edge)), above.map(|above| (edge, above))]
            };
            for (one, other) in neighbours.into_iter().flatten() {
                if one.meets(&other, count) {
                    return Some((one.index, other.index));
                }
            }
        }
    }
    None
}

/// An edge of the ring. Its order is from south to north, and means something only between edges
/// that share a meridian and do not cross: just those the sweep compares.
#[derive(Clone, Copy, Debug)]
struct Edge {
    left: Point,
    right: Point,
    index: usize,
}

impl Edge {
    /// Where a point lies: `Greater` is north of the edge, `Equal` on its line.
    fn side(&self, point: Point) -> Ordering {
        turn(self.left, self.right, point)
    }

    /// Whether two edges have a point in common, beyond the one that neighbours share.
    fn meets(&self, other: &Self, count: usize) -> bool {
        let adjacent =
            (self.index + 1) % count == other.index || (other.index + 1) % count == self.index;
        if adjacent {
            return self.folds_onto(other);
        }
        let theirs = (self.side(other.left), self.side(other.right));
        let ours = (other.side(self.left), other.side(self.right));
        if theirs == (Ordering::Equal, Ordering::Equal) {
            // On one line: they meet where their spans overlap.
            return self.left <= other.right && other.left <= self.right;
        }
        theirs.0 != theirs.1 && ours.0 != ours.1
    }

    /// Whether a neighbouring edge runs back over this one.
    fn folds_onto(&self, other: &Self) -> bool {
        let level =
            self.side(other.left) == Ordering::Equal && self.side(other.right) == Ordering::Equal;
        level && self.left < other.right && other.left < self.right
    }
}

/// The turn from `a` over `b` to `c`: `Greater` to the left. Exact: a difference has at most 39
/// bits, a product 78.
fn turn(a: Point, b: Point, c: Point) -> Ordering {
    let (abx, aby) = (i128::from(b.0 - a.0), i128::from(b.1 - a.1));
    let (acx, acy) = (i128::from(c.0 - a.0), i128::from(c.1 - a.1));
    (abx * acy).cmp(&(aby * acx))
}

impl Ord for Edge {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.index == other.index {
            return Ordering::Equal;
        }
        let geometric = if self.left >= other.left {
            other.side(self.left).then_with(|| other.side(self.right))
        } else {
            self.side(other.left).then_with(|| self.side(other.right)).reverse()
        };
        geometric.then_with(|| self.index.cmp(&other.index))
    }
}

impl PartialOrd for Edge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Edge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Edge {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(pairs: &[(f64, f64)]) -> Ring {
        let mut points: Vec<_> =
            pairs.iter().map(|&(lat, lon)| LatLon::new(lat, lon).expect("in range")).collect();
        points.push(points[0]);
        Ring::new(points).expect("closed")
    }

    #[test]
    fn a_simple_ring_has_no_flaw_and_a_bowtie_does() {
        assert_eq!(flaw(&ring(&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])), None);
        let bowtie = flaw(&ring(&[(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)]));
        assert_eq!(bowtie, Some(Flaw::Crossing { first: 1, second: 3 }));
    }

    #[test]
    fn touching_folding_and_flat_rings_are_found() {
        let touch = [(0.0, 0.0), (0.0, 2.0), (1.0, 1.0), (2.0, 2.0), (2.0, 0.0), (1.0, 1.0)];
        assert_eq!(flaw(&ring(&touch)), Some(Flaw::RepeatedPoint { first: 3, again: 6 }));
        let spike = [(0.0, 0.0), (0.0, 2.0), (0.0, 1.0), (1.0, 1.0)];
        assert!(matches!(flaw(&ring(&spike)), Some(Flaw::Crossing { .. })));
        assert_eq!(flaw(&ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.0)])), Some(Flaw::Flat));
        let doubled = [(0.0, 0.0), (0.0, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)];
        assert_eq!(flaw(&ring(&doubled)), None);
    }

    #[test]
    fn a_comb_of_forty_thousand_points_is_swept_through() {
        let teeth = (0..20_000).flat_map(|n| {
            let lon = f64::from(n) * 0.001;
            [(0.0, lon), (10.0, lon + 0.0005)]
        });
        let mut pairs: Vec<_> = teeth.collect();
        pairs.extend([(-1.0, 20.0), (-1.0, 0.0)]);
        assert_eq!(flaw(&ring(&pairs)), None);
        pairs[20_000].0 = -2.0;
        assert!(matches!(flaw(&ring(&pairs)), Some(Flaw::Crossing { .. })));
    }

    /// Every pair of edges, compared by the textbook.
    fn brute(points: &[Point]) -> bool {
        let count = points.len();
        let edge = |index: usize| {
            let (from, to) = (points[index], points[(index + 1) % count]);
            Edge { left: from.min(to), right: from.max(to), index }
        };
        (0..count).any(|one| (0..one).any(|other| edge(one).meets(&edge(other), count)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_sweep_finds_what_comparing_every_pair_finds(
            grid in prop::collection::vec((0u8..7, 0u8..7), 3..12)
        ) {
            let pairs: Vec<_> =
                grid.iter().map(|&(lat, lon)| (f64::from(lat), f64::from(lon))).collect();
            let ring = ring(&pairs);
            let (points, _) = corners(ring.points());
            let repeats =
                (0..points.len()).any(|at| points[..at].contains(&points[at]));
            let expected = points.len() < 3 || repeats || brute(&points);
            prop_assert_eq!(flaw(&ring).is_some(), expected);
        }
    }
}
