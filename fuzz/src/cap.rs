//! CAP XML: no document costs more than its limits; what is refused is refused by name; what is
//! read is the same alert in every form it can leave in.

use loa::domain::alert::Alert;
use loa::event::cap::{Limits, Mode, Read, read, read_json, write};

use super::refusals;

/// Holds for every document.
pub fn hold(data: &[u8]) {
    let limits = Limits::default();
    let strict = read(data, Mode::Strict, &limits);
    let lenient = read(data, Mode::Lenient, &limits);
    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => {
            assert_eq!(strict.alert, lenient.alert, "strictness changes no alert");
            refusals::warnings(&strict.liberties);
            round_trips(&strict.alert);
        }
        (Ok(_), Err(found)) => panic!("taken strictly, refused leniently: {found:?}"),
        (Err(found), Ok(Read { alert, liberties, .. })) => {
            refusals::violations(found, Mode::Strict);
            refusals::warnings(liberties);
            // What was forgiven may be lost; what is left is a document again.
            let again = read(write(alert).as_bytes(), Mode::Lenient, &Limits::feeds());
            let again = again.unwrap_or_else(|found| panic!("written, then refused: {found:?}"));
            assert_eq!(again.alert, *alert, "written, then read as another alert");
        }
        (Err(strict), Err(lenient)) => {
            refusals::violations(strict, Mode::Strict);
            refusals::violations(lenient, Mode::Lenient);
        }
    }
}

/// An alert that keeps every rule is the same alert after XML and after JSON. Escapes may make the
/// document longer than it came, so the limits of what comes are wider here.
pub fn round_trips(alert: &Alert) {
    let xml = write(alert);
    let again = read(xml.as_bytes(), Mode::Strict, &Limits::feeds());
    let again = again.unwrap_or_else(|found| panic!("written, then refused: {found:?}\n{xml}"));
    assert_eq!(again.alert, *alert, "by way of XML");
    let json = serde_json::to_vec(alert).expect("the model is plain data");
    let again = read_json(&json).unwrap_or_else(|found| panic!("as JSON refused: {found:?}"));
    assert_eq!(again, *alert, "by way of JSON");
}
