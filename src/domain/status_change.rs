//! Status changes: one citizen's 1022 report, dossier, case or record moved. Which kinds and states
//! there are, and every rule a status change must hold, is in [`crate::domain::status_kinds`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::SubjectId;
use crate::domain::secret_code::CodeHash;

/// One step of one citizen's report or dossier, as an agency posts it to `/v1/status-changes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct StatusChange {
    /// The kind of thing that moved, such as `report-1022`; kinds are data.
    pub kind: String,
    /// The agency's number of the report or dossier; 1 to 64 characters.
    pub reference: String,
    /// The state it is in now; one of its kind's states.
    pub state: String,
    /// Whose it is.
    pub owner: Owner,
    /// When it moved.
    pub changed_at: Timestamp,
    /// Rises by one with each step of this reference; a lower one than seen is a repeat.
    pub step: u64,
    /// A remark for the citizen, at most 2,000 characters; fetched by its owner and never put into
    /// a push.
    pub remark: Option<String>,
}

/// Whose a report or dossier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A citizen who logs in.
    Citizen(SubjectId),
    /// Whoever knows the secret code: it was reported anonymously.
    Code(CodeHash),
}

impl Owner {
    /// Under which subject its publications are kept.
    pub fn subject(&self) -> SubjectId {
        match self {
            Owner::Citizen(subject) => subject.clone(),
            Owner::Code(hash) => hash.subject(),
        }
    }
}

/// As it is written: `subject` or `code_hash`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    kind: String,
    reference: String,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_hash: Option<CodeHash>,
    changed_at: Timestamp,
    step: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// It says of nobody, or of two, whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give either `subject` or, for an anonymous report, `code_hash`")]
pub struct NotOneOwner;

impl TryFrom<Wire> for StatusChange {
    type Error = NotOneOwner;

    fn try_from(wire: Wire) -> Result<Self, NotOneOwner> {
        let owner = match (wire.subject, wire.code_hash) {
            (Some(subject), None) => Owner::Citizen(subject),
            (None, Some(hash)) => Owner::Code(hash),
            _ => return Err(NotOneOwner),
        };
        let Wire { kind, reference, state, changed_at, step, remark, .. } = wire;
        Ok(Self { kind, reference, state, owner, changed_at, step, remark })
    }
}

impl From<StatusChange> for Wire {
    fn from(change: StatusChange) -> Self {
        let (subject, code_hash) = match change.owner {
            Owner::Citizen(subject) => (Some(subject), None),
            Owner::Code(hash) => (None, Some(hash)),
        };
        let StatusChange { kind, reference, state, changed_at, step, remark, .. } = change;
        Self { kind, reference, state, subject, code_hash, changed_at, step, remark }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_has_one_owner_and_is_written_as_it_was_read() {
        let hash = "0f".repeat(32);
        let with = |owner: serde_json::Value| {
            let mut change = json!({
                "kind": "report-1022", "reference": "R", "state": "received",
                "changed_at": "2026-08-01T09:45:00Z", "step": 1
            });
            let fields = change.as_object_mut().expect("an object");
            fields.extend(owner.as_object().expect("an object").clone());
            change
        };
        for owner in [json!({"subject": "c1"}), json!({"code_hash": hash})] {
            let read: StatusChange = serde_json::from_value(with(owner.clone())).expect("one");
            assert_eq!(serde_json::to_value(read).expect("JSON"), with(owner));
        }
        for owner in [json!({}), json!({"subject": "c1", "code_hash": hash})] {
            let refused = serde_json::from_value::<StatusChange>(with(owner)).expect_err("no");
            assert!(refused.to_string().contains("`code_hash`"), "{refused}");
        }
    }
}
