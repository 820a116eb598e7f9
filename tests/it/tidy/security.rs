//! The threat model names a test for each defence: it must exist.

use super::Found;
use super::source::{root, rust_files};

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let path = root().join("docs/SECURITY.md");
    let text = std::fs::read_to_string(path).expect("the threat model is committed");
    let sources: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(folder).into_iter().map(|source| source.text))
        .collect();
    let mut found = Found::new();
    let mut named = 0;
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // | letter | threat | defence | test |
        let [_, kind, _, _, test, _] = cells[..] else { continue };
        if !["S", "T", "R", "I", "D", "E"].contains(&kind) {
            continue;
        }
        named += 1;
        let test = test.trim_matches('`');
        let head = format!("fn {test}(");
        if test.is_empty() || !sources.iter().any(|source| source.contains(&head)) {
            found.add(format!("docs/SECURITY.md:{}", index + 1), format!("no test `{test}`"));
        }
    }
    assert!(named >= 30, "{named} threats");
    found.settle("each threat has its test");
}
