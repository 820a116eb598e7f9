//! Places: what a device writes becomes units and cells that the registry keeps, and a change
//! reaches the device's open streams at once.

use std::sync::Arc;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::domain::cell::Cell;
use crate::domain::device::{self, Device, PLACES_MAX, Place, Profile};
use crate::domain::ids::{PublicationId, Seq, UnitCode, Vintage};
use crate::domain::receipt::Stage;
use crate::gateway::Gateway;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Conn;
use crate::gateway::outbox::Outgoing;
use crate::gateway::wire::ToClient;
use crate::geofence::City;
use crate::http::problem::{Code, FieldError, Problem};
use crate::store::registry;

/// New memberships looked at in one step.
const CHANGES_MAX: usize = 1_000;

/// A place as a device writes it: a chosen unit, or a coarse cell.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlaceInput)]
pub struct PlaceInput {
    /// The unit's code. With a cell it may be left out: the cell decides.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("26740"))]
    pub unit: Option<UnitCode>,
    /// Which set of codes the unit is of; absent means the present one. A unit of before July
    /// 2025 becomes the units that hold it now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub vintage: Option<Vintage>,
    /// A geohash of six characters; needs `location_consent`.
    #[serde(default)]
    #[schema(value_type = Option<String>, examples("w3gvk1"))]
    pub cell: Option<Cell>,
}

/// The places the registry keeps, or every broken rule.
pub fn resolve(city: &City, inputs: &[PlaceInput]) -> Result<Vec<Place>, Vec<FieldError>> {
    let (mut places, mut errors) = (Vec::new(), Vec::new());
    for (index, input) in inputs.iter().take(PLACES_MAX + 1).enumerate() {
        match resolve_one(city, input, &format!("places[{index}]")) {
            Ok(found) => {
                for place in found {
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if inputs.len() > PLACES_MAX || places.len() > PLACES_MAX {
        let message = format!("may hold at most {PLACES_MAX} places, old units resolved");
        errors.push(FieldError::new("places", "at_most", message));
    }
    if errors.is_empty() { Ok(places) } else { Err(errors) }
}

fn resolve_one(city: &City, input: &PlaceInput, path: &str) -> Result<Vec<Place>, FieldError> {
    if let Some(cell) = input.cell {
        let home = city.home_of(cell).ok_or_else(|| {
            let message = format!("cell {cell} lies outside every unit");
            FieldError::new(format!("{path}.cell"), "inside_a_unit", message)
        })?;
        return Ok(vec![Place { unit: home.clone(), cell: Some(cell) }]);
    }
    let Some(unit) = &input.unit else {
        let message = "needs a `unit` or a `cell`";
        return Err(FieldError::new(path, "unit_or_cell", message));
    };
    let unknown = |vintage: &Vintage| {
        let message = format!("no unit `{unit}` of {vintage}");
        FieldError::new(format!("{path}.unit"), "known_unit", message)
    };
    let vintage = input.vintage.as_ref().unwrap_or(city.vintage());
    if vintage == city.vintage() {
        city.unit(unit).ok_or_else(|| unknown(vintage))?;
        return Ok(vec![Place { unit: unit.clone(), cell: None }]);
    }
    let old = city.crosswalk().of(vintage).ok_or_else(|| {
        let message = format!("no units of {vintage} are known");
        FieldError::new(format!("{path}.vintage"), "known_vintage", message)
    })?;
    let became = &old.get(unit).ok_or_else(|| unknown(vintage))?.became;
    Ok(became.iter().map(|unit| Place { unit: unit.clone(), cell: None }).collect())
}

/// The rules of a profile as a problem that names every field.
pub fn check(profile: &Profile) -> Result<(), Problem> {
    let broken = device::validate(profile);
    if broken.is_empty() {
        return Ok(());
    }
    let errors =
        broken.iter().map(|violation| FieldError::new(&violation.field, "profile", violation.rule));
    Err(Problem::fields(Code::Invalid, errors.collect()))
}

/// The answer to a failed change of the registry.
pub fn registry_problem(error: registry::Error) -> Problem {
    match error {
        registry::Error::NotFound(_) => Problem::new(Code::NotFound, "no such device"),
        registry::Error::Taken(_) | registry::Error::Repeated => {
            Problem::new(Code::Conflict, "the device is registered with another secret")
        }
        registry::Error::SubjectFull(_) => {
            let limit = registry::SUBJECT_DEVICES_MAX;
            Problem::new(Code::Conflict, format!("a citizen may have at most {limit} devices"))
        }
        registry::Error::Invalid { violations, .. } => {
            let errors = violations
                .iter()
                .map(|violation| FieldError::new(&violation.field, "profile", violation.rule));
            Problem::fields(Code::Invalid, errors.collect())
        }
        registry::Error::Settings(_) | registry::Error::Storage(_) => Problem::internal(&error),
    }
}

impl Gateway {
    /// A device changes its places on its own stream.
    pub(super) async fn change_places(
        &self,
        conn: &Arc<Conn>,
        device: &Device,
        places: Vec<PlaceInput>,
    ) -> Result<(), Problem> {
        let places = resolve(&self.parts.city, &places)
            .map_err(|errors| Problem::fields(Code::Invalid, errors))?;
        let profile = Profile { places, ..device.profile.clone() };
        check(&profile)?;
        let units = profile.places.iter().map(|place| place.unit.to_string()).collect();
        let changed = self.parts.registry.update(&device.id, profile).await;
        let changed = changed.map_err(registry_problem)?;
        conn.outbox().push(Outgoing::plain(Frame::of(&ToClient::Places { units })));
        self.device_changed(&changed).await
    }

    /// Tells the device's open streams what it is now.
    pub(super) async fn device_changed(&self, device: &Arc<Device>) -> Result<(), Problem> {
        if self.hub.has_device(device.num) {
            let stays = self.stays(device).await?;
            self.hub.device_changed(device, &stays);
        }
        Ok(())
    }

    /// One acknowledgement on a stream.
    pub(super) async fn acknowledge(
        &self,
        device: &Arc<Device>,
        publication: PublicationId,
        stage: Stage,
    ) -> Result<(), Problem> {
        self.take_receipts(device, &[(publication, stage)]).await.map(|_| ())
    }
}

/// Follows the registry: a device that moved by way of another gateway is told what is live in its
/// new places on the stream it holds here.
pub(super) async fn follow(
    gateway: Gateway,
    stop: CancellationToken,
) -> Result<(), registry::Error> {
    let registry = &gateway.parts.registry;
    let mut newest = registry.watch();
    let mut seen: Seq = registry.last_seq().await?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = newest.changed() => if changed.is_err() {
                stop.cancelled().await;
                return Ok(());
            },
        }
        loop {
            let members = registry.changes(seen, CHANGES_MAX).await?;
            let Some(last) = members.last() else { break };
            seen = last.seq;
            for device in members.iter().filter_map(|member| member.device.as_ref()) {
                if let Err(problem) = gateway.device_changed(device).await {
                    tracing::warn!(detail = problem.detail, "a changed device was not followed");
                }
            }
        }
    }
}
