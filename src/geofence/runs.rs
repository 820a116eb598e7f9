//! A border's edges in runs of neighbours, each with its box: for boxes that are large beside an
//! edge, of which [slabs](crate::geofence::slabs) would look at all that lie as far north.

use std::ops::Range;

use geo::{Coord, Rect};

/// Edges of one run.
const EDGES: usize = 16;

/// An area's border, in runs.
#[derive(Clone, Debug)]
pub(crate) struct Runs(Vec<Run>);

#[derive(Clone, Debug)]
struct Run {
    bounds: Rect,
    edges: Range<u32>,
}

impl Runs {
    /// The edges between the points of each ring.
    pub(crate) fn of(points: &[Coord], rings: &[Range<usize>]) -> Self {
        let starts = rings.iter().flat_map(|ring| {
            let last = ring.end - 1;
            (ring.start..last).step_by(EDGES).map(move |at| at..last.min(at + EDGES))
        });
        let run = |edges: Range<usize>| {
            let bounds = around(&points[edges.start..=edges.end]);
            Run { bounds, edges: edges.start as u32..edges.end as u32 }
        };
        Self(starts.map(run).collect())
    }

    /// The numbers of the edges whose own boxes meet a box, each once.
    pub(crate) fn near(&self, points: &[Coord], bounds: Rect, found: &mut Vec<u32>) {
        found.clear();
        for run in self.0.iter().filter(|run| meet(run.bounds, bounds)) {
            let ends = points[run.edges.start as usize..=run.edges.end as usize].windows(2);
            let beside = run.edges.clone().zip(ends);
            let beside = beside.filter(|(_, ends)| meet(Rect::new(ends[0], ends[1]), bounds));
            found.extend(beside.map(|(number, _)| number));
        }
    }

    /// About how many looks it takes to find what is near a box that is not large.
    pub(crate) fn looks(&self) -> usize {
        self.0.len() + 2 * EDGES
    }
}

/// The box around points, of which there is one at least.
fn around(points: &[Coord]) -> Rect {
    let (mut low, mut high) = (points[0], points[0]);
    for at in points {
        low = Coord { x: low.x.min(at.x), y: low.y.min(at.y) };
        high = Coord { x: high.x.max(at.x), y: high.y.max(at.y) };
    }
    Rect::new(low, high)
}

fn meet(a: Rect, b: Rect) -> bool {
    (a.min().x <= b.max().x)
        & (b.min().x <= a.max().x)
        & (a.min().y <= b.max().y)
        & (b.min().y <= a.max().y)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geofence::slabs::{Slabs, edge};

    proptest! {
        #[test]
        fn runs_and_slabs_find_the_edges_whose_boxes_meet_a_box(
            corners in prop::collection::vec((0u8..60, 0u8..60), 8..120),
            (x, y) in (0u8..60, 0u8..60),
            (width, height) in (0u8..30, 0u8..30),
        ) {
            let at = |x: u8, y: u8| Coord { x: f64::from(x), y: f64::from(y) };
            let points: Vec<Coord> = corners.iter().map(|&(x, y)| at(x, y)).collect();
            let rings = [0..points.len() / 3, points.len() / 3..points.len()];
            let edges: Vec<u32> =
                rings.iter().flat_map(|ring| ring.start as u32..ring.end as u32 - 1).collect();
            let bounds = Rect::new(at(x, y), at(x + width, y + height));
            let near = |number: &&u32| {
                let line = edge(&points, **number);
                meet(Rect::new(line.start, line.end), bounds)
            };
            let wanted: Vec<u32> = edges.iter().filter(near).copied().collect();
            let (mut by_runs, mut by_slabs) = (Vec::new(), Vec::new());
            Runs::of(&points, &rings).near(&points, bounds, &mut by_runs);
            let slabs = Slabs::of(&points, &edges, around(&points));
            slabs.near(&points, bounds, &mut by_slabs);
            by_slabs.sort_unstable();
            prop_assert_eq!(&by_runs, &wanted);
            prop_assert_eq!(by_slabs, wanted);
        }
    }
}
