//! Agencies, what they may, and their API keys.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::desk::Caller;
use crate::console::Console;
use crate::console::manage::{Outcome, check_name};
use crate::console::session::AgencyAnswer;
use crate::domain::agency::{Agency, Jurisdiction};
use crate::domain::audit::Act;
use crate::domain::certificate::CapSigning;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::AgencyId;
use crate::domain::person::Right;
use crate::http::input::{Json, Path};
use crate::http::problem::{Code, Problem, Refused};
use crate::store::agencies::{self as store, KEY_NAME_CHARS_MAX};
use crate::store::people::Change;
use crate::trail::Deed;

/// Longest life of a key, in days: ten years.
const KEY_DAYS_MAX: u32 = 3_650;

/// Agencies.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgenciesAnswer {
    /// By id.
    pub agencies: Vec<AgencyAnswer>,
}

/// An agency as it is to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyInput {
    /// Its name for people.
    pub name: String,
    /// What it may.
    #[schema(value_type = Object)]
    pub jurisdiction: Jurisdiction,
    /// The city's operators.
    #[serde(default)]
    pub operator: bool,
    /// Its hot alerts over the API wait for a second person; absent means as before.
    #[serde(default)]
    pub second_person: Option<bool>,
    /// Its programs must send signed CAP XML; absent means as before.
    #[serde(default)]
    pub signature_required: Option<bool>,
}

/// Keys of an agency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeysAnswer {
    /// By name.
    pub keys: Vec<KeyAnswer>,
}

/// What is known of a key; never the key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyAnswer {
    /// Its name.
    pub name: String,
    /// What it may.
    #[schema(value_type = Vec<String>)]
    pub rights: BTreeSet<Right>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// When it stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub revoked_at: Option<Timestamp>,
    /// The SHA-256 of the client certificate that it is bound to (`x5t#S256`, RFC 8705).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<Fingerprint>,
}

/// A right by its name, as `domain::person::Right` reads it.
#[derive(ToSchema)]
#[schema(as = Right, rename_all = "lowercase")]
#[expect(dead_code, reason = "only described")]
pub enum RightName {
    /// Compose and submit.
    Write,
    /// Decide on what others submitted.
    Approve,
    /// Publish a hot alert alone, with a reason.
    Override,
    /// See everything.
    Operate,
    /// Agencies, people, keys.
    Admin,
}

/// A new key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// Its name within the agency; names are never used again.
    pub name: String,
    /// What it may; absent means `write`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<RightName>>)]
    pub rights: Option<BTreeSet<Right>>,
    /// Days until it stops working; absent means never.
    #[serde(default)]
    pub days: Option<u32>,
    /// The SHA-256 of the client certificate without which it opens nothing, as base64url or in
    /// hexadecimal digits; absent means that it needs none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<Fingerprint>,
}

pub(super) fn agency_id(text: &str) -> Result<AgencyId, Problem> {
    text.parse().map_err(|error| Problem::field("id", "agency_id", error))
}

/// A refusal or failure of the agencies store, as an answer.
pub fn store_problem(error: store::Error) -> Problem {
    match error {
        store::Error::UnknownAgency(_) => Problem::new(Code::NotFound, error.to_string()),
        store::Error::NameTaken { .. } => Problem::new(Code::Conflict, error.to_string()),
        store::Error::BadName => Problem::field("name", "key_name", error),
        store::Error::TooManyKeys(_) => Problem::new(Code::Conflict, error.to_string()),
        store::Error::Storage(_) => Problem::internal(&error),
    }
}

/// Lists the agencies one may see.
#[utoipa::path(get, path = "/v1/console/agencies", tag = "desk",
    responses((status = 200, description = "Agencies", body = AgenciesAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
) -> Result<axum::Json<AgenciesAnswer>, Problem> {
    let all = console.desk.agencies.list().await.map_err(store_problem)?;
    let manages = caller.agency.operator && caller.may(Right::Admin);
    let seen = all.iter().filter(|agency| manages || caller.sees(&agency.id));
    Ok(axum::Json(AgenciesAnswer { agencies: seen.map(AgencyAnswer::from).collect() }))
}

/// One agency.
#[utoipa::path(get, path = "/v1/console/agencies/{id}", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id")),
    responses((status = 200, description = "The agency", body = AgencyAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn read(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<AgencyAnswer>, Problem> {
    let id = agency_id(&id)?;
    let known = console.desk.agencies.get(&id).await.map_err(store_problem)?;
    let manages = caller.agency.operator && caller.may(Right::Admin);
    let known = known.filter(|agency| manages || caller.sees(&agency.id));
    let known = known.ok_or_else(|| Problem::new(Code::NotFound, format!("no agency {id}")))?;
    Ok(axum::Json(AgencyAnswer::from(&known)))
}

/// Adds an agency, or changes what it may; for the operators' admins.
#[utoipa::path(put, path = "/v1/console/agencies/{id}", tag = "desk", request_body = AgencyInput,
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id")),
    responses((status = 200, description = "Done", body = Outcome),
        (status = 202, description = "Waits for a second admin", body = Outcome), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn put(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<AgencyInput>,
) -> Result<(StatusCode, axum::Json<Outcome>), Problem> {
    caller.need(Right::Admin)?;
    if !caller.agency.operator {
        let detail = "what agencies may is for the city's operators to say";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let id = agency_id(&id)?;
    check_name(&input.name)?;
    if let Some(units) = &input.jurisdiction.units {
        let unknown = units.iter().find(|unit| console.city.unit(unit).is_none());
        if let Some(unit) = unknown {
            let message = format!("no unit {unit}");
            return Err(Problem::field("jurisdiction.units", "known_unit", message));
        }
    }
    let before = console.desk.agencies.get(&id).await.map_err(store_problem)?;
    let second = before.as_ref().is_some_and(|before| before.second_person);
    let submission_keys = before.as_ref().map(|one| one.submission_keys.clone());
    let cap_signing = before.as_ref().map(|one| one.cap_signing.clone()).unwrap_or_default();
    let required = input.signature_required.unwrap_or(cap_signing.required);
    let agency = Agency {
        submission_keys: submission_keys.unwrap_or_default(),
        cap_signing: CapSigning { required, ..cap_signing },
        id,
        name: input.name,
        jurisdiction: input.jurisdiction,
        operator: input.operator,
        second_person: input.second_person.unwrap_or(second),
    };
    let outcome = if before.as_ref().is_none_or(|before| agency.exceeds(before)) {
        console.more(&caller, Change::Agency { agency }).await?
    } else {
        console.apply(&caller, Change::Agency { agency }, false).await?;
        Outcome { request: None, alone: false, key: None }
    };
    Ok((status(&outcome), axum::Json(outcome)))
}

/// 202 for what waits.
pub fn status(outcome: &Outcome) -> StatusCode {
    if outcome.request.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK }
}

/// An agency's keys; never the keys themselves.
#[utoipa::path(get, path = "/v1/console/agencies/{id}/keys", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id")),
    responses((status = 200, description = "Keys", body = KeysAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn keys(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<KeysAnswer>, Problem> {
    let id = agency_id(&id)?;
    console.manages(&caller, &id)?;
    let agencies = &console.desk.agencies;
    let mut keys = Vec::new();
    for info in agencies.keys(&id).await.map_err(store_problem)? {
        let rights = agencies.key_rights(&id, &info.name).await.map_err(store_problem)?;
        keys.push(KeyAnswer {
            name: info.name,
            rights,
            created_at: info.created,
            expires_at: info.expires,
            last_used_at: info.last_used,
            revoked_at: info.revoked,
            certificate: info.certificate,
        });
    }
    Ok(axum::Json(KeysAnswer { keys }))
}

/// Makes an API key; it is shown once.
#[utoipa::path(post, path = "/v1/console/agencies/{id}/keys", tag = "desk",
    request_body = KeyInput,
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id")),
    responses((status = 200, description = "Made", body = Outcome),
        (status = 202, description = "Waits for a second admin", body = Outcome), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn add_key(
    State(console): State<Console>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<KeyInput>,
) -> Result<(StatusCode, axum::Json<Outcome>), Problem> {
    let Agency { id: agency, .. } = console.managed(&caller, &agency_id(&id)?).await?;
    let KeyInput { name, rights, days, certificate } = input;
    let count = name.chars().count();
    if count == 0 || count > KEY_NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(store_problem(store::Error::BadName));
    }
    if days.is_some_and(|days| !(1..=KEY_DAYS_MAX).contains(&days)) {
        return Err(Problem::field("days", "range", format!("must be 1..={KEY_DAYS_MAX}")));
    }
    let known = console.desk.agencies.keys(&agency).await.map_err(store_problem)?;
    if known.iter().any(|key| key.name == name) {
        return Err(store_problem(store::Error::NameTaken { agency, name }));
    }
    let hours = |days| SignedDuration::from_hours(24 * i64::from(days));
    let expires = days.and_then(|days| console.clock.now().checked_add(hours(days)).ok());
    let rights = rights.unwrap_or([Right::Write].into()).into_iter().collect();
    let change = Change::Key { agency, name, rights, expires, certificate };
    let outcome = console.more(&caller, change).await?;
    Ok((status(&outcome), axum::Json(outcome)))
}

/// Revokes an API key at once.
#[utoipa::path(delete, path = "/v1/console/agencies/{id}/keys/{name}", tag = "desk",
    params(("id" = String, Path, pattern = "^[a-z0-9.-]{1,64}$", description = "Agency id"),
        ("name" = String, Path, description = "The key's name")),
    responses((status = 204, description = "Revoked"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn revoke(
    State(console): State<Console>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let agency = agency_id(&id)?;
    console.manages(&caller, &agency)?;
    let now = console.clock.now();
    let revoked = console.desk.agencies.revoke(&agency, &name, now).await;
    if !revoked.map_err(store_problem)? {
        return Err(Problem::new(Code::NotFound, format!("no key `{name}` that works")));
    }
    let deed = Deed::done(caller.actor(), Act::RevokeKey, format!("{agency}/{name}"));
    console.trail.note(deed).await;
    Ok(StatusCode::NO_CONTENT)
}
