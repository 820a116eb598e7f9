//! A rolling upgrade from the release before: `make upgrade` builds its program, or
//! `LOA_TEST_PREVIOUS` names it. Its nodes and ours work together in the middle of broadcasts, each
//! sends what the other took, one can go back, and sealing begins when the last old one is gone.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use loa::domain::ids::PublicationId;
use loa::store::registry::Registry;
use serde_json::{Value, json};

use crate::chaos::broadcast::under_fire;
use crate::chaos::nodes::{GATEWAYS, Told, WORKERS};
use crate::chaos::stage::{LOOK, NEW, PATIENCE, Size, Stage, registered};
use crate::support::http::ask;
use crate::support::node::AlertXml;
use crate::support::wire::lasts;

/// Which roles are replaced first, as docs/OPERATIONS.md has it: readers before writers.
const ORDER: [&str; 5] = ["gateway", "fanout", "router", "api", "console"];
/// Who reads the log and the registry, and who writes them.
const READERS: [&str; 2] = ["fanout", "router"];
const WRITERS: [&str; 3] = ["gateway", "api", "console"];

/// A program, and what its nodes are told.
type Release = (PathBuf, Told);

fn previous() -> Release {
    let named = std::env::var_os("LOA_TEST_PREVIOUS").map(PathBuf::from);
    let program = named.expect("LOA_TEST_PREVIOUS names the release before: run make upgrade");
    assert!(program.is_file(), "{} is missing", program.display());
    (program, Told::new())
}

/// Ours, beside the release before.
fn beside(until: Timestamp) -> Release {
    (NEW.into(), vec![("LOA__VAULT__UNSEALED_UNTIL", until.to_string())])
}

/// Nodes of some roles in the order of their replacement.
fn nodes(stage: &Stage, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = stage.nodes.names();
    names.retain(|name| wanted(name));
    names.sort_by_key(|name| ORDER.iter().position(|role| name.starts_with(role)));
    names
}

fn is(roles: &[&str], name: &str) -> bool {
    roles.iter().any(|role| name.starts_with(role))
}

/// Replaces nodes in the middle of a broadcast. Nobody dies: dispatches go from one worker to the
/// next at their cursors.
async fn replaced(stage: &mut Stage, what: &str, names: &[String], (program, told): &Release) {
    under_fire(stage, (what, 5, 0), async |stage| {
        for name in names {
            stage.nodes.replace(name, (program, told)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_nodes_work_together_and_a_rolling_upgrade_loses_nothing() {
    let until = Timestamp::now() + SignedDuration::from_hours(2);
    let (old, new) = (previous(), beside(until));
    let size = Size { workers: 2, ..Size::chosen() };
    let mut stage = Stage::of(size, &old.0, Some(until)).await;
    crossed(&stage, &old).await;
    // One node of each role, and both releases side by side.
    let ones = nodes(&stage, |name| name.ends_with("-1"));
    replaced(&mut stage, "one of each role is upgraded", &ones, &new).await;
    let what = "a broadcast with both releases side by side";
    under_fire(&mut stage, (what, 50, 0), async |_| {}).await;
    // What old faces took, new workers send; then back, and the other way round.
    let (readers, writers) =
        (nodes(&stage, |name| is(&READERS, name)), nodes(&stage, |name| is(&WRITERS, name)));
    replaced(&mut stage, "faces are old again", &writers, &old).await;
    replaced(&mut stage, "routers and workers are new", &readers, &new).await;
    crossed(&stage, &old).await;
    replaced(&mut stage, "faces are new", &writers, &new).await;
    replaced(&mut stage, "routers and workers are old again", &readers, &old).await;
    crossed(&stage, &new).await;
    replaced(&mut stage, "the rest is upgraded", &readers, &new).await;
    says_that_it_is_unsealed(&stage, until).await;
    // Nobody old is left: sealing begins, node after node, and then nothing can be read any more.
    let (all, sealing) = (nodes(&stage, |_| true), (PathBuf::from(NEW), Told::new()));
    replaced(&mut stage, "sealing begins", &all, &sealing).await;
    everything_is_sealed(&stage).await;
    crossed(&stage, &sealing).await;
    under_fire(&mut stage, ("a broadcast to sealed addresses", 50, 0), async |_| {}).await;
    stage.nodes.assert_all_run();
}

/// Somebody registers at a gateway, and somebody with a login over a release's command line: both
/// are sent what is said to them, once.
async fn crossed(stage: &Stage, (program, told): &Release) {
    let run = format!("{:x}", Timestamp::now().as_microsecond());
    let address = |token: &str| {
        json!({
            "channel": "apns", "token": token, "environment": "production", "topic": "vn.loa.app"
        })
    };
    let (walker, citizen) = (format!("{run:a>64}"), format!("{run:b>64}"));
    let unit = stage.unit();
    let body = json!({ "address": address(&walker), "places": [{ "unit": unit }] });
    let body = Some(("application/json", Bytes::from(body.to_string())));
    let gateway = stage.nodes.address(GATEWAYS[0]);
    let device = ask(gateway, (Method::POST, "/v1/devices"), None, body).await.expect("an answer");
    assert_eq!(device.status, StatusCode::CREATED, "{}", device.text());
    let device = device.json();
    let line = json!({
        "id": uuid::Uuid::new_v4(),
        "secret": stage.population.secret(0).reveal(),
        "profile": { "address": address(&citizen), "places": [], "languages": ["vi"] },
        "subject": run,
    });
    assert_eq!(registered(&stage.dir, &format!("{line}\n"), (program, told)), 1);
    let area = format!("<geocode><valueName>loa:unit</valueName><value>{unit}</value></geocode>");
    let publisher = stage.publisher();
    let alert = publisher.alert("/v1/alerts", AlertXml::hot(&run, &area).render()).await;
    let change = json!({
        "kind": "report-1022", "reference": run, "state": "in-progress", "subject": run,
        "step": 1, "changed_at": Timestamp::now().to_string(),
    });
    let body = json!({ "changes": [change] }).to_string();
    let answer = publisher.post("/v1/status-changes", "application/json", body).await;
    let change = answer["accepted"][0]["id"].as_str().expect("an id").parse().expect("an id");
    sent_once(stage, &walker, alert).await;
    sent_once(stage, &citizen, change).await;
    let credentials = format!("Loa-Device {}:{}", text(&device, "id"), text(&device, "secret"));
    let path = format!("/v1/devices/{}", text(&device, "id"));
    let gone = ask(gateway, (Method::DELETE, &path), Some(&credentials), None).await;
    assert!(gone.expect("an answer").status.is_success());
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

async fn sent_once(stage: &Stage, token: &str, id: PublicationId) {
    let began = Instant::now();
    let times = || stage.providers.record.of(token).iter().filter(|s| s.publication == id).count();
    while times() == 0 {
        let logs = || [WORKERS[0], "router-1"].map(|name| stage.nodes.log(name)).join("\n");
        assert!(began.elapsed() < PATIENCE, "it was never sent\n{}", logs());
        lasts(LOOK).await;
    }
    let funnel = stage.over(id, 1).await;
    assert_eq!(funnel.open_dispatches, 0);
    assert_eq!(times(), 1, "once");
}

/// An operator cannot miss that addresses are not sealed yet.
async fn says_that_it_is_unsealed(stage: &Stage, until: Timestamp) {
    for name in stage.nodes.names() {
        let ready = stage.nodes.ask(&name, (Method::GET, "/readyz"), "", None).await;
        let ready = ready.expect("an answer").json();
        assert_eq!(ready["unsealed_until"], until.to_string(), "{name}: {ready}");
        let metrics = stage.nodes.ask(&name, (Method::GET, "/metrics"), "", None).await;
        assert!(metrics.expect("an answer").text().contains("loa_vault_unsealed 1"), "{name}");
    }
}

/// Whoever has no key reads no device with a push address any more.
async fn everything_is_sealed(stage: &Stage) {
    let began = Instant::now();
    let redis = stage.parts.redis.clone().expect("on Redis");
    let plain = Registry::shared(redis, stage.size.shards, stage.parts.clock.clone()).await;
    let plain = plain.expect("it opens");
    for index in stage.tokens.keys() {
        while plain.get(&stage.population.id(*index)).await.is_ok() {
            assert!(began.elapsed() < PATIENCE, "device {index} is not sealed");
            lasts(LOOK).await;
        }
    }
}
