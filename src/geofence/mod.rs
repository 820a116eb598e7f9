//! Where: units, boundaries, the spatial index and matching. Pure but for its loader
//! ([`City::load`] and [`import`]).
//!
//! ```text
//! target (codes, polygons, circles) ─→ match_target ─→ units, shares, parts ─→ AreaAudience
//! point or cell of a device         ─→ locate, home_of ─→ unit
//! ```
//!
//! Promises: a target's cost follows its border, never the number of devices; whoever may stand
//! inside is in the audience, and whatever is dropped (slivers) or added (nearest unit) is a
//! setting with a reason; approximate boundaries say so in every answer. Outside this room points
//! are latitude first ([`crate::domain::geo::LatLon`]); inside they are `geo`'s longitude first,
//! and only `shape` and `boundaries` convert.

mod border;
mod boundaries;
mod cells;
pub mod check;
mod city;
mod clip;
mod crosswalk;
mod ellipsoid;
mod error;
pub mod import;
mod matched;
mod matching;
mod runs;
pub mod screen;
mod settings;
mod shape;
mod slabs;
mod target;
mod unit;

pub use city::{BUILTIN_CITY, City, HOME_REACH_M, Located};
pub use crosswalk::Crosswalk;
pub use error::Error;
pub use matched::{Extent, Match, MatchedUnit};
pub use settings::MatchSettings;
pub use target::{GEOCODE, Outline, Target, TargetCode, TargetShape};
pub use unit::{Unit, UnitKind, fold};

use crate::domain::ids::Vintage;

/// The vintage of today's unit codes: the reform of 1 July 2025.
pub const PRESENT_VINTAGE: &str = "2025-07";

/// The present vintage as an identifier.
pub fn present_vintage() -> Vintage {
    PRESENT_VINTAGE.parse().expect("a constant of the vintage's alphabet")
}

#[cfg(test)]
mod tests;
