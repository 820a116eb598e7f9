//! What admins ask a second admin to confirm, and what is done then.

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::desk::{Caller, store_problem};
use crate::console::Console;
use crate::console::manage::agencies::store_problem as agency_problem;
use crate::console::manage::{is_for_operators, subject_of};
use crate::domain::agency::Agency;
use crate::domain::audit::Act;
use crate::domain::person::Right;
use crate::http::input::Path;
use crate::http::problem::{Code, Problem, Refused};
use crate::store::people::{Change, Request, RequestState};
use crate::trail::Deed;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The key that was made.
    pub key: Option<String>,
}

/// What waits, and what was decided.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RequestsAnswer {
    /// Those that wait first.
    pub requests: Vec<RequestAnswer>,
}

/// An admin's act that waits for a second admin, or waited.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RequestAnswer {
    /// Its id.
    pub id: String,
    /// `change_agency`, `change_person`, `create_key` or `register_certificate`.
    #[schema(value_type = String)]
    pub act: Act,
    /// To what.
    pub object: String,
    /// Who asked.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// As it is to be; never a password.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// `waiting`, `confirmed` or `refused`.
    #[schema(value_type = String)]
    pub state: RequestState,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The key that was made: shown here and never again. Hand it to who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Confirm or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Confirm,
    Refuse,
}

impl RequestAnswer {
    fn of(request: &Request, key: Option<String>) -> Self {
        let (act, detail) = match &request.change {
            Change::Agency { agency } => (Act::ChangeAgency, json!(agency)),
            Change::Person { person, password_hash } => {
                let mut detail = json!(person);
                detail["new_password"] = json!(password_hash.is_some());
                (Act::ChangePerson, detail)
            }
            Change::Key { agency, name, rights, expires, certificate } => {
                let detail = json!({"agency": agency, "name": name, "rights": rights,
                    "expires_at": expires, "certificate": certificate});
                (Act::CreateKey, detail)
            }
            Change::Certificate { agency, name, certificate } => {
                let detail = json!({"agency": agency, "name": name, "certificate": certificate});
                (Act::RegisterCertificate, detail)
            }
        };
        Self {
            id: request.id.to_string(),
            act,
            object: subject_of(&request.change).1,
            by: request.asked_by.clone(),
            at: request.asked_at,
            detail,
            state: request.state,
            decided_by: request.decided_by.clone(),
            key,
        }
    }
}

impl Console {
    /// Does what was asked for and confirmed, or what needs nobody's confirmation.
    pub(super) async fn apply(
        &self,
        caller: &Caller,
        change: Change,
        alone: bool,
    ) -> Result<Done, Problem> {
        let object = subject_of(&change).1;
        let (act, done) = match change {
            Change::Agency { agency } => {
                let agency = self.with_keys_of_now(agency).await?;
                self.desk.agencies.put(agency).await.map_err(agency_problem)?;
                (Act::ChangeAgency, Done::default())
            }
            Change::Person { person, password_hash } => {
                self.desk.people.put(person, password_hash).await.map_err(store_problem)?;
                (Act::ChangePerson, Done::default())
            }
            Change::Key { agency, name, rights, expires, certificate } => {
                let life = (self.clock.now(), expires);
                let agencies = &self.desk.agencies;
                let key = agencies.add_bound_key(&agency, &name, life, certificate).await;
                let key = key.map_err(agency_problem)?;
                let rights = rights.into_iter().collect();
                agencies.set_key_rights(&agency, &name, rights).await.map_err(agency_problem)?;
                (Act::CreateKey, Done { key: Some(key.expose().to_owned()) })
            }
            Change::Certificate { agency, name, certificate } => {
                self.register(&agency, name, certificate).await?;
                (Act::RegisterCertificate, Done::default())
            }
        };
        self.trail.note(Deed::done(caller.actor(), act, object).alone(alone)).await;
        Ok(done)
    }
}

impl Console {
    /// An agency as it is to be, with the keys and certificates it has now: what was removed while
    /// the change waited stays removed.
    async fn with_keys_of_now(&self, mut agency: Agency) -> Result<Agency, Problem> {
        let known = self.desk.agencies.get(&agency.id).await.map_err(agency_problem)?;
        if let Some(known) = known {
            agency.submission_keys = known.submission_keys;
            agency.cap_signing.certificates = known.cap_signing.certificates;
        }
        Ok(agency)
    }
}

/// What waits for a second admin.
#[utoipa::path(get, path = "/v1/console/requests", tag = "desk",
    responses((status = 200, description = "Requests", body = RequestsAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
) -> Result<axum::Json<RequestsAnswer>, Problem> {
    caller.need(Right::Admin)?;
    let all = console.desk.people.requests().await.map_err(store_problem)?;
    let own = |request: &&Request| {
        caller.agency.operator || subject_of(&request.change).0 == caller.agency.id
    };
    let requests = all.iter().filter(own).map(|one| RequestAnswer::of(one, None)).collect();
    Ok(axum::Json(RequestsAnswer { requests }))
}

/// Confirms or refuses another admin's act.
#[utoipa::path(post, path = "/v1/console/requests/{id}/{decision}", tag = "desk",
    params(("id" = String, Path, format = "uuid", description = "Request id"),
        ("decision" = String, Path, pattern = "^(confirm|refuse)$",
            description = "`confirm` or `refuse`")),
    responses((status = 200, description = "The request after it", body = RequestAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn decide(
    State(console): State<Console>,
    caller: Caller,
    Path((id, decision)): Path<(String, Decision)>,
) -> Result<axum::Json<RequestAnswer>, Problem> {
    let id: Uuid = id.parse().map_err(|error| Problem::field("id", "request_id", error))?;
    let waiting = console.desk.people.requests().await.map_err(store_problem)?;
    let missing = || Problem::new(Code::NotFound, format!("no request {id}"));
    let request = waiting.iter().find(|request| request.id == id).ok_or_else(missing)?;
    let (agency, object) = subject_of(&request.change);
    console.manages(&caller, &agency)?;
    if is_for_operators(&request.change) && !caller.agency.operator {
        return Err(Problem::new(Code::Forbidden, "this is for the operators' admins"));
    }
    let (act, state) = match decision {
        Decision::Confirm => (Act::ConfirmAdmin, RequestState::Confirmed),
        Decision::Refuse => (Act::RefuseAdmin, RequestState::Refused),
    };
    if decision == Decision::Confirm && request.asked_by == caller.id() {
        let code = Code::SamePerson;
        console.trail.note(Deed::refused(caller.actor(), act, object, code.as_str())).await;
        return Err(Problem::new(code, "who asked cannot confirm: a second admin must").noted());
    }
    let decided = (state, caller.id(), console.clock.now());
    let decided = console.desk.people.decide_request(id, decided).await.map_err(store_problem)?;
    let over = || Problem::new(Code::IllegalTransition, "the request was decided on already");
    let request = decided.ok_or_else(over)?;
    console.trail.note(Deed::done(caller.actor(), act, object)).await;
    let done = match decision {
        Decision::Confirm => console.apply(&caller, request.change.clone(), false).await?,
        Decision::Refuse => Done::default(),
    };
    Ok(axum::Json(RequestAnswer::of(&request, done.key)))
}
