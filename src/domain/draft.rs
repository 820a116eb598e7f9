//! Drafts: what people of an agency edit, submit, approve, return, reject; and who may take which
//! step. A draft changes until it is decided; what is published of it never does.
//!
//! | from | edit | submit | approve | return | reject | override | publish | drop |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | editing | editing | submitted | – | – | – | overridden | approved | gone |
//! | submitted | – | – | approved | returned | rejected | overridden | – | – |
//! | returned | editing | submitted | – | – | – | overridden | approved | gone |
//! | approved | – | – | – | returned | – | – | – | – |
//! | rejected, published, overridden | – | – | – | – | – | – | – | – |
//!
//! `approved` and `overridden` are decisions that are durable before anything is published; a crash
//! between the two is finished at the next start. Only Loa itself returns what was approved: when
//! it cannot be published any more.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AgencyId, DraftId, PublicationId};

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 1000;

/// Where a draft stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Being written.
    Editing,
    /// Waiting for a second person.
    Submitted,
    /// Sent back to its writer, with a reason.
    Returned,
    /// Decided, and about to be published.
    Approved,
    /// Turned down for good.
    Rejected,
    /// Published.
    Published,
    /// Decided by one person alone, with a reason; published unless `publication` is absent.
    Overridden,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [
        State::Editing,
        State::Submitted,
        State::Returned,
        State::Approved,
        State::Rejected,
        State::Published,
        State::Overridden,
    ];

    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Editing => "editing",
            State::Submitted => "submitted",
            State::Returned => "returned",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Published => "published",
            State::Overridden => "overridden",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Change the body.
    Edit,
    /// Hand it to a second person.
    Submit,
    /// Decide for it.
    Approve,
    /// Send it back.
    Return,
    /// Turn it down.
    Reject,
    /// Decide for it alone.
    Override,
    /// Publish what needs no second person.
    Publish,
    /// Throw it away.
    Drop,
}

impl Move {
    /// Every step.
    pub const ALL: [Move; 8] = [
        Move::Edit,
        Move::Submit,
        Move::Approve,
        Move::Return,
        Move::Reject,
        Move::Override,
        Move::Publish,
        Move::Drop,
    ];

    /// The step's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Move::Edit => "edit",
            Move::Submit => "submit",
            Move::Approve => "approve",
            Move::Return => "return",
            Move::Reject => "reject",
            Move::Override => "override",
            Move::Publish => "publish",
            Move::Drop => "drop",
        }
    }

    /// Where it leads from a state; `None` for a step that is illegal there. A dropped draft is
    /// gone: its last state is the one it had.
    pub fn from(self, state: State) -> Option<State> {
        use State::{Approved, Editing, Overridden, Rejected, Returned, Submitted};
        match (self, state) {
            (Move::Edit, Editing | Returned) => Some(Editing),
            (Move::Submit, Editing | Returned) => Some(Submitted),
            (Move::Approve, Submitted) => Some(Approved),
            (Move::Return, Submitted | Approved) => Some(Returned),
            (Move::Reject, Submitted) => Some(Rejected),
            (Move::Override, Editing | Submitted | Returned) => Some(Overridden),
            (Move::Publish, Editing | Returned) => Some(Approved),
            (Move::Drop, Editing | Returned) => Some(state),
            _ => None,
        }
    }
}

/// What a draft is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DraftKind {
    /// A new alert.
    Alert,
    /// New facts of an alert.
    Update,
    /// A withdrawal.
    Cancel,
    /// News or a survey.
    Notice,
}

/// A draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub id: DraftId,
    /// Whose it is.
    pub agency: AgencyId,
    /// Where it stands.
    pub state: State,
    /// Rises with each change: who changes it names the version they saw.
    pub version: u64,
    /// Who began it: `person:ID` or `key:NAME`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// Who handed it to a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// Why it was returned, rejected or published alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<PublicationId>,
    /// What it is to become.
    pub kind: DraftKind,
    /// What an update or cancel is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<PublicationId>,
    /// The words: a CAP alert or a notice, in the JSON form of docs/API.md; may be unfinished.
    pub body: serde_json::Value,
    /// Only for those who take part in exercises.
    pub exercise: bool,
    /// It came as XML, which is kept and published as it came.
    #[serde(default)]
    pub raw: bool,
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The step is illegal in this state.
    #[error("a draft that is {from} cannot be taken by `{step}`")]
    Illegal {
        /// Where it stands.
        from: State,
        /// What was tried.
        step: &'static str,
    },
    /// Who submitted it cannot approve it.
    #[error("{0} submitted it: a second person must approve")]
    SamePerson(String),
    /// A reason is missing or too long.
    #[error("give a reason of 1 to {REASON_CHARS_MAX} characters")]
    Reason,
}

/// Who takes a step, when, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which.
    pub step: Move,
    /// Who: `person:ID` or `key:NAME`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

impl Draft {
    /// The draft after a step.
    pub fn after(&self, step: Step) -> Result<Draft, Refusal> {
        let Step { step, by, at, reason } = step;
        let Some(state) = step.from(self.state) else {
            return Err(Refusal::Illegal { from: self.state, step: step.as_str() });
        };
        let wants_reason = matches!(step, Move::Return | Move::Reject | Move::Override);
        let given = reason.as_deref().map_or(0, |text| text.trim().chars().count());
        if given > REASON_CHARS_MAX || (wants_reason && given == 0) {
            return Err(Refusal::Reason);
        }
        if step == Move::Approve && self.wrote(&by) {
            return Err(Refusal::SamePerson(by));
        }
        let mut next = Draft { state, version: self.version + 1, updated_at: at, ..self.clone() };
        match step {
            Move::Edit | Move::Drop => next.reason = None,
            Move::Submit => {
                next.submitted_by = Some(by);
                (next.decided_by, next.decided_at, next.reason) = (None, None, None);
            }
            Move::Approve | Move::Return | Move::Reject | Move::Override | Move::Publish => {
                (next.decided_by, next.decided_at) = (Some(by), Some(at));
                next.reason = reason.map(|text| text.trim().to_owned());
            }
        }
        Ok(next)
    }

    /// The draft once its publication is accepted.
    pub fn published(&self, publication: PublicationId, at: Timestamp) -> Draft {
        let state = match self.state {
            State::Overridden => State::Overridden,
            _ => State::Published,
        };
        let version = self.version + 1;
        Draft { state, version, updated_at: at, publication: Some(publication), ..self.clone() }
    }

    /// Decided, and not yet published.
    pub fn is_due(&self) -> bool {
        matches!(self.state, State::Approved | State::Overridden) && self.publication.is_none()
    }

    /// Whether somebody submitted it: the second person must be another.
    fn wrote(&self, who: &str) -> bool {
        self.submitted_by.as_deref() == Some(who)
    }
}

#[cfg(test)]
mod tests;
