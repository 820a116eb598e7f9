//! The units' shapes for the map on the citizens' page: public, the same for everybody, and packed
//! once, because in an emergency everybody asks.

use std::io::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::gateway::Gateway;
use crate::geofence::{City, screen};
use crate::http::problem::Problem;

/// Boundaries change with an import and a start of the node; a day is short beside that.
const CACHE_SECONDS: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// The shapes as they are sent.
#[derive(Debug)]
pub(super) struct Shapes {
    plain: Bytes,
    gzip: Bytes,
    tag: String,
}

impl Shapes {
    /// The shapes of a city, packed.
    pub fn of(city: &City) -> Arc<Self> {
        let plain = screen::geojson(city).into_bytes();
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::best());
        let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = written.expect("memory takes every byte").into();
        let tag = format!("\"{}\"", hex(&Sha256::digest(&plain)[..16]));
        Arc::new(Self { plain: plain.into(), gzip, tag })
    }
}

/// The units' shapes, simplified for screens
#[utoipa::path(
    get,
    path = "/v1/units/shapes",
    tag = "public",
    responses(
        (status = 200, description = "A FeatureCollection with `properties.code`",
            content_type = "application/geo+json"),
        (status = 304, description = "As it is known")
    )
)]
pub(super) async fn shapes(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shapes = &gateway.shapes;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let tag = HeaderValue::from_str(&shapes.tag).map_err(|error| Problem::internal(&error))?;
    let common = [
        (ETAG, tag),
        (CACHE_CONTROL, CACHE_SECONDS),
        (VARY, HeaderValue::from_static("Accept-Encoding")),
        (CONTENT_TYPE, HeaderValue::from_static("application/geo+json")),
    ];
    if text(IF_NONE_MATCH).is_some_and(|known| known.contains(&shapes.tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    if text(ACCEPT_ENCODING).is_some_and(|list| list.contains("gzip")) {
        let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return Ok((common, encoding, shapes.gzip.clone()).into_response());
    }
    Ok((common, shapes.plain.clone()).into_response())
}
