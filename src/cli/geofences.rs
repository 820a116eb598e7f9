//! `loa geofences`: the units and boundaries a node would use, and what a target would hit.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use geojson::{GeoJson, Geometry, GeometryValue};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::alert::Alert;
use crate::domain::geo::{LatLon, Ring};
use crate::domain::notice::{AreaTarget, Notice};
use crate::event::cap::{self, Mode};
use crate::geofence::check::{Report, check};
use crate::geofence::{City, Extent, Match, MatchSettings, Target, import};

/// Units, boundaries, and what a target hits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: loa geofences locate 10.7769,106.7009 --data-dir data")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Where imported boundaries lie; without any, the built-in approximate ones are used.
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Print one JSON document.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every unit, or those whose name holds TEXT (accents may be left out).
    #[command(after_help = "Example: loa geofences list \"hoa hung\"")]
    List {
        /// A part of the name.
        text: Option<String>,
    },
    /// The unit that holds a point, or the nearest within a kilometre.
    #[command(after_help = "Example: loa geofences locate 10.7769,106.7009")]
    Locate {
        /// Latitude first, decimal degrees.
        #[arg(value_name = "LAT,LON", allow_hyphen_values = true)]
        point: String,
    },
    /// The units a target covers: CAP, JSON (units, polygons, circles) or GeoJSON.
    #[command(after_help = "Example: loa geofences match target.json --json")]
    Match {
        /// The target's file.
        file: PathBuf,
    },
    /// Whether a GeoJSON file of boundaries is fit to warn by.
    #[command(after_help = "Example: loa geofences check boundaries.geojson")]
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Check a GeoJSON file of boundaries and install it into the data directory.
    #[command(after_help = "Example: loa geofences import boundaries.geojson --data-dir data")]
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// Runs a subcommand. `false` means that it ran and the answer is no: nothing at the point, no
/// unit matched, boundaries unfit. An error is bad input.
pub fn run(args: &Args, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let city = || City::load(&args.data_dir);
    match &args.command {
        Command::List { text } => list(&city()?, text.as_deref().unwrap_or(""), args.json, out),
        Command::Locate { point } => locate(&city()?, point, args.json, out),
        Command::Match { file } => {
            let target = read_target(file)?;
            let outcome = city()?.match_target(&target, &MatchSettings::default())?;
            print_match(&outcome, args.json, out)
        }
        Command::Check { file } => {
            let report = check(&import::read_file(file)?)?;
            print_report(&report, args.json, out)
        }
        Command::Import { file } => {
            let (manifest, report) = import::import(file, &args.data_dir, now)?;
            for warning in report.warnings().iter().filter(|_| !args.json) {
                writeln!(out, "note: {warning}")?;
            }
            if args.json {
                writeln!(out, "{}", serde_json::to_string(&manifest)?)?;
            } else {
                let into = args.data_dir.display();
                writeln!(
                    out,
                    "{} units from {} installed into {into}",
                    manifest.units, manifest.source
                )?;
            }
            Ok(true)
        }
    }
}

fn list(city: &City, text: &str, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let units = city.search(text);
    if json {
        let document =
            json!({"boundaries": city.boundaries(), "vintage": city.vintage(), "units": units});
        writeln!(out, "{document}")?;
    } else {
        for unit in &units {
            writeln!(out, "{}  {:>8.2} km²  {}", unit.code, unit.area_km2, unit.name)?;
        }
        let boundaries = json!(city.boundaries());
        writeln!(out, "{} units, boundaries: {}", units.len(), boundaries.as_str().unwrap_or("?"))?;
    }
    Ok(!units.is_empty())
}

fn locate(city: &City, text: &str, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let located = city.locate(parse_point(text)?);
    if json {
        let unit = located.map(|found| {
            let unit = found.unit;
            json!({"code": unit.code, "name": unit.name, "distance_m": found.distance_m.round()})
        });
        writeln!(out, "{}", json!({"boundaries": city.boundaries(), "unit": unit}))?;
    } else if let Some(found) = located {
        let off = match found.distance_m {
            0.0 => String::new(),
            metres => format!(" (nearest, {metres:.0} m away)"),
        };
        writeln!(out, "{}  {}{off}", found.unit.code, found.unit.name)?;
    } else {
        writeln!(out, "no unit within a kilometre")?;
    }
    Ok(located.is_some())
}

fn parse_point(text: &str) -> anyhow::Result<LatLon> {
    let (lat, lon) = text.split_once(',').ok_or_else(|| anyhow!("`{text}` is not LAT,LON"))?;
    let number = |text: &str| text.trim().parse().with_context(|| format!("`{text}`"));
    Ok(LatLon::new(number(lat)?, number(lon)?)?)
}

/// Reads a target from a file, by what the file is.
fn read_target(file: &Path) -> anyhow::Result<Target> {
    let text = import::read_file(file)?;
    if text.trim_start().starts_with('<') {
        let read = cap::read(text.as_bytes(), Mode::Lenient, &cap::Limits::feeds());
        let read = read.map_err(|violations| {
            let first = violations.first().map(ToString::to_string).unwrap_or_default();
            anyhow!("{}: {first}", file.display())
        })?;
        return target_from_cap(&read.alert);
    }
    let target = target_from_json(&text);
    target.with_context(|| file.display().to_string())
}

/// The target of a CAP alert.
pub fn target_from_cap(alert: &Alert) -> anyhow::Result<Target> {
    Ok(Target::of_alert(alert)?)
}

fn target_from_json(text: &str) -> anyhow::Result<Target> {
    let document: Value = serde_json::from_str(text)?;
    if document.get("type").is_some_and(Value::is_string) {
        return target_from_geojson(text);
    }
    if document.get("infos").is_some() {
        return target_from_cap(&serde_json::from_str(text)?);
    }
    if document.get("texts").is_some() {
        let notice: Notice = serde_json::from_str(text)?;
        let target = notice.target.ok_or_else(|| anyhow!("target: the notice has none"))?;
        return Ok(Target::from(&target));
    }
    Ok(Target::from(&serde_json::from_str::<AreaTarget>(text)?))
}

/// Polygons of a GeoJSON document (longitude first); holes are refused, CAP has none either.
fn target_from_geojson(text: &str) -> anyhow::Result<Target> {
    let geometries: Vec<Geometry> = match text.parse::<GeoJson>()? {
        GeoJson::Geometry(geometry) => vec![geometry],
        GeoJson::Feature(feature) => feature.geometry.into_iter().collect(),
        GeoJson::FeatureCollection(features) => {
            features.features.into_iter().filter_map(|feature| feature.geometry).collect()
        }
    };
    let mut target = AreaTarget::default();
    for geometry in geometries {
        let polygons = match geometry.value {
            GeometryValue::Polygon { coordinates } => vec![coordinates],
            GeometryValue::MultiPolygon { coordinates } => coordinates,
            other => bail!("a {} is no target, a Polygon or MultiPolygon is", other.type_name()),
        };
        for rings in polygons {
            let [ring] = &rings[..] else {
                bail!("a polygon with holes is no target: CAP areas have none");
            };
            let points = ring.iter().map(|position| lon_lat(position.as_slice()));
            target.polygons.push(Ring::new(points.collect::<anyhow::Result<_>>()?)?);
        }
    }
    Ok(Target::from(&target))
}

fn lon_lat(position: &[f64]) -> anyhow::Result<LatLon> {
    let [lon, lat, ..] = *position else { bail!("a position needs two numbers") };
    LatLon::new(lat, lon)
        .map_err(|_| anyhow!("[{lon}, {lat}]: GeoJSON has the longitude first, then the latitude"))
}

fn print_match(outcome: &Match, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    if json {
        let units = outcome.units.iter();
        let units = units.map(|u| json!({"code": u.code, "name": u.name, "share": u.share}));
        let units: Vec<Value> = units.collect();
        writeln!(out, "{}", json!({"boundaries": outcome.boundaries, "units": units}))?;
        return Ok(!outcome.units.is_empty());
    }
    for unit in &outcome.units {
        let extent = match &unit.extent {
            Extent::Whole => "whole".to_owned(),
            Extent::Part => format!("{:.1} %", unit.share * 100.0),
            Extent::Near { distance_m } => format!("nearest, {distance_m:.0} m away"),
        };
        writeln!(out, "{}  {}  {extent}", unit.code, unit.name)?;
    }
    for note in &outcome.notes {
        writeln!(out, "note: {note}")?;
    }
    let boundaries = json!(outcome.boundaries);
    let boundaries = boundaries.as_str().unwrap_or("?");
    writeln!(out, "{} units, boundaries: {boundaries}", outcome.units.len())?;
    Ok(!outcome.units.is_empty())
}

fn print_report(report: &Report, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let (errors, warnings) = (report.errors(), report.warnings());
    if json {
        let document = json!({"ok": errors.is_empty(), "errors": errors, "warnings": warnings,
            "report": report});
        writeln!(out, "{document}")?;
        return Ok(errors.is_empty());
    }
    for error in &errors {
        writeln!(out, "error: {error}")?;
    }
    for warning in &warnings {
        writeln!(out, "note: {warning}")?;
    }
    writeln!(
        out,
        "{}: {} of {} units, {:.0} km² measured, {:.0} km² stated, {:.4} km² overlap",
        if errors.is_empty() { "ok" } else { "unfit" },
        report.features,
        report.units,
        report.measured_km2,
        report.stated_km2,
        report.overlap_km2
    )?;
    Ok(errors.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn say(words: &[&str]) -> anyhow::Result<(bool, String)> {
        let empty = tempfile::tempdir()?;
        let dir = ["--data-dir", empty.path().to_str().unwrap_or_default()];
        let line = Line::try_parse_from(["loa"].iter().chain(words).chain(&dir))?;
        let mut out = Vec::new();
        let good = run(&line.args, Timestamp::UNIX_EPOCH, &mut out)?;
        Ok((good, String::from_utf8(out)?))
    }

    fn match_text(text: &str) -> anyhow::Result<(bool, String)> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        say(&["match", file.path().to_str().unwrap_or_default(), "--json"])
    }

    #[test]
    fn match_prints_the_promised_document_for_json_and_geojson_alike() {
        let json =
            r#"{"polygons": [[[10.75,106.65],[10.85,106.65],[10.85,106.75],[10.75,106.65]]]}"#;
        let geojson = r#"{"type":"Polygon",
            "coordinates":[[[106.65,10.75],[106.65,10.85],[106.75,10.85],[106.65,10.75]]]}"#;
        let (good, out) = match_text(json).expect("a good target");
        assert!(good);
        assert_eq!(match_text(geojson).expect("the same target").1, out);
        let document: Value = serde_json::from_str(&out).expect("one JSON document");
        assert_eq!(document["boundaries"], "approximate");
        let unit = &document["units"][0];
        assert!(unit["code"].is_string() && unit["name"].is_string() && unit["share"].is_f64());
    }

    #[test]
    fn swapped_coordinates_are_bad_input() {
        let swapped = r#"{"circles": [{"centre": [106.7, 10.8], "radius_km": 1}]}"#;
        let error = format!("{:#}", match_text(swapped).expect_err("latitude 106.7"));
        assert!(error.contains("latitude comes first"), "{error}");
        let error = say(&["locate", "106.7,10.8"]).expect_err("latitude 106.7").to_string();
        assert!(error.contains("latitude comes first"), "{error}");
    }

    #[test]
    fn list_and_locate_answer_from_the_built_in_city() {
        let (good, out) = say(&["list", "con dao"]).expect("a list");
        assert!(good && out.contains("26732") && out.contains("approximate"), "{out}");
        let (good, out) = say(&["locate", "8.6908,106.6089"]).expect("a point");
        assert!(good && out.contains("Côn Đảo"), "{out}");
        assert!(!say(&["locate", "21.03,105.85"]).expect("a point").0);
    }
}
