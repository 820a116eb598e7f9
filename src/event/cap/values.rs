//! The text of one element as a value of the model.

use std::str::FromStr;

use super::tree::{Element, is_blank};
use super::version::Version;
use super::{coordinates, lists};
use crate::domain::alert::rules::{Mode, Report};
use crate::domain::alert::vocabulary::UnknownTerm;
use crate::domain::alert::{CapTime, Certainty, NamedValue, Reference, default_language};

/// A text exactly as written; none if the element is absent or blank, which mean the same.
pub(super) fn text(element: Option<&Element>) -> Option<String> {
    let text = &element?.text;
    (!text.trim().is_empty()).then(|| text.clone())
}

/// The paragraphs of a text that a feed spread over several elements.
pub(super) fn paragraphs<'e>(elements: impl Iterator<Item = &'e Element>) -> Option<String> {
    let paragraphs: Vec<_> = elements.filter_map(|element| text(Some(element))).collect();
    (!paragraphs.is_empty()).then(|| paragraphs.join("\n"))
}

/// A text that must be there: absence has been reported, blanks are the rules' business.
pub(super) fn required(element: Option<&Element>) -> Option<String> {
    Some(element?.text.clone())
}

/// A text whose type ignores blanks around it (`xs:anyURI`, `xs:language`, digests).
pub(super) fn token(element: Option<&Element>) -> Option<String> {
    let token = element?.text.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// An identifier or a sender.
pub(super) fn name(element: Option<&Element>, report: &mut Report) -> Option<String> {
    let element = element?;
    let name = element.text.trim_matches(is_blank);
    if name.len() != element.text.len() {
        report.tolerable(&element.path, "name_blanks", "has blanks around it".to_owned());
    }
    Some(name.to_owned())
}

/// A word of a closed vocabulary. Another spelling of a known word is tolerated; an unknown word
/// never is, so that no unknown `msgType` can pass for an Alert.
pub(super) fn term<T>(element: Option<&Element>, report: &mut Report) -> Option<T>
where
    T: FromStr<Err = UnknownTerm>,
{
    let element = element?;
    let unknown = match element.text.parse() {
        Ok(term) => return Some(term),
        Err(unknown) => unknown,
    };
    let given = element.text.trim_matches(is_blank);
    match unknown.allowed.split(' ').find(|term| term.eq_ignore_ascii_case(given)) {
        Some(term) => {
            let message = format!("`{}` must be written {term}", element.text);
            report.tolerable(&element.path, "term_spelling", message);
            term.parse().ok()
        }
        None => {
            report.broken(&element.path, "term_unknown", unknown.to_string());
            None
        }
    }
}

/// CAP 1.0's "Very Likely" is to be read as Likely (CAP 1.2, certainty).
pub(super) fn certainty(
    element: &Element,
    version: Version,
    report: &mut Report,
) -> Option<Certainty> {
    if element.text.trim_matches(is_blank) != "Very Likely" {
        return term(Some(element), report);
    }
    let message = "`Very Likely` is CAP 1.0's and read as Likely".to_owned();
    if version == Version::V1_0 {
        report.noted(&element.path, "certainty_very_likely", message);
    } else {
        report.tolerable(&element.path, "certainty_very_likely", message);
    }
    Some(Certainty::Likely)
}

/// A time.
pub(super) fn time(
    element: Option<&Element>,
    version: Version,
    report: &mut Report,
) -> Option<CapTime> {
    let element = element?;
    instant(element.text.trim_matches(is_blank), &element.path, version, report)
}

/// CAP 1.0 and 1.1 allow `Z` and fractions; a feed's CAP 1.2 is read with them too. The model has
/// whole seconds.
fn instant(text: &str, path: &str, version: Version, report: &mut Report) -> Option<CapTime> {
    let error = match text.parse() {
        Ok(time) => return Some(time),
        Err(error) => error,
    };
    let Some(time) = repaired(text).and_then(|text| text.parse().ok()) else {
        report.broken(path, "time_form", error.to_string());
        return None;
    };
    if version < Version::V1_2 {
        let message = format!("`{text}` was read as {time}");
        report.noted(path, "time_rewritten", message);
    } else {
        report.tolerable(path, "time_form", error.to_string());
    }
    Some(time)
}

/// The text without a fraction of a second and with `+00:00` for `Z`.
fn repaired(text: &str) -> Option<String> {
    let seconds = text.get(..19)?;
    let mut zone = text.get(19..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    Some(format!("{seconds}{}", if zone == "Z" { "+00:00" } else { zone }))
}

/// A language; absent or empty means `en-US`.
pub(super) fn language(element: Option<&Element>, path: &str, report: &mut Report) -> String {
    let Some(code) = token(element) else {
        let message = format!("without a language, {} is assumed", default_language());
        report.noted(path, "language_absent", message);
        return default_language();
    };
    if report.mode() == Mode::Lenient && code.contains('_') {
        let message = format!("`{code}` should be written with a hyphen");
        report.tolerable(path, "language_spelling", message);
        return code.replace('_', "-");
    }
    code
}

/// `addresses` or `incidents`; none if the quotes do not pair.
pub(super) fn list(element: Option<&Element>, report: &mut Report) -> Option<Vec<String>> {
    let Some(element) = element else { return Some(Vec::new()) };
    lists::split(&element.text)
        .inspect_err(|error| report.broken(&element.path, "list_quote", error.to_string()))
        .ok()
}

/// `references`: triples without blanks, parted by blanks; none for each that cannot be read.
pub(super) fn references(
    element: Option<&Element>,
    version: Version,
    report: &mut Report,
) -> Vec<Option<Reference>> {
    let Some(element) = element else { return Vec::new() };
    let triples = element.text.split(is_blank).filter(|triple| !triple.is_empty());
    triples.map(|triple| reference(triple, &element.path, version, report)).collect()
}

fn reference(triple: &str, path: &str, version: Version, report: &mut Report) -> Option<Reference> {
    let fields: Vec<_> = triple.split(',').collect();
    let [sender, identifier, sent] = fields.as_slice() else {
        let message = format!("`{triple}` is not sender,identifier,sent");
        report.broken(path, "reference_form", message);
        return None;
    };
    let sent = instant(sent, path, version, report)?;
    Some(Reference { sender: (*sender).to_owned(), identifier: (*identifier).to_owned(), sent })
}

/// `eventCode`, `parameter` or `geocode`; CAP 1.0 wrote `name=value`.
pub(super) fn named_value(
    element: &Element,
    version: Version,
    report: &mut Report,
) -> Option<NamedValue> {
    if version > Version::V1_0 {
        let (name, value) = (required(element.one("valueName")), required(element.one("value")));
        return Some(NamedValue { name: name?, value: value? });
    }
    let Some((name, value)) = element.text.split_once('=') else {
        report.broken(&element.path, "named_value_form", "the form is name=value".to_owned());
        return None;
    };
    Some(NamedValue { name: name.trim().to_owned(), value: value.to_owned() })
}

/// A resource's size in bytes; a lenient reader does without one it cannot read.
pub(super) fn size(element: Option<&Element>, report: &mut Report) -> Option<u64> {
    let element = element?;
    let text = element.text.trim_matches(is_blank);
    let size = text.parse().ok();
    if size.is_none() && !text.is_empty() {
        let message = format!("`{text}` is no whole number of bytes");
        report.tolerable(&element.path, "size_form", message);
    }
    size
}

/// An altitude or a ceiling in feet.
pub(super) fn feet(element: &Element, report: &mut Report) -> Option<f64> {
    let text = element.text.trim_matches(is_blank);
    let feet = coordinates::decimal(text, &element.path, report);
    if feet.is_none() {
        let message = format!("`{text}` is no decimal number of feet");
        report.broken(&element.path, "height_form", message);
    }
    feet
}
