//! What a target resolved to.

use crate::domain::audience::{AreaAudience, Boundaries};
use crate::domain::ids::{UnitCode, Vintage};

/// The outcome of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// How true the boundaries were.
    pub boundaries: Boundaries,
    /// The vintage of the codes.
    pub vintage: Vintage,
    /// The units inside, whole or in part, sorted by code.
    pub units: Vec<MatchedUnit>,
    /// What the publisher should hear, such as a ring that crosses itself.
    pub notes: Vec<String>,
    /// Who is warned: the units above, and the cells that stick out of other units into the target.
    pub audience: AreaAudience,
}

/// One unit of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchedUnit {
    /// Its code.
    pub code: UnitCode,
    /// Its name.
    pub name: String,
    /// The part of its area inside, 0..=1, measured on the ellipsoid.
    pub share: f64,
    /// How it is covered.
    pub extent: Extent,
}

/// How a unit is covered.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// All of it, or so nearly that the rest is within what boundaries differ by.
    Whole,
    /// A part of it; [`City::clipped`](crate::geofence::City::clipped) draws which.
    Part,
    /// The target lies just outside every unit, and this one is the nearest.
    Near {
        /// How far off, in metres.
        distance_m: f64,
    },
}

impl MatchedUnit {
    /// Whether it counts as whole.
    pub fn is_whole(&self) -> bool {
        self.extent == Extent::Whole
    }
}
