//! The shared corpus of real messages: each file gets the verdict its index expects.
//!
//! The corpus is not part of the project; where it is absent these tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use loa::event::cap::{Mode, Version};

use super::{assert_explained, assert_round_trip, lenient, strict};

/// The corpus's folder, or none with a loud word on standard error.
fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("LOA_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = root.join("cap");
    if folder.join("index.csv").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no CAP corpus (set LOA_SHARED); only the committed fixtures were tested");
    None
}

/// A file of the corpus: its place and what the index says a reader should do.
struct Row {
    file: PathBuf,
    verdict: String,
}

fn rows(folder: &Path, verdict: &str) -> Vec<Row> {
    let text = fs::read_to_string(folder.join("index.csv")).expect("an index");
    let mut records = records(&text).into_iter();
    let header = records.next().expect("a header");
    let column = |name: &str| header.iter().position(|field| field == name).expect(name);
    let (file, verdict) = (column("file"), column(verdict));
    records
        .map(|record| Row { file: folder.join(&record[file]), verdict: record[verdict].clone() })
        .collect()
}

/// RFC 4180, as far as the index needs it.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let record = records.last_mut().expect("never empty");
        let field = record.last_mut().expect("never empty");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(String::new()),
            '\n' if !quoted => records.push(vec![String::new()]),
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    records.retain(|record| record.len() > 1);
    records
}

/// What the two readers should do; none where the index leaves it open.
#[derive(Debug, PartialEq)]
struct Expected {
    strict: Option<bool>,
    lenient: Option<bool>,
    /// It is a wrapper and must be refused as one.
    wrapper: bool,
}

fn expected(verdict: &str) -> Expected {
    let (strict, lenient) = if verdict.starts_with("not a CAP document") {
        (Some(false), Some(false))
    } else if verdict.contains("or reject") || verdict.starts_with("reject or") {
        (None, None)
    } else if verdict.starts_with("accept only if") {
        // CAP 1.0, which is supported.
        (Some(true), Some(true))
    } else if verdict.contains("lenient on the rules column") {
        (None, Some(true))
    } else if verdict.contains("lenient reader may accept") {
        (Some(false), Some(true))
    } else if verdict.starts_with("accept") || verdict.starts_with("warn") {
        (Some(true), Some(true))
    } else if verdict.starts_with("reject") {
        (Some(false), None)
    } else {
        panic!("the index says something new: {verdict}")
    };
    Expected { strict, lenient, wrapper: verdict.starts_with("not a CAP document") }
}

#[test]
fn every_message_of_the_corpus_gets_the_verdict_its_index_expects() {
    let Some(folder) = corpus() else { return };
    let mut rows = self::rows(&folder, "expect");
    rows.extend(self::rows(&folder.join("made"), "verdict"));
    let (mut wrong, mut read_back) = (Vec::new(), 0);
    for row in &rows {
        let about = row.file.display().to_string();
        let bytes = fs::read(&row.file).expect(&about);
        let expected = expected(&row.verdict);
        let readers = [
            (Mode::Strict, expected.strict, strict(&bytes)),
            (Mode::Lenient, expected.lenient, lenient(&bytes)),
        ];
        for (mode, accept, result) in readers {
            assert_explained(&result, &about);
            if accept.is_some_and(|accept| accept != result.is_ok()) {
                wrong.push(format!("{about} {mode:?}, expected {}: {result:?}", row.verdict));
            }
            if row.verdict.starts_with("warn") {
                assert!(result.as_ref().is_ok_and(|read| !read.liberties.is_empty()), "{about}");
            }
            match result {
                Ok(read) => {
                    assert_round_trip(&read.alert, mode, &about);
                    read_back += 1;
                }
                Err(found) if expected.wrapper => assert_eq!(found[0].rule, "root_wrapper"),
                Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} files judged, {read_back} readings written and read back", rows.len());
    assert!(rows.len() > 150 && read_back > 150);
}

#[test]
fn an_independent_reader_finds_the_same_in_valid_messages() {
    let Some(folder) = corpus() else { return };
    let mut compared = 0;
    for row in rows(&folder, "expect").iter().filter(|row| row.verdict.starts_with("accept")) {
        let about = row.file.display().to_string();
        let bytes = fs::read(&row.file).expect(&about);
        let Ok(ours) = lenient(&bytes) else { panic!("{about} is valid") };
        let text = String::from_utf8_lossy(&bytes);
        let Ok(theirs) = text.trim_start_matches('\u{feff}').parse::<oasiscap::Alert>() else {
            println!("the oracle cannot read {about}");
            continue;
        };
        let version = match &theirs {
            oasiscap::Alert::V1dot0(_) => Version::V1_0,
            oasiscap::Alert::V1dot1(_) => Version::V1_1,
            oasiscap::Alert::V1dot2(_) => Version::V1_2,
        };
        assert_eq!(ours.version, version, "{about}");
        assert_eq!(our_facts(&ours.alert), their_facts(theirs.into_latest()), "{about}");
        compared += 1;
    }
    println!("{compared} messages compared with oasiscap");
    assert!(compared > 60, "{compared}");
}

/// Words are compared without case: the oracle names its variants in Rust's way.
fn word(term: impl std::fmt::Debug) -> String {
    format!("{term:?}").to_ascii_lowercase()
}

fn blank(text: Option<&String>) -> String {
    text.map_or(String::new(), |text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn our_facts(alert: &loa::domain::alert::Alert) -> Vec<String> {
    let mut facts = vec![
        alert.identifier.clone(),
        alert.sender.clone(),
        alert.sent.instant().as_second().to_string(),
        word(alert.status),
        word(alert.msg_type),
        word(alert.scope),
        alert.references.len().to_string(),
        alert.incidents.join("|"),
    ];
    facts.extend(alert.references.iter().map(|reference| reference.identifier.clone()));
    for info in &alert.infos {
        facts.extend([info.language.clone(), blank(Some(&info.event)), word(&info.categories)]);
        facts.extend([word(info.urgency), word(info.severity), word(info.certainty)]);
        facts.extend([blank(info.headline.as_ref()), blank(info.description.as_ref())]);
        facts.push(info.expires.map_or(0, |time| time.instant().as_second()).to_string());
        for area in &info.areas {
            facts.push(blank(Some(&area.description)));
            for ring in &area.polygons {
                let pairs = ring.points().iter().map(|point| (point.lat(), point.lon()));
                facts.push(format!("{:?}", pairs.collect::<Vec<_>>()));
            }
            facts.push(area.circles.len().to_string());
            facts.push(format!("{:?}", (area.altitude_ft, area.ceiling_ft)));
        }
    }
    facts
}

fn their_facts(alert: oasiscap::v1dot2::Alert) -> Vec<String> {
    let second = |time: &oasiscap::DateTime| {
        let text = time.to_string();
        let time: jiff::Timestamp = text.parse().expect("RFC 3339");
        time.as_second()
    };
    let references = alert.references.map_or(Vec::new(), |list| list.into_inner());
    let incidents = alert.incidents.map_or(Vec::new(), |list| list.into_inner());
    let incidents: Vec<_> = incidents.into_iter().map(|item| item.into_inner()).collect();
    let mut facts = vec![
        alert.identifier.as_str().to_owned(),
        alert.sender.as_str().to_owned(),
        second(&alert.sent).to_string(),
        word(alert.status),
        word(alert.message_type),
        word(alert.scope),
        references.len().to_string(),
        incidents.join("|"),
    ];
    facts.extend(references.iter().map(|reference| reference.identifier.as_str().to_owned()));
    for info in &alert.info {
        let language = info.language.as_str().to_owned();
        facts.extend([language, blank(Some(&info.event)), word(&info.categories)]);
        facts.extend([word(info.urgency), word(info.severity), word(info.certainty)]);
        facts.extend([blank(info.headline.as_ref()), blank(info.description.as_ref())]);
        facts.push(info.expires.as_ref().map_or(0, second).to_string());
        for area in &info.areas {
            facts.push(blank(Some(&area.description)));
            for ring in &area.polygons {
                let pairs = ring.iter().map(|point| (point.latitude(), point.longitude()));
                facts.push(format!("{:?}", pairs.collect::<Vec<_>>()));
            }
            facts.push(area.circles.len().to_string());
            facts.push(format!("{:?}", (area.altitude, area.ceiling)));
        }
    }
    facts
}
