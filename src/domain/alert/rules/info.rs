//! The rules of `info`, `resource` and `area` (CAP 1.2, sections 3.2.2 to 3.2.4).

use super::{Report, optional_texts, text, writable};
use crate::domain::alert::ring::{self, Flaw, Judgement};
use crate::domain::alert::{Area, Info, NamedValue, Resource};
use crate::domain::geo::Ring;

/// Rings of which nothing had to be said. Every language repeats the alert's areas, and a ring that
/// was judged once is not judged again; so many are remembered that this costs less than judging.
#[derive(Default)]
pub(super) struct Good<'a>(Vec<&'a Ring>);

const GOOD_MAX: usize = 32;

pub(super) fn check<'a>(info: &'a Info, path: &str, good: &mut Good<'a>, report: &mut Report) {
    let at = |name: &str| format!("{path}/{name}");
    if !is_language(&info.language) {
        let message = format!("`{}` is no language code such as vi-VN", info.language);
        report.broken(&at("language"), "language_malformed", message);
    }
    if info.categories.is_empty() {
        let message = "at least one category is required".to_owned();
        report.broken(&at("category"), "category_missing", message);
    }
    text(&info.event, &at("event"), report);
    let texts = [
        ("audience", &info.audience),
        ("senderName", &info.sender_name),
        ("headline", &info.headline),
        ("description", &info.description),
        ("instruction", &info.instruction),
        ("web", &info.web),
        ("contact", &info.contact),
    ];
    optional_texts(&texts, path, report);
    if let Some(web) = info.web.as_deref().filter(|web| !is_absolute_uri(web)) {
        let message = format!("`{web}` is no absolute URI");
        report.tolerable(&at("web"), "web_not_absolute", message);
    }
    ends(info, &at("expires"), report);
    named_values(&info.event_codes, &at("eventCode"), report);
    named_values(&info.parameters, &at("parameter"), report);
    for (n, file) in info.resources.iter().enumerate() {
        resource(file, &format!("{path}/resource[{}]", n + 1), report);
    }
    for (n, place) in info.areas.iter().enumerate() {
        area(place, &format!("{path}/area[{}]", n + 1), good, report);
    }
}

/// `xs:language`: RFC 3066 subtags of one to eight characters.
fn is_language(code: &str) -> bool {
    code.split('-').enumerate().all(|(at, tag)| {
        let fits = |c: char| c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        (1..=8).contains(&tag.len()) && tag.chars().all(fits)
    })
}

/// RFC 3986: a scheme, a colon, something, and no blanks.
pub(super) fn is_absolute_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && !uri.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Not in the standard, but an `info` that ends before it begins is never meant.
fn ends(info: &Info, path: &str, report: &mut Report) {
    let Some(expires) = info.expires else { return };
    for (name, start) in [("effective", info.effective), ("onset", info.onset)] {
        if start.is_some_and(|start| expires.instant() <= start.instant()) {
            let message = format!("expires at or before {name}");
            report.noted(path, "expires_before_start", message);
        }
    }
}

fn named_values(values: &[NamedValue], path: &str, report: &mut Report) {
    for (n, pair) in values.iter().enumerate() {
        let path = format!("{path}[{}]", n + 1);
        text(&pair.name, &format!("{path}/valueName"), report);
        writable(&pair.value, &format!("{path}/value"), report);
    }
}

fn resource(resource: &Resource, path: &str, report: &mut Report) {
    text(&resource.description, &format!("{path}/resourceDesc"), report);
    if resource.mime_type.is_none() {
        let message = "mimeType is required".to_owned();
        report.broken(&format!("{path}/mimeType"), "mime_type_missing", message);
    }
    let texts = [
        ("mimeType", &resource.mime_type),
        ("uri", &resource.uri),
        ("derefUri", &resource.deref_uri),
        ("digest", &resource.digest),
    ];
    optional_texts(&texts, path, report);
}

fn area<'a>(area: &'a Area, path: &str, good: &mut Good<'a>, report: &mut Report) {
    text(&area.description, &format!("{path}/areaDesc"), report);
    for (n, ring) in area.polygons.iter().enumerate() {
        if good.0.contains(&ring) {
            continue;
        }
        let before = report.count();
        polygon(ring, &format!("{path}/polygon[{}]", n + 1), report);
        if report.count() == before && good.0.len() < GOOD_MAX {
            good.0.push(ring);
        }
    }
    for (n, circle) in area.circles.iter().enumerate() {
        if !circle.radius_km.is_finite() || circle.radius_km < 0.0 {
            let message = format!("radius {} km is not 0 or more", circle.radius_km);
            report.broken(&format!("{path}/circle[{}]", n + 1), "circle_radius", message);
        }
    }
    named_values(&area.geocodes, &format!("{path}/geocode"), report);
    heights(area, path, report);
}

fn polygon(ring: &Ring, path: &str, report: &mut Report) {
    match ring::judge(ring) {
        Judgement::Simple => {}
        Judgement::Slip(flaw) => {
            let message = format!("{flaw}, by less than a thousandth of its area");
            report.noted(path, "polygon_slip", message);
        }
        Judgement::Flawed(flaw @ Flaw::RepeatedPoint { .. }) => {
            report.tolerable(path, "polygon_touches_itself", flaw.to_string());
        }
        Judgement::Flawed(flaw @ Flaw::Crossing { .. }) => {
            report.tolerable(path, "polygon_crosses_itself", flaw.to_string());
        }
        Judgement::Flawed(flaw @ Flaw::Flat) => {
            report.broken(path, "polygon_flat", flaw.to_string());
        }
    }
    if ring.points().windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "the same pair stands twice in a row".to_owned();
        report.noted(path, "polygon_pair_doubled", message);
    }
}

fn heights(area: &Area, path: &str, report: &mut Report) {
    for (name, feet) in [("altitude", area.altitude_ft), ("ceiling", area.ceiling_ft)] {
        if feet.is_some_and(|feet| !feet.is_finite()) {
            let message = "is no finite number of feet".to_owned();
            report.broken(&format!("{path}/{name}"), "height_not_finite", message);
        }
    }
    let ceiling = format!("{path}/ceiling");
    match (area.altitude_ft, area.ceiling_ft) {
        (None, Some(_)) => {
            let message = "a ceiling needs an altitude".to_owned();
            report.broken(&ceiling, "ceiling_without_altitude", message);
        }
        (Some(altitude), Some(top)) if top < altitude => {
            report.noted(&ceiling, "ceiling_below_altitude", "is below the altitude".to_owned());
        }
        _ => {}
    }
}
