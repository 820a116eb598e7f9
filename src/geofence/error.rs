//! What can be wrong with a target or a file of boundaries.

use std::path::PathBuf;

use crate::domain::ids::{UnitCode, Vintage};
use crate::geofence::check::Report;

/// Why a target was not matched or boundaries were not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A code that the vintage does not have.
    #[error("{field}: unit code `{code}` does not exist in vintage {vintage}")]
    UnknownUnit {
        /// Where it stood.
        field: String,
        /// The code.
        code: UnitCode,
        /// The vintage it was looked up in.
        vintage: Vintage,
    },
    /// A vintage without a list of units here.
    #[error("{field}: vintage `{vintage}` is unknown, these are known: {known}")]
    UnknownVintage {
        /// Where it stood.
        field: String,
        /// What was given.
        vintage: String,
        /// The known ones.
        known: String,
    },
    /// A polygon, circle or code that cannot be read.
    #[error("{field}: {reason}")]
    Invalid {
        /// Where it stood.
        field: String,
        /// The rule it breaks.
        reason: String,
    },
    /// More than one match may cost.
    #[error("{field}: {count} {what}, the limit is {limit}")]
    TooMany {
        /// Where it stood.
        field: &'static str,
        /// What was counted.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Boundaries that are no GeoJSON of units.
    #[error("boundaries: {0}")]
    Boundaries(String),
    /// Boundaries that the check found wrong.
    #[error("boundaries refused: {}", .0.errors().join("; "))]
    Refused(Box<Report>),
    /// No built-in city of this name.
    #[error("city `{0}` is not built in")]
    UnknownCity(String),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::Invalid { field: field.into(), reason: reason.to_string() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source }
    }
}
