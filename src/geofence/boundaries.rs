//! Boundaries as a file holds them: GeoJSON features, each a unit.
//!
//! Properties read: `code` (required), and `name`, `kind`, `area_km2` (required where no built-in
//! list knows the unit). Coordinates are longitude first, WGS 84, as RFC 7946 has them.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use geojson::{Feature, FeatureCollection, GeometryValue, Position};

use crate::domain::geo::LatLon;
use crate::domain::ids::UnitCode;
use crate::geofence::Error;
use crate::geofence::shape::coord;

/// Most units a file may hold: the country has 3,321.
const UNITS_MAX: usize = 10_000;

/// One feature of a file.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    pub(crate) code: UnitCode,
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) area_km2: Option<f64>,
    pub(crate) geometry: MultiPolygon,
}

/// Reads a feature collection of units.
pub(crate) fn read(text: &str) -> Result<Vec<Boundary>, Error> {
    let collection: FeatureCollection =
        text.parse().map_err(|error| Error::Boundaries(format!("no GeoJSON: {error}")))?;
    if collection.features.len() > UNITS_MAX {
        return Err(Error::TooMany {
            field: "boundaries",
            what: "features",
            count: collection.features.len(),
            limit: UNITS_MAX,
        });
    }
    let features = collection.features.into_iter().enumerate();
    features
        .map(|(index, feature)| {
            boundary(feature).map_err(|reason| Error::invalid(format!("features[{index}]"), reason))
        })
        .collect()
}

fn boundary(feature: Feature) -> Result<Boundary, String> {
    let text = |name: &str| match feature.property(name) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let code = text("code").ok_or("has no property `code`")?;
    let code = code.parse().map_err(|error| format!("{error}"))?;
    let geometry =
        feature.geometry.as_ref().ok_or_else(|| format!("unit {code} has no geometry"))?;
    Ok(Boundary {
        name: text("name"),
        kind: text("kind"),
        area_km2: feature.property("area_km2").and_then(serde_json::Value::as_f64),
        geometry: areas(&geometry.value).map_err(|reason| format!("unit {code}: {reason}"))?,
        code,
    })
}

/// The polygons of a geometry.
pub(crate) fn areas(value: &GeometryValue) -> Result<MultiPolygon, String> {
    match value {
        GeometryValue::Polygon { coordinates } => {
            Ok(MultiPolygon::new(vec![polygon(coordinates)?]))
        }
        GeometryValue::MultiPolygon { coordinates } => Ok(MultiPolygon::new(
            coordinates.iter().map(|rings| polygon(rings)).collect::<Result<_, _>>()?,
        )),
        other => Err(format!("is a {}, not a Polygon or MultiPolygon", other.type_name())),
    }
}

fn polygon(rings: &[Vec<Position>]) -> Result<Polygon, String> {
    let mut rings = rings.iter().map(|ring| line(ring)).collect::<Result<Vec<_>, _>>()?;
    if rings.is_empty() {
        return Err("a polygon has no ring".to_owned());
    }
    let exterior = rings.remove(0);
    Ok(Polygon::new(exterior, rings))
}

fn line(ring: &[Position]) -> Result<LineString, String> {
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err("a ring needs 4 positions, the last equal to the first".to_owned());
    }
    let coords: Vec<Coord> =
        ring.iter().map(|at| position(at.as_slice()).map(coord)).collect::<Result<_, _>>()?;
    if coords.windows(2).any(|pair| (pair[0].x - pair[1].x).abs() > 180.0) {
        return Err("a ring crosses the antimeridian".to_owned());
    }
    Ok(LineString::new(coords))
}

/// A GeoJSON position, longitude first; a further number, the height, is ignored.
pub(crate) fn position(numbers: &[f64]) -> Result<LatLon, String> {
    let [lon, lat, ..] = *numbers else {
        return Err("a position needs a longitude and a latitude".to_owned());
    };
    LatLon::new(lat, lon).map_err(|_| {
        format!("[{lon}, {lat}] is no longitude and latitude; GeoJSON has the longitude first")
    })
}
