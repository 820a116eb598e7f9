//! Polygons and circles as CAP writes them: `lat,lon lat,lon …` and `lat,lon radius`.

use super::tree::{Element, is_blank};
use crate::domain::alert::rules::Report;
use crate::domain::geo::{Circle, LatLon, Ring};

/// How far outside ±180 a feed's longitude may lie to be taken as the edge of the map: GDACS
/// writes boxes that end at -180.087.
const LONGITUDE_SLACK: f64 = 0.5;
/// Numbers of so many digits are exact in a floating point number, and so are these powers of ten.
const EXACT_DIGITS: usize = 15;
const TENS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

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
    let (mut rest, mut number) = (text, 0);
    while !rest.is_empty() {
        number += 1;
        if let Some((point, after)) = plain_pair(rest) {
            points.push(point);
            rest = after;
            continue;
        }
        let (pair, after) = part(rest);
        rest = after;
        match point(pair, path, report) {
            Ok(point) => points.push(point),
            Err(why) => {
                bad.get_or_insert_with(|| (format!("pair {number}, `{pair}`: {why}"), 0)).1 += 1;
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
    let parts: Vec<_> = text.split(is_blank).filter(|part| !part.is_empty()).collect();
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

/// The next of what blanks part, and what follows it.
fn part(text: &str) -> (&str, &str) {
    let part = text.trim_start_matches(is_blank);
    part.split_at(part.find(is_blank).unwrap_or(part.len()))
}

/// A pair as nearly all are written, without anything to remark, and what follows it and its space:
/// each byte is looked at once.
fn plain_pair(text: &str) -> Option<(LatLon, &str)> {
    let (lat, rest) = plain_number(text)?;
    let (lon, rest) = plain_number(rest.strip_prefix(',')?)?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
    Some((LatLon::new(lat, lon).ok()?, rest))
}

/// Digits with at most one point and perhaps a minus, and what follows them.
fn plain_number(text: &str) -> Option<(f64, &str)> {
    let start = usize::from(text.starts_with('-'));
    let (mut digits, mut whole, mut value) = (0, None, 0u64);
    for byte in text[start..].bytes() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            }
            b'.' if whole.is_none() => whole = Some(digits),
            _ => break,
        }
    }
    if digits == 0 {
        return None;
    }
    let (number, rest) = text.split_at(start + digits + usize::from(whole.is_some()));
    // Of so few digits both the whole number and the power of ten are exact, and one division
    // rounds once, as it should.
    if digits <= EXACT_DIGITS {
        let size = value as f64 / TENS[digits - whole.unwrap_or(digits)];
        return Some((if start == 0 { size } else { -size }, rest));
    }
    Some((number.parse().ok()?, rest))
}

fn point(pair: &str, path: &str, report: &mut Report) -> Result<LatLon, String> {
    let form = || "the form is `lat,lon` in decimal degrees".to_owned();
    let (lat, lon) = pair.split_once(',').ok_or_else(form)?;
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
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
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
    fn a_plain_number_is_what_the_library_reads() {
        for text in ["0", "-0", "7.", ".5", "-.25", "10.965", "106.6", "-106.660000000000010"] {
            let (number, rest) = plain_number(text).expect(text);
            let read: f64 = text.parse().expect(text);
            assert_eq!((number.to_bits(), rest), (read.to_bits(), ""), "{text}");
        }
        for (text, rest) in [("1,2", ",2"), ("1.2.3", ".3"), ("4-5", "-5"), ("6e7", "e7")] {
            assert_eq!(plain_number(text).expect(text).1, rest);
        }
        for text in ["", "-", ".", "-.", "+1", "--1", " 1", "ấ"] {
            assert_eq!(plain_number(text), None, "{text}");
        }
        let mut seed = 1u64;
        for digits in (1..=20).cycle().take(20_000) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut text = format!("{:020}", seed)[..digits].to_owned();
            text.insert((seed >> 32) as usize % digits, '.');
            let read: f64 = text.parse().expect("a number");
            assert_eq!(
                plain_number(&text).expect("a number").0.to_bits(),
                read.to_bits(),
                "{text}"
            );
        }
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
