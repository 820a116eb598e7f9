//! Publications: what was accepted. Immutable and self-contained, so that router, workers and
//! gateways act on it alike without asking anybody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, MsgType, Severity, Status};
use crate::domain::audience::Audience;
use crate::domain::certificate::SignedBy;
use crate::domain::device::Interest;
use crate::domain::ids::{AgencyId, ChainId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::notice::{Notice, NoticeKind};
use crate::domain::status_change::StatusChange;

/// Something an agency said and Loa accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    /// Its id; sorts by time of acceptance.
    pub id: PublicationId,
    /// The chain it belongs to: its own id for the first of a chain.
    pub chain: ChainId,
    /// How urgent it is.
    pub lane: Lane,
    /// Who published it.
    pub agency: AgencyId,
    /// What people call them, as it was then; absent in what an earlier release accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agency_name: Option<String>,
    /// When it was accepted (before the 202).
    pub accepted_at: Timestamp,
    /// After this nothing of it is sent.
    pub expires: Timestamp,
    /// Earlier publications of the chain that this one replaces or withdraws.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<PublicationId>,
    /// Who it is for.
    pub audience: Audience,
    /// What it says.
    pub content: Content,
    /// For an alert: our signature over its CAP document, a detached JWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// For an alert: the certificate that the agency's own signature was verified with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
}

/// The three kinds of publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content", rename_all = "snake_case")]
pub enum Content {
    /// A CAP alert, update or cancel.
    Alert(Box<Alert>),
    /// One step of one citizen's report or dossier.
    StatusChange(Box<StatusChange>),
    /// News or a survey.
    Notice(Box<Notice>),
}

/// What an alert does to its chain. Other kinds are always `Alert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The first of its chain.
    Alert,
    /// Replaces what it supersedes.
    Update,
    /// Withdraws what it supersedes; goes only to those who got that, or may have.
    Cancel,
}

impl Content {
    /// What it does to its chain.
    pub fn action(&self) -> Action {
        match self {
            Content::Alert(alert) if alert.msg_type == MsgType::Update => Action::Update,
            Content::Alert(alert) if alert.msg_type == MsgType::Cancel => Action::Cancel,
            _ => Action::Alert,
        }
    }
}

impl Publication {
    /// What it does to its chain.
    pub fn action(&self) -> Action {
        self.content.action()
    }

    /// The gravest severity it carries; `Unknown` for what is no alert.
    pub fn severity(&self) -> Severity {
        match &self.content {
            Content::Alert(alert) => {
                alert.infos.iter().map(|info| info.severity).min().unwrap_or(Severity::Unknown)
            }
            _ => Severity::Unknown,
        }
    }

    /// What people may have muted it as.
    pub fn interests(&self) -> Vec<Interest> {
        match &self.content {
            Content::Alert(alert) => {
                let mut interests: Vec<_> = alert
                    .infos
                    .iter()
                    .flat_map(|info| info.categories.iter().copied().map(Interest::Alert))
                    .collect();
                interests.sort_unstable();
                interests.dedup();
                interests
            }
            Content::StatusChange(_) => vec![Interest::Status],
            Content::Notice(notice) => vec![match notice.kind {
                NoticeKind::News => Interest::News,
                NoticeKind::Survey => Interest::Survey,
            }],
        }
    }

    /// Whether people get it at all. CAP: `System` and `Test` are never for the public, and a
    /// `Draft` is not actionable.
    pub fn reaches_people(&self) -> bool {
        match &self.content {
            Content::Alert(alert) => matches!(alert.status, Status::Actual | Status::Exercise),
            _ => true,
        }
    }

    /// Only for devices that take part in exercises.
    pub fn is_exercise(&self) -> bool {
        matches!(&self.content, Content::Alert(alert) if alert.status == Status::Exercise)
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }
}
