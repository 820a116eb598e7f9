//! Topics: the closed set of them, and what `topics/*.toml` says of each.
//!
//! A definition file stands for one topic, or for one a lane (`<lane>`) or a push channel and lane
//! (`<channel>.<lane>`). The files are compiled in; `loa topics` prints and applies them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::ids::AgencyId;
use crate::domain::lane::Lane;

/// A topic of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicId {
    /// What agencies write to the log themselves.
    Submissions,
    /// The same of one agency alone: the brokers let nobody else write it. On Kafka, for those
    /// agencies that the settings name.
    SubmissionsOf(AgencyTopic),
    /// What ingest accepted, a topic a lane.
    Publications(Lane),
    /// Units of fan-out work, a topic a push channel and lane. There is none for the websocket:
    /// gateways read the publications themselves.
    Dispatches(Channel, Lane),
    /// What came back from providers and apps.
    Receipts,
    /// What could not be read or handled.
    DeadLetters,
    /// Who did what.
    Audit,
}

/// Longest id, in bytes, of an agency that has a topic of its own: a topic is passed about with any
/// record, so it is small and fixed.
const AGENCY_BYTES_MAX: usize = 32;
/// What stands before the agency's id in the name of its topic.
const AGENCY_PREFIX: &str = "loa.submissions.";

/// Which agency's topic: its id, in a form that is copied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgencyTopic([u8; AGENCY_BYTES_MAX]);

impl AgencyTopic {
    /// An agency's topic; none if its id is too long for one.
    pub fn of(agency: &AgencyId) -> Option<Self> {
        let text = agency.as_str().as_bytes();
        let mut id = [0; AGENCY_BYTES_MAX];
        id.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(id))
    }

    /// The agency.
    pub fn agency(&self) -> AgencyId {
        let text = std::str::from_utf8(&self.0).expect("made of an id");
        text.trim_end_matches('\0').parse().expect("made of an id")
    }
}

impl fmt::Debug for AgencyTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgencyTopic").field(&self.agency().as_str()).finish()
    }
}

/// What is done with records older than the retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// They are deleted.
    Delete,
}

/// What one file of `topics/` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The topic's name; `<lane>` and `<channel>` stand for each of them.
    pub name: String,
    /// What one record is.
    pub carries: String,
    /// The id whose order matters.
    pub key: String,
    /// What order readers may rely on.
    pub order: String,
    /// Who writes it.
    pub writers: Vec<String>,
    /// Who reads it.
    pub readers: Vec<String>,
    /// How many partitions it is made with, 1..=64. A log keeps the number it was made with, since
    /// another one would put a key's next record into another partition than its last.
    pub partitions: u32,
    /// On Kafka: how many brokers hold each partition.
    pub replication: u16,
    /// On Kafka: how many of them must have a record before its publish returns.
    pub min_in_sync: u16,
    /// Hours after which a record may be deleted.
    pub retention_hours: u32,
    /// How it is cleaned up.
    pub cleanup: Cleanup,
}

/// The most partitions a topic may have: a reader of all of them looks at each on every wake-up.
pub const PARTITIONS_MAX: u32 = 64;

impl TopicId {
    /// Every topic that every log has.
    pub fn all() -> impl Iterator<Item = TopicId> {
        let lanes = Lane::ALL.into_iter().map(TopicId::Publications);
        let dispatches = Channel::PUSH
            .into_iter()
            .flat_map(|channel| Lane::ALL.map(|lane| TopicId::Dispatches(channel, lane)));
        let single = [TopicId::Receipts, TopicId::DeadLetters, TopicId::Audit];
        std::iter::once(TopicId::Submissions).chain(lanes).chain(dispatches).chain(single)
    }

    /// The topic's name, as written on every log.
    pub fn name(self) -> String {
        match self {
            TopicId::Submissions => "loa.submissions".to_owned(),
            TopicId::SubmissionsOf(agency) => format!("{AGENCY_PREFIX}{}", agency.agency()),
            TopicId::Publications(lane) => format!("loa.publications.{lane}"),
            TopicId::Dispatches(channel, lane) => format!("loa.dispatches.{channel}.{lane}"),
            TopicId::Receipts => "loa.receipts".to_owned(),
            TopicId::DeadLetters => "loa.dead-letters".to_owned(),
            TopicId::Audit => "loa.audit".to_owned(),
        }
    }

    /// What its file says.
    pub fn definition(self) -> Definition {
        let file = match self {
            TopicId::Submissions | TopicId::SubmissionsOf(_) => {
                include_str!("../../topics/submissions.toml")
            }
            TopicId::Publications(_) => include_str!("../../topics/publications.toml"),
            TopicId::Dispatches(..) => include_str!("../../topics/dispatches.toml"),
            TopicId::Receipts => include_str!("../../topics/receipts.toml"),
            TopicId::DeadLetters => include_str!("../../topics/dead-letters.toml"),
            TopicId::Audit => include_str!("../../topics/audit.toml"),
        };
        let of = toml::from_str(file).expect("the files are compiled in and a test reads each");
        match self {
            TopicId::SubmissionsOf(_) => own(of),
            _ => of,
        }
    }
}

/// What differs where a topic of submissions is one agency's own: its key is always the same, so
/// one partition keeps all of it in order.
fn own(of: Definition) -> Definition {
    let name = format!("{AGENCY_PREFIX}<agency>");
    let writers = vec!["the agency, and nobody else".to_owned()];
    Definition { name, writers, partitions: 1, ..of }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A name that is no topic of ours.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is not a topic")]
pub struct UnknownTopic(pub String);

impl FromStr for TopicId {
    type Err = UnknownTopic;

    fn from_str(name: &str) -> Result<Self, UnknownTopic> {
        let known = TopicId::all().find(|topic| topic.name() == name);
        let own = || {
            let agency = name.strip_prefix(AGENCY_PREFIX)?.parse().ok()?;
            AgencyTopic::of(&agency).map(TopicId::SubmissionsOf)
        };
        known.or_else(own).ok_or_else(|| UnknownTopic(name.chars().take(64).collect()))
    }
}

impl Definition {
    /// How long a record is kept at least, while some group still needs it longer.
    pub fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_hours) * 3600)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_topic_has_a_definition_that_names_it() {
        for topic in TopicId::all() {
            let definition = topic.definition();
            let mut names = vec![definition.name.clone()];
            for (hole, fillings) in [
                ("<lane>", Lane::ALL.map(Lane::as_str).to_vec()),
                ("<channel>", Channel::PUSH.map(Channel::as_str).to_vec()),
            ] {
                names = names
                    .iter()
                    .flat_map(|name| fillings.iter().map(|filling| name.replace(hole, filling)))
                    .collect();
            }
            assert!(names.contains(&topic.name()), "{topic} is not among {names:?}");
            assert!((1..=PARTITIONS_MAX).contains(&definition.partitions), "{topic}");
            assert!(definition.retention_hours >= 24, "{topic}");
            // One broker may be away, and an accepted record still has two copies.
            assert!(2 <= definition.min_in_sync && definition.min_in_sync < definition.replication);
            assert!(!definition.writers.is_empty() && !definition.readers.is_empty(), "{topic}");
        }
    }

    #[test]
    fn names_are_distinct_and_parse_back() {
        let names: BTreeSet<_> = TopicId::all().map(TopicId::name).collect();
        assert_eq!(names.len(), TopicId::all().count());
        assert!(names.contains("loa.dispatches.fcm.emergency"));
        assert!(TopicId::all().all(|topic| topic.name().parse() == Ok(topic)));
        assert!("loa.dispatches.websocket.emergency".parse::<TopicId>().is_err());
    }

    #[test]
    fn an_agency_of_a_short_id_may_have_a_topic_of_its_own() {
        let topic: TopicId = "loa.submissions.pc07".parse().expect("a topic");
        assert_eq!(topic.name(), "loa.submissions.pc07");
        let TopicId::SubmissionsOf(agency) = topic else { panic!("{topic:?}") };
        assert_eq!(agency.agency().as_str(), "pc07");
        assert_eq!(topic.definition().partitions, 1);
        for none in [format!("loa.submissions.{}", "a".repeat(33)), "loa.submissions.".to_owned()] {
            assert!(none.parse::<TopicId>().is_err(), "{none}");
        }
    }
}
