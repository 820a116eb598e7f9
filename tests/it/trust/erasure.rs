//! A citizen leaves, and nothing of them is found any more: not in any file, nor under any key of
//! Redis, nor in any record of the log. Who they were, where their pushes went and what was said to
//! them is looked for byte by byte.

use std::path::Path;

use loa::bus::TopicId;
use serde_json::{Value, json};

use super::issuer::Issuer;
use crate::support::citizen::{Citizen, ask, ask_json};
use crate::support::node::TestNode;
use crate::support::process::eventually;
use crate::support::shape::{Shape, in_every_shape};

in_every_shape!(whoever_leaves_is_found_nowhere_any_more);

/// The provider's own id of the citizen.
pub(super) const NUMBER: &str = "079198764321";
/// Their phone's token, and what an agency tells them.
pub(super) const TOKEN: &str = "erasure-token-c7Qm2xWv9sKd4tYh8rBn1zLf6jPg3";
pub(super) const REMARK: &str = "Remark 7431: your lamp post is mended";

/// Everything that may not be found, each with its name.
pub(super) struct Traces(pub(super) Vec<(&'static str, Vec<u8>)>);

impl Traces {
    /// Which of them these bytes show.
    fn shown_by(&self, bytes: &[u8]) -> Vec<&'static str> {
        let shows = |trace: &[u8]| bytes.windows(trace.len()).any(|part| part == trace);
        self.0.iter().filter(|(_, trace)| shows(trace)).map(|(name, _)| *name).collect()
    }
}

/// Looks through a node's files, its Redis and its log; what is shown where.
pub(super) async fn search(test: &TestNode, traces: &Traces) -> Vec<String> {
    let mut found = Vec::new();
    let mut read = 0;
    let mut note = |place: String, bytes: &[u8]| {
        read += bytes.len();
        found.extend(traces.shown_by(bytes).iter().map(|trace| format!("{trace} in {place}")));
    };
    files(test.dir.path(), &mut note);
    let bus = &test.node.parts.bus;
    for topic in TopicId::all() {
        for partition in 0..bus.partitions(topic) {
            let bounds = bus.bounds(topic, partition).await.expect("bounds");
            let mut reader = bus.reader(topic, partition, bounds.start).await.expect("a reader");
            while reader.offset() < bounds.end {
                for one in reader.next_batch(64).await.expect("a batch") {
                    let place = format!("{} {}", topic.name(), one.position.offset);
                    note(place.clone(), one.key.as_bytes());
                    note(place.clone(), &one.payload);
                    one.headers.iter().for_each(|(_, value)| note(place.clone(), value.as_bytes()));
                }
            }
        }
    }
    if let Some(redis) = &test.node.parts.redis {
        for (place, bytes) in keys(redis).await {
            note(place, &bytes);
        }
    }
    assert!(read > 4_000, "{read} bytes are not all there is");
    found
}

fn files(dir: &Path, note: &mut impl FnMut(String, &[u8])) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, note),
            false => note(path.display().to_string(), &std::fs::read(&path).expect("readable")),
        }
    }
}

/// Every key below the node's prefix, and every value.
async fn keys(redis: &loa::store::redis::Redis) -> Vec<(String, Vec<u8>)> {
    let stem = redis.keys("x").stem().to_owned();
    let prefix = stem.split('{').next().expect("a prefix").to_owned();
    let (mut cursor, mut all) = (0_u64, Vec::new());
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1000);
        let (next, names): (u64, Vec<Vec<u8>>) = redis.ask(&scan).await.expect("scanned");
        for name in names {
            let kind: String = redis.ask(redis::cmd("TYPE").arg(&name)).await.expect("a type");
            let (command, range) = match kind.as_str() {
                "string" => ("GET", false),
                "hash" => ("HGETALL", false),
                "list" => ("LRANGE", true),
                "zset" => ("ZRANGE", true),
                "set" => ("SMEMBERS", false),
                "none" => continue,
                other => panic!("a {other} is not looked into"),
            };
            let mut get = redis::cmd(command);
            get.arg(&name);
            if range {
                get.arg(0).arg(-1);
            }
            let place = String::from_utf8_lossy(&name).into_owned();
            let values: Vec<Vec<u8>> = match command {
                "GET" => redis.ask::<Option<_>>(&get).await.expect("read").into_iter().collect(),
                _ => redis.ask(&get).await.expect("read"),
            };
            all.push((place.clone(), name));
            all.extend(values.into_iter().map(|value| (place.clone(), value)));
        }
        cursor = next;
        if cursor == 0 {
            return all;
        }
    }
}

/// A phone of the citizen's, claimed.
pub(super) async fn phone(to: &str, bearer: &str, (unit, token): (&str, &str)) -> Citizen {
    let address = json!({"channel": "fcm", "kind": "token", "value": token});
    let body = json!({"places": [{"unit": unit}], "address": address});
    let device = Citizen::register(to, body).await;
    let path = format!("/v1/devices/{}/claim", device.id);
    let secret = json!({"secret": device.secret});
    let claimed = ask_json(to, "POST", &path, bearer, &secret).await;
    assert_eq!(claimed.status, 200, "{}", claimed.text());
    device
}

pub(super) async fn tell(test: &TestNode, subject: &str, step: u64) {
    let change = json!({"changes": [{"kind": "report-1022", "reference": "R-7431",
        "state": "received", "subject": subject, "step": step, "remark": REMARK,
        "changed_at": jiff::Timestamp::now().to_string()}]});
    let auth = format!("authorization: Bearer {}", test.key);
    let to = test.node.address.to_string();
    let sent = ask_json(&to, "POST", "/v1/status-changes", &auth, &change).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
}

async fn whoever_leaves_is_found_nowhere_any_more(shape: Shape) {
    let issuer = Issuer::new();
    let settings = issuer.settings.clone();
    let test = TestNode::shaped(&shape, |config| config.auth.citizens = Some(settings)).await;
    let to = test.node.address.to_string();
    let bearer = issuer.token(NUMBER);
    let unit = test.node.parts.city.units()[0].code.to_string();
    let device = phone(&to, &bearer, (&unit, TOKEN)).await;
    let me = ask(&to, "GET", "/v1/me", &[&bearer], b"").await.json();
    let subject = me["subject"].as_str().expect("a pseudonym").to_owned();
    tell(&test, &subject, 1).await;
    eventually(async || (!test.providers.record.of(TOKEN).is_empty()).then_some(())).await;
    let inbox = ask(&to, "GET", "/v1/inbox", &[&bearer], b"").await.json();
    assert_eq!(inbox["items"][0]["publication"]["status"]["remark"], REMARK, "{inbox}");
    let id: uuid::Uuid = device.id.parse().expect("a UUID");
    let at_rest = Traces(vec![
        ("the provider's id", NUMBER.into()),
        ("the token", TOKEN.into()),
        ("the remark", REMARK.into()),
    ]);
    // These are sealed, or never kept, while the citizen is still here.
    assert_eq!(search(&test, &at_rest).await, Vec::<String>::new());
    let mut all = at_rest.0;
    all.push(("the pseudonym", subject.clone().into()));
    all.push(("the device", id.as_bytes().to_vec()));
    all.push(("the device's text", device.id.clone().into()));
    let all = Traces(all);
    let before = search(&test, &all).await;
    assert!(before.iter().any(|found| found.starts_with("the pseudonym")), "{before:?}");
    assert!(before.iter().any(|found| found.starts_with("the device")), "{before:?}");
    let left = ask(&to, "DELETE", "/v1/me", &[&bearer], b"").await;
    assert_eq!(left.status, 204, "{}", left.text());
    // What counts requests forgets within seconds by itself.
    eventually(async || {
        let found = search(&test, &all).await;
        found.iter().for_each(|found| eprintln!("still {found}"));
        found.is_empty().then_some(())
    })
    .await;
    again(&test, (&to, &bearer), &unit).await;
    test.stop().await;
}

/// Whoever comes back is a stranger: nothing of before is theirs.
async fn again(test: &TestNode, (to, bearer): (&str, &str), unit: &str) {
    let inbox = ask(to, "GET", "/v1/inbox", &[bearer], b"").await.json();
    assert_eq!(inbox["items"], Value::Array(Vec::new()), "{inbox}");
    phone(to, bearer, (unit, TOKEN)).await;
    let inbox = ask(to, "GET", "/v1/inbox", &[bearer], b"").await.json();
    let own = inbox["items"].as_array().expect("items");
    let told = |item: &Value| item["publication"].to_string().contains("7431");
    assert!(!own.iter().any(told), "{inbox}");
    assert_eq!(test.providers.record.of(TOKEN).len(), 1, "nothing is sent again");
}
