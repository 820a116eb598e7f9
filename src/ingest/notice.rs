//! Notices: news and surveys, on the routine lane.

use crate::domain::agency::{Agency, Kind};
use crate::domain::audience::{AreaAudience, Audience};
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
        let mut area = self.audience_of_target(notice.target.as_ref())?;
        if notice.target.is_none() {
            keep_own_units(agency, &mut area)?;
        }
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
            content: Content::Notice(Box::new(notice)),
        })
    }
}

fn keep_own_units(agency: &Agency, area: &mut AreaAudience) -> Result<(), Problem> {
    if let Some(own) = &agency.jurisdiction.units {
        area.units.retain(|unit| own.contains(&unit.code));
    }
    if area.units.is_empty() {
        let message = "none of the agency's units is one of the city";
        let error = FieldError::new("target", "audience_not_empty", message);
        return Err(Problem::fields(Code::AudienceEmpty, vec![error]));
    }
    Ok(())
}
