//! Lanes: how fast a publication goes, and what yields to what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A lane has log topics and worker capacity of its own; `Emergency` pre-empts the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Hot alerts.
    Emergency,
    /// One citizen's status changes.
    Personal,
    /// News, surveys and alerts that can wait.
    Routine,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Lane; 3] = [Lane::Emergency, Lane::Personal, Lane::Routine];

    /// The lane's name in topics, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Emergency => "emergency",
            Lane::Personal => "personal",
            Lane::Routine => "routine",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
