//! The fuzz targets' corpus and properties, without a fuzzer (docs/SECURITY.md): what was found
//! once, or is worth keeping as an input, is tried with every run of the tests.

use std::fs;
use std::path::PathBuf;

#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// Files of a target's corpus must be at least this many; a missing folder is no success.
const FILES_MIN: usize = 5;
/// All targets' corpora together, in bytes: a clone carries them.
const CORPUS_BYTES_MAX: u64 = 300 << 10;

/// Every input of a target's corpus.
fn corpus(target: &str) -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is committed");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn replay(target: &str, hold: fn(&[u8])) {
    let files = corpus(target);
    assert!(files.len() >= FILES_MIN, "{target}: {} files", files.len());
    for path in files {
        let data = fs::read(&path).expect("an input is read");
        let held = std::panic::catch_unwind(|| hold(&data));
        assert!(held.is_ok(), "{}", path.display());
    }
}

#[test]
fn answers_of_providers_hold() {
    replay("answers", properties::answers::hold);
}

#[test]
fn targets_of_publishers_hold() {
    replay("areas", properties::areas::hold);
}

#[test]
fn cap_documents_hold() {
    replay("cap", properties::cap::hold);
}

#[test]
fn records_of_the_log_hold() {
    replay("events", properties::events::hold);
}

#[test]
fn websocket_frames_hold() {
    replay("frames", properties::frames::hold);
}

#[test]
fn files_of_boundaries_hold() {
    replay("geojson", properties::geojson::hold);
}

#[test]
fn bodies_of_the_http_faces_hold() {
    replay("json", properties::json::hold);
}

#[test]
fn the_corpus_is_small() {
    let targets = ["answers", "areas", "cap", "events", "frames", "geojson", "json"];
    let size = |path: &PathBuf| fs::metadata(path).expect("a file").len();
    let bytes: u64 = targets.iter().flat_map(|target| corpus(target)).map(|path| size(&path)).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes: minimise it (docs/SECURITY.md)");
}
