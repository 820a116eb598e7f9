//! Receipts: what apps tell us back, completed with what the ledger counts by and put on the log.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::citizen::AsDevice;
use crate::bus::{Record, TopicId};
use crate::domain::audience::Audience;
use crate::domain::device::Device;
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::publication::Publication;
use crate::domain::receipt::{Receipt, Stage};
use crate::event;
use crate::gateway::Gateway;
use crate::gateway::viewer::Stay;
use crate::http::input::Json;
use crate::http::problem::{Code, Document, FieldError, Problem};

/// Receipts in one request: an app that was away for long sends several.
const RECEIPTS_MAX: usize = 500;

/// Receipts of one device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At most 500.
    receipts: Vec<ReceiptInput>,
}

/// One receipt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Receipt)]
pub(super) struct ReceiptInput {
    /// What was received.
    #[schema(value_type = String, format = "uuid")]
    publication: PublicationId,
    /// `received`, `shown` or `acknowledged`; each implies those before it.
    #[schema(value_type = String, pattern = "^(received|shown|acknowledged)$")]
    stage: Stage,
}

/// How many receipts were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// On the log.
    taken: usize,
}

/// Say how far publications got on this device
///
/// Safe to repeat. Only for publications that were for this device.
#[utoipa::path(
    post,
    path = "/v1/receipts",
    tag = "devices",
    request_body = Batch,
    responses(
        (status = 202, description = "On the log; the funnel follows", body = Taken),
        (status = 400, description = "Not the JSON that is expected", body = Document),
        (status = 401, description = "Wrong credentials", body = Document),
        (status = 422, description = "A receipt breaks a rule", body = Document)
    ),
    security(("device" = []))
)]
pub(super) async fn post(
    State(gateway): State<Gateway>,
    AsDevice(device): AsDevice,
    Json(batch): Json<Batch>,
) -> Result<(StatusCode, axum::Json<Taken>), Problem> {
    if !(1..=RECEIPTS_MAX).contains(&batch.receipts.len()) {
        let message = format!("must hold 1 to {RECEIPTS_MAX} receipts");
        return Err(Problem::field("receipts", "count", message));
    }
    let asked: Vec<_> = batch.receipts.iter().map(|r| (r.publication, r.stage)).collect();
    let taken = gateway.take_receipts(&device, &asked).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Taken { taken })))
}

impl Gateway {
    /// Puts receipts on the log, all or none.
    pub(super) async fn take_receipts(
        &self,
        device: &Arc<Device>,
        asked: &[(PublicationId, Stage)],
    ) -> Result<usize, Problem> {
        let stays = self.stays(device).await?;
        let at = self.hub.now();
        let (mut records, mut errors) = (Vec::with_capacity(asked.len()), Vec::new());
        for (index, (id, stage)) in asked.iter().enumerate() {
            let stored = self.parts.alerts.get(*id).await;
            let stored = stored.map_err(|error| Problem::internal(&error))?;
            let unit = stored.and_then(|stored| addressed(&stored.publication, device, &stays));
            let Some(unit) = unit else {
                let message = format!("{id} was not for this device");
                let path = format!("receipts[{index}].publication");
                errors.push(FieldError::new(path, "addressed", message));
                continue;
            };
            let (publication, stage) = (*id, *stage);
            let channel = device.profile.address.channel();
            let receipt = Receipt { publication, device: device.num, channel, unit, stage, at };
            let event::Encoded { key, headers, payload } = event::receipt::encode(&receipt);
            records.push(Record { key, headers, payload });
        }
        if !errors.is_empty() {
            return Err(Problem::fields(Code::Invalid, errors));
        }
        let count = records.len();
        let published = self.parts.bus.publish(TopicId::Receipts, records).await;
        published.map(|_| count).map_err(|error| Problem::internal(&error))
    }
}

/// Whether a publication was for a device, and the unit that owned the delivery.
pub(super) fn addressed(
    publication: &Publication,
    device: &Device,
    stays: &[Stay],
) -> Option<Option<UnitCode>> {
    match &publication.audience {
        own @ Audience::Subject { .. } => {
            let owner = device.subject.as_ref();
            owner.is_some_and(|owner| own.is_subject(owner)).then_some(None)
        }
        Audience::Area(area) => {
            let present = area.owner(&device.profile.places).map(|(place, _)| place);
            let past = || stays.iter().map(|stay| &stay.place).find(|p| area.fit(p).is_some());
            let place = present.or_else(past);
            match place {
                Some(place) => Some(Some(place.unit.clone())),
                // An update or all-clear also goes to those whom its forerunner reached.
                None if !publication.supersedes.is_empty() => Some(None),
                None => None,
            }
        }
    }
}
