//! Sizes, and what source may not say.

use super::Found;
use super::imports::names;
use super::source::{Source, indent, rust_files};

/// Lines of a file, with its unit tests.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from its name to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line, in characters.
const COLUMNS_MAX: usize = 100;

fn everything() -> Vec<Source> {
    let folders = ["src", "tests", "benches", "fuzz"];
    let present = folders.iter().filter(|name| super::source::root().join(name).is_dir());
    present.flat_map(|name| rust_files(name)).collect()
}

#[test]
fn files_functions_and_lines_have_a_readable_size() {
    let mut found = Found::new();
    for source in everything() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.add(&source.path, format!("{lines} lines, at most {FILE_LINES_MAX}"));
        }
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            // rustfmt leaves comments alone, and a table's row cannot be broken.
            let row = line.trim_start().trim_start_matches(['/', '!', ' ']).starts_with('|');
            if columns > COLUMNS_MAX && !row {
                let message = format!("{columns} columns, at most {COLUMNS_MAX}");
                found.add(source.at(index + 1), message);
            }
        }
        for (line, length) in functions(&source) {
            if length > FUNCTION_LINES_MAX {
                let message = format!("a function of {length} lines, at most {FUNCTION_LINES_MAX}");
                found.add(source.at(line), message);
            }
        }
    }
    found.settle("files, functions and lines are small");
}

/// Where each function begins, and its lines. rustfmt puts its last brace under its first letter.
fn functions(source: &Source) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = source.code.lines().collect();
    let begins = |line: &str| {
        let words = line.split_whitespace();
        let mut words = words.skip_while(|word| {
            word.starts_with("pub") || ["async", "const", "unsafe", "extern"].contains(word)
        });
        words.next() == Some("fn")
    };
    let mut all = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| begins(line)) {
        let last = lines[index + 1..]
            .iter()
            .position(|other| indent(other) == indent(line) && other.trim_start().starts_with('}'));
        let one_line = line.trim_end().ends_with(['}', ';']);
        let length = if one_line { 1 } else { last.map_or(1, |last| last + 2) };
        all.push((index + 1, length));
    }
    all
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut found = Found::new();
    for source in everything() {
        // Unit tests in a file of their own are told about by the file they test.
        if !source.text.starts_with("//!") && !source.path.ends_with("/tests.rs") {
            found.add(&source.path, "does not open with `//!`");
        }
    }
    found.settle("every module opens with what it does");
}

/// What nobody commits, tests included.
const NEVER: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];
#[test]
fn nothing_is_left_undone_skipped_or_printed_for_debugging() {
    // Put together here, so that this file does not break its own rule.
    let words = [format!("TO{}", "DO"), format!("FIX{}", "ME"), format!("XX{}", "X")];
    let mut found = Found::new();
    for source in everything() {
        for (index, (code, text)) in source.code.lines().zip(source.text.lines()).enumerate() {
            for name in NEVER.iter().filter(|name| names(code, name)) {
                found.add(source.at(index + 1), format!("`{name}`"));
            }
            for word in words.iter().filter(|word| names(text, word)) {
                found.add(source.at(index + 1), format!("`{word}`"));
            }
        }
    }
    found.settle("no unfinished work is committed");
}

#[test]
fn only_tests_unwrap() {
    let mut found = Found::new();
    for source in rust_files("src") {
        for (line, code) in source.lines() {
            if code.contains(".unwrap()") {
                found.add(source.at(line), "`.unwrap()`: use `expect` and say why it cannot fail");
            }
        }
    }
    found.settle("nothing outside tests unwraps");
}

#[test]
fn nothing_is_shared_or_ended_behind_the_owners_back() {
    let mut found = Found::new();
    for source in rust_files("src") {
        if ["lifecycle", "cli", "simulator"].contains(&source.room()) {
            continue;
        }
        for (line, code) in source.lines() {
            if code.trim_start().trim_start_matches("pub ").starts_with("static ")
                && ["Mutex", "RwLock", "Atomic", "Once"].iter().any(|kind| code.contains(kind))
            {
                found.add(source.at(line), "a static that changes");
            }
            if names(code, "thread::sleep") || names(code, "std::process::exit") {
                found.add(source.at(line), "blocks or ends what belongs to others");
            }
        }
    }
    found.settle("no statics that change, no sleeping threads, no exits");
}

#[test]
fn every_metric_is_declared_once() {
    let mut found = Found::new();
    let metrics = std::fs::read_to_string(super::source::root().join("src/metrics.rs"));
    let metrics = metrics.expect("src/metrics.rs is there");
    let declared: Vec<&str> =
        metrics.split('"').filter(|literal| literal.starts_with("loa_")).collect();
    assert!(!declared.is_empty(), "src/metrics.rs declares nothing");
    for source in rust_files("src") {
        if source.path == "src/metrics.rs" {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            if declared.iter().any(|name| line.contains(&format!("\"{name}\""))) {
                found.add(source.at(index + 1), "the name of a metric outside src/metrics.rs");
            }
        }
        for (line, code) in source.lines() {
            for name in ["counter!", "gauge!", "histogram!"] {
                if names(code, name) {
                    found.add(source.at(line), format!("`{name}` outside src/metrics.rs"));
                }
            }
        }
    }
    found.settle("metrics are declared in src/metrics.rs");
}

#[test]
fn tests_wait_for_what_happens_and_not_for_time() {
    let mut found = Found::new();
    for source in rust_files("tests") {
        if source.path.starts_with("tests/it/tidy") || source.path.starts_with("tests/it/support") {
            continue;
        }
        let mut function = "";
        for (index, code) in source.code.lines().enumerate() {
            if code.contains("fn ") {
                function = code;
            }
            // The one that waits for a condition has to look again somehow.
            let waits = function.contains("fn eventually");
            if !waits && (names(code, "thread::sleep") || names(code, "time::sleep")) {
                found.add(source.at(index + 1), "a sleep: use the bounded `eventually`");
            }
        }
    }
    found.settle("tests do not sleep");
}
