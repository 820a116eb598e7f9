//! The real binary, as a person or a script uses it: exit codes, what it prints, and a node it
//! runs.

use std::fs;

use loa::store::agencies::Agencies;
use loa::store::redis::settings::Layout;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::connect;
use crate::support::node::{AlertXml, CENTRE};
use crate::support::process::{Done, Served, eventually, path, run, run_unread};

/// Every command that does something.
const COMMANDS: [&[&str]; 36] = [
    &["channels", "check"],
    &["serve"],
    &["demo"],
    &["publish"],
    &["cancel"],
    &["plan"],
    &["health"],
    &["status"],
    &["cap", "check"],
    &["geofences", "list"],
    &["geofences", "locate"],
    &["geofences", "match"],
    &["geofences", "check"],
    &["geofences", "import"],
    &["agencies", "put"],
    &["agencies", "list"],
    &["agencies", "key"],
    &["agencies", "submission-key"],
    &["agencies", "certificate"],
    &["agencies", "revoke"],
    &["people", "put"],
    &["people", "list"],
    &["people", "off"],
    &["audit", "verify"],
    &["audit", "export"],
    &["topics", "list"],
    &["topics", "check"],
    &["topics", "apply"],
    &["topics", "asyncapi"],
    &["devices", "load"],
    &["dead-letters", "list"],
    &["dead-letters", "redrive"],
    &["config", "default"],
    &["config", "show"],
    &["config", "check"],
    &["geofences"],
];

#[test]
fn a_command_that_nobody_reads_ends_quietly() {
    let dir = tempfile::tempdir().expect("a directory");
    let agency = ["agencies", "put", "pc07", "--name", "PCCC", "--data-dir", path(dir.path())];
    done(run(&agency));
    let list = ["agencies", "list", "--data-dir", path(dir.path())];
    for command in [&agency[..], &list, &["config", "default"], &["geofences", "list"]] {
        let ended = run_unread(command);
        assert_eq!((ended.code, ended.err.as_str()), (141, ""), "{command:?}");
    }
}

/// Asserts that it did its work.
fn done(done: Done) -> Done {
    assert_eq!(done.code, 0, "{done:?}");
    done
}

/// Asserts an exit code and a word of the reason, on standard error.
fn fails(arguments: &[&str], code: i32, reason: &str) {
    let done = run(arguments);
    assert_eq!(done.code, code, "{arguments:?}: {done:?}");
    assert!(done.err.contains(reason), "{arguments:?}: {done:?}");
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut commands: Vec<Vec<String>> = run(&["--help"])
        .out
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .map_while(|line| line.split_whitespace().next().map(|word| vec![word.to_owned()]))
        .filter(|command| command[0] != "help")
        .collect();
    assert_eq!(commands.len(), 18, "{commands:?}");
    for command in &COMMANDS {
        commands.push(command.iter().map(ToString::to_string).collect());
    }
    for command in &commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = done(run(&arguments));
        let known = COMMANDS
            .iter()
            .any(|one| one.len() + 1 == arguments.len() && arguments.starts_with(one));
        assert!(!known || help.out.contains("Example"), "{command:?}: {}", help.out);
        assert!(help.out.contains("Usage:"), "{command:?}");
    }
    assert!(done(run(&["--version"])).out.starts_with("loa "));
}

#[test]
fn wrong_usage_and_bad_input_exit_2_and_failures_exit_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = path(dir.path());
    fails(&[], 2, "Usage");
    fails(&["nonsense"], 2, "nonsense");
    fails(&["status"], 2, "--key");
    fails(&["status", "x", "--key", "k", "--server", "nope"], 2, "--server");
    fails(&["publish", "/no/such/file", "--key", "k"], 2, "/no/such/file");
    fails(&["cap", "check", "/no/such/file"], 2, "/no/such/file");
    fails(&["geofences", "locate", "106.7,10.7", "--data-dir", data], 2, "latitude comes first");
    fails(&["geofences", "match", "/no/such/file", "--data-dir", data], 2, "/no/such/file");
    fails(&["agencies", "key", "nobody", "--data-dir", data], 2, "nobody");
    fails(&["agencies", "put", "a b", "--name", "x", "--data-dir", data], 2, "agency id");
    let put = ["agencies", "put", "a", "--name", "x", "--data-dir", data];
    for (flag, value) in [
        ("--categories", "Taxi"),
        ("--highest-severity", "Dire"),
        ("--kinds", "song"),
        ("--units", "Sài Gòn"),
    ] {
        fails(&[&put[..], &[flag, value]].concat(), 2, value);
    }
    fails(&["serve", "--listen", "nowhere", "--data-dir", data], 2, "node.listen");
    fails(&["serve", "--roles", "pilot", "--data-dir", data], 2, "pilot");
    fails(&["serve", "--config", "/no/such/file"], 2, "/no/such/file");
    fails(&["demo", "--citizens", "0"], 2, "--citizens");
    fails(&["devices", "load", "/no/such/file", "--data-dir", data], 2, "/no/such/file");
    fails(&["agencies", "revoke", "a", "--data-dir", data], 1, "");
    fails(&["status", "x", "--key", "k", "--server", "http://127.0.0.1:1"], 1, "cannot reach");
    fails(&["health", "--server", "http://127.0.0.1:1"], 1, "cannot reach");
    fails(&["health", "--server", "nope"], 2, "--server");
    assert_eq!(run(&["geofences", "locate", "0,0", "--data-dir", data]).code, 1);
}

#[test]
fn settings_are_printed_shown_with_secrets_hidden_and_checked_whole() {
    let default = done(run(&["config", "default"])).out;
    assert_eq!(default, loa::config::DEFAULT);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("loa.toml");
    let name = path(&file);
    fs::write(&file, &default).expect("written");
    assert_eq!(done(run(&["config", "check", "--config", name])).out, "ok\n");
    let secret = "-----BEGIN PRIVATE KEY-----";
    let with_secret = "[http]\nrequest_burst = 7\n[channel.apns.credentials]\n\
                       team_id = \"ABCDE12345\"\nkey_id = \"FGHIJ67890\"\n\
                       key = \"-----BEGIN PRIVATE KEY-----\"\n";
    fs::write(&file, with_secret).expect("written");
    let shown = done(run(&["config", "show", "--json", "--config", name]));
    assert_eq!(shown.json()["http"]["request_burst"], 7);
    assert_eq!(shown.json()["fanout"]["batch"], 500);
    assert!(!shown.out.contains(secret), "{}", shown.out);
    let wrong = "[http]\nheader_seconds = 0\n[fanout]\nbatch = 0\n";
    fs::write(&file, wrong).expect("written");
    let checked = run(&["config", "check", "--config", name]);
    assert_eq!(checked.code, 2);
    for problem in ["header_seconds", "fanout.batch"] {
        assert!(checked.err.contains(problem), "{checked:?}");
    }
    fs::write(&file, "[http]\nheader_minutes = 1\n").expect("written");
    fails(&["config", "check", "--config", name], 2, "header_minutes");
}

#[test]
fn agencies_and_their_keys_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    agencies_are_kept(["--data-dir", path(dir.path())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn agencies_of_a_cluster_and_their_keys_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = crate::support::redis::fresh();
    let Layout::Single(url) = &settings.layout else { panic!("one server") };
    let file = dir.path().join("loa.toml");
    let text = format!(
        "[node]\ndata_dir = {:?}\n[store]\nkind = \"redis\"\n[store.redis]\nurls = [\"{url}\"]\n\
         prefix = \"{}\"\n",
        dir.path().join("data"),
        settings.prefix
    );
    fs::write(&file, text).expect("written");
    let work = move || agencies_are_kept(["--config", path(&file)]);
    tokio::task::spawn_blocking(work).await.expect("no panic");
    let agencies = Agencies::shared(&connect(&settings).await);
    assert_eq!(agencies.list().await.expect("listed").len(), 1);
    assert!(!dir.path().join("data/agencies.db").exists(), "no agency is kept beside");
}

fn agencies_are_kept(at: [&str; 2]) {
    let with = |arguments: &[&str]| run(&[arguments, &at].concat());
    let put = ["agencies", "put", "pc07", "--name", "PCCC và CNCH", "--categories", "Fire,Rescue"];
    let put = [&put[..], &["--units", "26740", "--highest-severity", "Severe", "--json"]].concat();
    let stored = done(with(&put)).json();
    let key = done(with(&["agencies", "key", "pc07", "--key-name", "desk", "--days", "30"]));
    assert!(key.out.trim().starts_with("loa_") && key.out.trim().len() == 47, "{key:?}");
    let again = with(&["agencies", "key", "pc07", "--key-name", "desk"]);
    assert_eq!(again.code, 2, "{again:?}");
    let listed = done(with(&["agencies", "list", "--json"])).json();
    assert_eq!(listed, json!([stored]));
    assert_eq!(stored["jurisdiction"]["categories"], json!(["Rescue", "Fire"]));
    let listed = done(with(&["agencies", "list"])).out;
    assert!(listed.contains("PCCC và CNCH") && listed.contains("key desk: expires"), "{listed}");
    assert!(!listed.contains(key.out.trim()), "a key is shown once");
    done(with(&["agencies", "revoke", "pc07", "--key-name", "desk"]));
    assert_eq!(with(&["agencies", "revoke", "pc07", "--key-name", "desk"]).code, 1);
    assert!(done(with(&["agencies", "list"])).out.contains("key desk: revoked"));
}

#[test]
fn cap_files_are_checked_each_with_its_verdict() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = dir.path().join("good.xml");
    let bad = dir.path().join("bad.xml");
    let xml = AlertXml::hot("checked", CENTRE).render();
    fs::write(&good, &xml).expect("written");
    let broken = xml.replace("<severity>Severe</severity>", "<severity>Dire</severity>");
    fs::write(&bad, broken).expect("written");
    let (good, bad) = (path(&good), path(&bad));
    assert!(done(run(&["cap", "check", good])).out.ends_with("good.xml: ok\n"));
    let checked = run(&["cap", "check", good, bad]);
    assert_eq!(checked.code, 1);
    assert!(checked.out.contains("/alert/info[1]/severity"), "{checked:?}");
    let checked = run(&["cap", "check", "--json", good, bad]);
    assert_eq!(checked.code, 1);
    let verdicts = checked.json();
    assert_eq!((&verdicts[0]["ok"], &verdicts[1]["ok"]), (&json!(true), &json!(false)));
    let violation = &verdicts[1]["violations"][0];
    for field in ["path", "rule", "message"] {
        assert!(violation[field].as_str().is_some_and(|text| !text.is_empty()), "{violation}");
    }
}

#[test]
fn a_plan_names_what_limits_each_channel_and_more_workers_lift_only_the_processors() {
    let base = ["plan", "--devices", "10000000", "--share", "apns=35", "--share", "fcm=65"];
    let machine = ["--per-minute", "fcm=600000", "--cores", "2", "--round-trip-ms", "50"];
    let plan = |more: &[&str]| done(run(&[&base[..], &machine, more].concat())).json();
    let one = plan(&["--json"]);
    let fcm = &one["channels"]["fcm"];
    assert_eq!((&fcm["limited_by"], &fcm["devices"]), (&json!("quota"), &json!(6_500_000)));
    // 6.5 million at 10,000 a second (FACTS F2), and the way there.
    let last = fcm["last_ms"].as_u64().expect("milliseconds");
    assert!((650_000..651_000).contains(&last), "{fcm}");
    assert_eq!(one["last_ms"], fcm["last_ms"]);
    let four = plan(&["--workers", "4", "--json"]);
    assert_eq!(four["channels"]["fcm"], *fcm, "a quota is shared by all workers");
    let of = |plan: &Value| plan["channels"]["apns"]["last_ms"].as_u64().expect("milliseconds");
    assert!(of(&four) < of(&one), "{four}");
    let shown = done(run(&[&base[..], &machine].concat()));
    assert!(shown.out.contains("ask for a higher one"), "{}", shown.out);
    fails(&["plan", "--devices", "1", "--share", "pigeon=1"], 2, "pigeon");
    fails(&["plan", "--devices", "1", "--share", "fcm=-1"], 2, "--share");
    fails(&["plan", "--devices", "1", "--workers", "0"], 2, "--workers");
    fails(&["plan", "--devices", "1", "--round-trip-ms", "0"], 2, "round_trip_ms");
}

#[test]
fn boundaries_are_listed_asked_checked_and_imported() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = ["--data-dir", path(dir.path())];
    let with = |arguments: &[&str]| run(&[arguments, &at].concat());
    let listed = done(with(&["geofences", "list", "--json"])).json();
    assert_eq!(listed["boundaries"], "approximate");
    assert_eq!(listed["units"].as_array().expect("units").len(), 168);
    assert!(done(with(&["geofences", "list", "sai gon"])).out.contains("26740"));
    let located = done(with(&["geofences", "locate", "10.7769,106.7009", "--json"])).json();
    assert_eq!(located["unit"]["code"], "26740");
    let target = dir.path().join("target.json");
    let circle = json!({"circles": [{"centre": [10.7769, 106.7009], "radius_km": 0.3}]});
    fs::write(&target, circle.to_string()).expect("written");
    let matched = done(with(&["geofences", "match", path(&target), "--json"])).json();
    assert_eq!(matched["boundaries"], "approximate");
    let unit = &matched["units"][0];
    assert_eq!((&unit["code"], unit["name"].is_string()), (&json!("26740"), true), "{matched}");
    let share = unit["share"].as_f64().expect("a share");
    assert!(share > 0.0 && share < 1.0, "{share}");

    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/geofences/hcmc/approximate.geojson");
    done(with(&["geofences", "check", built_in]));
    let text = fs::read_to_string(built_in).expect("committed");
    let mut fewer: Value = serde_json::from_str(&text).expect("GeoJSON");
    fewer["features"].as_array_mut().expect("features").truncate(100);
    let incomplete = dir.path().join("incomplete.geojson");
    fs::write(&incomplete, fewer.to_string()).expect("written");
    assert_eq!(with(&["geofences", "check", path(&incomplete)]).code, 1);
    assert_eq!(with(&["geofences", "import", path(&incomplete)]).code, 2);
    let located = done(with(&["geofences", "locate", "10.7769,106.7009", "--json"])).json();
    assert_eq!(located["boundaries"], "approximate", "what was refused changes nothing");
    done(with(&["geofences", "import", built_in]));
    let located = done(with(&["geofences", "locate", "10.7769,106.7009", "--json"])).json();
    assert_eq!(located["boundaries"], "imported");
}

fn devices(dir: &tempfile::TempDir, count: usize) -> std::path::PathBuf {
    let line = |number: usize| {
        json!({
            "id": uuid::Uuid::from_u128(number as u128 + 1).to_string(),
            "secret": loa::auth::device::Secret::random().reveal(),
            "profile": {
                "address": {"channel": "fcm", "kind": "token", "value": format!("phone-{number}")},
                "places": [{"unit": "26740"}], "languages": ["vi"]
            }
        })
    };
    let lines: String = (0..count).map(|number| format!("{}\n", line(number))).collect();
    let file = dir.path().join("devices.ndjson");
    fs::write(&file, lines).expect("written");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_publishes_watches_and_withdraws_from_a_shell_and_the_node_drains_when_told() {
    let files = tempfile::tempdir().expect("a directory");
    let fresh = tempfile::tempdir().expect("a directory");
    let load = devices(&files, 40);
    let into = path(fresh.path());
    let loaded = run(&["devices", "load", path(&load), "--data-dir", into, "--json"]);
    assert_eq!(done(loaded).json()["loaded"], 40);
    let again = ["devices", "load", path(&load), "--data-dir", into, "--json"];
    fails(&again, 1, "repeats a device id");
    let resumed = done(run(&[&again[..], &["--resume"]].concat())).json();
    assert_eq!((&resumed["loaded"], &resumed["known"]), (&json!(0), &json!(40)));
    let broken = files.path().join("broken.ndjson");
    fs::write(&broken, "{\"id\": 1}\n").expect("written");
    fails(&["devices", "load", path(&broken), "--data-dir", into], 2, "line 1");

    let served = Served::over(fresh, &[]);
    let mut client = Client::new(served.address);
    let ready = (http::Method::GET, "/readyz");
    let ready = client.ask(ready, &[], "").await.expect("answered");
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!(done(run(&["health", "--server", &served.url()])).out, "ready\n");
    let data = path(served.dir.path());
    fails(&["devices", "load", path(&load), "--data-dir", data], 1, "another node runs");
    fails(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data], 1, "another node runs");

    let (url, key) = (served.url(), served.key.clone());
    let node = ["--server", &url, "--key", &key, "--json"];
    let with = |arguments: &[&str]| run(&[arguments, &node].concat());
    let file = files.path().join("flood.xml");
    fs::write(&file, AlertXml::hot("from-a-shell", CENTRE).render()).expect("written");
    let dry = done(with(&["publish", path(&file), "--dry-run"])).json();
    assert_eq!(dry["devices"], 40, "{dry}");
    let accepted = done(with(&["publish", path(&file)])).json();
    let id = accepted["id"].as_str().expect("an id").to_owned();
    let funnel = eventually(async || {
        let funnel = done(with(&["status", &id])).json();
        let over = funnel["open_dispatches"] == 0 && funnel["total"]["targeted"] == 40;
        over.then_some(funnel)
    })
    .await;
    assert_eq!(funnel["total"]["accepted"], 40, "{funnel}");
    let shown = done(run(&["status", &id, "--server", &url, "--key", &key]));
    assert!(shown.out.contains("targeted       40"), "{}", shown.out);
    assert!(shown.out.contains("boundaries APPROXIMATE"), "{}", shown.out);
    assert!(shown.out.contains("devices expected within"), "{}", shown.out);
    let cancelled = done(with(&["cancel", &id, "--note", "over"])).json();
    assert_eq!(cancelled["chain"], id);
    let again = with(&["cancel", &id]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("conflict"), "{again:?}");
    let wrong = run(&["status", &id, "--server", &url, "--key", "loa_wrong"]);
    assert!(wrong.code == 2 && wrong.err.contains("unauthorized"), "{wrong:?}");
    let letters = done(with(&["dead-letters", "list"])).json();
    assert_eq!(letters["letters"], json!([]));
    let node = ["--server", &url, "--key", &key];
    let redrive = run(&[&["dead-letters", "redrive", "0", "5"][..], &node].concat());
    assert!(redrive.code == 2 && redrive.err.contains("not_found"), "{redrive:?}");
    let metrics = (http::Method::GET, "/metrics");
    let metrics = client.ask(metrics, &[], "").await.expect("answered").text();
    assert!(metrics.contains("# TYPE loa_"), "{metrics}");

    served.signal("TERM");
    let (status, dir) = served.ended();
    assert_eq!(status.code(), Some(0), "it drains and ends well");
    // What was accepted is there for the next node.
    let served = Served::over(dir, &[]);
    let funnel = ["status", &id, "--server", &served.url(), "--key", &served.key, "--json"];
    assert_eq!(done(run(&funnel)).json()["total"]["accepted"], 40);
}

#[test]
fn the_demo_reaches_everyone_and_says_so_in_json() {
    let demo = done(run(&["demo", "--once", "--json", "--citizens", "500"]));
    let summary = demo.json();
    for key in
        ["publication", "targeted", "accepted", "received", "failed", "expired", "duplicates"]
    {
        assert!(!summary[key].is_null(), "{key}: {summary}");
    }
    for key in ["first", "p50", "p99", "last"] {
        assert!(summary["latency_ms"][key].is_number(), "{key}: {summary}");
    }
    assert!(summary["channels"].is_object() && summary["units"].is_object(), "{summary}");
    assert_eq!(summary["boundaries"], "approximate");
    let targeted = summary["targeted"].as_u64().expect("a count");
    assert!(targeted > 0, "{summary}");
    assert_eq!(summary["received"], targeted, "{summary}");
    assert_eq!((&summary["expired"], &summary["duplicates"]), (&json!(0), &json!(0)));
}
