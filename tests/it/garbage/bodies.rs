//! Damaged bodies: a thousand made from good ones, and the shared corpus as it is.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::*;
use crate::support::damage::{Random, damage};

/// Bodies thrown at the node.
const BODIES: u64 = 1_000;
/// Connections that throw them.
const CONNECTIONS: u64 = 4;

/// Good bodies of every kind, with where they go and as what.
fn bases() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (xml, json) = ("application/cap+xml", "application/json");
    let now = Timestamp::now();
    let later = now + jiff::SignedDuration::from_hours(2);
    let alert = AlertXml::hot("damaged", CENTRE).render();
    let time = |at: Timestamp| loa::domain::alert::CapTime::new(at, 420).to_string();
    let as_json = json!({
        "identifier": "damaged-json", "sender": "test@loa.example", "sent": time(now),
        "status": "Actual", "msg_type": "Alert", "scope": "Public",
        "infos": [{
            "language": "vi-VN", "categories": ["Met"], "event": "Ngập", "urgency": "Immediate",
            "severity": "Minor", "certainty": "Observed", "expires": time(later),
            "areas": [{"description": "Bến Nghé",
                       "polygons": [[[10.77, 106.69], [10.77, 106.71], [10.79, 106.71],
                                     [10.77, 106.69]]]}]
        }]
    });
    let notice = json!({
        "identifier": "damaged-notice", "kind": "survey", "expires": later.to_string(),
        "texts": {"vi": {"title": "Khảo sát", "body": "Một câu hỏi."}},
        "target": {"circles": [{"centre": [10.78, 106.7], "radius_km": 1.0}]}
    });
    let changes = json!({"changes": [{
        "kind": "dossier", "reference": "D-1", "state": "accepted", "subject": "someone",
        "changed_at": now.to_string(), "step": 1
    }]});
    let mut bases = vec![
        ("/v1/alerts", xml, alert.into_bytes()),
        ("/v1/alerts", json, as_json.to_string().into_bytes()),
        ("/v1/notices", json, notice.to_string().into_bytes()),
        ("/v1/status-changes", json, changes.to_string().into_bytes()),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/cap/accept");
    let mut fixtures: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the fixtures are committed")
        .map(|entry| entry.expect("a file").path())
        .collect();
    fixtures.sort();
    bases.extend(
        fixtures.iter().map(|file| ("/v1/alerts", xml, fs::read(file).expect("a fixture"))),
    );
    bases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_damaged_bodies_are_each_explained_and_the_node_goes_on_in_the_same_memory() {
    let served = node();
    still_warns(&served, "before-the-storm").await;
    let before = served.resident_kib();
    let bases = bases();
    let throwing = (0..CONNECTIONS).map(|first| {
        let (bases, served) = (&bases, &served);
        async move {
            let mut client = Client::new(served.address);
            let (mut accepted, mut refused) = (0u64, 0u64);
            for seed in (first..BODIES).step_by(CONNECTIONS as usize) {
                let mut random = Random(seed);
                let (path, kind, body) = &bases[random.below(bases.len())];
                let body = damage(body, &mut random);
                let answer = post(&mut client, served, (path, kind), body).await;
                if answer.status.is_success() {
                    accepted += 1;
                } else {
                    explained(&answer, &format!("seed {seed}"));
                    refused += 1;
                }
            }
            (accepted, refused)
        }
    });
    let thrown = futures_util::future::join_all(throwing).await;
    let accepted: u64 = thrown.iter().map(|(accepted, _)| accepted).sum();
    let refused: u64 = thrown.iter().map(|(_, refused)| refused).sum();
    assert_eq!(accepted + refused, BODIES);
    assert!(refused > 700, "the damage is harmless: {accepted} accepted");
    still_warns(&served, "after-the-storm").await;
    let grown = served.resident_kib().saturating_sub(before);
    println!("{accepted} accepted, {refused} refused, {grown} KiB more memory");
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB");
}

/// Every file of the shared corpus; none, said loudly, when this machine has none.
fn corpus() -> Vec<PathBuf> {
    let root = std::env::var_os("LOA_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folders = ["valid", "invalid", "made", "wrappers"].map(|one| root.join("cap").join(one));
    let mut files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.expect("a file").path())
        .filter(|file| file.extension().is_none_or(|extension| extension != "csv"))
        .collect();
    files.sort();
    if files.is_empty() {
        eprintln!("SKIPPED: no CAP corpus at {} (set LOA_SHARED)", root.display());
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_corpus_is_answered_without_a_failure_of_ours() {
    let files = corpus();
    if files.is_empty() {
        return;
    }
    let served = node();
    let mut client = Client::new(served.address);
    let mut verdicts = std::collections::BTreeMap::<String, usize>::new();
    for file in &files {
        let body = fs::read(file).expect("a file of the corpus");
        let answer = post(&mut client, &served, ("/v1/alerts", "application/cap+xml"), body).await;
        let about = file.display().to_string();
        if answer.status != 202 {
            explained(&answer, &about);
            *verdicts.entry(answer.problem()).or_default() += 1;
        } else {
            let valid = ["valid", "made"].iter().any(|one| about.contains(&format!("/{one}/")));
            assert!(valid, "{about} is not to be published");
            *verdicts.entry("accepted".to_owned()).or_default() += 1;
        }
    }
    println!("{} files: {verdicts:?}", files.len());
    still_warns(&served, "after-the-corpus").await;
}
