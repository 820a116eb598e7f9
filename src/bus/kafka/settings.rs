//! How the cluster is reached.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::bus::{AgencyTopic, TopicId};
use crate::config::secret::Secret;
use crate::domain::ids::AgencyId;

/// Seconds a member of a group may be silent before its partitions go to others. Brokers refuse
/// less than six unless told otherwise.
const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 6..=300;
/// What Kafka allows in a topic's name, less the longest of ours.
const PREFIX_CHARS_MAX: usize = 100;
/// Agencies with topics of their own: each costs every api node two threads.
const AGENCY_TOPICS_MAX: usize = 32;

/// The cluster's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `host:port` of some brokers; the rest of the cluster is learnt from them.
    pub brokers: Vec<String>,
    /// How this node calls itself in the brokers' logs and quotas.
    pub client_id: String,
    /// Where this node stands, as the brokers' `broker.rack` says it: reads from the nearest copy.
    pub rack: Option<String>,
    /// Stands before the name of every topic and group, so that several can share a cluster.
    pub topic_prefix: String,
    /// Copies of every partition, in place of the topics' definitions; for a cluster of fewer than
    /// three brokers. All but one of them must have a record, and at least one.
    pub replication: Option<u16>,
    /// To be raised when the topics were deleted and made again: positions remembered by citizens'
    /// apps mean nothing any more.
    pub epoch: u32,
    /// Seconds after which a silent node's partitions go to others.
    pub session_seconds: u32,
    /// Agencies that write to a topic of their own, `loa.submissions.<agency>`, which the brokers
    /// let nobody else write: what comes from there is theirs.
    pub agency_topics: Vec<AgencyId>,
    /// TLS to the brokers; plain without.
    pub tls: Option<Tls>,
    /// Who this node is to the brokers; nobody without.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM of the authorities that sign the brokers' certificates; absent: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM of our own certificate, for brokers that ask for one.
    pub certificate_file: Option<PathBuf>,
    /// PEM of its private key.
    pub key: Option<Secret>,
    /// The same in a file.
    pub key_file: Option<PathBuf>,
}

/// Who this node is to the brokers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How it proves it.
    pub mechanism: Mechanism,
    /// Its name.
    pub username: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The same in a file; white space around it does not count.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// The SASL mechanisms we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The password itself; only over TLS.
    Plain,
    /// Challenge and response with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Challenge and response with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            client_id: "loa".to_owned(),
            rack: None,
            topic_prefix: String::new(),
            replication: None,
            epoch: 1,
            session_seconds: 10,
            agency_topics: Vec::new(),
            tls: None,
            sasl: None,
        }
    }
}

impl Mechanism {
    /// Its name among SASL mechanisms.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Settings {
    /// The agencies' own topics.
    pub fn agency_topics(&self) -> impl Iterator<Item = TopicId> {
        self.agency_topics.iter().filter_map(AgencyTopic::of).map(TopicId::SubmissionsOf)
    }

    /// Every rule that is broken, with the path below `bus.kafka`.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                found.push(rule.to_owned());
            }
        };
        let address = |broker: &String| {
            let port = broker.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            port.is_some_and(|port| port > 0) && !broker.contains([',', ' ', '/'])
        };
        must(self.brokers.iter().all(address), "brokers: must each be host:port");
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        let named = !self.client_id.is_empty() && self.client_id.len() <= 64;
        must(named && plain(&self.client_id), "client_id: must be 1 to 64 visible characters");
        let prefix = &self.topic_prefix;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        must(
            prefix.len() <= PREFIX_CHARS_MAX && prefix.chars().all(fits),
            "topic_prefix: must be at most 100 characters of a-z, A-Z, 0-9, `.`, `_` and `-`",
        );
        let copies = self.replication.unwrap_or(1);
        must((1..=9).contains(&copies), "replication: must be 1..=9");
        must(SESSION_SECONDS.contains(&self.session_seconds), "session_seconds: must be 6..=300");
        must(
            self.agency_topics.len() <= AGENCY_TOPICS_MAX,
            "agency_topics: at most 32, each of them costs two threads",
        );
        must(
            self.agency_topics.iter().all(|agency| AgencyTopic::of(agency).is_some()),
            "agency_topics: an agency with a topic has an id of at most 32 characters",
        );
        let distinct: BTreeSet<&AgencyId> = self.agency_topics.iter().collect();
        must(distinct.len() == self.agency_topics.len(), "agency_topics: names an agency twice");
        if let Some(tls) = &self.tls {
            let key = tls.key.is_some() || tls.key_file.is_some();
            must(
                key == tls.certificate_file.is_some(),
                "tls: certificate_file and key (or key_file) go together",
            );
        }
        if let Some(sasl) = &self.sasl {
            must(!sasl.username.is_empty(), "sasl.username: must not be empty");
            must(
                sasl.password.is_some() != sasl.password_file.is_some(),
                "sasl.password: exactly one of password and password_file must be set",
            );
            must(
                sasl.mechanism != Mechanism::Plain || self.tls.is_some(),
                "sasl.mechanism: plain sends the password itself, so it needs [bus.kafka.tls]",
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_rule_is_named() {
        let good = Settings { brokers: vec!["kafka-1:9092".into()], ..Settings::default() };
        assert_eq!(good.problems(), Vec::<String>::new());
        let bad = Settings {
            brokers: vec!["kafka".into()],
            client_id: String::new(),
            topic_prefix: "a/b".into(),
            session_seconds: 1,
            agency_topics: vec!["pc07".parse().expect("an id"); 2],
            tls: Some(Tls { certificate_file: Some("c.pem".into()), ..Tls::default() }),
            sasl: Some(Sasl {
                mechanism: Mechanism::ScramSha512,
                username: String::new(),
                password: None,
                password_file: None,
            }),
            ..good.clone()
        };
        let found = bad.problems().join("\n");
        for path in [
            "brokers",
            "client_id",
            "topic_prefix",
            "session_seconds",
            "agency_topics",
            "tls",
            "sasl.username",
            "sasl.password",
        ] {
            assert!(found.contains(path), "{path}: {found}");
        }
    }

    #[test]
    fn a_plain_password_is_never_sent_in_the_clear() {
        let sasl: Sasl =
            toml::from_str("mechanism = \"plain\"\nusername = \"loa\"\npassword = \"x\"")
                .expect("it parses");
        let brokers = vec!["kafka-1:9092".into()];
        let mut settings = Settings { brokers, sasl: Some(sasl), ..Settings::default() };
        assert!(settings.problems()[0].contains("needs [bus.kafka.tls]"));
        settings.tls = Some(Tls::default());
        assert!(settings.problems().is_empty());
    }
}
