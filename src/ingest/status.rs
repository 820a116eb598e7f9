//! Status changes: one citizen's report or dossier moved. They come in batches; a batch is
//! accepted as a whole or refused as a whole.

use jiff::{SignedDuration, Timestamp};

use crate::domain::agency::{Agency, Kind};
use crate::domain::audience::Audience;
use crate::domain::lane::Lane;
use crate::domain::lint::Finding;
use crate::domain::publication::Content;
use crate::domain::status_change::{Owner, StatusChange};
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::publish::{Checked, within_jurisdiction};
use crate::store::alerts::Identity;

/// Status changes in one batch.
pub const BATCH_MAX: usize = 500;
/// A push about a change is worth sending this long; after that the inbox still has it.
const LIFE: SignedDuration = SignedDuration::from_hours(72);

impl Ingest {
    /// Checks a batch; every broken rule of every member is named.
    pub fn review_changes(
        &self,
        agency: &Agency,
        changes: Vec<StatusChange>,
    ) -> Result<Vec<Checked>, Problem> {
        let now = self.clock.now();
        if changes.is_empty() || changes.len() > BATCH_MAX {
            let message = format!("1 to {BATCH_MAX} changes in a batch, not {}", changes.len());
            return Err(Problem::field("changes", "batch_size", message));
        }
        let errors: Vec<FieldError> = changes
            .iter()
            .enumerate()
            .flat_map(|(index, change)| {
                let found = self.kinds.check(change, now).into_iter();
                found.chain(self.too_new(change)).map(move |found| {
                    let path = format!("changes[{index}].{}", found.path);
                    FieldError::new(path, found.rule, found.message)
                })
            })
            .collect();
        if !errors.is_empty() {
            return Err(Problem::fields(Code::Invalid, errors));
        }
        changes.into_iter().map(|change| checked(agency, change, now)).collect()
    }

    /// What nodes of the release before cannot read, while there may be any.
    fn too_new(&self, change: &StatusChange) -> Option<Finding> {
        let anonymous = matches!(change.owner, Owner::Code(_));
        (anonymous && self.alerts.is_unsealed()).then(|| {
            let message = "cannot be taken yet: nodes of an earlier release still run";
            Finding::error("code_hash", "not_while_unsealed", message)
        })
    }
}

fn checked(agency: &Agency, change: StatusChange, now: Timestamp) -> Result<Checked, Problem> {
    let audience = Audience::of_subject(change.owner.subject());
    within_jurisdiction(agency, Kind::StatusChange, &audience, (&[], None))?;
    Ok(Checked {
        lane: Lane::Personal,
        audience,
        expires: now.checked_add(LIFE).unwrap_or(now),
        chain: None,
        supersedes: Vec::new(),
        identity: Identity::StatusChange {
            agency: agency.id.clone(),
            kind: change.kind.clone(),
            reference: change.reference.clone(),
            step: change.step,
        },
        raw: None,
        signed_by: None,
        content: Content::StatusChange(Box::new(change)),
    })
}
