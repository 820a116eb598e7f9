//! The audit: every way to tamper with it is found.

use std::path::Path;

use loa::domain::audit::{Actor, Entry, HASH_BYTES, canonical, hash};
use loa::store::audit::{Audit, Checkpoint, Settings};
use loa::trail::seal::Seal;
use loa::trail::verify::{Expected, Report, verify};
use rusqlite::Connection;

use super::*;
use crate::support::process::{path, run};

fn entry(number: u64) -> Entry {
    Entry {
        id: uuid::Uuid::from_u128(u128::from(number)),
        at: Timestamp::UNIX_EPOCH,
        actor: Actor::Person { agency: "a".into(), id: "lan".into() },
        act: Act::SubmitDraft,
        object: format!("draft {number}"),
        verdict: Verdict::Done,
        reason: None,
    }
}

async fn opened(dir: &Path) -> Audit {
    Audit::open(&Settings { dir: dir.to_owned() }).await.expect("opened")
}

/// A chain of ten entries, signed at the fifth and the tenth.
async fn chain(dir: &Path, seal: &Seal) -> (u64, [u8; HASH_BYTES]) {
    let audit = opened(dir).await;
    for number in 1..=10 {
        let link = audit.append(entry(number)).await.expect("appended");
        assert_eq!(link.seq, number);
        if number % 5 == 0 {
            let (seq, hash) = audit.head().await.expect("a head");
            let signature = seal.sign(seq, &hash);
            let checkpoint = Checkpoint { seq, hash, at: Timestamp::UNIX_EPOCH, signature };
            audit.add_checkpoint(checkpoint).await.expect("kept");
        }
    }
    audit.head().await.expect("a head")
}

async fn report(dir: &Path, seal: &Seal, expected: Option<Expected>) -> Report {
    verify(&opened(dir).await, &seal.public(), expected).await.expect("read")
}

/// Does to a file what somebody with a tool could do.
fn tamper(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join("audit.db")).expect("opened");
    connection.execute_batch(sql).expect("tampered");
}

/// Writes the hashes of a changed chain anew, as whoever knows how they are made would.
fn rehash(dir: &Path) {
    let connection = Connection::open(dir.join("audit.db")).expect("opened");
    let mut rows = connection.prepare("SELECT seq, entry FROM entries ORDER BY seq").expect("sql");
    let rows: Vec<(i64, String)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("rows");
    let mut before = loa::domain::audit::BEGINNING;
    for (seq, text) in rows {
        before = hash(&before, seq.unsigned_abs(), &text);
        let update = "UPDATE entries SET hash = ? WHERE seq = ?";
        connection.execute(update, rusqlite::params![before, seq]).expect("updated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_deletion_and_reordering_is_found() {
    let seal = Seal::new(&[7; 32]).expect("a key");
    let forged = canonical(&entry(99)).replace('\'', "''");
    let change = format!("UPDATE entries SET entry = '{forged}' WHERE seq = 3;");
    let swap = "UPDATE entries SET seq = 100 WHERE seq = 3; \
        UPDATE entries SET seq = 3 WHERE seq = 4; UPDATE entries SET seq = 4 WHERE seq = 100;";
    let insert = format!(
        "INSERT INTO entries
         SELECT 11, object, actor, '{forged}', hash FROM entries WHERE seq = 10;"
    );
    let renumber =
        "DELETE FROM entries WHERE seq = 3; UPDATE entries SET seq = seq - 1 WHERE seq > 3;";
    let cases: [(&str, String, bool); 11] = [
        ("a changed entry", change.clone(), false),
        ("a changed entry, hashes made anew", change, true),
        ("a deleted entry", "DELETE FROM entries WHERE seq = 3;".into(), false),
        ("a deleted entry, hashes made anew", "DELETE FROM entries WHERE seq = 3;".into(), true),
        ("a deleted entry, the rest renumbered", renumber.into(), true),
        ("two entries swapped", swap.into(), false),
        ("two entries swapped, hashes made anew", swap.into(), true),
        ("an end cut off", "DELETE FROM entries WHERE seq > 8;".into(), false),
        ("everything deleted", "DELETE FROM entries;".into(), false),
        ("an entry put at the end", insert, false),
        (
            "a checkpoint signed by somebody else",
            "UPDATE checkpoints SET signature = zeroblob(64) WHERE seq = 10;".into(),
            false,
        ),
    ];
    for (what, sql, anew) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        chain(dir.path(), &seal).await;
        let whole = report(dir.path(), &seal, None).await;
        assert!(whole.is_whole() && whole.entries == 10 && whole.checkpoints == 2, "{whole:?}");
        tamper(dir.path(), &sql);
        if anew {
            rehash(dir.path());
        }
        let report = report(dir.path(), &seal, None).await;
        assert!(!report.is_whole(), "{what} was not found: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_cut_off_with_its_checkpoints_is_found_by_a_head_written_down_elsewhere() {
    let seal = Seal::new(&[7; 32]).expect("a key");
    let dir = tempfile::tempdir().expect("a directory");
    let (seq, hash) = chain(dir.path(), &seal).await;
    tamper(dir.path(), "DELETE FROM entries WHERE seq > 8; DELETE FROM checkpoints WHERE seq > 8;");
    assert!(report(dir.path(), &seal, None).await.is_whole(), "nothing else can tell");
    let expected = Some(Expected { seq, hash });
    assert!(!report(dir.path(), &seal, expected).await.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_append_to_one_chain() {
    let seal = Seal::new(&[7; 32]).expect("a key");
    let dir = tempfile::tempdir().expect("a directory");
    let (one, other) = (opened(dir.path()).await, opened(dir.path()).await);
    let append = async |audit: &Audit| {
        for number in 0..25 {
            audit.append(entry(number)).await.expect("appended");
        }
    };
    tokio::join!(append(&one), append(&other));
    let report = report(dir.path(), &seal, None).await;
    assert!(report.is_whole() && report.entries == 50, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_signs_what_was_done_and_the_command_line_verifies_and_exports_it() {
    let house = House::open().await;
    house.login("lan").await.submitted().await;
    let ops = house.login("ops").await;
    let shown = ops.get("/v1/console/audit?limit=5").await.json();
    assert_eq!(shown["verified"], true);
    let newest = &shown["entries"][0];
    assert_eq!((&newest["actor"], &newest["act"]), (&json!("ops"), &json!("login")));
    let lan = ops.get("/v1/console/audit?actor=lan").await.json();
    assert_eq!(lan["entries"][0]["act"], "submit_draft");
    let (dir, _providers) = house.test.stop().await;
    let at = path(dir.path());
    let verified = run(&["audit", "verify", "--json", "--data-dir", at]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let verified = verified.json();
    assert_eq!((&verified["whole"], &verified["checkpoints"]), (&json!(true), &json!(1)));
    let head = verified["head"].as_str().expect("a head");
    let exported = run(&["audit", "export", "--data-dir", at]);
    let lines: Vec<&str> = exported.out.lines().collect();
    assert_eq!(lines.len() as u64, verified["entries"].as_u64().expect("a number"));
    let last: Value = serde_json::from_str(lines[lines.len() - 1]).expect("JSON");
    assert_eq!(format!("{}:{}", last["seq"], last["hash"].as_str().expect("hex")), head);
    let expect = ["audit", "verify", "--data-dir", at, "--expect", head];
    assert_eq!(run(&expect).code, 0);
    tamper(dir.path(), "UPDATE entries SET entry = replace(entry, 'lan', 'lam') WHERE seq = 1;");
    let broken = run(&["audit", "verify", "--data-dir", at]);
    assert_eq!(broken.code, 1, "{broken:?}");
    assert!(broken.out.contains("NOT WHOLE"), "{broken:?}");
}

#[test]
fn people_are_made_and_switched_off_at_the_command_line_and_the_audit_says_by_whom() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = path(dir.path());
    let file = dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    let secret = path(&file);
    let put = |extra: &[&str]| {
        let put = ["people", "put", "lan", "--name", "Lan", "--data-dir", at, "--by", "root"];
        run(&[&put[..], extra].concat())
    };
    let unknown = put(&["--agency", "a", "--rights", "write", "--password-file", secret]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    let agency = ["agencies", "put", "a", "--name", "A", "--data-dir", at, "--by", "root"];
    assert_eq!(run(&agency).code, 0);
    for wrong in [
        &["--agency", "a", "--rights", "fly", "--password-file", secret][..],
        &["--agency", "a", "--rights", "write"],
    ] {
        assert_eq!(put(wrong).code, 2, "{wrong:?}");
    }
    let made = put(&["--agency", "a", "--rights", "write,approve", "--password-file", secret]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(run(&["people", "off", "lan", "--data-dir", at, "--by", "root"]).code, 0);
    let listed = run(&["people", "list", "--json", "--data-dir", at]).json();
    assert_eq!(listed[0]["active"], false);
    assert_eq!(listed[0]["rights"], json!(["write", "approve"]));
    let exported = run(&["audit", "export", "--data-dir", at]).out;
    let acts: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["entry"].clone())
        .collect();
    let acts: Vec<_> = acts.iter().map(|entry| (&entry["act"], &entry["actor"]["name"])).collect();
    let root = json!("root");
    let (agency, person) = (json!("change_agency"), json!("change_person"));
    assert_eq!(acts, [(&agency, &root), (&person, &root), (&person, &root)]);
    assert_eq!(run(&["audit", "verify", "--data-dir", at]).code, 0);
}
