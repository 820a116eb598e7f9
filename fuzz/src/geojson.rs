//! Files of boundaries: read, checked and built as `loa geofences import` does, but for the disk.

use loa::domain::geo::LatLon;
use loa::geofence::City;
use loa::geofence::check::check;

/// Holds for every file. One that is no text is refused before.
pub fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let report = match check(text) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(City::from_geojson(text).is_err(), "refused and loaded: {error}");
            return;
        }
    };
    let areas = report.areas.iter().flat_map(|unit| [unit.stated_km2, unit.measured_km2]);
    let areas = areas.chain(report.gaps_km2.iter().copied()).chain([report.overlap_km2]);
    assert!(areas.into_iter().all(|km2| km2.is_finite() && km2 >= 0.0), "{report:?}");
    let said = report.errors().into_iter().chain(report.warnings());
    assert!(said.into_iter().all(|line| !line.is_empty()));
    if !report.errors().is_empty() {
        return;
    }
    // What may be installed can be loaded, and then every unit is found where it lies.
    let city = City::from_geojson(text).unwrap_or_else(|error| panic!("cannot load: {error}"));
    assert_eq!(city.units().len(), report.units);
    let (south_west, north_east) = city.corners();
    for at in [south_west, north_east, LatLon::new(10.8, 106.7).expect("a point")] {
        assert!(city.locate(at).is_none_or(|found| found.distance_m.is_finite()));
    }
}
