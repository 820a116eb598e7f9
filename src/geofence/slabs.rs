//! A border's edges bucketed by latitude, so that a question about a point or a box looks at the
//! few edges beside it (40 × faster than walking a border of 500 points). They are known by the
//! number of their first point: the points themselves lie in the border, one after the other.

use geo::{Coord, Line, Rect};

/// Edges per slab: more cost time, fewer cost memory.
const EDGES_PER_SLAB: usize = 2;
const SLABS_MAX: usize = 4_096;
/// Slabs an edge may lie in on average: a border of long edges gets fewer slabs, not more memory.
const SLABS_PER_EDGE_MAX: f64 = 8.0;
/// The mark of an edge that a lower slab has, too.
const FROM_BELOW: u32 = 1 << 31;

/// An area's border, bucketed.
#[derive(Clone, Debug)]
pub(crate) struct Slabs {
    bounds: Rect,
    per_degree: f64,
    /// Slab i holds `edges[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    /// Numbers of edges, marked in all slabs of an edge but the lowest.
    edges: Vec<u32>,
}

/// The edge that begins with a point.
pub(crate) fn edge(points: &[Coord], number: u32) -> Line {
    Line { start: points[number as usize], end: points[number as usize + 1] }
}

impl Slabs {
    /// The edges that begin with these points, and the box of them all.
    pub(crate) fn of(points: &[Coord], edges: &[u32], bounds: Rect) -> Self {
        let height = bounds.height().max(f64::MIN_POSITIVE);
        let heights: f64 = edges.iter().map(|&number| edge(points, number).dy().abs()).sum();
        let bearable = SLABS_PER_EDGE_MAX * edges.len() as f64 / (heights / height).max(1.0);
        let count = (edges.len() / EDGES_PER_SLAB).min(bearable as usize).clamp(1, SLABS_MAX);
        let per_degree = count as f64 / height;
        let mut slabs = Self { bounds, per_degree, starts: vec![0; count + 1], edges: Vec::new() };
        let span = |&number: &u32| {
            let (south, north) = sorted(edge(points, number), |at| at.y);
            (slabs.slab_at(south), slabs.slab_at(north))
        };
        let spans: Vec<(usize, usize)> = edges.iter().map(span).collect();
        for &(low, high) in &spans {
            slabs.starts[low + 1..=high + 1].iter_mut().for_each(|start| *start += 1);
        }
        for index in 0..count {
            slabs.starts[index + 1] += slabs.starts[index];
        }
        let mut next = slabs.starts.clone();
        slabs.edges = vec![0; slabs.starts[count] as usize];
        for (&number, &(low, high)) in edges.iter().zip(&spans) {
            let mut place = number;
            for next in &mut next[low..=high] {
                slabs.edges[*next as usize] = place;
                *next += 1;
                place |= FROM_BELOW;
            }
        }
        slabs
    }

    /// The area's box.
    pub(crate) fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Whether a point is inside (even-odd; a point exactly on the border is in one of the two
    /// areas that share it).
    pub(crate) fn contains(&self, points: &[Coord], at: Coord) -> bool {
        let (low, high) = (self.bounds.min(), self.bounds.max());
        if at.x < low.x || at.x > high.x || at.y < low.y || at.y > high.y {
            return false;
        }
        let slab = self.span(Rect::new(at, at)).0;
        let crossings = slab.iter().filter(|&&place| {
            let line = edge(points, place & !FROM_BELOW);
            (line.start.y > at.y) != (line.end.y > at.y)
                && at.x < line.start.x + (at.y - line.start.y) / line.dy() * line.dx()
        });
        crossings.count() % 2 == 1
    }

    /// The numbers of the edges whose own boxes meet a box, each once.
    pub(crate) fn near(&self, points: &[Coord], bounds: Rect, found: &mut Vec<u32>) {
        let (low, high) = (bounds.min(), bounds.max());
        let (held, begun) = self.span(bounds);
        found.resize(held.len(), 0);
        let mut count = 0;
        for (at, &place) in held.iter().enumerate() {
            let number = place & !FROM_BELOW;
            let line = edge(points, number);
            let (west, east) = sorted(line, |at| at.x);
            let (south, north) = sorted(line, |at| at.y);
            // No branch for each: most edges fail some of them, and which is as good as random.
            let fresh = (at < begun) | (place & FROM_BELOW == 0);
            let beside = (west <= high.x) & (east >= low.x) & (south <= high.y) & (north >= low.y);
            found[count] = number;
            count += usize::from(fresh & beside);
        }
        found.truncate(count);
    }

    /// How many looks it takes to find what is near a box.
    pub(crate) fn looks(&self, bounds: Rect) -> usize {
        self.span(bounds).0.len()
    }

    /// What the slabs hold that a box lies in, and how much of it is the lowest one's.
    fn span(&self, bounds: Rect) -> (&[u32], usize) {
        let (first, last) = (self.slab_at(bounds.min().y), self.slab_at(bounds.max().y));
        let at = |slab: usize| self.starts[slab] as usize;
        (&self.edges[at(first)..at(last + 1)], at(first + 1) - at(first))
    }

    fn slab_at(&self, y: f64) -> usize {
        (((y - self.bounds.min().y) * self.per_degree) as usize).min(self.starts.len() - 2)
    }
}

fn sorted(line: Line, axis: impl Fn(Coord) -> f64) -> (f64, f64) {
    let (a, b) = (axis(line.start), axis(line.end));
    if a <= b { (a, b) } else { (b, a) }
}
