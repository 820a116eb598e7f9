//! Status changes: one citizen's 1022 report, dossier, case or record moved. Which kinds and states
//! there are, and every rule a status change must hold, is in [`crate::domain::status_kinds`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::SubjectId;

/// One step of one citizen's report or dossier, as an agency posts it to `/v1/status-changes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    /// The kind of thing that moved, such as `report-1022`; kinds are data.
    pub kind: String,
    /// The agency's number of the report or dossier; 1 to 64 characters.
    pub reference: String,
    /// The state it is in now; one of its kind's states.
    pub state: String,
    /// Whose it is.
    pub subject: SubjectId,
    /// When it moved.
    pub changed_at: Timestamp,
    /// Rises by one with each step of this reference; a lower one than seen is a repeat.
    pub step: u64,
    /// A remark for the citizen, at most 2,000 characters; fetched by its owner and never put into
    /// a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}
