//! The map: units with their shapes for screens and how many devices each holds.

use std::collections::BTreeMap;
use std::io::Write;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::auth::desk::Caller;
use crate::console::Console;
use crate::domain::audience::{AreaAudience, Audience, AudienceUnit, Coverage};
use crate::domain::audit::hex;
use crate::domain::channel::Channel;
use crate::domain::geo::LatLon;
use crate::http::problem::{Problem, Refused};

/// The map.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitsAnswer<'a> {
    /// `approximate` or `imported`: how true the boundaries are.
    boundaries: &'static str,
    /// The units.
    units: Vec<UnitAnswer>,
    /// Their shapes, simplified for screens: a FeatureCollection with `properties.code`.
    #[schema(value_type = Object)]
    geojson: &'a RawValue,
}

/// A unit of the map.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleUnit)]
pub struct UnitAnswer {
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
    centroid: LatLon,
    /// Devices by channel.
    devices: BTreeMap<&'static str, u64>,
}

/// Units with shapes and devices.
#[utoipa::path(get, path = "/v1/console/units", tag = "desk",
    responses((status = 200, description = "The map", body = UnitsAnswer<'static>),
        (status = 304, description = "As the page knows it"), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    _: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let city = &console.city;
    let whole = |code| AudienceUnit { code, share: 1.0, coverage: Coverage::Whole };
    let everywhere = Audience::Area(AreaAudience {
        boundaries: city.boundaries(),
        vintage: city.vintage().clone(),
        units: city.units().iter().map(|unit| whole(unit.code.clone())).collect(),
    });
    let estimate = console.registry.estimate(&everywhere).await;
    let estimate = estimate.map_err(|error| Problem::internal(&error))?;
    let units = city.units().iter().map(|unit| {
        let counts = estimate.units.get(&unit.code);
        let count = |channel| counts.and_then(|counts| counts.get(&channel)).copied().unwrap_or(0);
        UnitAnswer {
            code: unit.code.to_string(),
            name: unit.name.clone(),
            kind: unit.kind.as_str(),
            area_km2: unit.area_km2,
            centroid: unit.centre,
            devices: Channel::ALL.map(|one| (one.as_str(), count(one))).into(),
        }
    });
    let boundaries = city.boundaries().as_str();
    let answer = UnitsAnswer { boundaries, units: units.collect(), geojson: &console.shapes };
    let body = serde_json::to_vec(&answer).map_err(|error| Problem::internal(&error))?;
    let gzip = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let gzip = gzip.is_some_and(|list| list.contains("gzip"));
    let tag = format!("\"{}\"", hex(&Sha256::digest(&body)[..16]));
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let tag_header = HeaderValue::from_str(&tag).map_err(|error| Problem::internal(&error))?;
    let common = [
        (ETAG, tag_header),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (VARY, HeaderValue::from_static("Accept-Encoding, Cookie, Authorization")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    if !gzip {
        return Ok((common, body).into_response());
    }
    let packed = tokio::task::spawn_blocking(move || packed(&body)).await;
    let packed = packed.map_err(|error| Problem::internal(&error))?;
    let packed = packed.map_err(|error| Problem::internal(&error))?;
    let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
    Ok((common, encoding, packed).into_response())
}

fn packed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
