//! Old and new nodes together: what the nodes of November 2026 wrote, today's read; and what
//! tomorrow's add, today's pass over. `fixtures/events/<month>` holds the events as they were
//! then, and is never changed: a new month joins them when an event changes.

use std::collections::BTreeMap;
use std::path::Path;

use loa::event::header;
use serde_json::{Value, json};

use super::{again, read, record};

fn earlier() -> BTreeMap<String, Value> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/events/2026-11"))
}

/// What nodes write for nodes; submissions come from agencies, whose slips are refused by name.
fn between_nodes() -> impl Iterator<Item = (String, Value)> {
    let is_ours = |(name, _): &(String, Value)| !name.starts_with("submission");
    earlier().into_iter().filter(is_ours)
}

#[test]
fn what_earlier_nodes_wrote_is_read_and_means_the_same() {
    let events = earlier();
    assert_eq!(events.len(), 13);
    for (name, event) in events {
        let written = again(&record(&event)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(written.key, event["key"], "{name}");
        let headers: BTreeMap<String, String> = written.headers.into_iter().collect();
        for (header, value) in event["headers"].as_object().expect("headers") {
            assert_eq!(headers[header.as_str()], value.as_str().expect("a text"), "{name}");
        }
        if event["payload"].is_object() {
            let payload: Value = serde_json::from_slice(&written.payload).expect("JSON");
            let mut wanted = event["payload"].clone();
            if name == "dispatch-subject" {
                // Whose devices it means the publication says, today.
                wanted["scope"].as_object_mut().expect("a scope").remove("subject");
            }
            assert!(holds(&payload, &wanted), "{name}: {payload}");
        }
    }
}

#[test]
fn what_later_nodes_add_is_passed_over() {
    for (name, event) in between_nodes() {
        let plain = again(&record(&event)).expect("read");
        let mut later = event.clone();
        later["headers"]["ce_later"] = json!("x");
        // A dead letter's payload is the original. What an agency wrote is read as strictly on the
        // log as at its door: a later member of it is refused, and driven again after the upgrade.
        let written = later["payload"].pointer("/content/content").cloned();
        if name != "dead-letter" {
            grow(&mut later["payload"]);
        }
        if let Some(written) = written {
            later["payload"]["content"]["content"] = written;
        }
        let grown = again(&record(&later)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(grown.payload, plain.payload, "{name}");
    }
}

#[test]
fn an_event_of_a_later_version_is_refused_by_its_type() {
    for (name, event) in earlier() {
        let mut later = event.clone();
        let kind = event["headers"][header::TYPE].as_str().expect("a type");
        let (stem, _) = kind.rsplit_once(".v").expect("a version");
        later["headers"][header::TYPE] = json!(format!("{stem}.v9"));
        let error = again(&record(&later)).expect_err(&name);
        assert_eq!(error.field(), Some(header::TYPE), "{name}: {error}");
    }
}

/// Adds a member to every object.
fn grow(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(grow);
            members.insert("added_later".to_owned(), json!({ "by": ["a", 1] }));
        }
        Value::Array(items) => items.iter_mut().for_each(grow),
        _ => {}
    }
}

/// Whether a value has all that another one says.
fn holds(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(has), Value::Object(wants)) => {
            wants.iter().all(|(name, want)| has.get(name).is_some_and(|value| holds(value, want)))
        }
        (Value::Array(has), Value::Array(wants)) => {
            has.len() == wants.len() && has.iter().zip(wants).all(|(has, want)| holds(has, want))
        }
        _ => value == wanted,
    }
}
