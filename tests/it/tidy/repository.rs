//! What every committed file keeps to: no machine's paths, no registry but the public one, topics
//! with definitions and examples, pages that name what is there.

use std::fs;

use loa::bus::TopicId;
use loa::http::problem::Code;

use super::Found;
use super::source::{collect, relative, root};

/// Committed text files with their content.
fn texts() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        fs::read_to_string(path).ok().map(|text| (relative(path), text))
    };
    paths.iter().filter_map(read).collect()
}

/// Parts of words are put together here, so that this file does not break its own rule.
fn forbidden() -> Vec<(String, &'static str)> {
    let folder = |name: &str| format!("/{name}/");
    let host = |name: &str, end: &str| format!("{name}.{end}");
    let path = "a path of somebody's machine";
    let registry = "the host of a package registry";
    vec![
        (folder("work"), path),
        (folder("tmp"), path),
        (folder("root"), path),
        (folder("home"), path),
        (folder("Users"), path),
        (host("registry.npmjs", "org"), registry),
        (host("registry.yarnpkg", "com"), registry),
        (host("static.crates", "io"), registry),
        (host("index.crates", "io"), registry),
        (host("files.pythonhosted", "org"), registry),
        (host("deb.debian", "org"), registry),
        (host("archive.ubuntu", "com"), registry),
        (host("repo1.maven", "org"), registry),
    ]
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let mut found = Found::new();
    let forbidden = forbidden();
    for (path, text) in texts() {
        for (index, line) in text.lines().enumerate() {
            for (word, what) in &forbidden {
                if stands_alone(line, word) {
                    found.add(format!("{path}:{}", index + 1), format!("{what}: `{word}`"));
                }
            }
        }
    }
    found.settle("no machine's paths and no registry's hosts");
}

/// A folder named from the root, not a part of a longer path or of a URL.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|one| one.is_alphanumeric() || "._-/}>*".contains(one))
    })
}

#[test]
fn the_lock_file_names_only_the_public_registry() {
    let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let mut found = Found::new();
    for name in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = fs::read_to_string(root().join(name)).expect("a lock file is committed");
        for (index, line) in lock.lines().enumerate() {
            if line.starts_with("source = ") && line != public {
                found.add(format!("{name}:{}", index + 1), line);
            }
        }
    }
    let lock = root().join("tests/it/clients/package-lock.json");
    let text = fs::read_to_string(lock).expect("the lock file of the tests' clients is committed");
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains("\"resolved\""))
    {
        found.add(format!("tests/it/clients/package-lock.json:{}", index + 1), line);
    }
    found.settle("packages come from the public registry, by their ordinary clients");
}

/// `dispatches` → `dispatch`, `receipts` → `receipt`.
fn singular(name: &str) -> &str {
    name.strip_suffix("hes").map_or(name.trim_end_matches('s'), |_| &name[..name.len() - 2])
}

#[test]
fn every_topic_has_a_definition_and_an_example() {
    let mut found = Found::new();
    let mut stems = std::collections::BTreeSet::new();
    for topic in TopicId::all() {
        let definition = topic.definition();
        let name = definition.name.trim_start_matches("loa.").to_owned();
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        if !root().join("topics").join(format!("{stem}.toml")).is_file() {
            found.add(topic.name(), format!("no topics/{stem}.toml"));
        }
        stems.insert(stem);
    }
    let examples = root().join("topics/examples");
    let names: Vec<String> = fs::read_dir(&examples)
        .map(|entries| {
            let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            entries.filter_map(|entry| entry.ok().map(name)).collect()
        })
        .unwrap_or_default();
    for stem in &stems {
        let one = singular(stem);
        if !names.iter().any(|name| name.starts_with(one)) {
            found.add(format!("topics/{stem}.toml"), format!("no topics/examples/{one}*.json"));
        }
    }
    let mut paths = Vec::new();
    collect(&root().join("topics"), &mut paths);
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !stems.contains(stem) {
            found.add(relative(path), "defines no topic there is");
        }
    }
    found.settle("every topic has a definition and an example");
}

#[test]
fn every_problem_code_and_metric_is_documented() {
    let mut found = Found::new();
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_default();
    let api = read("docs/API.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
        if !api.contains(&row) {
            found.add("docs/API.md", format!("no row that begins `{row}`"));
        }
    }
    let operations = read("docs/OPERATIONS.md");
    let metrics = read("src/metrics.rs");
    for name in metrics.split('"').filter(|name| name.starts_with("loa_")) {
        if !operations.contains(&format!("| `{name}` |")) {
            found.add("docs/OPERATIONS.md", format!("no row for the metric `{name}`"));
        }
    }
    found.settle("codes and metrics are documented");
}

#[test]
fn every_direct_dependency_is_explained() {
    let mut found = Found::new();
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&text).expect("Cargo.toml is TOML");
    let page = fs::read_to_string(root().join("docs/DEPENDENCIES.md")).unwrap_or_default();
    for section in ["dependencies", "dev-dependencies"] {
        let names = manifest.get(section).and_then(toml::Value::as_table);
        for name in names.into_iter().flat_map(|table| table.keys()) {
            if !page.contains(&format!("`{name}`")) {
                found.add("docs/DEPENDENCIES.md", format!("does not say what `{name}` is for"));
            }
        }
    }
    found.settle("every direct dependency has its line");
}

#[test]
fn the_fuzz_package_is_locked_with_our_dependencies() {
    let table = |name: &str| -> toml::Table {
        let text = fs::read_to_string(root().join(name)).expect(name);
        toml::from_str(&text).expect("TOML")
    };
    let (manifest, lock) = (table("Cargo.toml"), table("fuzz/Cargo.lock"));
    let packages = lock["package"].as_array().expect("packages");
    let ours = packages.iter().find(|one| one["name"].as_str() == Some("loa"));
    let locked = ours.expect("loa is locked")["dependencies"].as_array().expect("a list");
    // A name stands with its version where there are several.
    let names = locked.iter().filter_map(|one| one.as_str()?.split(' ').next());
    let names: Vec<&str> = names.collect();
    let mut found = Found::new();
    for (key, value) in manifest["dependencies"].as_table().expect("a table") {
        let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
        if !names.contains(&name) {
            found.add("fuzz/Cargo.lock", format!("lacks `{name}`: `cargo update -w` in fuzz"));
        }
    }
    found.settle("`make fuzz` builds with its lock file");
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut found = Found::new();
    for (path, text) in texts().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = std::path::Path::new(&path).parent().map(std::path::Path::to_owned);
        let folder = root().join(folder.unwrap_or_default());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let outward = link.contains("://") || link.starts_with("mailto:");
            if !outward && !file.is_empty() && !folder.join(file).exists() {
                found.add(&path, format!("the link `{link}` leads nowhere"));
            }
        }
    }
    found.settle("links lead to files that exist");
}
