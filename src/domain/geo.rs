//! Points, rings and circles as publishers write them: latitude first, WGS 84 decimal degrees.
//!
//! CAP writes `lat,lon`; GeoJSON and the `geo` crate write `lon, lat`. The two orders never meet in
//! a bare pair of numbers: everything outside [`crate::geofence`] holds a [`LatLon`], and only
//! `geofence` turns it into a `geo::Coord`.

use serde::{Deserialize, Serialize};

/// A point on WGS 84. Its fields are private so that it can only be built in range and by name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
pub struct LatLon {
    lat: f64,
    lon: f64,
}

/// Why a pair of numbers is not a point.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PointError {
    /// The latitude is not within −90..=90 degrees.
    #[error("latitude {0} is outside -90..90{hint}", hint = swapped_hint(*.0))]
    Latitude(f64),
    /// The longitude is not within −180..=180 degrees.
    #[error("longitude {0} is outside -180..180")]
    Longitude(f64),
}

/// The most likely mistake of a publisher: GeoJSON's order in a latitude-first field.
fn swapped_hint(lat: f64) -> &'static str {
    if lat.abs() <= 180.0 {
        " (latitude comes first; were latitude and longitude swapped?)"
    } else {
        ""
    }
}

impl LatLon {
    /// A point from latitude and longitude in decimal degrees.
    pub fn new(lat: f64, lon: f64) -> Result<Self, PointError> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(PointError::Latitude(lat));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(PointError::Longitude(lon));
        }
        Ok(Self { lat, lon })
    }

    /// Latitude in decimal degrees, −90..=90.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Longitude in decimal degrees, −180..=180.
    pub fn lon(self) -> f64 {
        self.lon
    }
}

impl TryFrom<[f64; 2]> for LatLon {
    type Error = PointError;

    fn try_from([lat, lon]: [f64; 2]) -> Result<Self, PointError> {
        Self::new(lat, lon)
    }
}

impl From<LatLon> for [f64; 2] {
    fn from(point: LatLon) -> Self {
        [point.lat, point.lon]
    }
}

/// A closed ring: at least four points, the first equal to the last (CAP 1.2 `polygon`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<LatLon>", into = "Vec<LatLon>")]
pub struct Ring(Vec<LatLon>);

/// Why a list of points is not a ring.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RingError {
    /// CAP 1.2: a minimum of four coordinate pairs.
    #[error("a polygon needs at least 4 pairs, this one has {0}")]
    TooFew(usize),
    /// CAP 1.2: the first and last pairs are the same.
    #[error("a polygon's first and last pairs must be the same")]
    NotClosed,
}

impl Ring {
    /// A ring from its points, closing point included.
    pub fn new(points: Vec<LatLon>) -> Result<Self, RingError> {
        if points.len() < 4 {
            return Err(RingError::TooFew(points.len()));
        }
        if points.first() != points.last() {
            return Err(RingError::NotClosed);
        }
        Ok(Self(points))
    }

    /// The points, the last equal to the first.
    pub fn points(&self) -> &[LatLon] {
        &self.0
    }
}

impl TryFrom<Vec<LatLon>> for Ring {
    type Error = RingError;

    fn try_from(points: Vec<LatLon>) -> Result<Self, RingError> {
        Self::new(points)
    }
}

impl From<Ring> for Vec<LatLon> {
    fn from(ring: Ring) -> Self {
        ring.0
    }
}

/// A circle on the ground: centre and radius in kilometres (CAP 1.2 `circle`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circle {
    /// The centre.
    pub centre: LatLon,
    /// Radius in kilometres, 0 or more.
    pub radius_km: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_pair_is_refused_with_the_likely_cause() {
        let error = LatLon::new(106.7, 10.8).expect_err("106.7 is no latitude");
        assert!(error.to_string().contains("swapped"), "{error}");
        assert!(LatLon::new(f64::NAN, 0.0).is_err());
        assert!(LatLon::new(10.0, 180.1).is_err());
    }

    #[test]
    fn json_is_latitude_first() {
        let point: LatLon = serde_json::from_str("[10.8, 106.7]").expect("a pair");
        assert_eq!((point.lat(), point.lon()), (10.8, 106.7));
        assert!(serde_json::from_str::<LatLon>("[106.7, 10.8]").is_err());
    }
}
