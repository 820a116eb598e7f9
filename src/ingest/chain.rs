//! Chains: what an update or cancel refers to, and what it supersedes.

use jiff::Timestamp;

use crate::domain::agency::Agency;
use crate::domain::alert::Alert;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::publication::{Action, Publication};
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::publish::store_problem;

/// What an update or cancel continues.
#[derive(Clone, Debug)]
pub struct Continued {
    /// The chain.
    pub chain: ChainId,
    /// Its publications that are still in force, the oldest first.
    pub in_force: Vec<Publication>,
    /// Every publication of the chain but its cancels: what is superseded.
    pub all: Vec<PublicationId>,
}

impl Continued {
    /// Ids of what is superseded: also what an update replaced before, since that update may not
    /// have come to everyone yet whom the older one reached.
    pub fn supersedes(&self) -> Vec<PublicationId> {
        self.all.clone()
    }

    /// The most urgent lane among what is superseded: a withdrawal travels as fast as what it
    /// withdraws.
    pub fn lane(&self) -> Lane {
        self.in_force.iter().map(|publication| publication.lane).min().unwrap_or(Lane::Routine)
    }

    /// The latest expiry among what is superseded.
    pub fn expires(&self) -> Option<Timestamp> {
        self.in_force.iter().map(|publication| publication.expires).max()
    }
}

impl Ingest {
    /// Finds what the references of an update or cancel name. Every unknown one is an error
    /// (CAP: a reference identifies an earlier message exactly), as is a mix of chains.
    pub async fn continued(&self, agency: &Agency, alert: &Alert) -> Result<Continued, Problem> {
        let mut errors = Vec::new();
        let mut chains: Vec<ChainId> = Vec::new();
        for (index, reference) in alert.references.iter().enumerate() {
            let path = format!("/alert/references[{}]", index + 1);
            let (sender, identifier) = (&reference.sender, &reference.identifier);
            let sent = reference.sent.instant();
            let known = self.alerts.by_identity(sender, identifier, sent).await;
            let Some(stored) = known.map_err(store_problem)? else {
                let message =
                    format!("no message {sender},{identifier},{} is known", reference.sent);
                errors.push(FieldError::new(path, "reference_known", message));
                continue;
            };
            if stored.publication.agency != agency.id {
                let message = "the message named is another agency's";
                errors.push(FieldError::new(path, "reference_own", message));
                continue;
            }
            if !chains.contains(&stored.publication.chain) {
                chains.push(stored.publication.chain);
            }
        }
        if chains.len() > 1 {
            let message = "the messages named belong to different chains";
            errors.push(FieldError::new("/alert/references", "reference_one_chain", message));
        }
        match (chains.first(), errors.is_empty()) {
            (Some(chain), true) => self.in_force(*chain).await,
            _ => Err(Problem::fields(Code::BadCap, errors)),
        }
    }

    /// What of a chain is still in force; a chain that is over cannot be continued.
    pub async fn in_force(&self, chain: ChainId) -> Result<Continued, Problem> {
        let now = self.clock.now();
        let mut stored = self.alerts.chain(chain).await.map_err(store_problem)?;
        stored.retain(|one| one.publication.action() != Action::Cancel);
        stored.sort_by_key(|one| one.publication.id);
        let in_force: Vec<Publication> = stored
            .iter()
            .filter(|one| one.superseded_by.is_none() && !one.publication.is_expired(now))
            .map(|one| (*one.publication).clone())
            .collect();
        if in_force.is_empty() {
            let detail = "the chain is over: everything in it was cancelled or has expired";
            return Err(Problem::new(Code::Conflict, detail));
        }
        let all = stored.iter().map(|one| one.publication.id).collect();
        Ok(Continued { chain, in_force, all })
    }
}
