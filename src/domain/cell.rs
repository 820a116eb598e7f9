//! The coarse cell a device may give instead of a chosen unit: a geohash of six characters,
//! about 1.2 km × 0.6 km in Viet Nam. Coarser than an address by design (`docs/PRIVACY.md`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::geo::LatLon;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const CHARS: u32 = 6;
const LON_BITS: u32 = 15;
const LAT_BITS: u32 = 15;

/// A geohash of precision 6, as its 30 interleaved bits (longitude first).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cell(u32);

/// A text that is no geohash of precision 6.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a cell is a geohash of exactly 6 characters of 0-9 and b-z without i, l, o")]
pub struct CellError;

impl Cell {
    /// The cell that holds a point.
    pub fn containing(point: LatLon) -> Self {
        let column = quantise(point.lon(), 180.0, LON_BITS);
        let row = quantise(point.lat(), 90.0, LAT_BITS);
        Self::at(row, column)
    }

    /// The cell at a row (0 at the south pole) and a column (0 at 180° west).
    pub fn at(row: u32, column: u32) -> Self {
        Self(spread(column) << 1 | spread(row))
    }

    /// Row from the south pole and column from 180° west.
    pub fn row_column(self) -> (u32, u32) {
        (compact(self.0), compact(self.0 >> 1))
    }

    /// South-west and north-east corners.
    pub fn corners(self) -> (LatLon, LatLon) {
        let (row, column) = self.row_column();
        let corner = |row: u32, column: u32| {
            let lat = f64::from(row) * 180.0 / f64::from(1u32 << LAT_BITS) - 90.0;
            let lon = f64::from(column) * 360.0 / f64::from(1u32 << LON_BITS) - 180.0;
            LatLon::new(lat, lon).expect("a cell's corners lie on the globe")
        };
        (corner(row, column), corner(row + 1, column + 1))
    }

    /// The middle of the cell.
    pub fn centre(self) -> LatLon {
        let (sw, ne) = self.corners();
        LatLon::new((sw.lat() + ne.lat()) / 2.0, (sw.lon() + ne.lon()) / 2.0)
            .expect("a mean of two latitudes is a latitude")
    }

    /// The 30 bits, for compact storage.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// A cell from its stored bits; the two bits above the 30 are dropped.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & 0x3fff_ffff)
    }
}

fn quantise(value: f64, half_range: f64, bits: u32) -> u32 {
    let cells = f64::from(1u32 << bits);
    let index = ((value + half_range) / (2.0 * half_range) * cells).floor();
    index.clamp(0.0, cells - 1.0) as u32
}

/// Bit i of the input goes to bit 2i of the output.
fn spread(value: u32) -> u32 {
    let mut out = value & 0x7fff;
    for (shift, kept) in [(8, 0x00ff_00ff), (4, 0x0f0f_0f0f), (2, 0x3333_3333), (1, 0x5555_5555)] {
        out = (out | out << shift) & kept;
    }
    out
}

/// Bit 2i of the input goes to bit i of the output.
fn compact(value: u32) -> u32 {
    let mut out = value & 0x1555_5555;
    for (shift, kept) in [(1, 0x3333_3333), (2, 0x0f0f_0f0f), (4, 0x00ff_00ff), (8, 0x0000_7fff)] {
        out = (out | out >> shift) & kept;
    }
    out
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in (0..CHARS).rev() {
            let index = self.0 >> (5 * position) & 31;
            write!(f, "{}", ALPHABET[index as usize] as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({self})")
    }
}

impl FromStr for Cell {
    type Err = CellError;

    fn from_str(text: &str) -> Result<Self, CellError> {
        if text.len() != CHARS as usize {
            return Err(CellError);
        }
        text.bytes().try_fold(Cell(0), |cell, byte| {
            let index = ALPHABET.iter().position(|&known| known == byte).ok_or(CellError)?;
            Ok(Cell(cell.0 << 5 | index as u32))
        })
    }
}

impl TryFrom<String> for Cell {
    type Error = CellError;

    fn try_from(text: String) -> Result<Self, CellError> {
        text.parse()
    }
}

impl From<Cell> for String {
    fn from(cell: Cell) -> Self {
        cell.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_geohashes() {
        // Reference values of geohash.org: Jutland and central Ho Chi Minh City.
        let jutland = LatLon::new(57.64911, 10.40744).expect("a point");
        assert_eq!(Cell::containing(jutland).to_string(), "u4pruy");
        let cell: Cell = "w3gvk1".parse().expect("a geohash");
        assert_eq!(Cell::containing(cell.centre()), cell);
        let (sw, ne) = cell.corners();
        assert!(sw.lat() < ne.lat() && sw.lon() < ne.lon());
    }

    #[test]
    fn every_row_and_column_comes_back() {
        for row in 0..1 << LAT_BITS {
            let column = row * 7 % (1 << LON_BITS);
            let bits = |of: u32| (0..15).map(move |bit| of >> bit & 1);
            let pairs = bits(row).zip(bits(column)).enumerate();
            let woven = pairs.fold(0, |out, (at, (lat, lon))| out | (lat | lon << 1) << (2 * at));
            assert_eq!(Cell::at(row, column).bits(), woven);
            assert_eq!(Cell::from_bits(woven).row_column(), (row, column));
        }
    }

    #[test]
    fn round_trips_and_refuses() {
        let cell = Cell::at(18_000, 26_000);
        assert_eq!(cell.row_column(), (18_000, 26_000));
        assert_eq!(cell.to_string().parse::<Cell>(), Ok(cell));
        assert_eq!(Cell::from_bits(cell.bits()), cell);
        for bad in ["", "w3gv", "w3gvka", "W3GVK1", "w3gvk1x"] {
            assert_eq!(bad.parse::<Cell>(), Err(CellError), "{bad}");
        }
    }
}
