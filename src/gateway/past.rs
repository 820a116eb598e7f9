//! Public pages' data: what the page needs to know of this node, past alerts, and one alert with
//! its shapes and its chain.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::bearer::Verifier;
use crate::domain::device::Place;
use crate::domain::geo::{Circle, Ring};
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::publication::{Action, Content, Publication};
use crate::gateway::Gateway;
use crate::gateway::login::LOGIN_PATH;
use crate::gateway::public::{CACHE_SECONDS, fit, is_public};
use crate::gateway::view::View;
use crate::geofence::BUILTIN_CITY;
use crate::http::input::{Path, Query, page_limit};
use crate::http::problem::{Code, Document, Problem};
use crate::store::alerts::Stored;

/// Past alerts in one answer.
const LIMIT_MAX: usize = 100;
/// Publications read for one answer.
const SCANNED_MAX: usize = 500;

/// How citizens log in, for the page that sends them there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginView {
    /// Where the page sends the browser.
    login: &'static str,
}

/// What the citizens' page needs to know of this node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigView {
    /// The built-in city.
    city: &'static str,
    /// `approximate` or `imported`: how true the boundaries are.
    boundaries: &'static str,
    /// How to log in; absent: nobody can.
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<LoginView>,
    /// How to subscribe to pushes.
    push: PushView,
    /// Surveys can be answered.
    survey: bool,
}

/// How to subscribe to pushes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PushView {
    /// Our public key; absent: no Web Push on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    vapid: Option<String>,
}

/// What the citizens' page needs to know of this node
#[utoipa::path(get, path = "/v1/config", tag = "public",
    responses((status = 200, description = "What this node offers", body = ConfigView)))]
pub(super) async fn config(State(gateway): State<Gateway>) -> impl IntoResponse {
    let offer = gateway.parts.webpush.as_ref();
    let login = gateway.parts.doorkeeper.verifier().and_then(Verifier::login);
    let view = ConfigView {
        city: BUILTIN_CITY,
        boundaries: gateway.parts.city.boundaries().as_str(),
        oidc: login.map(|_| LoginView { login: LOGIN_PATH }),
        push: PushView { vapid: offer.map(|offer| offer.application_server_key.clone()) },
        survey: true,
    };
    ([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(view))
}

/// Which past alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// That touched a unit.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9-]{1,12}$")]
    unit: Option<UnitCode>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// Past alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Past {
    /// `approximate` or `imported`: how true the boundaries are.
    boundaries: &'static str,
    /// The newest first; active ones are among them.
    alerts: Vec<Whole>,
}

/// An alert and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    view: View,
    /// `live`, `expired`, `superseded` or `cancelled`.
    state: &'static str,
    /// The later alert that replaced or withdrew it.
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<String>,
}

/// One alert with its shapes and its chain.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneAlert {
    /// The alert.
    publication: Whole,
    /// The publisher's own shapes, latitude first; units are in `publication.area`.
    shapes: Shapes,
    /// Everything of its chain, the oldest first.
    chain: Vec<View>,
}

/// Shapes in the publisher's words.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Shapes {
    /// Closed rings.
    #[schema(value_type = Vec<Object>)]
    polygons: Vec<Ring>,
    /// Circles, radius in kilometres.
    #[schema(value_type = Vec<Object>)]
    circles: Vec<Circle>,
}

impl Gateway {
    async fn whole(&self, stored: &Stored) -> Result<Whole, Problem> {
        let publication = &stored.publication;
        let by = match stored.superseded_by {
            Some(by) => self.parts.alerts.get(by).await,
            None => Ok(None),
        };
        let by = by.map_err(|error| Problem::internal(&error))?;
        let withdrawn = by.is_some_and(|by| by.publication.action() == Action::Cancel);
        let state = match stored.superseded_by {
            Some(_) if withdrawn => "cancelled",
            Some(_) => "superseded",
            None if publication.is_expired(self.hub.now()) => "expired",
            None => "live",
        };
        let superseded_by = stored.superseded_by.map(|id| id.to_string());
        Ok(Whole { view: View::whole(publication), state, superseded_by })
    }
}

/// Past and active alerts, the newest first
#[utoipa::path(get, path = "/v1/alerts/recent", tag = "public", params(Which),
    responses((status = 200, description = "Past alerts", body = Past),
        (status = 400, description = "A parameter breaks a rule", body = Document)))]
pub(super) async fn recent(
    State(gateway): State<Gateway>,
    Query(asked): Query<Which>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page_limit(asked.limit, (50, LIMIT_MAX))?;
    let place = match &asked.unit {
        Some(unit) if gateway.parts.city.unit(unit).is_none() => {
            let message = format!("no unit `{unit}`");
            return Err(Problem::parameter("unit", "known_unit", message));
        }
        Some(unit) => Some(Place { unit: unit.clone(), cell: None }),
        None => None,
    };
    let stored = gateway.parts.alerts.recent(None, SCANNED_MAX).await;
    let stored = stored.map_err(|error| Problem::internal(&error))?;
    let here = |publication: &Publication| {
        place.as_ref().is_none_or(|place| fit(publication, place).is_some())
    };
    let wanted: Vec<&Arc<Stored>> = stored
        .iter()
        .filter(|stored| is_public(&stored.publication) && here(&stored.publication))
        .take(limit)
        .collect();
    let mut alerts = Vec::with_capacity(wanted.len());
    for stored in wanted {
        alerts.push(gateway.whole(stored).await?);
    }
    let past = Past { boundaries: gateway.parts.city.boundaries().as_str(), alerts };
    Ok(([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(past)))
}

/// One alert, with its shapes and its chain
#[utoipa::path(get, path = "/v1/alerts/{id}/public", tag = "public",
    params(("id" = String, Path, format = "uuid", description = "Publication id")),
    responses((status = 200, description = "The alert", body = OneAlert),
        (status = 404, description = "No such alert", body = Document)))]
pub(super) async fn one(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let missing = || Problem::new(Code::NotFound, "no such alert");
    let id: PublicationId = id.parse().map_err(|_| missing())?;
    let internal = |error: crate::store::alerts::Error| Problem::internal(&error);
    let stored = gateway.parts.alerts.get(id).await.map_err(internal)?.ok_or_else(missing)?;
    if !is_public(&stored.publication) {
        return Err(missing());
    }
    let chain = gateway.parts.alerts.chain(stored.publication.chain).await.map_err(internal)?;
    let chain = chain.iter().filter(|one| is_public(&one.publication));
    let chain = chain.map(|one| View::whole(&one.publication)).collect();
    let shapes = shapes(&stored.publication);
    let alert = OneAlert { publication: gateway.whole(&stored).await?, shapes, chain };
    Ok(([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(alert)))
}

/// The shapes of an alert's first `info` that has any: every language repeats them.
fn shapes(publication: &Publication) -> Shapes {
    let Content::Alert(alert) = &publication.content else { return Shapes::default() };
    let Some(info) = alert.infos.iter().find(|info| !info.areas.is_empty()) else {
        return Shapes::default();
    };
    let polygons = info.areas.iter().flat_map(|area| area.polygons.iter().cloned());
    let circles = info.areas.iter().flat_map(|area| area.circles.iter().cloned());
    Shapes { polygons: polygons.collect(), circles: circles.collect() }
}
