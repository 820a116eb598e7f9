//! Who may not do what: every act that is not theirs, with the status and the code that it is
//! refused with, and the line of the audit that it leaves.

mod desk;
mod impostors;
mod programs;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use loa::auth::ring::{Keyring, Ring};
use loa::auth::submission::{KEY_ID, SIGNATURE};
use loa::bus::Record;
use loa::domain::agency::{Jurisdiction, Kind};
use loa::domain::alert::{Category, Severity};
use loa::domain::audit::{Act, Actor, Entry, Verdict};
use loa::domain::lane::Lane;
use loa::domain::person::Right;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{letters, on_the_log, seal, write};
use crate::desk::{House, Officer, calm, refusal};
use crate::ingest::alert_json;
use crate::support::audit::{entries, refusals};
use crate::support::citizen::{Citizen, within};
use crate::support::node::{TestNode, agency};
use crate::support::process::eventually;

/// An act that is refused.
#[derive(Clone, Debug)]
struct Row {
    who: &'static str,
    method: &'static str,
    path: String,
    body: Option<Value>,
    status: u16,
    code: &'static str,
    /// What the audit calls it; `None` for what no one has to answer for.
    audit: Option<Act>,
}

fn row(
    who: &'static str,
    method: &'static str,
    path: impl Into<String>,
    body: Option<Value>,
    (status, code): (u16, &'static str),
) -> Row {
    let audit = Some(Act::Request);
    Row { who, method, path: path.into(), body, status, code, audit }
}

impl Row {
    /// The audit has it under the act itself.
    fn noted(self, act: Act) -> Self {
        Self { audit: Some(act), ..self }
    }

    /// A page that asks whether its visitor is logged in, or a path that is not there.
    fn untold(self) -> Self {
        Self { audit: None, ..self }
    }
}

/// What people try on.
struct Tried {
    /// A submitted draft of agency `a`.
    draft: String,
    /// A publication of agency `a`.
    publication: String,
    /// The device of a citizen who is none of them.
    device: String,
}

/// Those who work at the desk, and those who show what is not theirs.
async fn desk_cast(house: &House) -> BTreeMap<&'static str, Officer> {
    let mut by_name = BTreeMap::new();
    for name in ["lan", "minh", "nga", "hung", "ops"] {
        by_name.insert(name, house.login(name).await);
    }
    let of = |headers: Vec<String>, csrf: Option<String>| Officer { to: house.to(), headers, csrf };
    by_name.insert("nobody", of(Vec::new(), None));
    let stolen = house.login("minh").await;
    assert_eq!(stolen.ask("POST", "/v1/console/logout", None).await.status, 204);
    by_name.insert("stolen", stolen);
    let (minh, lan) = (by_name["minh"].clone(), by_name["lan"].clone());
    by_name.insert("invented", of(vec![format!("cookie: loa_session={}", "A".repeat(43))], None));
    let doubled = [minh.headers.clone(), lan.headers.clone()].concat();
    by_name.insert("doubled", of(doubled, minh.csrf.clone()));
    by_name.insert("framed", of(minh.headers.clone(), None));
    by_name.insert("mixed", of(minh.headers, lan.csrf));
    let phone = Citizen::register(&house.to(), json!({"places": []})).await;
    by_name.insert("phone", of(vec![phone.auth()], None));
    let guess = format!("authorization: Loa-Device {}:{}", phone.id, "A".repeat(43));
    by_name.insert("guess", of(vec![guess], None));
    // {"alg":"none"} and {"sub":"079090000001"}
    let none = "authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIwNzkwOTAwMDAwMDEifQ.";
    by_name.insert("alg none", of(vec![none.to_owned()], None));
    let forged =
        "cookie: loa_citizen=eyJzdWJqZWN0IjoiYSIsImVuZHNfcyI6OTk5OTk5OTk5OSwic2FsdCI6MX0.AA";
    by_name.insert("forged cookie", of(vec![forged.to_owned()], None));
    by_name
}

/// Agencies' programs, with keys and without.
async fn programs_cast(house: &House) -> BTreeMap<&'static str, Officer> {
    let mut by_name = BTreeMap::new();
    by_name.insert("key", house.key("a", "plain", &[Right::Write]).await);
    by_name.insert("reader", house.key("a", "reader", &[]).await);
    let jurisdiction = Jurisdiction {
        units: Some([programs::OWN_UNIT.parse().expect("a code")].into()),
        categories: Some([Category::Fire].into()),
        highest_severity: Severity::Moderate,
        kinds: [Kind::Alert].into(),
    };
    house.agency("narrow", false, jurisdiction).await;
    by_name.insert("narrow", house.key("narrow", "narrow", &[Right::Write]).await);
    let agencies = &house.test.node.parts.agencies;
    let (a, now) = ("a".parse().expect("an id"), Timestamp::now());
    let past = now - SignedDuration::from_secs(1);
    let expired = agencies.add_key(&a, "expired", past, Some(past)).await.expect("a key");
    let revoked = agencies.add_key(&a, "revoked", now, None).await.expect("a key");
    assert!(agencies.revoke(&a, "revoked", now).await.expect("revoked"));
    let wrong = format!("loa_{}", "A".repeat(43));
    let shown = [
        ("expired key", expired.expose()),
        ("revoked key", revoked.expose()),
        ("wrong key", wrong.as_str()),
        ("password as key", PASSWORD_ASCII),
    ];
    for (name, key) in shown {
        let headers = vec![format!("authorization: Bearer {key}")];
        by_name.insert(name, Officer { to: house.to(), headers, csrf: None });
    }
    let mut repeater = house.key("a", "repeater", &[Right::Write]).await;
    repeater.headers.push("idempotency-key: once".to_owned());
    by_name.insert("repeater", repeater);
    by_name
}

/// What somebody might take for a key.
const PASSWORD_ASCII: &str = "correct-horse";

/// What the table is about, made by those who may.
async fn tried(house: &House, by_name: &BTreeMap<&'static str, Officer>) -> (Tried, Vec<Row>) {
    let (lan, minh) = (&by_name["lan"], &by_name["minh"]);
    let draft = format!("/v1/console/drafts/{}", lan.submitted().await);
    let own = format!("/v1/console/drafts/{}/approve", minh.submitted().await);
    let made = lan.done("/v1/console/drafts", json!({"kind": "alert", "body": calm()})).await;
    let publish = format!("/v1/console/drafts/{}/publish", made["id"].as_str().expect("an id"));
    let published = lan.done(&publish, json!({})).await;
    let publication = published["publication"].as_str().expect("an id").to_owned();
    let device = Citizen::register(&house.to(), json!({"places": []})).await.id;
    let mut twice = alert_json("twice");
    by_name["key"].done("/v1/alerts", twice.clone()).await;
    by_name["repeater"].done("/v1/notices", programs::notice("1")).await;
    twice["infos"][0]["headline"] = json!("Khác");
    let wrong = Some(json!({"person": "minh", "password": "falsch"}));
    let rows = vec![
        row("key", "POST", "/v1/alerts", Some(twice), (409, "conflict")),
        row("minh", "POST", own, Some(json!({})), (403, "same_person")).noted(Act::ApproveDraft),
        row("nobody", "POST", "/v1/console/login", wrong, (401, "unauthorized")).noted(Act::Login),
    ];
    (Tried { draft, publication, device }, rows)
}

/// Whom the audit names for somebody who was recognised.
fn name_of(who: &str) -> Option<&str> {
    match who {
        "framed" | "mixed" => Some("minh"),
        "key" => Some("plain"),
        "lan" | "minh" | "nga" | "hung" | "ops" | "reader" | "narrow" | "repeater" => Some(who),
        _ => None,
    }
}

fn named(actor: &Actor) -> &str {
    match actor {
        Actor::Person { id, .. } => id,
        Actor::Agency { key, .. } => key,
        Actor::Unknown { name } | Actor::Operator { name } => name,
        Actor::System => "system",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forbidden_act_is_refused_with_its_status_and_code() {
    let test = TestNode::with(|config| config.node.refusals_seconds = 1).await;
    let house = House::over(test).await;
    let mut by_name = desk_cast(&house).await;
    by_name.extend(programs_cast(&house).await);
    let (tried, special) = tried(&house, &by_name).await;
    let table = [
        special,
        desk::strangers(&tried),
        desk::deciders(&tried),
        desk::admins(),
        impostors::impostors(&tried),
        programs::beyond(),
        programs::keyless(&tried),
        programs::others(&tried),
    ]
    .concat();
    assert!(table.len() >= 130, "{}", table.len());
    for Row { who, method, path, body, status, code, .. } in &table {
        let answer = by_name[who].ask(method, path, body.as_ref()).await;
        assert_eq!(refusal(&answer), (*status, (*code).to_owned()), "{who} {method} {path}");
    }
    // Nothing came of any of it.
    let now = by_name["lan"].get(&tried.draft).await.json();
    assert_eq!((&now["state"], &now["version"]), (&json!("submitted"), &json!(2)));
    let keys = house.test.node.parts.agencies.keys(&"a".parse().expect("an id")).await;
    assert!(keys.expect("read").iter().all(|key| key.name != "k"));
    // And each left its mark in the audit, where as many are counted as there were.
    let mut expected = BTreeMap::new();
    for Row { code, audit, .. } in &table {
        let Some(act) = audit else { continue };
        *expected.entry((format!("{act:?}"), (*code).to_owned())).or_default() += 1;
    }
    let entries = eventually(async || {
        let entries = entries(&house.test).await;
        let sum = |counts: &BTreeMap<_, u64>| counts.values().sum::<u64>();
        (sum(&refusals(&entries)) >= sum(&expected)).then_some(entries)
    })
    .await;
    assert_eq!(refusals(&entries), expected);
    for Row { who, path, code, audit, .. } in &table {
        // Who shows nothing good is nobody, and some is refused before anybody is known.
        let nobodys = ["unauthorized", "too_large", "idempotency_mismatch"];
        let Some(name) = name_of(who).filter(|_| !nobodys.contains(code)) else {
            continue;
        };
        let code = Verdict::Refused { code: (*code).to_owned() };
        let line = |entry: &Entry| {
            Some(entry.act) == *audit && entry.verdict == code && named(&entry.actor) == name
        };
        assert!(entries.iter().any(line), "{who} {path} is not in the audit");
    }
    // A stranger is told from others, and not by their address.
    let text = serde_json::to_string(&entries).expect("JSON");
    assert!(text.contains("\"address:") && !text.contains("127.0.0.1"));
    house.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_forged_onto_the_log_is_refused_and_leaves_a_line() {
    let test = TestNode::start().await;
    let key = agency(&test.node, "a", Jurisdiction::unlimited()).await.expect("a key");
    let headers = vec![format!("authorization: Bearer {key}")];
    let officer = Officer { to: test.node.address.to_string(), headers, csrf: None };
    let id = officer.done("/v1/alerts", alert_json("genuine")).await["id"].clone();
    let id = id.as_str().expect("an id").parse().expect("an id");
    let genuine = on_the_log(&test, Lane::Emergency, id).await;
    let strangers = Keyring::new(Ring::fresh());
    let mut forged = Record {
        key: genuine.key.clone(),
        headers: genuine.headers.clone(),
        payload: genuine.payload.clone(),
    };
    forged.headers.retain(|(name, _)| name != KEY_ID && name != SIGNATURE);
    write(&test, Lane::Emergency, seal(forged, &strangers)).await;
    letters(&test, 1).await;
    let entries = entries(&test).await;
    let by_writer = |entry: &&Entry| named(&entry.actor).starts_with("a writer of");
    let line = entries.iter().find(by_writer).expect("a line");
    assert_eq!(line.act, Act::Publish);
    assert!(matches!(line.verdict, Verdict::Refused { .. }), "{line:?}");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_and_floods_are_refused_and_cannot_fill_the_audit() {
    let test = TestNode::with(|config| {
        config.node.refusals_seconds = 1;
        config.http.request_seconds = 1;
        config.http.credential_requests_per_second = 1;
        config.http.credential_request_burst = 1;
    })
    .await;
    // A body that drips: its head is fast, its end does not come.
    let mut slow = TcpStream::connect(test.node.address).await.expect("open");
    let head = format!(
        "POST /v1/alerts HTTP/1.1\r\nhost: loa\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        test.key
    );
    slow.write_all(head.as_bytes()).await.expect("open");
    let mut answer = vec![0; 4_096];
    let count = within("an answer", slow.read(&mut answer)).await.expect("open");
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    // A flood by one credential: every answer is a 401 or a 429.
    let headers = vec![format!("authorization: Bearer loa_{}", "A".repeat(43))];
    let flood = Officer { to: test.node.address.to_string(), headers, csrf: None };
    for _ in 0..100 {
        let (status, code) = refusal(&flood.get("/v1/dead-letters").await);
        assert!([(401, "unauthorized"), (429, "rate_limited")].contains(&(status, &code)));
    }
    let entries = eventually(async || {
        let entries = entries(&test).await;
        let counts = refusals(&entries);
        let of = |code: &str| counts.get(&("Request".to_owned(), code.to_owned())).copied();
        let refused = of("unauthorized").unwrap_or(0) + of("rate_limited").unwrap_or(0);
        (refused == 100 && of("request_timeout") == Some(1)).then_some(entries)
    })
    .await;
    assert!(entries.len() < 40, "{} lines for 101 refusals", entries.len());
    test.stop().await;
}
