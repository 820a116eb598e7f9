//! Canary devices and link tests, for operators.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::desk::Caller;
use crate::domain::ids::{DeviceId, UnitCode};
use crate::http::input::{Json, Path};
use crate::http::problem::{Code, Problem, Refused};
use crate::ingest::Ingest;
use crate::ingest::drills::appoint;
use crate::store::drills::{self, HISTORY_MAX};

/// Canaries and what link tests found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DrillsAnswer {
    /// By unit.
    pub canaries: Vec<CanaryAnswer>,
    /// Minutes between two tests; 0: none by themselves.
    pub schedule_minutes: u32,
    /// The newest test first.
    #[schema(value_type = Vec<Object>)]
    pub history: Vec<drills::LinkTest>,
}

/// A device that stands for a unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CanaryAnswer {
    /// The unit.
    pub unit: String,
    /// The device.
    pub device: String,
    /// When it was last sent to.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_sent_at: Option<Timestamp>,
    /// When it last said that it received a test.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_received_at: Option<Timestamp>,
    /// It received the last one.
    pub ok: bool,
}

/// A canary to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryInput {
    /// The unit it stands for.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9-]{1,12}$")]
    pub unit: UnitCode,
    /// A registered device that belongs to nobody.
    #[schema(value_type = String, format = "uuid")]
    pub device: DeviceId,
}

fn store_problem(error: drills::Error) -> Problem {
    match error {
        drills::Error::TooMany => Problem::new(Code::Conflict, error.to_string()),
        drills::Error::Storage(_) => Problem::internal(&error),
    }
}

/// Canaries and the history of link tests.
#[utoipa::path(get, path = "/v1/console/drills", tag = "desk",
    responses((status = 200, description = "Canaries", body = DrillsAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(ingest): State<Ingest>,
    caller: Caller,
) -> Result<axum::Json<DrillsAnswer>, Problem> {
    caller.need_operator()?;
    let canaries = ingest.drills.canaries().await.map_err(store_problem)?;
    let canaries = canaries.into_iter().map(|canary| CanaryAnswer {
        unit: canary.unit.to_string(),
        device: canary.device.to_string(),
        ok: canary.last_sent.is_some() && canary.last_received >= canary.last_sent,
        last_sent_at: canary.last_sent,
        last_received_at: canary.last_received,
    });
    let history = ingest.drills.history(HISTORY_MAX).await.map_err(store_problem)?;
    let schedule_minutes = ingest.link_test_minutes;
    Ok(axum::Json(DrillsAnswer { canaries: canaries.collect(), schedule_minutes, history }))
}

/// Makes a device a unit's canary.
#[utoipa::path(post, path = "/v1/console/drills", tag = "desk", request_body = CanaryInput,
    responses((status = 201, description = "It is one"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn add(
    State(ingest): State<Ingest>,
    caller: Caller,
    Json(input): Json<CanaryInput>,
) -> Result<StatusCode, Problem> {
    caller.need_operator()?;
    if ingest.city.unit(&input.unit).is_none() {
        return Err(Problem::field("unit", "known_unit", format!("no unit {}", input.unit)));
    }
    let canary = appoint(&ingest.registry, &input.unit, input.device).await?;
    ingest.drills.put(canary).await.map_err(store_problem)?;
    Ok(StatusCode::CREATED)
}

/// Takes a canary away; the device is nobody's again.
#[utoipa::path(delete, path = "/v1/console/drills/{device}", tag = "desk",
    params(("device" = String, Path, format = "uuid", description = "The device's id")),
    responses((status = 204, description = "It is none"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn remove(
    State(ingest): State<Ingest>,
    caller: Caller,
    Path(device): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.need_operator()?;
    let device: DeviceId =
        device.parse().map_err(|error| Problem::field("device", "device_id", error))?;
    if !ingest.drills.remove(device).await.map_err(store_problem)? {
        return Err(Problem::new(Code::NotFound, format!("no canary {device}")));
    }
    match ingest.registry.claim(&device, None).await {
        Ok(_) | Err(crate::store::registry::Error::NotFound(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Runs a link test now; its outcome is told by the event `links` within half a minute.
#[utoipa::path(post, path = "/v1/console/drills/link-test", tag = "desk",
    responses((status = 202, description = "It runs"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn run(State(ingest): State<Ingest>, caller: Caller) -> Result<StatusCode, Problem> {
    caller.need_operator()?;
    ingest.link_test.notify_one();
    Ok(StatusCode::ACCEPTED)
}
