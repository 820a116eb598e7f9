//! What a publisher wrote as an area, gathered from wherever it stood.
//!
//! A CAP `geocode` names a unit when its `valueName` is `loa:unit` (the present vintage) or
//! `loa:unit:<vintage>`, such as `loa:unit:2025-06` for the codes of before July 2025. Geocodes of
//! other systems are left alone, as CAP asks; an area with nothing else names no place and is
//! refused. One area is the union of its polygons, circles and geocodes: a code never narrows.

use crate::domain::alert::{Alert, Area};
use crate::domain::geo::{Circle, Ring};
use crate::domain::ids::{UnitCode, Vintage};
use crate::domain::notice::AreaTarget;
use crate::geofence::Error;

/// The `valueName` of a geocode that names a unit.
pub const GEOCODE: &str = "loa:unit";

/// A target: the union of its codes and shapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Unit codes.
    pub codes: Vec<TargetCode>,
    /// Polygons and circles.
    pub shapes: Vec<TargetShape>,
}

/// A unit code as given.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetCode {
    /// Where it stood, for errors: `infos[0].areas[1].geocodes[0]`.
    pub field: String,
    /// The code.
    pub code: UnitCode,
    /// Its vintage; None is the present one.
    pub vintage: Option<Vintage>,
}

/// A polygon or circle as given.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetShape {
    /// Where it stood, for errors.
    pub field: String,
    /// The shape.
    pub outline: Outline,
}

/// A polygon or a circle, latitude first.
#[derive(Clone, Debug, PartialEq)]
pub enum Outline {
    /// A closed ring.
    Polygon(Ring),
    /// A circle on the ground.
    Circle(Circle),
}

impl Target {
    /// Units of the present vintage.
    pub fn of_units<'a>(codes: impl IntoIterator<Item = &'a UnitCode>) -> Self {
        let target =
            AreaTarget { units: codes.into_iter().cloned().collect(), ..AreaTarget::default() };
        Self::from(&target)
    }

    /// The areas of all an alert's infos: languages repeat them, and repeats are dropped.
    pub fn of_alert(alert: &Alert) -> Result<Self, Error> {
        let mut target = Self::default();
        for (index, info) in alert.infos.iter().enumerate() {
            target.add_areas(&info.areas, &format!("infos[{index}].areas"))?;
        }
        Ok(target)
    }

    /// CAP areas; `field` is where they stand.
    pub fn of_areas(areas: &[Area], field: &str) -> Result<Self, Error> {
        let mut target = Self::default();
        target.add_areas(areas, field)?;
        Ok(target)
    }

    fn add_areas(&mut self, areas: &[Area], field: &str) -> Result<(), Error> {
        for (index, area) in areas.iter().enumerate() {
            let field = format!("{field}[{index}]");
            let mut codes = 0;
            for (index, geocode) in area.geocodes.iter().enumerate() {
                let field = format!("{field}.geocodes[{index}]");
                if let Some(vintage) = geocode_vintage(&geocode.name, &field)? {
                    let code = geocode.value.trim().parse();
                    let code = code.map_err(|error| Error::invalid(&field, error))?;
                    self.add_code(TargetCode { field, code, vintage });
                    codes += 1;
                }
            }
            if codes == 0 && area.polygons.is_empty() && area.circles.is_empty() {
                let rule = format!("no polygon, no circle and no geocode named {GEOCODE}");
                return Err(Error::invalid(field, rule));
            }
            self.add_shapes(&area.polygons, &area.circles, &format!("{field}."));
        }
        Ok(())
    }

    fn add_code(&mut self, code: TargetCode) {
        let repeats = |known: &TargetCode| known.code == code.code && known.vintage == code.vintage;
        if !self.codes.iter().any(repeats) {
            self.codes.push(code);
        }
    }

    fn add_shapes(&mut self, polygons: &[Ring], circles: &[Circle], prefix: &str) {
        let polygons = polygons.iter().enumerate().map(|(index, ring)| {
            (format!("{prefix}polygons[{index}]"), Outline::Polygon(ring.clone()))
        });
        let circles = circles
            .iter()
            .enumerate()
            .map(|(index, circle)| (format!("{prefix}circles[{index}]"), Outline::Circle(*circle)));
        for (field, outline) in polygons.chain(circles) {
            if !self.shapes.iter().any(|known| known.outline == outline) {
                self.shapes.push(TargetShape { field, outline });
            }
        }
    }

    /// Points of all polygons, what a match's cost grows with.
    pub(crate) fn points(&self) -> usize {
        let points = |shape: &TargetShape| match &shape.outline {
            Outline::Polygon(ring) => ring.points().len(),
            Outline::Circle(_) => 0,
        };
        self.shapes.iter().map(points).sum()
    }
}

impl From<&AreaTarget> for Target {
    fn from(written: &AreaTarget) -> Self {
        let mut target = Self::default();
        for (index, code) in written.units.iter().enumerate() {
            target.add_code(TargetCode {
                field: format!("units[{index}]"),
                code: code.clone(),
                vintage: written.vintage.clone(),
            });
        }
        target.add_shapes(&written.polygons, &written.circles, "");
        target
    }
}

/// The vintage a geocode's `valueName` asks for; None when it is of another system.
fn geocode_vintage(name: &str, field: &str) -> Result<Option<Option<Vintage>>, Error> {
    match name.strip_prefix(GEOCODE) {
        Some("") => Ok(Some(None)),
        Some(rest) => match rest.strip_prefix(':') {
            Some(vintage) => {
                let vintage = vintage.parse().map_err(|error| Error::invalid(field, error))?;
                Ok(Some(Some(vintage)))
            }
            None => Ok(None),
        },
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::NamedValue;

    fn area(geocodes: &[(&str, &str)]) -> Area {
        let named = |&(name, value): &(&str, &str)| NamedValue {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        Area {
            description: "an area".to_owned(),
            polygons: Vec::new(),
            circles: Vec::new(),
            geocodes: geocodes.iter().map(named).collect(),
            altitude_ft: None,
            ceiling_ft: None,
        }
    }

    #[test]
    fn a_geocode_names_its_vintage() {
        let areas = [area(&[("loa:unit", "26740"), ("loa:unit:2025-06", "26740"), ("SAME", "1")])];
        let target = Target::of_areas(&areas, "areas").expect("two codes");
        let vintages: Vec<_> =
            target.codes.iter().map(|code| code.vintage.as_ref().map(Vintage::as_str)).collect();
        assert_eq!(vintages, [None, Some("2025-06")]);
        assert_eq!(target.codes[1].field, "areas[0].geocodes[1]");
    }

    #[test]
    fn an_area_without_a_place_is_refused_by_name() {
        let error =
            Target::of_areas(&[area(&[("SAME", "012345")])], "areas").expect_err("no place");
        assert!(error.to_string().starts_with("areas[0]: no polygon"), "{error}");
    }
}
