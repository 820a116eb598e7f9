//! What we hold of whoever asks, given out and erased on demand (Luật 91/2025/QH15).

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::citizen::{AsCitizen, Citizen};
use crate::domain::device::Device;
use crate::gateway::Gateway;
use crate::gateway::devices::DeviceView;
use crate::gateway::places::registry_problem;
use crate::http::problem::{Document, Problem};

/// Everything held of a device or citizen.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Export {
    /// The citizen's pseudonym; we hold no other name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The devices.
    devices: Vec<DeviceExport>,
}

/// Everything held of one device.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceExport {
    /// What it said of itself.
    device: DeviceView,
    /// Since when its push address is known.
    #[schema(value_type = String, format = "date-time")]
    address_since: Timestamp,
    /// When it was last seen, to a week: who is not seen for long is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    last_seen: Option<Timestamp>,
    /// Its places with their times, past ones as long as they are kept.
    stays: Vec<StayView>,
    /// What it answered to alerts and surveys.
    answers: Vec<OwnAnswer>,
}

/// An answer of one's own.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnAnswer {
    /// To what.
    publication: String,
    /// The survey's question; `safety` for an alert.
    question: String,
    /// The option, the step, `safe` or `help`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// A free text or a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
}

/// One stay at a place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stay)]
pub(super) struct StayView {
    /// The unit.
    unit: String,
    /// The coarse cell, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    joined_at: Timestamp,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    left_at: Option<Timestamp>,
}

/// Export all that is held of me
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "me",
    responses(
        (status = 200, description = "All of it", body = Export),
        (status = 401, description = "Wrong credentials", body = Document)
    ),
    security(("device" = []), ("citizen" = []))
)]
pub(super) async fn read(
    State(gateway): State<Gateway>,
    AsCitizen(citizen): AsCitizen,
) -> Result<axum::Json<Export>, Problem> {
    let (subject, devices) = match citizen {
        Citizen::Device(device) => (device.subject.clone(), vec![device]),
        Citizen::Subject(subject) => {
            let devices = gateway.names().devices(&subject).await;
            (Some(subject), devices.map_err(|error| Problem::internal(&error))?)
        }
    };
    let mut exports = Vec::with_capacity(devices.len());
    for device in &devices {
        exports.push(export(&gateway, device).await?);
    }
    let subject = subject.map(|subject| subject.to_string());
    Ok(axum::Json(Export { subject, devices: exports }))
}

async fn export(gateway: &Gateway, device: &Device) -> Result<DeviceExport, Problem> {
    let stays = gateway.stays(device).await?;
    let stays = stays.into_iter().map(|stay| StayView {
        unit: stay.place.unit.to_string(),
        cell: stay.place.cell.map(|cell| cell.to_string()),
        joined_at: stay.joined_at,
        left_at: stay.left_at,
    });
    let answers = gateway.parts.answers.of(device.num).await;
    let answers = answers.map_err(|error| Problem::internal(&error))?;
    let answers = answers.into_iter().map(|own| OwnAnswer {
        publication: own.publication.to_string(),
        question: own.question,
        value: own.value,
        text: own.text,
        at: own.at,
    });
    Ok(DeviceExport {
        answers: answers.collect(),
        device: DeviceView::of(device),
        address_since: device.address_since,
        last_seen: gateway.parts.registry.seen_at(device.num).await.map_err(registry_problem)?,
        stays: stays.collect(),
    })
}

/// Erase all that is held of me
///
/// A device erases itself. A citizen erases all their devices and what was said to them alone; the
/// key it was sealed with is destroyed, so that nobody can read what is left of it on the log.
#[utoipa::path(
    delete,
    path = "/v1/me",
    tag = "me",
    responses(
        (status = 204, description = "Erased; open streams are closed"),
        (status = 401, description = "Wrong credentials", body = Document)
    ),
    security(("device" = []), ("citizen" = []))
)]
pub(super) async fn erase(
    State(gateway): State<Gateway>,
    AsCitizen(citizen): AsCitizen,
) -> Result<StatusCode, Problem> {
    match citizen {
        Citizen::Device(device) => gateway.erase(&device).await,
        Citizen::Subject(subject) => {
            let devices = gateway.names().devices(&subject).await;
            for device in devices.map_err(|error| Problem::internal(&error))? {
                gateway.erase(&device).await?;
            }
            let erased = gateway.names().erase(&subject).await;
            erased.map_err(|error| Problem::internal(&error))?;
            Ok(StatusCode::NO_CONTENT)
        }
    }
}
