//! Identities: what makes two submissions the same one.

use jiff::Timestamp;

use crate::domain::ids::AgencyId;
use crate::domain::publication::{Content, Publication};

/// What is unique about a submission.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A CAP alert (CAP 1.2, `references`: sender, identifier and sent name one message).
    Alert {
        /// Its sender.
        sender: String,
        /// Its identifier.
        identifier: String,
        /// The instant it was sent.
        sent: Timestamp,
    },
    /// A notice.
    Notice {
        /// Whose.
        agency: AgencyId,
        /// The agency's own id for it.
        identifier: String,
    },
    /// A step of a citizen's report or dossier.
    StatusChange {
        /// Whose.
        agency: AgencyId,
        /// The kind of thing that moved.
        kind: String,
        /// The agency's number for it.
        reference: String,
        /// Which step.
        step: u64,
    },
}

impl Identity {
    /// A publication's identity.
    pub fn of(publication: &Publication) -> Self {
        match &publication.content {
            Content::Alert(alert) => Self::Alert {
                sender: alert.sender.clone(),
                identifier: alert.identifier.clone(),
                sent: alert.sent.instant(),
            },
            Content::Notice(notice) => Self::Notice {
                agency: publication.agency.clone(),
                identifier: notice.identifier.clone(),
            },
            Content::StatusChange(change) => Self::StatusChange {
                agency: publication.agency.clone(),
                kind: change.kind.clone(),
                reference: change.reference.clone(),
                step: change.step,
            },
        }
    }
}
