//! Which edges of a border may meet: those whose boxes do, found without a look at every pair. The
//! edges are put into bands across the axis along which they are shorter, and compared within.

/// Edges for each band.
const EDGES_PER_BAND: usize = 2;
const BANDS_MAX: usize = 4_096;
/// Beyond so many places in bands, or pairs within them, for each edge the edges lie too much
/// beside each other: whoever asks has a way that does not mind.
const PLACES_MAX: usize = 16;
const PAIRS_MAX: usize = 64;

/// The mark of an edge that a lower band has, too.
const FROM_BELOW: u32 = 1 << 31;

/// What an edge spans along both axes, the lower bound first.
#[derive(Clone, Copy, Debug)]
pub struct Spans(pub [(f64, f64); 2]);

impl Spans {
    /// Of an edge between two points.
    pub fn between(from: (f64, f64), to: (f64, f64)) -> Self {
        let sorted = |a: f64, b: f64| if a <= b { (a, b) } else { (b, a) };
        Self([sorted(from.0, to.0), sorted(from.1, to.1)])
    }
}

/// Whether two of the edges meet, which is asked once of every pair whose boxes have a point in
/// common. None: there are too many to ask of.
pub fn any_meets(edges: &[Spans], mut meets: impl FnMut(usize, usize) -> bool) -> Option<bool> {
    let bands = Bands::of(edges)?;
    for band in bands.starts.windows(2) {
        let band = &bands.places[band[0] as usize..band[1] as usize];
        for (at, &place) in band.iter().enumerate() {
            let one = (place & !FROM_BELOW) as usize;
            let Spans([x, y]) = edges[one];
            for &beside in &band[at + 1..] {
                let other = (beside & !FROM_BELOW) as usize;
                let Spans([other_x, other_y]) = edges[other];
                // Two that both lie in a band below were compared there. No branch for each: mostly
                // one of them decides, and which is as good as random.
                let together = (place & beside & FROM_BELOW == 0)
                    & (x.0 <= other_x.1)
                    & (other_x.0 <= x.1)
                    & (y.0 <= other_y.1)
                    & (other_y.0 <= y.1);
                if together && meets(one, other) {
                    return Some(true);
                }
            }
        }
    }
    Some(false)
}

/// Edges by bands.
struct Bands {
    /// Band i holds `places[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    /// Numbers of edges, marked in all bands of an edge but the lowest.
    places: Vec<u32>,
}

impl Bands {
    /// None where edges lie too much beside each other.
    fn of(edges: &[Spans]) -> Option<Self> {
        let mut reach = [0.0, 0.0];
        let mut bounds = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        for Spans(spans) in edges {
            for axis in 0..2 {
                let (low, high) = spans[axis];
                reach[axis] += high - low;
                bounds[axis] = (bounds[axis].0.min(low), bounds[axis].1.max(high));
            }
        }
        let axis = usize::from(reach[1] < reach[0]);
        let (low, high) = bounds[axis];
        let count = (edges.len() / EDGES_PER_BAND).clamp(1, BANDS_MAX);
        let per_degree = count as f64 / (high - low).max(f64::MIN_POSITIVE);
        let band = |at: f64| (((at - low) * per_degree) as u32).min(count as u32 - 1);
        let spans: Vec<(u32, u32)> =
            edges.iter().map(|Spans(spans)| (band(spans[axis].0), band(spans[axis].1))).collect();
        let places: usize = spans.iter().map(|(first, last)| (last - first + 1) as usize).sum();
        if places > PLACES_MAX * edges.len() {
            return None;
        }
        let mut starts = vec![0u32; count + 1];
        for &(first, last) in &spans {
            starts[first as usize + 1..=last as usize + 1].iter_mut().for_each(|held| *held += 1);
        }
        let pairs = |held: &u32| (*held as usize) * (*held as usize) / 2;
        if starts.iter().map(pairs).sum::<usize>() > PAIRS_MAX * edges.len() {
            return None;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let (mut next, mut held) = (starts.clone(), vec![0; places]);
        for (edge, &(first, last)) in (0u32..).zip(&spans) {
            let mut place = edge;
            for next in &mut next[first as usize..=last as usize] {
                held[*next as usize] = place;
                *next += 1;
                place |= FROM_BELOW;
            }
        }
        Some(Self { starts, places: held })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn together(one: Spans, other: Spans) -> bool {
        let meet =
            |axis: usize| one.0[axis].0 <= other.0[axis].1 && other.0[axis].0 <= one.0[axis].1;
        meet(0) && meet(1)
    }

    proptest! {
        #[test]
        fn every_pair_whose_boxes_meet_is_asked_of_once(
            ends in prop::collection::vec(((0u8..40, 0u8..9), (0u8..5, 0u8..5)), 0..60)
        ) {
            let edges: Vec<Spans> = ends
                .into_iter()
                .map(|((x, y), (dx, dy))| {
                    let from = (f64::from(x), f64::from(y));
                    Spans::between(from, (from.0 + f64::from(dx), from.1 - f64::from(dy)))
                })
                .collect();
            let mut asked = Vec::new();
            let done = any_meets(&edges, |one, other| {
                asked.push((one.min(other), one.max(other)));
                false
            });
            let all = (0..edges.len()).flat_map(|other| (0..other).map(move |one| (one, other)));
            let mut wanted: Vec<_> =
                all.filter(|&(one, other)| together(edges[one], edges[other])).collect();
            asked.sort_unstable();
            wanted.sort_unstable();
            if done.is_some() {
                prop_assert_eq!(asked, wanted);
            } else {
                prop_assert!(asked.is_empty());
            }
        }
    }

    #[test]
    fn the_first_that_meet_end_the_search_and_a_heap_is_not_searched() {
        let row = |count: u32| (0..count).map(f64::from);
        let chain: Vec<_> = row(100).map(|x| Spans::between((x, 0.0), (x + 1.0, 1.0))).collect();
        let mut asked = 0;
        let found = any_meets(&chain, |_, _| {
            asked += 1;
            asked == 7
        });
        assert_eq!((found, asked), (Some(true), 7));
        let heap: Vec<_> = row(1_000).map(|x| Spans::between((x, 0.0), (0.0, x))).collect();
        assert_eq!(any_meets(&heap, |_, _| false), None);
    }
}
