//! Notices: news and surveys, on the routine lane.

use crate::domain::agency::{Agency, Kind};
use crate::domain::audience::Audience;
use crate::domain::lane::Lane;
use crate::domain::notice::Notice;
use crate::domain::publication::Content;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::ingest::publish::{Checked, within_jurisdiction};
use crate::store::alerts::Identity;

impl Ingest {
    /// Checks a notice. Without a target it goes to every unit the agency may address.
    pub fn review_notice(&self, agency: &Agency, notice: Notice) -> Result<Checked, Problem> {
        let found = notice.check(self.clock.now());
        if !found.is_empty() {
            let errors = found.iter().map(|one| FieldError::new(&one.path, one.rule, &one.message));
            return Err(Problem::fields(Code::Invalid, errors.collect()));
        }
        let area = self.audience_of_target(agency, notice.target.as_ref())?;
        let audience = Audience::Area(area);
        within_jurisdiction(agency, Kind::Notice, &audience, (&[], None))?;
        Ok(Checked {
            lane: Lane::Routine,
            audience,
            expires: notice.expires,
            chain: None,
            supersedes: Vec::new(),
            identity: Identity::Notice {
                agency: agency.id.clone(),
                identifier: notice.identifier.clone(),
            },
            raw: None,
            signed_by: None,
            content: Content::Notice(Box::new(notice)),
        })
    }
}
