//! Bodies of the HTTP faces: every body is tried as each of them. A refusal names the field; what
//! is taken can be written and read again, and checking it names fields too.

use jiff::Timestamp;
use loa::domain::device::{Profile, validate};
use loa::domain::notice::Notice;
use loa::domain::status_change::StatusChange;
use loa::domain::status_kinds::StatusKinds;
use loa::event::cap::{Mode, read_json};
use loa::gateway::answers::AnswerInput;
use loa::gateway::devices::DeviceInput;
use loa::gateway::receipts::Batch;
use loa::http::input::parse_json;
use loa::ingest::cancel::CancelRequest;
use loa::ingest::http::{DraftChange, DraftInput, StatusChanges, StepInput, UpdateRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{cap, refusals};

/// Holds for every body.
pub fn hold(data: &[u8]) {
    match read_json(data) {
        Ok(alert) => cap::round_trips(&alert),
        Err(found) => refusals::violations(&found, Mode::Strict),
    }
    let now = Timestamp::UNIX_EPOCH;
    if let Some(StatusChanges { changes }) = read::<StatusChanges>(data) {
        let kinds = StatusKinds::default();
        for change in changes {
            named(kinds.check(&change, now).iter().map(|found| (&*found.path, &*found.message)));
            again::<StatusChange>(&change);
        }
    }
    if let Some(notice) = read::<Notice>(data) {
        named(notice.check(now).iter().map(|found| (&*found.path, &*found.message)));
        again(&notice);
    }
    if let Some(profile) = read::<Profile>(data) {
        named(validate(&profile).iter().map(|found| (&*found.field, found.rule)));
        again(&profile);
    }
    read::<DraftInput>(data);
    read::<DraftChange>(data);
    read::<StepInput>(data);
    read::<UpdateRequest>(data);
    read::<CancelRequest>(data);
    read::<DeviceInput>(data);
    read::<Batch>(data);
    read::<AnswerInput>(data);
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    match parse_json(data) {
        Ok(value) => Some(value),
        Err(problem) => {
            refusals::problem(&problem);
            None
        }
    }
}

fn named<'a>(found: impl Iterator<Item = (&'a str, &'a str)>) {
    for (path, message) in found {
        assert!(!path.is_empty() && !message.is_empty(), "`{path}`: `{message}`");
    }
}

/// The same value after it was written.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_vec(value).expect("the domain's types are plain data");
    let read: T = parse_json(&text).unwrap_or_else(|problem| panic!("{problem:?} of {value:?}"));
    assert_eq!(read, *value);
}
