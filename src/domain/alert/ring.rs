//! Whether a ring crosses or touches itself: exact, and fast on rings of tens of thousands of
//! points.
//!
//! Points are rounded to a billionth of a degree (a tenth of a millimetre) and compared in whole
//! numbers, so that no rounding can turn a crossing into none. Nearly every ring is simple, which
//! comparing the edges that lie beside each other tells; of any other, and of one whose edges lie
//! too close together for that, the search sweeps the ring from west to east (Shamos and Hoey,
//! 1976) in O(n log n) and stops at the first flaw.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::domain::beside::{Spans, any_meets};
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

/// What a ring is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It neither crosses nor touches itself.
    Simple,
    /// It crosses or touches itself, but so slightly that its meaning is not in doubt: what is
    /// cut off is less than a thousandth of the area. Hand-drawn rings of real agencies have such.
    Slip(Flaw),
    /// It is in doubt what is inside.
    Flawed(Flaw),
}

/// A slip cuts off less than one part in this many of the area.
const SLIP: i128 = 1000;
/// The most slips that are forgiven in one ring; each costs one more sweep.
const MAX_SLIPS: usize = 8;

/// Billionths of a degree: longitude, then latitude, so that the order is from west to east.
type Point = (i64, i64);

/// Judges a ring by the first flaw that counts. The same point twice in a row is harmless.
pub fn judge(ring: &Ring) -> Judgement {
    let mut corners = corners(ring.points());
    let mut slip = None;
    for _ in 0..MAX_SLIPS {
        let Some(flaw) = first_flaw(&corners) else {
            return slip.map_or(Judgement::Simple, Judgement::Slip);
        };
        let found = numbered(flaw, &corners);
        let Some(rest) = without_slip(&corners, flaw) else { return Judgement::Flawed(found) };
        corners = rest;
        slip.get_or_insert(found);
    }
    slip.map_or(Judgement::Simple, Judgement::Flawed)
}

/// A corner of the ring and the number of the pair it was written as.
type Corner = (Point, usize);

/// The ring's points without the closing one and without repeats in a row.
fn corners(ring: &[LatLon]) -> Vec<Corner> {
    let whole = |degrees: f64| (degrees * 1e9).round() as i64;
    let points = ring.iter().map(|point| (whole(point.lon()), whole(point.lat())));
    let mut corners: Vec<Corner> = points.zip(1..).collect();
    corners.dedup_by_key(|&mut (point, _)| point);
    if corners.len() > 1
        && corners.first().map(|first| first.0) == corners.last().map(|last| last.0)
    {
        corners.pop();
    }
    corners
}

/// The first flaw, in positions of the list, not in numbers of pairs.
fn first_flaw(corners: &[Corner]) -> Option<Flaw> {
    if corners.len() < 3 {
        return Some(Flaw::Flat);
    }
    if is_simple(corners) {
        return None;
    }
    let mut order: Vec<usize> = (0..corners.len()).collect();
    order.sort_unstable_by_key(|&at| (corners[at].0, at));
    for pair in order.windows(2) {
        if corners[pair[0]].0 == corners[pair[1]].0 {
            return Some(Flaw::RepeatedPoint { first: pair[0], again: pair[1] });
        }
    }
    let points: Vec<Point> = corners.iter().map(|&(point, _)| point).collect();
    let (one, other) = sweep(&points, &order)?;
    Some(Flaw::Crossing { first: one.min(other), second: one.max(other) })
}

/// Whether no two edges meet where they should not, as far as that is soon told. A point that the
/// ring comes back to is one of edges that meet.
fn is_simple(corners: &[Corner]) -> bool {
    let count = corners.len();
    let edge = |index: usize| {
        let next = if index + 1 == count { 0 } else { index + 1 };
        Edge::between(corners[index].0, corners[next].0, index)
    };
    // Billionths of a degree are exact in a floating point number.
    let exact = |(x, y): Point| (x as f64, y as f64);
    let spans = |edge: Edge| Spans::between(exact(edge.left), exact(edge.right));
    let spans: Vec<Spans> = (0..count).map(|index| spans(edge(index))).collect();
    any_meets(&spans, |one, other| edge(one).meets(&edge(other), count)) == Some(false)
}

/// The flaw in the numbers people count by.
fn numbered(flaw: Flaw, corners: &[Corner]) -> Flaw {
    match flaw {
        Flaw::Flat => Flaw::Flat,
        Flaw::RepeatedPoint { first, again } => {
            Flaw::RepeatedPoint { first: corners[first].1, again: corners[again].1 }
        }
        Flaw::Crossing { first, second } => {
            Flaw::Crossing { first: corners[first].1, second: corners[second].1 }
        }
    }
}

/// The ring cut in two where it meets itself: the larger part, if the other is a mere slip.
fn without_slip(corners: &[Corner], flaw: Flaw) -> Option<Vec<Corner>> {
    let (first, second, meeting) = match flaw {
        Flaw::Flat => return None,
        Flaw::RepeatedPoint { first, again } => (first, again, corners[first]),
        Flaw::Crossing { first, second } => {
            let end = |edge: usize| corners[(edge + 1) % corners.len()].0;
            let at = meeting([corners[first].0, end(first)], [corners[second].0, end(second)])?;
            (first, second, (at, corners[first].1))
        }
    };
    let inner = corners[first + 1..=second].iter();
    let outer = corners[second + 1..].iter().chain(&corners[..=first]);
    let part = |corners: &mut dyn Iterator<Item = &Corner>| {
        let mut part = vec![meeting];
        part.extend(corners);
        part.dedup_by_key(|&mut (point, _)| point);
        if part.len() > 1 && part.last().map(|last| last.0) == Some(meeting.0) {
            part.pop();
        }
        part
    };
    let (one, other) = (part(&mut inner.into_iter()), part(&mut outer.into_iter()));
    let (one_area, other_area) = (double_area(&one), double_area(&other));
    let (larger, kept, lost) = if one_area > other_area {
        (one, one_area, other_area)
    } else {
        (other, other_area, one_area)
    };
    (lost * SLIP < kept).then_some(larger)
}

/// Where two edges cross, rounded; none where they lie on one line.
fn meeting([a, b]: [Point; 2], [c, d]: [Point; 2]) -> Option<Point> {
    let (rx, ry) = ((b.0 - a.0) as f64, (b.1 - a.1) as f64);
    let (sx, sy) = ((d.0 - c.0) as f64, (d.1 - c.1) as f64);
    let cross = rx * sy - ry * sx;
    if cross == 0.0 {
        return None;
    }
    let along = ((c.0 - a.0) as f64 * sy - (c.1 - a.1) as f64 * sx) / cross;
    Some((a.0 + (rx * along).round() as i64, a.1 + (ry * along).round() as i64))
}

/// Twice the area inside, in square billionths of a degree.
fn double_area(corners: &[Corner]) -> i128 {
    let next = corners.iter().cycle().skip(1);
    let product = |((x, y), (u, v)): (Point, Point)| {
        i128::from(x) * i128::from(v) - i128::from(u) * i128::from(y)
    };
    corners.iter().zip(next).map(|(a, b)| product((a.0, b.0))).sum::<i128>().abs()
}

/// Two edges that meet where they should not. The points are all different, at least three, and
/// `order` lists them from west to east.
fn sweep(points: &[Point], order: &[usize]) -> Option<(usize, usize)> {
    let count = points.len();
    let edge = |index: usize| Edge::between(points[index], points[(index + 1) % count], index);
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
    fn between(from: Point, to: Point, index: usize) -> Self {
        Self { left: from.min(to), right: from.max(to), index }
    }

    /// Where a point lies: `Greater` is north of the edge, `Equal` on its line.
    fn side(&self, point: Point) -> Ordering {
        turn(self.left, self.right, point)
    }

    /// Whether two edges have a point in common, beyond the one that neighbours share.
    fn meets(&self, other: &Self, count: usize) -> bool {
        let apart = self.index.abs_diff(other.index);
        let adjacent = apart == 1 || apart + 1 == count;
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
        assert_eq!(
            judge(&ring(&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])),
            Judgement::Simple
        );
        let bowtie = judge(&ring(&[(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)]));
        assert_eq!(bowtie, Judgement::Flawed(Flaw::Crossing { first: 1, second: 3 }));
    }

    #[test]
    fn touching_folding_and_flat_rings_are_found() {
        let touch = [(0.0, 0.0), (0.0, 2.0), (1.0, 1.0), (2.0, 2.0), (2.0, 0.0), (1.0, 1.0)];
        assert_eq!(
            judge(&ring(&touch)),
            Judgement::Flawed(Flaw::RepeatedPoint { first: 3, again: 6 })
        );
        let spike = [(0.0, 0.0), (0.0, 2.0), (0.0, 1.0), (1.0, 1.0)];
        assert!(matches!(judge(&ring(&spike)), Judgement::Flawed(Flaw::Crossing { .. })));
        assert_eq!(
            judge(&ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.0)])),
            Judgement::Flawed(Flaw::Flat)
        );
        let doubled = [(0.0, 0.0), (0.0, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)];
        assert_eq!(judge(&ring(&doubled)), Judgement::Simple);
    }

    #[test]
    fn a_slip_of_the_pen_is_forgiven_but_not_a_second_area() {
        let hooked = |reach: f64| {
            let square = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)];
            let hook = [(0.49, 0.0), (0.5, -reach), (0.5, reach)];
            judge(&ring(&[&square[..], &hook].concat()))
        };
        let flaw = Flaw::Crossing { first: 4, second: 6 };
        assert_eq!(hooked(0.01), Judgement::Slip(flaw));
        assert_eq!(hooked(0.4), Judgement::Flawed(flaw));
    }

    #[test]
    fn a_comb_of_forty_thousand_points_is_swept_through() {
        let teeth = (0..20_000).flat_map(|n| {
            let lon = f64::from(n) * 0.001;
            [(0.0, lon), (10.0, lon + 0.0005)]
        });
        let mut pairs: Vec<_> = teeth.collect();
        pairs.extend([(-1.0, 20.0), (-1.0, 0.0)]);
        assert_eq!(judge(&ring(&pairs)), Judgement::Simple);
        pairs[20_000].0 = -2.0;
        assert!(matches!(judge(&ring(&pairs)), Judgement::Flawed(Flaw::Crossing { .. })));
    }

    /// Every pair of edges, compared by the textbook.
    fn brute(points: &[Point]) -> bool {
        let count = points.len();
        let edge = |index: usize| Edge::between(points[index], points[(index + 1) % count], index);
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
            let corners = corners(ring.points());
            let points: Vec<_> = corners.iter().map(|corner| corner.0).collect();
            let repeats =
                (0..points.len()).any(|at| points[..at].contains(&points[at]));
            let expected = points.len() < 3 || repeats || brute(&points);
            prop_assert_eq!(first_flaw(&corners).is_some(), expected);
            if corners.len() >= 3 {
                let mut order: Vec<usize> = (0..points.len()).collect();
                order.sort_unstable_by_key(|&at| (points[at], at));
                let swept = repeats || sweep(&points, &order).is_some();
                prop_assert_eq!(swept, expected);
                prop_assert!(!(is_simple(&corners) && swept));
            }
        }
    }
}
