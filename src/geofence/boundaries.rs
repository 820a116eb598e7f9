//! Boundaries as a file holds them: GeoJSON features, each a unit.
//!
//! Properties read: `code` (required), and `name`, `kind`, `area_km2` (required where no built-in
//! list knows the unit). Coordinates are longitude first, WGS 84, as RFC 7946 has them.

use geo::{BoundingRect, Coord, LineString, MultiPolygon, Polygon};
use geojson::{Feature, FeatureCollection, GeometryValue, Position};

use crate::domain::geo::LatLon;
use crate::domain::ids::UnitCode;
use crate::geofence::Error;
use crate::geofence::shape::coord;

/// Most units a file may hold: the country has 3,321.
const UNITS_MAX: usize = 10_000;
/// The boxes of all rings together, in square degrees. The country's land is 27, and the boxes of
/// its units some twice that; a city prepares a cell for every 0.00006, so the globe would take all
/// memory.
const EXTENT_MAX: f64 = 150.0;

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
    let mut boundaries = Vec::with_capacity(collection.features.len());
    let mut extent = 0.0;
    for (index, feature) in collection.features.into_iter().enumerate() {
        let refused = |reason| Error::invalid(format!("features[{index}]"), reason);
        let boundary = boundary(feature).map_err(refused)?;
        extent += boundary.geometry.iter().map(boxes).sum::<f64>();
        if extent > EXTENT_MAX {
            let rule = format!("up to here the file covers more than {EXTENT_MAX} square degrees");
            return Err(refused(rule));
        }
        boundaries.push(boundary);
    }
    Ok(boundaries)
}

/// The boxes of a polygon's rings, in square degrees.
fn boxes(polygon: &Polygon) -> f64 {
    let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
    let boxes = rings.filter_map(|ring| ring.bounding_rect());
    boxes.map(|bounds| bounds.width() * bounds.height()).sum()
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

#[cfg(test)]
mod tests {
    use crate::geofence::City;
    use crate::geofence::check::check;

    /// A file with one unit: a square of so many degrees, and the area it states.
    fn file(degrees: f64, area_km2: f64) -> String {
        let (x, y) = (100.0 + degrees, 10.0 + degrees);
        format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature",
            "properties":{{"code":"1","name":"A","kind":"xã","area_km2":{area_km2}}},
            "geometry":{{"type":"Polygon","coordinates":[[[100,10],[{x},10],[{x},{y}],[100,{y}],
            [100,10]]]}}}}]}}"#
        )
    }

    fn refused(text: &str) -> String {
        let error = check(text).expect_err("refused").to_string();
        assert_eq!(City::from_geojson(text).expect_err("refused").to_string(), error);
        error
    }

    #[test]
    fn a_file_over_half_the_globe_is_refused_before_its_cells_are_counted() {
        assert!(check(&file(0.1, 121.0)).is_ok_and(|report| report.errors().is_empty()));
        let error = refused(&file(60.0, 30_000_000.0));
        assert!(error.contains("features[0]") && error.contains("150 square degrees"), "{error}");
    }

    #[test]
    fn a_stated_area_is_a_positive_number() {
        for wrong in [0.0, -121.0] {
            let error = refused(&file(0.1, wrong));
            assert!(error.contains("area_km2"), "{error}");
        }
    }

    #[test]
    fn a_file_without_a_unit_may_not_be_installed() {
        let report = check(r#"{"type":"FeatureCollection","features":[]}"#).expect("a report");
        assert_eq!(report.errors(), ["the file holds no unit"]);
    }
}
