//! The ground two areas share, from their borders alone: the stretches of each that run inside
//! the other bound it. A prepared border knows how much every stretch of it sweeps, so that the
//! cost is that of the edges of one that come near the other, and of their crossings.
//!
//! Borders that touch without crossing, or run along each other, leave open which stretch is
//! inside; then there is no answer here, and the areas are cut by the dearer way
//! ([`clip`](crate::geofence::clip)).

use std::ops::Range;

use geo::{BoundingRect, Coord, Intersects, Line, LineString, LinesIter, MultiPolygon, Rect};

use crate::geofence::city::joined;
use crate::geofence::ellipsoid::swept_m2;
use crate::geofence::runs::Runs;
use crate::geofence::slabs::{Slabs, edge};

/// Closer than this (in degrees: 10 µm) a point counts as on an edge, and nothing is decided.
const TOUCH: f64 = 1e-10;
/// By how much of an area its border's own sum may be off.
const SOUND: f64 = 1e-6;

/// Edges that are looked at for those beside one edge, about.
const LOOK: usize = 8;

/// An area's border, prepared.
#[derive(Clone, Debug)]
pub(crate) struct Border {
    /// Rings one after the other, each closed, with the inside on the left.
    points: Vec<Coord>,
    /// The points of each ring.
    rings: Vec<Range<usize>>,
    /// Square metres swept from a ring's first point to each of its points.
    swept: Vec<f64>,
    slabs: Slabs,
    runs: Runs,
    /// Whether the rings sum up to the area they are of.
    sound: bool,
}

/// Where a border's edge crosses one of the other's.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Coord,
    /// The number of the edge, which is that of its first point.
    edge: usize,
    /// How far along the edge, 0..1.
    along: f64,
    /// Whether the border goes into the other area here, or out of it.
    enters: bool,
}

impl Border {
    /// None for an area without points.
    pub(crate) fn of(area: &MultiPolygon) -> Option<Self> {
        let bounds = area.bounding_rect()?;
        let (mut points, mut rings) = (Vec::new(), Vec::new());
        let mut add = |ring: &LineString, left: bool| {
            if ring.0.len() < 4 {
                return; // encloses nothing
            }
            let start = points.len();
            points.extend_from_slice(&ring.0);
            if (turned(ring) > 0.0) != left {
                points[start..].reverse();
            }
            rings.push(start..points.len());
        };
        for polygon in area {
            add(polygon.exterior(), true);
            polygon.interiors().iter().for_each(|ring| add(ring, false));
        }
        let edges = rings.iter().flat_map(|ring| ring.start as u32..ring.end as u32 - 1);
        let slabs = Slabs::of(&points, &edges.collect::<Vec<_>>(), bounds);
        let (swept, runs) = (swept(&points, &rings), Runs::of(&points, &rings));
        Some(Self { points, rings, swept, slabs, runs, sound: true })
    }

    /// The area's box.
    pub(crate) fn bounds(&self) -> Rect {
        self.slabs.bounds()
    }

    /// Holds it against the area's size: rings that lie in each other in no good order are for
    /// the dearer way.
    pub(crate) fn checked(mut self, area_m2: f64) -> Self {
        let sum: f64 = self.rings.iter().map(|ring| self.swept[ring.end - 1]).sum();
        self.sound = (sum - area_m2).abs() <= SOUND * area_m2;
        self
    }

    /// Any point of the border.
    pub(crate) fn corner(&self) -> Coord {
        self.points.first().copied().unwrap_or_default()
    }

    /// Whether a point is inside; see [`Slabs::contains`].
    pub(crate) fn contains(&self, at: Coord) -> bool {
        self.slabs.contains(&self.points, at)
    }

    /// Whether any edge passes through a box.
    pub(crate) fn enters(&self, bounds: Rect) -> bool {
        let own = self.bounds();
        let within = |low: Coord, high: Coord| low.x <= high.x && low.y <= high.y;
        if within(bounds.min(), own.min()) && within(own.max(), bounds.max()) {
            return true;
        }
        let mut near = Vec::new();
        self.near(bounds, &mut near);
        near.into_iter().any(|number| self.edge(number).intersects(&bounds))
    }

    /// How much ground two areas share, in square metres; None when the borders touch.
    pub(crate) fn shared_m2(&self, other: &Self) -> Option<f64> {
        if !(self.sound && other.sound) {
            return None;
        }
        let (own, others) = self.cuts(other)?;
        Some(self.inside_m2(own, other)? + other.inside_m2(others, self)?)
    }

    /// Where two borders cross, as either of them sees it; None when they touch.
    fn cuts(&self, other: &Self) -> Option<(Vec<Cut>, Vec<Cut>)> {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        let mut meet = |number: u32, other_number: u32| {
            let (edge, other_edge) = (self.edge(number), other.edge(other_number));
            match crossing(&edge, &other_edge) {
                Crossing::None => {}
                Crossing::Touching => return None,
                Crossing::At { along, along_other, enters } => {
                    let at = edge.start + (edge.end - edge.start) * along;
                    own.push(Cut { at, edge: number as usize, along, enters });
                    let (edge, along, enters) = (other_number as usize, along_other, !enters);
                    others.push(Cut { at, edge, along, enters });
                }
            }
            Some(())
        };
        if let Some(both) = common(widened(self.bounds()), widened(other.bounds())) {
            // From the edges of the one that is likely to have fewer there.
            if self.expected(both) <= other.expected(both) {
                self.pairs(other, both, &mut meet)?;
            } else {
                other.pairs(self, both, &mut |theirs, mine| meet(mine, theirs))?;
            }
        }
        Some((own, others))
    }

    /// Every pair of a near edge of this border and one of another beside it; ends with a None.
    fn pairs(
        &self,
        other: &Self,
        near: Rect,
        meet: &mut dyn FnMut(u32, u32) -> Option<()>,
    ) -> Option<()> {
        let (mut mine, mut beside) = (Vec::new(), Vec::new());
        self.near(near, &mut mine);
        let boxes = mine.iter().map(|&number| bounds_of(self.edge(number)));
        let Some(around) = boxes.reduce(joined).map(widened) else { return Some(()) };
        // Where many are near, few of the other may be: then from those.
        if mine.len() * LOOK >= other.looks(around) {
            let mut theirs = Vec::new();
            other.near(around, &mut theirs);
            if theirs.len() < mine.len() {
                for number in theirs {
                    self.near(widened(bounds_of(other.edge(number))), &mut beside);
                    beside.iter().try_for_each(|&mine| meet(mine, number))?;
                }
                return Some(());
            }
        }
        for number in mine {
            other.near(widened(bounds_of(self.edge(number))), &mut beside);
            beside.iter().try_for_each(|&theirs| meet(number, theirs))?;
        }
        Some(())
    }

    /// The numbers of the edges whose boxes meet a box.
    fn near(&self, bounds: Rect, found: &mut Vec<u32>) {
        if self.slabs.looks(bounds) <= self.runs.looks() {
            self.slabs.near(&self.points, bounds, found);
        } else {
            self.runs.near(&self.points, bounds, found);
        }
    }

    /// About how many edges are looked at for that.
    fn looks(&self, bounds: Rect) -> usize {
        self.slabs.looks(bounds).min(self.runs.looks())
    }

    /// How many edges are likely to be in a part of the area's box.
    fn expected(&self, part: Rect) -> f64 {
        let size = |of: Rect| of.width() * of.height();
        self.points.len() as f64 * size(part) / size(self.bounds())
    }

    fn edge(&self, number: u32) -> Line {
        edge(&self.points, number)
    }

    /// What the stretches inside another area sweep. None if the cuts contradict each other.
    fn inside_m2(&self, mut cuts: Vec<Cut>, other: &Self) -> Option<f64> {
        cuts.sort_unstable_by(|a, b| a.edge.cmp(&b.edge).then(a.along.total_cmp(&b.along)));
        let mut sum = 0.0;
        let mut rest = &cuts[..];
        for ring in &self.rings {
            let (of_ring, later) = rest.split_at(rest.partition_point(|cut| cut.edge < ring.end));
            rest = later;
            if of_ring.is_empty() {
                // Wholly inside or wholly outside.
                let inside = other.contains(self.points[ring.start]);
                sum += if inside { self.swept[ring.end - 1] } else { 0.0 };
            }
            for (index, cut) in of_ring.iter().enumerate() {
                let next = &of_ring[(index + 1) % of_ring.len()];
                if cut.enters == next.enters {
                    return None;
                }
                if cut.enters {
                    let around = index + 1 == of_ring.len();
                    sum += self.stretch_m2(cut, next, if around { Some(ring) } else { None });
                }
            }
        }
        Some(sum)
    }

    /// What the border sweeps from a cut to a later one; beyond the end of a ring, if it is given.
    fn stretch_m2(&self, from: &Cut, to: &Cut, around: Option<&Range<usize>>) -> f64 {
        if around.is_none() && from.edge == to.edge {
            return swept_m2(Line::new(from.at, to.at));
        }
        let whole = around.map_or(0.0, |ring| self.swept[ring.end - 1]);
        swept_m2(Line::new(from.at, self.points[from.edge + 1]))
            + (whole + self.swept[to.edge] - self.swept[from.edge + 1])
            + swept_m2(Line::new(self.points[to.edge], to.at))
    }
}

enum Crossing {
    None,
    /// Too close to tell.
    Touching,
    At {
        along: f64,
        along_other: f64,
        /// Whether the first edge goes to the left of the second.
        enters: bool,
    },
}

fn crossing(edge: &Line, other: &Line) -> Crossing {
    let side = |of: &Line, at: Coord| {
        let (run, to) = (of.end - of.start, at - of.start);
        run.x * to.y - run.y * to.x
    };
    // Degrees: no square of them overflows or vanishes.
    let reach = |of: &Line| TOUCH * (of.dx() * of.dx() + of.dy() * of.dy()).sqrt();
    let apart = |a: f64, b: f64, near: f64| (a > near && b > near) || (a < -near && b < -near);
    let (start, end, near) = (side(other, edge.start), side(other, edge.end), reach(other));
    if apart(start, end, near) {
        return Crossing::None;
    }
    let (other_start, other_end) = (side(edge, other.start), side(edge, other.end));
    let other_near = reach(edge);
    if apart(other_start, other_end, other_near) {
        return Crossing::None;
    }
    let clear = |a: f64, b: f64, near: f64| a.abs() > near && b.abs() > near;
    if !(clear(start, end, near) && clear(other_start, other_end, other_near)) {
        return Crossing::Touching;
    }
    Crossing::At {
        along: start / (start - end),
        along_other: other_start / (other_start - other_end),
        enters: start < 0.0,
    }
}

/// Square metres swept from each ring's first point to each of its points.
fn swept(points: &[Coord], rings: &[Range<usize>]) -> Vec<f64> {
    let mut swept = vec![0.0; points.len()];
    for ring in rings {
        let (points, swept) = (&points[ring.clone()], &mut swept[ring.clone()]);
        // What each edge sweeps, several at a time, and only then the sums.
        for (swept, ends) in swept[1..].iter_mut().zip(points.windows(2)) {
            *swept = swept_m2(Line { start: ends[0], end: ends[1] });
        }
        let mut sum = 0.0;
        for swept in swept {
            sum += *swept;
            *swept = sum;
        }
    }
    swept
}

/// Twice a ring's signed area in degrees: positive when its inside is on the left. From its first
/// point, since far from the origin the products of coordinates are too coarse.
fn turned(ring: &LineString) -> f64 {
    let first = ring.0.first().copied().unwrap_or_default();
    let twice = |line: Line| {
        let (a, b) = (line.start - first, line.end - first);
        a.x * b.y - a.y * b.x
    };
    ring.lines_iter().map(twice).sum()
}

fn bounds_of(edge: Line) -> Rect {
    Rect::new(edge.start, edge.end)
}

/// What two boxes have in common.
fn common(a: Rect, b: Rect) -> Option<Rect> {
    let low = Coord { x: a.min().x.max(b.min().x), y: a.min().y.max(b.min().y) };
    let high = Coord { x: a.max().x.min(b.max().x), y: a.max().y.min(b.max().y) };
    (low.x <= high.x && low.y <= high.y).then(|| Rect::new(low, high))
}

fn widened(bounds: Rect) -> Rect {
    let by = Coord { x: TOUCH, y: TOUCH };
    Rect::new(bounds.min() - by, bounds.max() + by)
}
