//! Which cells an area touches: its border walked through the grid, its inside as spans by row.
//! The cost is that of the border and of the rows it spans, not of the cells inside.

use geo::{BoundingRect, Coord, MultiPolygon, Rect};

use crate::domain::cell::Cell;

/// Rows and columns of the grid of [`Cell`]s: 15 bits each.
const GRID: f64 = 32_768.0;

/// The cells an area touches, within a box.
#[derive(Debug, Default)]
pub(crate) struct Raster {
    /// The number of the first row.
    first: u32,
    /// Row i has `border[rows[i].0..rows[i + 1].0]` and `crossings[rows[i].1..rows[i + 1].1]`.
    rows: Vec<(u32, u32)>,
    /// Row and columns that the border passes through in it, from and to; sorted, none touching.
    border: Vec<(u32, u32, u32)>,
    /// Row, and where the border crosses its middle, in columns; sorted.
    crossings: Vec<(u32, f64)>,
}

/// A point in columns and rows.
type Position = (f64, f64);

fn position(at: Coord) -> Position {
    ((at.x + 180.0) / 360.0 * GRID, row_of(at.y))
}

fn row_of(lat: f64) -> f64 {
    (lat + 90.0) / 180.0 * GRID
}

/// The row or column that has a position; those beyond the grid are its first and last.
fn index(position: f64) -> u32 {
    (position as u32).min(GRID as u32 - 1)
}

impl Raster {
    /// The cells of an area in the rows of a box.
    pub(crate) fn of(area: &MultiPolygon, within: Rect) -> Self {
        let Some(bounds) = area.bounding_rect() else { return Self::default() };
        let bottom = row_of(within.min().y).max(row_of(bounds.min().y));
        let top = row_of(within.max().y).min(row_of(bounds.max().y));
        if bottom > top {
            return Self::default();
        }
        let (first, last) = (index(bottom), index(top));
        let mut raster = Self { first, ..Self::default() };
        let rings =
            area.iter().flat_map(|one| std::iter::once(one.exterior()).chain(one.interiors()));
        for ring in rings {
            let mut points = ring.0.iter().map(|&at| position(at));
            let Some(mut from) = points.next() else { continue };
            for to in points {
                raster.draw((from, to), (bottom, top));
                from = to;
            }
        }
        raster.settle(last);
        raster
    }

    fn draw(&mut self, (a, b): (Position, Position), (bottom, top): (f64, f64)) {
        let (a, b) = if a.1 <= b.1 { (a, b) } else { (b, a) };
        if b.1 < bottom || a.1 > top {
            return;
        }
        let (row, middle) = (index(a.1), f64::from(index(a.1)) + 0.5);
        if row == index(b.1) && (a.1 > middle || b.1 <= middle) {
            return self.pass(row, (a.0.min(b.0), a.0.max(b.0))); // as nearly all do
        }
        let column_at = |row: f64| match b.1 - a.1 {
            height if height > 0.0 => a.0 + (row - a.1) / height * (b.0 - a.0),
            _ => b.0,
        };
        for number in index(a.1.max(bottom))..=index(b.1.min(top)) {
            let (low, high) = (f64::from(number), f64::from(number) + 1.0);
            let from = if a.1 >= low { a.0 } else { column_at(low) };
            let to = if b.1 <= high { b.0 } else { column_at(high) };
            self.pass(number, (from.min(to), from.max(to)));
            let middle = low + 0.5;
            if a.1 <= middle && middle < b.1 {
                self.crossings.push((number, column_at(middle)));
            }
        }
    }

    /// Takes note of the columns that the border passes in a row; mostly it goes on where it came
    /// to.
    fn pass(&mut self, number: u32, (west, east): (f64, f64)) {
        let (from, to) = (index(west), index(east));
        match self.border.last_mut() {
            Some((row, west, east)) if *row == number && from <= *east && to >= *west => {
                (*west, *east) = (from.min(*west), to.max(*east));
            }
            _ => self.border.push((number, from, to)),
        }
    }

    /// Sorts what was drawn, and finds each row's part of it.
    fn settle(&mut self, last: u32) {
        self.crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        self.border.sort_unstable();
        self.border.dedup_by(|next, kept| {
            let one = next.0 == kept.0 && next.1 <= kept.2;
            kept.2 = if one { kept.2.max(next.2) } else { kept.2 };
            one
        });
        let (mut border, mut crossings) = (0, 0);
        self.rows = Vec::with_capacity((last - self.first) as usize + 2);
        for number in self.first..=last + 1 {
            let before = |row: Option<u32>| row.is_some_and(|row| row < number);
            while before(self.border.get(border).map(|part| part.0)) {
                border += 1;
            }
            while before(self.crossings.get(crossings).map(|crossing| crossing.0)) {
                crossings += 1;
            }
            self.rows.push((border as u32, crossings as u32));
        }
    }

    /// The border's parts and crossings in a row.
    fn row(&self, number: u32) -> Option<Row<'_>> {
        let at = number.checked_sub(self.first)? as usize;
        let (from, to) = (*self.rows.get(at)?, *self.rows.get(at + 1)?);
        Some(Row {
            border: &self.border[from.0 as usize..to.0 as usize],
            crossings: &self.crossings[from.1 as usize..to.1 as usize],
        })
    }

    /// Whether the area touches a cell.
    pub(crate) fn touches(&self, cell: Cell) -> bool {
        let (row, column) = cell.row_column();
        self.row(row).is_some_and(|row| row.touches(column))
    }

    /// Every touched cell.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> {
        let rows = (self.first..).map_while(|number| Some((number, self.row(number)?)));
        rows.flat_map(|(number, row)| {
            let pairs = row.crossings.chunks_exact(2);
            let spans = pairs.map(|pair| (index(pair[0].1), index(pair[1].1)));
            let border = row.border.iter().map(|&(_, from, to)| (from, to));
            let mut columns: Vec<u32> = spans.chain(border).flat_map(|(a, b)| a..=b).collect();
            columns.sort_unstable();
            columns.dedup();
            columns.into_iter().map(move |column| Cell::at(number, column))
        })
    }
}

/// What a raster has of a row.
struct Row<'a> {
    border: &'a [(u32, u32, u32)],
    crossings: &'a [(u32, f64)],
}

impl Row<'_> {
    fn touches(&self, column: u32) -> bool {
        let middle = f64::from(column) + 0.5;
        self.border.iter().any(|&(_, from, to)| (from..=to).contains(&column))
            || self.crossings.partition_point(|&(_, crossing)| crossing < middle) % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use geo::{BoundingRect, Intersects, polygon};

    use super::*;

    fn column_of(lon: f64) -> u32 {
        index(position(Coord { x: lon, y: 0.0 }).0)
    }

    #[test]
    fn touched_cells_are_those_that_intersect_the_area() {
        let area = MultiPolygon::new(vec![polygon![
            (x: 106.70, y: 10.70), (x: 106.78, y: 10.71), (x: 106.74, y: 10.78),
            (x: 106.72, y: 10.74),
        ]]);
        let bounds = area.bounding_rect().expect("points");
        let raster = Raster::of(&area, bounds);
        let cells: Vec<Cell> = raster.cells().collect();
        let mut seen = 0;
        for row in index(row_of(10.69))..=index(row_of(10.79)) {
            for column in column_of(106.69)..=column_of(106.79) {
                let cell = Cell::at(row, column);
                let (sw, ne) = cell.corners();
                let rect = Rect::new((sw.lon(), sw.lat()), (ne.lon(), ne.lat()));
                let truth = area.intersects(&rect);
                assert_eq!(raster.touches(cell), truth, "{cell}");
                assert_eq!(cells.contains(&cell), truth, "{cell}");
                seen += usize::from(truth);
            }
        }
        assert!(seen > 40, "{seen}");
    }
}
