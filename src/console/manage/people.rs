//! People of the agencies, and what they may.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::desk::{Caller, store_problem};
use crate::console::Console;
use crate::console::manage::agencies::{RightName, status};
use crate::console::manage::{Outcome, check_name};
use crate::domain::ids::{AgencyId, PersonId};
use crate::domain::person::{Person, Right, password_problem};
use crate::http::input::{Json, Path};
use crate::http::problem::{Code, Problem, Refused};
use crate::store::people::Change;

/// People.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PeopleAnswer {
    /// By id.
    #[schema(value_type = Vec<Object>)]
    pub people: Vec<Person>,
}

/// A person as they are to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonInput {
    /// Their name.
    pub name: String,
    /// Their agency; absent means the caller's, or as before.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9.-]{1,64}$")]
    pub agency: Option<AgencyId>,
    /// What they may.
    #[schema(value_type = Vec<RightName>)]
    pub rights: BTreeSet<Right>,
    /// Whether they may log in.
    #[serde(default = "yes")]
    pub active: bool,
    /// A new password; absent means that it stays.
    #[serde(default)]
    pub password: Option<String>,
    /// Their id again, as the page sends it; must be the path's.
    #[serde(default)]
    pub id: Option<String>,
}

fn yes() -> bool {
    true
}

/// Rights with which somebody decides: giving them needs a second admin.
const WEIGHTY: [Right; 4] = [Right::Approve, Right::Override, Right::Operate, Right::Admin];

/// Lists the people one manages.
#[utoipa::path(get, path = "/v1/console/people", tag = "desk",
    responses((status = 200, description = "People", body = PeopleAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
) -> Result<axum::Json<PeopleAnswer>, Problem> {
    caller.need(Right::Admin)?;
    let mut people = console.desk.people.list().await.map_err(store_problem)?;
    people.retain(|person| caller.agency.operator || person.agency == caller.agency.id);
    Ok(axum::Json(PeopleAnswer { people }))
}

/// One person.
#[utoipa::path(get, path = "/v1/console/people/{id}", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Person id")),
    responses((status = 200, description = "The person", body = Object), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Person>, Problem> {
    caller.need(Right::Admin)?;
    let id: PersonId = id.parse().map_err(|error| Problem::field("id", "person_id", error))?;
    let known = console.desk.people.get(&id).await.map_err(store_problem)?;
    let own = |person: &Person| caller.agency.operator || person.agency == caller.agency.id;
    let known = known.filter(own);
    known.map(axum::Json).ok_or_else(|| Problem::new(Code::NotFound, format!("no person {id}")))
}

/// Adds a person, or changes what they may.
#[utoipa::path(put, path = "/v1/console/people/{id}", tag = "desk", request_body = PersonInput,
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Person id")),
    responses((status = 200, description = "Done", body = Outcome),
        (status = 202, description = "Waits for a second admin", body = Outcome), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn put(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<PersonInput>,
) -> Result<(StatusCode, axum::Json<Outcome>), Problem> {
    caller.need(Right::Admin)?;
    if input.id.as_ref().is_some_and(|given| *given != id) {
        return Err(Problem::field("id", "same", "the path names another person"));
    }
    let id: PersonId = id.parse().map_err(|error| Problem::field("id", "person_id", error))?;
    let before = console.desk.people.get(&id).await.map_err(store_problem)?;
    let known = before.as_ref().map(|before| before.agency.clone());
    let agency = input.agency.clone().or(known).unwrap_or(caller.agency.id.clone());
    console.manages(&caller, &agency)?;
    if let Some(before) = &before {
        console.manages(&caller, &before.agency)?;
    }
    check(&console, &input, (before.as_ref(), &agency)).await?;
    let PersonInput { name, rights, active, password, .. } = input;
    let person = Person { id, name, agency, rights, active };
    let weighty = |right: Right| WEIGHTY.contains(&right);
    let moved = before.as_ref().is_some_and(|before| before.agency != person.agency);
    // Whoever sets the password of somebody who decides could decide in their place.
    let takes_over = password.is_some() && person.rights.iter().copied().any(weighty);
    let gains = person.gains(before.as_ref()).any(weighty) || takes_over || moved;
    let password_hash = match password {
        Some(password) => Some(console.hash(password).await?),
        None => None,
    };
    let change = Change::Person { person, password_hash };
    let outcome = if gains {
        console.more(&caller, change).await?
    } else {
        console.apply(&caller, change, false).await?;
        Outcome { request: None, alone: false, key: None }
    };
    Ok((status(&outcome), axum::Json(outcome)))
}

async fn check(
    console: &Console,
    input: &PersonInput,
    (before, agency): (Option<&Person>, &AgencyId),
) -> Result<(), Problem> {
    check_name(&input.name)?;
    match &input.password {
        Some(password) => {
            if let Some(rule) = password_problem(password) {
                return Err(Problem::field("password", "password", rule));
            }
        }
        None if before.is_none() => {
            return Err(Problem::field("password", "required", "a new person needs one"));
        }
        None => {}
    }
    let known = console.desk.agencies.get(agency).await;
    if known.map_err(|error| Problem::internal(&error))?.is_none() {
        return Err(Problem::field("agency", "known_agency", format!("no agency {agency}")));
    }
    Ok(())
}
