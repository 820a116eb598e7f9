//! What is public: active alerts by unit or point, the CAP feed and messages, the units.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use quick_xml::escape::escape;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::audience::Fit;
use crate::domain::cell::Cell;
use crate::domain::device::Place;
use crate::domain::geo::LatLon;
use crate::domain::ids::{PublicationId, UnitCode};
use crate::domain::publication::{Content, Publication};
use crate::domain::summary::alert_words;
use crate::event;
use crate::gateway::Gateway;
use crate::gateway::view::{View, is_for_citizens};
use crate::http::input::{Path, Query};
use crate::http::problem::{Code, Document, Problem};

/// Alerts in the feed; older ones are found in the archives of those who follow it.
const FEED_MAX: usize = 100;
/// Units one search answers.
const UNITS_MAX: usize = 500;
/// Longest search text in bytes.
const SEARCH_BYTES_MAX: usize = 100;
/// Seconds a shared cache may answer for us: an alert is public within that time.
pub(super) const CACHE_SECONDS: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// What is published under an id never changes: an update or a cancel has an id of its own.
const DOCUMENT_KEPT: HeaderValue = HeaderValue::from_static("public, max-age=86400, immutable");
/// For as long as a shared cache may answer with our keys: less than from a new key's making to
/// its first signature.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// Where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Where {
    /// A unit's code.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9-]{1,12}$")]
    unit: Option<UnitCode>,
    /// Latitude of a point, with `lon`. Neither kept nor logged.
    lat: Option<f64>,
    /// Longitude of a point, with `lat`.
    lon: Option<f64>,
}

/// What is active.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Active {
    /// `approximate` or `imported`: how true the boundaries are.
    boundaries: &'static str,
    /// The unit that was asked for, or that holds the point.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// The oldest first.
    alerts: Vec<View>,
}

/// Active alerts, everywhere or at a unit or point
#[utoipa::path(
    get,
    path = "/v1/alerts/active",
    tag = "public",
    params(Where),
    responses(
        (status = 200, description = "What is active", body = Active),
        (status = 400, description = "A parameter breaks a rule", body = Document)
    )
)]
pub(super) async fn active(
    State(gateway): State<Gateway>,
    Query(asked): Query<Where>,
) -> Result<impl IntoResponse, Problem> {
    let place = place(&gateway, &asked)?;
    let live = gateway.parts.alerts.live(gateway.hub.now());
    let alerts = live.iter().filter(|publication| is_public(publication));
    let alerts = alerts.filter_map(|publication| match &place {
        None => Some(View::whole(publication)),
        Some(place) => {
            let coarse = fit(publication, place)? == Fit::Coarse;
            Some(View { coarse, ..View::whole(publication) })
        }
    });
    let unit = place.as_ref().map(|place| place.unit.to_string());
    let alerts = alerts.collect();
    let active = Active { boundaries: gateway.parts.city.boundaries().as_str(), unit, alerts };
    Ok(([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(active)))
}

fn place(gateway: &Gateway, asked: &Where) -> Result<Option<Place>, Problem> {
    let city = &gateway.parts.city;
    let wrong = Problem::parameter;
    match (&asked.unit, asked.lat, asked.lon) {
        (None, None, None) => Ok(None),
        (Some(unit), None, None) => {
            let unknown = || wrong("unit", "known_unit", format!("no unit `{unit}`"));
            city.unit(unit).ok_or_else(unknown)?;
            Ok(Some(Place { unit: unit.clone(), cell: None }))
        }
        (None, Some(lat), Some(lon)) => {
            let point = LatLon::new(lat, lon)
                .map_err(|error| wrong("lat, lon", "point", error.to_string()))?;
            let cell = Cell::containing(point);
            let outside =
                || wrong("lat, lon", "inside", "the point lies outside every unit".to_owned());
            let located = city.locate(point).ok_or_else(outside)?;
            let unit = city.home_of(cell).unwrap_or(&located.unit.code).clone();
            Ok(Some(Place { unit, cell: Some(cell) }))
        }
        (None, ..) => Err(wrong("lat, lon", "both", "give both `lat` and `lon`".to_owned())),
        (Some(_), ..) => Err(wrong("unit", "either", "give a unit or a point".to_owned())),
    }
}

pub(super) fn fit(publication: &Publication, place: &Place) -> Option<Fit> {
    match &publication.audience {
        crate::domain::audience::Audience::Area(area) => area.fit(place),
        crate::domain::audience::Audience::Subject { .. } => None,
    }
}

/// An alert that everybody may read: no exercise, no test, no citizen's own.
pub(super) fn is_public(publication: &Publication) -> bool {
    matches!(publication.content, Content::Alert(_))
        && is_for_citizens(publication)
        && !publication.is_exercise()
}

/// The newest alerts as an Atom feed of CAP messages
#[utoipa::path(
    get,
    path = "/v1/cap/feed.atom",
    tag = "public",
    responses((status = 200, description = "Atom 1.0", content_type = "application/atom+xml"))
)]
pub(super) async fn feed(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let recent = gateway.parts.alerts.recent(None, FEED_MAX).await;
    let recent = recent.map_err(|error| Problem::internal(&error))?;
    let publications: Vec<Arc<Publication>> = recent
        .iter()
        .map(|stored| Arc::clone(&stored.publication))
        .filter(|publication| is_public(publication))
        .collect();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/atom+xml; charset=utf-8")),
        (CACHE_CONTROL, CACHE_SECONDS),
    ];
    Ok((headers, atom(&publications, gateway.hub.now())).into_response())
}

/// RFC 4287.
fn atom(publications: &[Arc<Publication>], now: Timestamp) -> String {
    let updated = publications.first().map_or(now, |newest| newest.accepted_at);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <id>urn:loa:feed:cap</id>\n<title>Loa: CAP alerts</title>\n\
         <updated>{updated}</updated>\n\
         <link rel=\"self\" href=\"/v1/cap/feed.atom\" type=\"application/atom+xml\"/>\n"
    );
    for publication in publications {
        let id = publication.id;
        let view = View::whole(publication);
        // Marked as in a push: a withdrawal must not read like the alert.
        let words = match &publication.content {
            Content::Alert(alert) => alert_words(alert),
            _ => Vec::new(),
        };
        let title = words.first().map_or("", |words| words.title.as_str());
        let summary = view.texts.first().map_or("", |text| text.body.as_str());
        write!(
            out,
            "<entry>\n<id>urn:uuid:{id}</id>\n<title>{}</title>\n<updated>{}</updated>\n\
             <author><name>{}</name></author>\n<summary>{}</summary>\n\
             <link rel=\"alternate\" href=\"/v1/cap/{id}.xml\" type=\"application/cap+xml\"/>\n\
             </entry>\n",
            escape(title),
            publication.accepted_at,
            escape(publication.agency_name.as_deref().unwrap_or(publication.agency.as_str())),
            escape(summary),
        )
        .expect("writing to a string cannot fail");
    }
    out.push_str("</feed>\n");
    out
}

/// One alert as CAP XML: as it was received, or as CAP 1.2
#[utoipa::path(
    get,
    path = "/v1/cap/{file}",
    tag = "public",
    params(("file" = String, Path, description = "The publication's id and `.xml`")),
    responses(
        (status = 200, description = "CAP", content_type = "application/cap+xml"),
        (status = 404, description = "No such alert", body = Document)
    )
)]
pub(super) async fn cap(
    State(gateway): State<Gateway>,
    Path(file): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::new(Code::NotFound, "no such alert");
    let id = file.strip_suffix(".xml").and_then(|id| id.parse::<PublicationId>().ok());
    let stored = gateway.parts.alerts.get(id.ok_or_else(missing)?).await;
    let stored = stored.map_err(|error| Problem::internal(&error))?.ok_or_else(missing)?;
    let Content::Alert(alert) = &stored.publication.content else { return Err(missing()) };
    if !is_for_citizens(&stored.publication) {
        return Err(missing());
    }
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/cap+xml")),
        (CACHE_CONTROL, DOCUMENT_KEPT),
    ];
    Ok(match &stored.raw {
        Some(raw) => (headers, raw.clone()).into_response(),
        None => (headers, event::cap::write(alert)).into_response(),
    })
}

/// The keys that verify alerts' signatures
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "public",
    responses((status = 200, description = "A JWK set (RFC 7517)",
        content_type = "application/jwk-set+json"))
)]
pub(super) async fn jwks(State(gateway): State<Gateway>) -> impl IntoResponse {
    let keys = gateway.parts.gate.keys().now().jwks(gateway.hub.now());
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (CACHE_CONTROL, KEYS_CACHED),
    ];
    (headers, keys.to_string())
}

/// Which units.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Part of a name, with or without accents.
    search: Option<String>,
}

/// The units.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Units {
    /// `approximate` or `imported`: how true the boundaries are.
    boundaries: &'static str,
    /// Which set of codes these are.
    vintage: String,
    /// The units.
    units: Vec<UnitView>,
}

/// One commune-level unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unit)]
pub(super) struct UnitView {
    /// Its code.
    code: String,
    /// Its full name.
    name: String,
    /// Phường, xã or đặc khu.
    kind: &'static str,
    /// Stated area in square kilometres.
    area_km2: f64,
    /// A point that stands for it: latitude, longitude.
    #[schema(value_type = Vec<f64>)]
    centre: LatLon,
}

/// The units, all or by name
#[utoipa::path(
    get,
    path = "/v1/units",
    tag = "public",
    params(Search),
    responses(
        (status = 200, description = "Units", body = Units),
        (status = 400, description = "A parameter breaks a rule", body = Document)
    )
)]
pub(super) async fn units(
    State(gateway): State<Gateway>,
    Query(asked): Query<Search>,
) -> Result<impl IntoResponse, Problem> {
    let city = &gateway.parts.city;
    let found = match asked.search.as_deref() {
        Some(text) if text.len() > SEARCH_BYTES_MAX => {
            let message = format!("must have at most {SEARCH_BYTES_MAX} bytes");
            return Err(Problem::parameter("search", "length", message));
        }
        Some(text) => city.search(text),
        None => city.units().iter().collect(),
    };
    let view = found.into_iter().take(UNITS_MAX).map(|unit| UnitView {
        code: unit.code.to_string(),
        name: unit.name.clone(),
        kind: unit.kind.as_str(),
        area_km2: unit.area_km2,
        centre: unit.centre,
    });
    let units = Units {
        boundaries: gateway.parts.city.boundaries().as_str(),
        vintage: city.vintage().to_string(),
        units: view.collect(),
    };
    Ok(([(CACHE_CONTROL, CACHE_SECONDS)], axum::Json(units)))
}
