//! The wire: every example in `topics/examples` is what its schema says, what `decode` reads and
//! what `encode` writes again; nothing a schema requires can be left out unnoticed.

mod schema;
mod upgrade;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use loa::domain::alert::{Category, Certainty, MsgType, ResponseType, Severity, Status, Urgency};
use loa::event::envelope::Headers;
use loa::event::{
    Encoded, Error, audit, dead_letter, dispatch, header, publication, receipt, submission,
};
use serde_json::Value;

fn topics() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("topics")
}

fn read_folder(folder: &str) -> BTreeMap<String, Value> {
    read(&topics().join(folder))
}

fn read(folder: &Path) -> BTreeMap<String, Value> {
    let entries = fs::read_dir(folder).expect("the folder is in the repository");
    let files = entries.map(|entry| entry.expect("a readable entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|ext| ext == "json"));
    files
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            (name.clone(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
        })
        .collect()
}

/// An example as a record: a payload that is text stands for itself.
fn record(example: &Value) -> Encoded {
    let headers = example["headers"].as_object().expect("headers");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let payload = match &example["payload"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    Encoded {
        key: text(&example["key"]),
        headers: headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        payload: payload.into(),
    }
}

/// Decodes a record by the topic its type belongs to, and encodes it again.
fn again(record: &Encoded) -> Result<Encoded, Error> {
    let Encoded { key, headers, payload } = record;
    let event = loa::event::envelope::value(headers, header::TYPE)?;
    Ok(match event.split('.').nth(2) {
        Some("publication") => match publication::read(headers, payload)? {
            publication::Carried::Open(open) => publication::encode(&open),
            publication::Carried::Sealed(sealed) => sealed_again(headers, &sealed),
        },
        Some("dispatch") => dispatch::encode(&dispatch::decode(headers, payload)?),
        Some("receipt") => receipt::encode(&receipt::decode(headers, payload)?),
        Some("submission") => submission::encode(&submission::decode(headers, payload)?),
        Some("dead-letter") => dead_letter::encode(&dead_letter::decode(key, headers, payload)?),
        Some("audit") => audit::encode(&audit::decode(headers, payload)?),
        other => panic!("no topic has events of type {other:?}"),
    })
}

/// Who published it and when stands in the headers alone.
fn sealed_again(headers: &Headers, sealed: &loa::domain::sealed::Sealed) -> Encoded {
    let value = |name| loa::event::envelope::value(headers, name).expect("there");
    let agency = value(header::SOURCE).strip_prefix("/agencies/").expect("an agency");
    let agency = agency.parse().expect("an id");
    let at = value(header::TIME).parse().expect("an instant");
    publication::encode_sealed(sealed, &agency, at)
}

fn sorted(headers: &Headers) -> Headers {
    let mut headers = headers.clone();
    headers.sort();
    headers
}

#[test]
fn every_example_is_read_and_written_again_the_same() {
    let examples = read_folder("examples");
    assert!(examples.len() >= 13, "examples are missing");
    for (name, example) in examples {
        let given = record(&example);
        let written = again(&given).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(written.key, given.key, "{name}");
        assert_eq!(sorted(&written.headers), sorted(&given.headers), "{name}");
        if example["payload"].is_string() {
            assert_eq!(written.payload, given.payload, "{name}");
        } else {
            let payload: Value = serde_json::from_slice(&written.payload).expect("JSON");
            assert_eq!(payload, example["payload"], "{name}");
        }
    }
}

#[test]
fn every_example_holds_its_schema_and_every_schema_has_an_example() {
    let schemas = read_folder("schemas");
    let mut used = std::collections::BTreeSet::new();
    for (name, example) in read_folder("examples") {
        let id = example["headers"][header::DATA_SCHEMA].as_str().expect("a schema");
        let schema = id.strip_prefix("urn:loa:schema:").expect("one of ours");
        used.insert(schema.to_owned());
        let instance = match schema {
            "dead-letter.v1" => &example["headers"],
            _ if example["payload"].is_string() => continue,
            _ => &example["payload"],
        };
        assert_eq!(schema::check(&schemas, schema, instance), Vec::<String>::new(), "{name}");
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), schemas.keys().cloned().collect::<Vec<_>>());
}

/// Every way to leave out one member, anywhere in a value.
fn omissions(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, inner)| {
                let here = format!("{at}/{name}");
                let deeper = omissions(inner, &here);
                std::iter::once(here).chain(deeper)
            })
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, v)| omissions(v, &format!("{at}/{i}"))).collect()
        }
        _ => vec![],
    }
}

#[test]
fn what_a_schema_requires_decode_requires_and_what_it_does_not_decode_does_not() {
    let schemas = read_folder("schemas");
    let mut refused = 0;
    for (name, example) in read_folder("examples") {
        if example["payload"].is_string() {
            continue;
        }
        let id = example["headers"][header::DATA_SCHEMA].as_str().expect("a schema");
        let schema = id.trim_start_matches("urn:loa:schema:");
        for pointer in omissions(&example["payload"], "") {
            let mut spoiled = example.clone();
            let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
            let parent = spoiled["payload"].pointer_mut(parent).expect("the parent");
            parent.as_object_mut().expect("an object").remove(member);
            let by_schema = !schema::check(&schemas, schema, &spoiled["payload"]).is_empty();
            let by_decode = again(&record(&spoiled)).is_err();
            assert_eq!(by_schema, by_decode, "{name} without {pointer}");
            refused += usize::from(by_decode);
        }
    }
    assert!(refused > 50, "only {refused} members are required anywhere");
}

#[test]
fn the_schemas_vocabularies_are_the_codes() {
    let schemas = read_folder("schemas");
    let alert = &schemas["alert.v1"];
    let info = &alert["$defs"]["info"]["properties"];
    fn words<T: ToString>(terms: &[T]) -> Value {
        terms.iter().map(|term| Value::from(term.to_string())).collect()
    }
    assert_eq!(info["categories"]["items"]["enum"], words(Category::ALL));
    assert_eq!(info["response_types"]["items"]["enum"], words(ResponseType::ALL));
    assert_eq!(info["urgency"]["enum"], words(Urgency::ALL));
    assert_eq!(info["severity"]["enum"], words(Severity::ALL));
    assert_eq!(info["certainty"]["enum"], words(Certainty::ALL));
    assert_eq!(alert["properties"]["status"]["enum"], words(Status::ALL));
    assert_eq!(alert["properties"]["msg_type"]["enum"], words(MsgType::ALL));
}

#[test]
fn a_record_with_a_wrong_header_is_refused_by_its_name() {
    let examples = read_folder("examples");
    let good = record(&examples["publication-alert"]);
    let with = |name: &str, value: Option<&str>| {
        let mut headers = good.headers.clone();
        headers.retain(|(given, _)| given != name);
        headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        publication::decode(&headers, &good.payload)
    };
    for name in
        [header::SPEC_VERSION, header::ID, header::SOURCE, header::TYPE, header::CONTENT_TYPE]
    {
        assert_eq!(with(name, None), Err(Error::Missing(name.into())));
        let error = with(name, Some("")).expect_err(name);
        assert_eq!((error.code(), error.field()), ("header_invalid", Some(name)));
    }
    assert!(with(header::CONTENT_TYPE, Some("Application/JSON; charset=utf-8")).is_ok());
    assert!(with(header::CONTENT_TYPE, Some("application/jsonp")).is_err());
    let newer = with(header::TYPE, Some("vn.loa.publication.v2"));
    assert!(matches!(newer, Err(Error::Version { .. })), "{newer:?}");
    let other = with(header::TYPE, Some("vn.loa.receipt.v1"));
    assert!(matches!(other, Err(Error::Header { .. })), "{other:?}");
    let mut twice = good.headers.clone();
    twice.push((header::TYPE.into(), publication::CONTRACT.event_type.into()));
    let error = publication::decode(&twice, &good.payload).expect_err("two types");
    assert_eq!(error, Error::Twice(header::TYPE.into()));
}

#[test]
fn a_submission_in_no_form_we_read_is_refused_with_the_forms_we_do() {
    let good = record(&read_folder("examples")["submission-status-change"]);
    let with = |name: &str, value: &str| {
        let mut headers = good.headers.clone();
        headers.retain(|(given, _)| given != name);
        headers.push((name.to_owned(), value.to_owned()));
        submission::decode(&headers, &good.payload).expect_err("a refusal").to_string()
    };
    assert!(with(header::CONTENT_TYPE, submission::CAP_XML).contains("application/json"));
    assert!(with(header::TYPE, "vn.loa.submission.rumour.v1").contains("submission.notice.v1"));
    assert!(with(header::TYPE, "vn.loa.submission.notice.v2").contains("submission.notice.v1"));
    assert!(with(header::SOURCE, "/agencies/KTTV").contains(header::SOURCE));
    assert!(with(header::ID, &"x".repeat(129)).contains(header::ID));
    assert!(with(header::TIME, "yesterday").contains(header::TIME));
}

#[test]
fn a_dead_letter_gives_back_the_original_byte_for_byte_and_its_reason() {
    let original = Encoded {
        key: "k".into(),
        headers: vec![("ce_type".into(), "x".into()), ("ce_type".into(), "y".into())],
        payload: vec![0, 159, 255, b'{'].into(),
    };
    let error = submission::decode(&original.headers, &original.payload).expect_err("no event");
    let letter = dead_letter::DeadLetter {
        topic: "loa.submissions".into(),
        partition: 1,
        offset: u64::MAX,
        reason: (&error).into(),
        at: jiff::Timestamp::UNIX_EPOCH,
        tries: 3,
        original,
    };
    let record = dead_letter::encode(&letter);
    let back = dead_letter::decode(&record.key, &record.headers, &record.payload);
    assert_eq!(back.expect("a dead letter"), letter);
    assert_eq!(letter.reason.field.as_deref(), Some(header::SPEC_VERSION));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_decode_panic(payload: Vec<u8>, value: String) {
        let headers = vec![(header::TYPE.to_owned(), value)];
        let record = Encoded { key: String::new(), headers, payload: payload.into() };
        for example in read_folder("examples").values() {
            let mut sound = crate::events::record(example);
            sound.payload = record.payload.clone();
            let _ = again(&sound);
        }
        proptest::prop_assert!(publication::decode(&record.headers, &record.payload).is_err());
    }
}
