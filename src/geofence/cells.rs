//! Which cells an area touches: its border walked through the grid, its inside as spans by row.
//! The cost is that of the border and of the rows it spans, not of the cells inside.

use geo::{BoundingRect, Line, LinesIter, MultiPolygon, Rect};

use crate::domain::cell::Cell;

/// Rows and columns of the grid of [`Cell`]s: 15 bits each.
const GRID: f64 = 32_768.0;

/// The cells an area touches, within a box.
#[derive(Debug, Default)]
pub(crate) struct Raster {
    /// The number of the first row.
    first: u32,
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// Columns the border passes through in this row.
    border: Vec<(u32, u32)>,
    /// Where the border crosses the row's middle, in columns, sorted.
    crossings: Vec<f64>,
}

fn row_of(lat: f64) -> f64 {
    (lat + 90.0) / 180.0 * GRID
}

fn column_of(lon: f64) -> f64 {
    (lon + 180.0) / 360.0 * GRID
}

fn index(position: f64) -> u32 {
    position.floor().clamp(0.0, GRID - 1.0) as u32
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
        let mut raster = Self { first, rows: (first..=last).map(|_| Row::default()).collect() };
        for line in area.lines_iter() {
            raster.draw(line, (bottom, top));
        }
        for row in &mut raster.rows {
            row.crossings.sort_by(f64::total_cmp);
            row.border.sort_unstable();
        }
        raster
    }

    fn draw(&mut self, line: Line, (bottom, top): (f64, f64)) {
        let a = (column_of(line.start.x), row_of(line.start.y));
        let b = (column_of(line.end.x), row_of(line.end.y));
        let (a, b) = if a.1 <= b.1 { (a, b) } else { (b, a) };
        if b.1 < bottom || a.1 > top {
            return;
        }
        let column_at = |row: f64| match b.1 - a.1 {
            height if height > 0.0 => a.0 + (row - a.1) / height * (b.0 - a.0),
            _ => b.0,
        };
        for number in index(a.1.max(bottom))..=index(b.1.min(top)) {
            let (low, high) = (f64::from(number), f64::from(number) + 1.0);
            let from = if a.1 >= low { a.0 } else { column_at(low) };
            let to = if b.1 <= high { b.0 } else { column_at(high) };
            let row = &mut self.rows[(number - self.first) as usize];
            row.border.push((index(from.min(to)), index(from.max(to))));
            let middle = low + 0.5;
            if a.1 <= middle && middle < b.1 {
                row.crossings.push(column_at(middle));
            }
        }
    }

    /// Whether the area touches a cell.
    pub(crate) fn touches(&self, cell: Cell) -> bool {
        let (row, column) = cell.row_column();
        let at = row.checked_sub(self.first).map(|at| at as usize);
        at.and_then(|at| self.rows.get(at)).is_some_and(|row| row.touches(column))
    }

    /// Every touched cell.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> {
        (self.first..).zip(&self.rows).flat_map(|(number, row)| {
            let spans = row.crossings.chunks_exact(2).map(|pair| (index(pair[0]), index(pair[1])));
            let mut columns: Vec<u32> =
                spans.chain(row.border.iter().copied()).flat_map(|(a, b)| a..=b).collect();
            columns.sort_unstable();
            columns.dedup();
            columns.into_iter().map(move |column| Cell::at(number, column))
        })
    }
}

impl Row {
    fn touches(&self, column: u32) -> bool {
        let middle = f64::from(column) + 0.5;
        self.border.iter().any(|&(from, to)| (from..=to).contains(&column))
            || self.crossings.partition_point(|&crossing| crossing < middle) % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use geo::{BoundingRect, Intersects, polygon};

    use super::*;

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
            for column in index(column_of(106.69))..=index(column_of(106.79)) {
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
