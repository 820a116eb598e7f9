//! CAP documents: refused by name, read alike by an independent reader, and the same after being
//! written and read again.

mod corpus;
mod mutation;
mod round_trip;

use std::fs;
use std::path::{Path, PathBuf};

use loa::cli::cap::{Check, check};
use loa::domain::alert::Alert;
use loa::event::cap::{Limits, Mode, Read, Severity, Violation, read, write};

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/cap").join(folder);
    let entries = fs::read_dir(&folder).expect("the fixtures are committed");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

fn strict(bytes: &[u8]) -> Result<Read, Vec<Violation>> {
    read(bytes, Mode::Strict, &Limits::default())
}

fn lenient(bytes: &[u8]) -> Result<Read, Vec<Violation>> {
    read(bytes, Mode::Lenient, &Limits::feeds())
}

/// Every violation says where and which rule; a refusal holds an error, an acceptance none.
fn assert_explained(result: &Result<Read, Vec<Violation>>, about: &str) {
    let (violations, refused) = match result {
        Ok(read) => (&read.liberties, false),
        Err(violations) => (violations, true),
    };
    let errors = violations.iter().any(|violation| violation.severity == Severity::Error);
    assert_eq!(errors, refused, "{about}: {violations:?}");
    for violation in violations {
        let path = &violation.path;
        assert!(path.is_empty() || path.starts_with('/'), "{about}: {violation}");
        assert!(!violation.rule.is_empty() && !violation.message.is_empty(), "{about}: {path}");
    }
}

/// The same alert after writing and reading, down to the zones of its times.
fn assert_round_trip(alert: &Alert, mode: Mode, about: &str) {
    let xml = write(alert);
    let again = read(xml.as_bytes(), mode, &Limits::feeds())
        .unwrap_or_else(|violations| panic!("{about}: {violations:?}\n{xml}"));
    assert_eq!(&again.alert, alert, "{about}");
    let json = |alert: &Alert| serde_json::to_string(alert).expect("a model is JSON");
    assert_eq!(json(&again.alert), json(alert), "{about}");
    assert_eq!(write(&again.alert), xml, "{about}");
}

/// The name of a fixture that is not accepted strictly is the rule that it breaks.
fn stem(file: &Path) -> String {
    file.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_strict_reader_accepts_what_keeps_every_rule() {
    for file in fixtures("accept") {
        let bytes = fs::read(&file).expect("a fixture");
        let about = file.display().to_string();
        let read = strict(&bytes).unwrap_or_else(|found| panic!("{about}: {found:?}"));
        assert_round_trip(&read.alert, Mode::Strict, &about);
    }
}

#[test]
fn a_lenient_reader_forgives_what_is_unambiguous_and_says_so() {
    for file in fixtures("lenient") {
        let bytes = fs::read(&file).expect("a fixture");
        let about = file.display().to_string();
        let refused = strict(&bytes).expect_err(&about);
        assert!(refused.iter().any(|found| found.rule == stem(&file)), "{about}: {refused:?}");
        let read = lenient(&bytes).unwrap_or_else(|found| panic!("{about}: {found:?}"));
        assert!(!read.liberties.is_empty(), "{about}");
        assert_round_trip(&read.alert, Mode::Lenient, &about);
    }
}

#[test]
fn bad_input_is_refused_by_name_by_either_reader() {
    for file in fixtures("refuse") {
        let bytes = fs::read(&file).expect("a fixture");
        for result in [strict(&bytes), lenient(&bytes)] {
            assert_explained(&result, &file.display().to_string());
            let found = result.expect_err("refused");
            let named = found.iter().any(|found| found.rule == stem(&file));
            assert!(named, "{}: {found:?}", file.display());
        }
    }
}

fn run_check(files: Vec<PathBuf>, json: bool) -> (bool, String) {
    let args = Check { files, lenient: false, profile: false, json };
    let mut out = Vec::new();
    let ok = check(&args, &mut out).expect("the files are readable");
    (ok, String::from_utf8(out).expect("text"))
}

#[test]
fn cap_check_prints_ok_or_each_broken_rule_with_its_place() {
    let (ok, text) = run_check(fixtures("accept"), false);
    assert!(ok && text.lines().all(|line| line.ends_with(": ok")), "{text}");
    assert_eq!(text.lines().count(), fixtures("accept").len());

    let bad: Vec<_> =
        fixtures("refuse").into_iter().filter(|file| stem(file) == "polygon_pair").collect();
    let (ok, text) = run_check(bad.clone(), false);
    let place = "polygon_pair.xml: /alert/info[1]/area[1]/polygon[1]: pair 1, `106.65,10.75`";
    assert!(!ok && text.contains(place) && text.contains("swapped"), "{text}");

    let (ok, text) = run_check(bad, true);
    let document: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    assert!(!ok && document[0]["ok"] == false, "{text}");
    assert_eq!(document[0]["violations"][0]["rule"], "polygon_pair");
}

#[test]
fn a_ring_as_long_as_the_longest_real_one_is_checked_whole() {
    let count = 34_066;
    let mut ring = String::new();
    for n in 0..count {
        // A star: neighbouring points lie far apart, so that many edges are open at a time.
        let angle = f64::from(n) / f64::from(count) * std::f64::consts::TAU;
        let radius = if n % 2 == 0 { 1.0 } else { 0.5 };
        let (lat, lon) = (10.0 + radius * angle.sin(), 106.0 + radius * angle.cos());
        ring.push_str(&format!("{lat:.5},{lon:.5} "));
    }
    ring.push_str("10.00000,107.00000");
    let alert = fs::read_to_string(&fixtures("accept")[0]).expect("the plainest alert");
    let (before, rest) = alert.split_once("<polygon>").expect("it has a polygon");
    let (_, after) = rest.split_once("</polygon>").expect("it has a polygon");
    let text = |ring: &str| format!("{before}<polygon>{ring}</polygon>{after}");
    strict(text(&ring).as_bytes()).expect("a star does not cross itself");
    let crossed = ring.replacen(" 1", " 9.5,105.5 1", 1);
    let found = strict(text(&crossed).as_bytes()).expect_err("it does now");
    assert_eq!(
        found.iter().map(|found| found.rule).collect::<Vec<_>>(),
        ["polygon_crosses_itself"]
    );
}
