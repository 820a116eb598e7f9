//! Who may use whom: the table of docs/ARCHITECTURE.md, and which crates a room may name.

use super::Found;
use super::source::{Source, rust_files};

/// Each room and the rooms it may use. `x::y` opens only that part of a room.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("lifecycle", &[]),
    ("domain", &[]),
    ("metrics", &["domain"]),
    ("geofence", &["domain"]),
    ("event", &["domain"]),
    ("bus", &["domain", "event", "clock", "metrics", "store::sqlite", "config::secret"]),
    ("store", &["domain", "clock", "config::secret"]),
    ("channel", &["domain", "clock", "lifecycle", "config::secret"]),
    ("http", &["domain", "clock", "store", "lifecycle", "metrics", "config::secret"]),
    ("auth", &["domain", "clock", "store", "http", "lifecycle", "config::secret"]),
    ("trail", &["domain", "event", "bus", "store", "clock", "lifecycle"]),
    (
        "ingest",
        &[
            "domain",
            "geofence",
            "event",
            "bus",
            "store",
            "auth",
            "trail",
            "http",
            "clock",
            "lifecycle",
            "metrics",
        ],
    ),
    (
        "route",
        &["domain", "event", "bus", "store", "auth", "trail", "clock", "lifecycle", "metrics"],
    ),
    (
        "fanout",
        &["domain", "event", "auth", "bus", "store", "channel", "clock", "lifecycle", "metrics"],
    ),
    ("receipt", &["domain", "event", "bus", "store", "clock", "lifecycle", "metrics"]),
    (
        "gateway",
        &[
            "domain",
            "geofence",
            "event",
            "bus",
            "store",
            "auth",
            "http",
            "clock",
            "lifecycle",
            "metrics",
        ],
    ),
    (
        "console",
        &[
            "domain",
            "geofence",
            "event",
            "bus",
            "store",
            "channel",
            "auth",
            "trail",
            "http",
            "clock",
            "lifecycle",
            "metrics",
        ],
    ),
    (
        "config",
        &[
            "domain", "auth", "bus", "channel", "clock", "fanout", "gateway", "geofence", "http",
            "ingest", "store",
        ],
    ),
    ("telemetry", &["config"]),
    (
        "simulator",
        &["domain", "geofence", "event", "channel", "store", "auth", "clock", "config::secret"],
    ),
    (
        "node",
        &[
            "domain",
            "geofence",
            "event",
            "bus",
            "store",
            "channel",
            "auth",
            "trail",
            "http",
            "ingest",
            "route",
            "fanout",
            "receipt",
            "gateway",
            "console",
            "config",
            "clock",
            "lifecycle",
            "metrics",
        ],
    ),
];

/// The command line may use everything; `main` and `lib` only name modules.
const FREE: &[&str] = &["cli", "main", "lib"];

#[test]
fn a_room_uses_only_the_rooms_it_may() {
    let mut found = Found::new();
    for source in rust_files("src") {
        let room = source.room();
        if FREE.contains(&room) {
            continue;
        }
        let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            found.add(&source.path, "a room that is in no table of tests/it/tidy/imports.rs");
            continue;
        };
        for (line, path) in imports(&source) {
            let allowed = path[0] == room
                || may.iter().any(|open| open.split("::").eq(path.iter().take(parts(open))));
            let known = ROOMS.iter().any(|(name, _)| *name == path[0]) || path[0] == "cli";
            if known && !allowed {
                found.add(source.at(line), format!("{room} may not use {}", path.join("::")));
            }
        }
    }
    found.settle("rooms use only what docs/ARCHITECTURE.md allows");
}

fn parts(open: &str) -> usize {
    open.split("::").count()
}

/// A name, and whether a file is its home.
type Home = (&'static str, fn(&str) -> bool);

/// What no file outside its home may name: the crate or path, and the homes' beginnings.
const HOMES: &[Home] = &[
    ("rusqlite::", |path| {
        let storage = path.starts_with("src/bus/") || path.starts_with("src/store/");
        storage && (path.contains("/embedded") || path.starts_with("src/store/sqlite"))
    }),
    ("rdkafka::", |path| path.starts_with("src/bus/kafka/")),
    // A store's folder names its own module `redis` too.
    ("redis::", |path| {
        let store = path.starts_with("src/store/");
        store && (path.contains("/redis") || path.ends_with("/mod.rs"))
    }),
    ("h2::", |path| {
        path.starts_with("src/channel/http2/")
            || (path.starts_with("src/channel/") && path.ends_with("/client.rs"))
            || path.starts_with("src/simulator/")
    }),
    ("tokio_rustls::", |path| {
        path.starts_with("src/channel/http2/")
            || (path.starts_with("src/channel/") && path.ends_with("/client.rs"))
            || path.starts_with("src/simulator/")
            || path.starts_with("src/http/tls/")
            || path == "src/cli/client.rs"
            || path == "src/auth/oidc/wire.rs"
    }),
    ("google_cloud_auth::", |path| path == "src/channel/fcm/workload.rs"),
    ("geo::", |path| path.starts_with("src/geofence/")),
    ("rstar::", |path| path.starts_with("src/geofence/")),
    ("quick_xml::", |path| path.starts_with("src/event/cap/") || path == "src/gateway/public.rs"),
    ("clap::", |path| path.starts_with("src/cli/") || path == "src/main.rs"),
    ("anyhow::", |path| {
        let program = ["src/cli/", "src/node", "src/simulator/", "src/main.rs"];
        program.iter().any(|home| path.starts_with(home))
    }),
    ("env::var", |path| path.starts_with("src/config/")),
    ("indicatif::", |path| path.starts_with("src/cli/")),
];

#[test]
fn a_third_party_is_named_only_at_its_edge() {
    let mut found = Found::new();
    for source in rust_files("src") {
        for (line, code) in source.lines() {
            for (name, home) in HOMES {
                let named = match name.strip_suffix("::") {
                    Some(_) => names_crate(code, name),
                    None => names(code, name),
                };
                if named && !home(&source.path) {
                    found.add(source.at(line), format!("`{name}` is not for this file"));
                }
            }
        }
    }
    found.settle("crates are named only at their edge");
}

/// What a pure room may not name.
const IMPURE: &[&str] = &[
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
    "Zoned::now",
    "tokio::",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "rand::",
    "tracing::",
];

#[test]
fn the_domain_is_pure_and_so_are_events_and_matching() {
    let mut found = Found::new();
    for source in rust_files("src") {
        // The loader of boundaries reads and writes files; matching does not.
        let loader = ["src/geofence/city.rs", "src/geofence/import.rs"];
        let pure = ["domain", "event", "geofence"].contains(&source.room());
        if !pure || loader.contains(&source.path.as_str()) {
            continue;
        }
        for (line, code) in source.lines() {
            for name in IMPURE.iter().filter(|name| names(code, name)) {
                found.add(source.at(line), format!("`{name}` in a room without I/O and clock"));
            }
        }
    }
    found.settle("domain, event and geofence have no I/O and no clock");
}

#[test]
fn time_comes_from_the_clock() {
    let mut found = Found::new();
    for source in rust_files("src") {
        if ["clock", "cli", "simulator"].contains(&source.room()) {
            continue;
        }
        for (line, code) in source.lines() {
            for name in ["Timestamp::now", "SystemTime::now", "Zoned::now"] {
                if names(code, name) {
                    found.add(source.at(line), format!("`{name}`: ask the clock that is given"));
                }
            }
        }
    }
    found.settle("nothing but the clock asks what time it is");
}

/// Whether code names something as a whole word.
pub fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|one| one.is_alphanumeric() || one == '_')
    })
}

/// Whether code names a crate: not a module of the same name further down a path.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|one| one.is_alphanumeric() || "_:".contains(one))
    })
}

/// Every path of our own that code outside tests names, from the crate's root, with its line.
fn imports(source: &Source) -> Vec<(usize, Vec<String>)> {
    let kept: String = source
        .code
        .lines()
        .zip(&source.test_lines)
        .map(|(line, test)| if *test { "\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let mut all = Vec::new();
    for (at, _) in kept.match_indices("crate::") {
        let line = kept[..at].matches('\n').count() + 1;
        if names(&kept[at.saturating_sub(4)..at + 7], "crate::") {
            tree(&kept[at + 7..], &mut Vec::new(), &mut |path| all.push((line, path)));
        }
    }
    for (at, _) in kept.match_indices("super::super::") {
        let line = kept[..at].matches('\n').count() + 1;
        let above = kept[at..].split("super::").take_while(|part| part.is_empty()).count();
        let module = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<&str> = module.split('/').skip(1).collect();
        if above >= module.len() {
            let rest = kept[at..].trim_start_matches("super::");
            tree(rest, &mut Vec::new(), &mut |path| all.push((line, path)));
        }
    }
    all
}

/// Reads one use tree or path and gives every full path in it; returns what follows.
fn tree<'a>(
    text: &'a str,
    prefix: &mut Vec<String>,
    give: &mut impl FnMut(Vec<String>),
) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            rest = tree(rest, prefix, give).trim_start();
            // ` as name` ends at the comma too.
            let next = rest.find([',', '}']).unwrap_or(rest.len());
            rest = &rest[next..];
            match rest.strip_prefix(',') {
                Some(after) => rest = after,
                None if rest.is_empty() => return rest,
                None => {}
            }
        }
    }
    let end = text.find(|one: char| !one.is_alphanumeric() && one != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    prefix.push(word.to_owned());
    let rest = match rest.strip_prefix("::") {
        Some(after) if !after.starts_with(['<', '*']) => tree(after, prefix, give),
        _ => {
            give(prefix.clone());
            rest
        }
    };
    prefix.pop();
    rest
}

#[test]
fn use_trees_are_read_whole() {
    let mut paths = Vec::new();
    let text = "{bus::{self, Bus as B}, http, store::alerts::*}; let x";
    tree(text, &mut Vec::new(), &mut |path| paths.push(path.join("::")));
    assert_eq!(paths, ["bus::self", "bus::Bus", "http", "store::alerts"]);
    assert!(names("use h2::x", "h2::") && !names("use oh2::x", "h2::"));
    assert!(names_crate("geo::x", "geo::") && !names_crate("domain::geo::x", "geo::"));
}

#[test]
fn the_table_has_no_circle_but_that_of_secrets() {
    let rank = |room: &str| ROOMS.iter().position(|(name, _)| *name == room);
    let mut found = Found::new();
    for (room, may) in ROOMS {
        for open in may.iter().filter(|open| !open.contains("::")) {
            let (mine, theirs) = (rank(room), rank(open));
            if theirs.is_none() || theirs >= mine {
                found.add(*room, format!("uses {open}, which stands below it in the table"));
            }
        }
    }
    found.settle("rooms are listed after what they use");
}
