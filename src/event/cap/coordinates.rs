//! Polygons and circles as CAP writes them: `lat,lon lat,lon …` and `lat,lon radius`.

use super::tree::{Element, is_blank};
use crate::domain::alert::rules::Report;
use crate::domain::geo::{Circle, LatLon, Ring};

/// How far outside ±180 a feed's longitude may lie to be taken as the edge of the map: GDACS
/// writes boxes that end at -180.087.
const LONGITUDE_SLACK: f64 = 0.5;

/// A polygon; none if it is empty or broken, which is then reported.
pub(super) fn ring(element: &Element, report: &mut Report) -> Option<Ring> {
    let path = &element.path;
    let text = element.text.trim_matches(is_blank);
    if text.is_empty() {
        let message = "an empty polygon should be left out".to_owned();
        report.tolerable(path, "polygon_empty", message);
        return None;
    }
    let blanks = |text: &str| text.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r'));
    if text.len() != element.text.len() || blanks(text) {
        let message = "pairs must be parted by spaces, with none around them".to_owned();
        report.tolerable(path, "polygon_blanks", message);
    }
    let mut points = Vec::new();
    let mut bad: Option<(String, usize)> = None;
    for (at, pair) in parts(text).enumerate() {
        match point(pair, path, report) {
            Ok(point) => points.push(point),
            Err(why) => {
                bad.get_or_insert_with(|| (format!("pair {}, `{pair}`: {why}", at + 1), 0)).1 += 1;
            }
        }
    }
    if let Some((first, count)) = bad {
        let others = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        report.broken(path, "polygon_pair", first + &others);
        return None;
    }
    closed(points, path, report)
}

/// Closes what a lenient reader may close: three different points leave no doubt about the ring.
fn closed(mut points: Vec<LatLon>, path: &str, report: &mut Report) -> Option<Ring> {
    if points.first() != points.last() {
        let message = "the first and last pairs must be the same".to_owned();
        report.tolerable(path, "polygon_open", message);
        points.push(points[0]);
    }
    Ring::new(points)
        .inspect_err(|error| report.broken(path, "polygon_too_short", error.to_string()))
        .ok()
}

/// A circle; none if it is empty or broken, which is then reported.
pub(super) fn circle(element: &Element, report: &mut Report) -> Option<Circle> {
    let path = &element.path;
    let text = element.text.trim_matches(is_blank);
    if text.is_empty() {
        let message = "an empty circle should be left out".to_owned();
        report.tolerable(path, "circle_empty", message);
        return None;
    }
    let parts: Vec<_> = parts(text).collect();
    let read = match parts.as_slice() {
        [centre, radius] => point(centre, path, report).and_then(|centre| {
            let radius_km = decimal(radius, path, report)
                .ok_or_else(|| format!("radius `{radius}` is no decimal number of km"))?;
            Ok(Circle { centre, radius_km })
        }),
        _ => Err("the form is `lat,lon radius`".to_owned()),
    };
    if text.len() != element.text.len() || (parts.len() == 2 && text.matches(is_blank).count() > 1)
    {
        let message = "one space, between centre and radius".to_owned();
        report.tolerable(path, "circle_blanks", message);
    }
    read.inspect_err(|why| report.broken(path, "circle_form", format!("`{text}`: {why}"))).ok()
}

/// What blanks part. XML's blanks are ASCII, so that bytes need not be read as characters.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.bytes().position(|byte| !is_blank(char::from(byte)))?;
        let part = &rest[start..];
        let end = part.bytes().position(|byte| is_blank(char::from(byte))).unwrap_or(part.len());
        let (part, after) = part.split_at(end);
        rest = after;
        Some(part)
    })
}

fn point(pair: &str, path: &str, report: &mut Report) -> Result<LatLon, String> {
    let form = || "the form is `lat,lon` in decimal degrees".to_owned();
    let comma = pair.bytes().position(|byte| byte == b',').ok_or_else(form)?;
    let (lat, lon) = (&pair[..comma], &pair[comma + 1..]);
    let lat = decimal(lat, path, report).ok_or_else(form)?;
    let mut lon = decimal(lon, path, report).ok_or_else(form)?;
    if lon.abs() > 180.0 && lon.abs() <= 180.0 + LONGITUDE_SLACK {
        let message = format!("longitude {lon} is outside -180..180");
        report.tolerable(path, "longitude_clamped", message);
        lon = lon.clamp(-180.0, 180.0);
    }
    LatLon::new(lat, lon).map_err(|error| error.to_string())
}

/// A decimal number: digits with at most one point, no exponent; a leading plus is tolerated.
pub(super) fn decimal(text: &str, path: &str, report: &mut Report) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mut digits, mut points, mut others) = (0, 0, 0);
    for byte in unsigned.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' => points += 1,
            _ => others += 1,
        }
    }
    if digits == 0 || points > 1 || others > 0 {
        return None;
    }
    if text.starts_with('+') {
        let message = format!("`{text}` should be written without plus");
        report.tolerable(path, "number_plus", message);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::rules::{Mode, Severity};

    fn element(text: &str) -> Element {
        Element { text: text.to_owned(), path: "/p".to_owned(), ..Element::default() }
    }

    fn rules(report: Report) -> Vec<(&'static str, Severity)> {
        report.into_violations().into_iter().map(|found| (found.rule, found.severity)).collect()
    }

    #[test]
    fn what_is_wrong_with_a_polygon_is_named() {
        use Severity::{Error, Warning};
        for (text, rule, lenient) in [
            ("", "polygon_empty", Warning),
            (" 0,0 0,1 1,1 0,0", "polygon_blanks", Warning),
            ("0,0\n0,1 1,1 0,0", "polygon_blanks", Warning),
            ("0,0 0,1 1,1 1,0", "polygon_open", Warning),
            ("+0,0 0,1 1,1 0,0", "number_plus", Warning),
            ("0,180.087 0,1 1,1 0,180.087", "longitude_clamped", Warning),
            ("0,0 0,1 0,0", "polygon_too_short", Error),
            ("106.7,10.8 0,1 1,1 106.7,10.8", "polygon_pair", Error),
            ("0,0 0;1 1,1 0,0", "polygon_pair", Error),
            ("0,0 0,1e1 1,1 0,0", "polygon_pair", Error),
            ("0,0 0,NaN 1,1 0,0", "polygon_pair", Error),
            ("0,0 0,1,5 1,1 0,0", "polygon_pair", Error),
        ] {
            for (mode, severity) in [(Mode::Strict, Error), (Mode::Lenient, lenient)] {
                let mut report = Report::new(mode);
                ring(&element(text), &mut report);
                let found = rules(report);
                assert!(found.contains(&(rule, severity)), "{text} {mode:?} {found:?}");
            }
        }
        let mut report = Report::new(Mode::Strict);
        assert!(ring(&element("0,0 0,1 1,1 0,0"), &mut report).is_some());
        assert_eq!(rules(report), []);
    }

    #[test]
    fn a_circle_is_centre_and_radius() {
        let mut report = Report::new(Mode::Strict);
        let read = circle(&element("10.8,106.7 1.5"), &mut report).expect("a circle");
        assert_eq!((read.centre.lat(), read.centre.lon(), read.radius_km), (10.8, 106.7, 1.5));
        assert_eq!(rules(report), []);
        for bad in ["10.8,106.7", "10.8 106.7 1", "10.8,106.7 1km", "106.7,10.8 1", "a,b 1"] {
            let mut report = Report::new(Mode::Lenient);
            assert_eq!(circle(&element(bad), &mut report), None);
            assert!(rules(report).contains(&("circle_form", Severity::Error)), "{bad}");
        }
    }
}
