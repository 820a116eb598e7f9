//! Agencies, people and keys. What gives somebody more than they had waits for a second admin;
//! where there is none it takes effect at once, and the audit says that it was one alone.

mod agencies;
mod certificates;
mod people;
mod requests;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::desk::{Caller, store_problem};
use crate::console::Console;
use crate::domain::agency::Agency;
use crate::domain::audit::Act;
use crate::domain::ids::AgencyId;
use crate::domain::person::{NAME_CHARS_MAX, Right};
use crate::http::Router;
use crate::http::problem::{Code, Problem};
use crate::store::agencies::Error;
use crate::store::people::{Change, Request, RequestState};
use crate::trail::Deed;

/// What became of an admin's act.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcome {
    /// It waits for a second admin under this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// It took effect, and there was no second admin to ask.
    pub alone: bool,
    /// The key that was made: shown here and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Console {
    /// Refuses who may not manage an agency: its own admins may, and the operators'.
    fn manages(&self, caller: &Caller, agency: &AgencyId) -> Result<(), Problem> {
        caller.need(Right::Admin)?;
        if caller.agency.id == *agency || caller.agency.operator {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "this is for the agency's own admins"))
    }

    /// An agency that the caller manages.
    async fn managed(&self, caller: &Caller, id: &AgencyId) -> Result<Agency, Problem> {
        self.manages(caller, id)?;
        self.agency(id).await
    }

    /// An agency as it is now.
    async fn agency(&self, id: &AgencyId) -> Result<Agency, Problem> {
        let known = self.desk.agencies.get(id).await.map_err(agencies::store_problem)?;
        known.ok_or_else(|| agencies::store_problem(Error::UnknownAgency(id.clone())))
    }

    /// Admins but the caller who could confirm what concerns an agency.
    async fn others(&self, by: &str, change: &Change) -> Result<usize, Problem> {
        let agency = subject_of(change).0;
        let people = self.desk.people.list().await.map_err(store_problem)?;
        let mut count = 0;
        for person in people.iter().filter(|person| person.may(Right::Admin)) {
            if by == format!("person:{}", person.id) {
                continue;
            }
            let own = person.agency == agency && !is_for_operators(change);
            if own || self.is_operator(&person.agency).await? {
                count += 1;
            }
        }
        Ok(count)
    }

    async fn is_operator(&self, agency: &AgencyId) -> Result<bool, Problem> {
        let agency = self.desk.agencies.get(agency).await;
        let agency = agency.map_err(|error| Problem::internal(&error))?;
        Ok(agency.is_some_and(|agency| agency.operator))
    }

    /// Does what gives more than there was, or asks a second admin to confirm it.
    async fn more(&self, caller: &Caller, change: Change) -> Result<Outcome, Problem> {
        let object = subject_of(&change).1;
        if self.others(&caller.id(), &change).await? == 0 {
            let done = self.apply(caller, change, true).await?;
            return Ok(Outcome { request: None, alone: true, key: done.key });
        }
        let request = Request {
            id: Uuid::new_v4(),
            change,
            asked_by: caller.id(),
            asked_at: self.clock.now(),
            state: RequestState::Waiting,
            decided_by: None,
            decided_at: None,
        };
        let id = request.id.to_string();
        self.desk.people.put_request(request).await.map_err(store_problem)?;
        self.trail.note(Deed::done(caller.actor(), Act::RequestAdmin, object)).await;
        Ok(Outcome { request: Some(id), alone: false, key: None })
    }
}

/// Refuses a name for people that is empty or too long.
fn check_name(name: &str) -> Result<(), Problem> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        let message = format!("must have 1 to {NAME_CHARS_MAX} characters");
        return Err(Problem::field("name", "length", message));
    }
    Ok(())
}

/// Whom a change concerns, and its object in the audit.
fn subject_of(change: &Change) -> (AgencyId, String) {
    match change {
        Change::Agency { agency } => (agency.id.clone(), agency.id.to_string()),
        Change::Person { person, .. } => (person.agency.clone(), person.id.to_string()),
        Change::Key { agency, name, .. } | Change::Certificate { agency, name, .. } => {
            (agency.clone(), format!("{agency}/{name}"))
        }
    }
}

/// What agencies may is for the operators' admins alone.
fn is_for_operators(change: &Change) -> bool {
    matches!(change, Change::Agency { .. })
}

/// The admins' routes.
pub fn router() -> Router<Console> {
    Router::new()
        .routes(routes!(agencies::list))
        .routes(routes!(agencies::read, agencies::put))
        .routes(routes!(agencies::keys, agencies::add_key))
        .routes(routes!(agencies::revoke))
        .routes(routes!(certificates::list))
        .routes(routes!(certificates::put, certificates::remove))
        .routes(routes!(people::list))
        .routes(routes!(people::read, people::put))
        .routes(routes!(requests::list))
        .routes(routes!(requests::decide))
}
