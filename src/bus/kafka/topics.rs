//! The cluster's topics against their definitions: what differs, and making it so.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Settings;
use super::client::{self, BATCH_BYTES_MAX, Context, unmade};
use crate::bus::{Error, Result, TopicId};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at the brokers after changes, and the pause between them.
const SETTLE_LOOKS: u32 = 100;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// The settings of a topic that its definition says something about.
const RETENTION: &str = "retention.ms";
const CLEANUP: &str = "cleanup.policy";
const MIN_IN_SYNC: &str = "min.insync.replicas";
const BYTES_MAX: &str = "max.message.bytes";

/// One difference between the cluster and the definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The topic's name on the cluster.
    pub topic: String,
    /// What is to be done.
    pub step: Step,
}

/// What is to be done about one difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The topic is missing.
    Create {
        /// Partitions.
        partitions: u32,
        /// Copies of each.
        replication: u16,
        /// Its settings.
        config: BTreeMap<&'static str, String>,
    },
    /// It has too few partitions.
    Grow {
        /// It has.
        from: u32,
        /// It is to have.
        to: u32,
    },
    /// A setting differs.
    Set {
        /// The setting.
        key: &'static str,
        /// Its value.
        from: String,
        /// What it is to be.
        to: String,
        /// Something may be lost by it.
        lossy: bool,
    },
    /// The number of copies differs; brokers move them only on an operator's plan.
    Replicate {
        /// It has.
        from: u32,
        /// It is to have.
        to: u16,
    },
}

impl Change {
    /// Something may be lost by it.
    pub fn is_lossy(&self) -> bool {
        matches!(self.step, Step::Set { lossy: true, .. })
    }

    /// It can be done from here.
    pub fn is_ours(&self) -> bool {
        !matches!(self.step, Step::Replicate { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = &self.topic;
        match &self.step {
            Step::Create { partitions, replication, config } => {
                write!(f, "+ {topic} partitions={partitions} replication={replication}")?;
                config.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            Step::Grow { from, to } => {
                write!(f, "~ {topic} partitions {from} -> {to} (stop every node first: keys move)")
            }
            Step::Set { key, from, to, lossy } => {
                let mark = if *lossy { " (LOSSY)" } else { "" };
                write!(f, "~ {topic} {key} {from} -> {to}{mark}")
            }
            Step::Replicate { from, to } => write!(
                f,
                "! {topic} replication {from} -> {to}: not done here, use \
                 kafka-reassign-partitions"
            ),
        }
    }
}

/// Who looks and changes.
pub struct Admin {
    client: Arc<AdminClient<Context>>,
    settings: Settings,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// What the cluster has of one topic.
struct There {
    partitions: u32,
    replication: u32,
    config: BTreeMap<String, String>,
    /// Set for this topic alone; what is altered must name all of these.
    own: BTreeMap<String, String>,
}

impl Admin {
    /// Connects when it is first used.
    pub fn new(settings: &Settings) -> Result<Self> {
        let config = client::config(settings)?;
        let client = config.create_with_context(Context::default());
        let client = Arc::new(client.map_err(|error| unmade(&error))?);
        Ok(Self { client, settings: settings.clone() })
    }

    /// Everything in which the cluster differs from the definitions.
    pub async fn diff(&self) -> Result<Vec<Change>> {
        let there = self.look().await?;
        let mut changes = Vec::new();
        for topic in self.topics() {
            let wanted = wanted(topic, &self.settings);
            let name = self.name(topic);
            let steps = match there.get(&name) {
                Some(there) => differences(there, wanted),
                None => vec![wanted],
            };
            changes.extend(steps.into_iter().map(|step| Change { topic: name.clone(), step }));
        }
        Ok(changes)
    }

    /// Makes the changes that can be made from here.
    pub async fn apply(&self, changes: &[Change]) -> Result<()> {
        let options =
            AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        self.create(changes, &options).await?;
        let mut grown = Vec::new();
        for change in changes {
            if let Step::Grow { to, .. } = change.step {
                grown.push(NewPartitions::new(&change.topic, to as usize));
            }
        }
        if !grown.is_empty() {
            let done = self.client.create_partitions(&grown, &options).await;
            each(done.map_err(|error| unanswered(&error))?)?;
        }
        self.set(changes, &options).await?;
        self.settled().await
    }

    /// Waits until the brokers tell of what was made: a node that starts next must see it.
    async fn settled(&self) -> Result<()> {
        for _ in 0..SETTLE_LOOKS {
            if !self.diff().await?.iter().any(Change::is_ours) {
                return Ok(());
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        Err(Error::Unreachable("the brokers do not yet tell of what was made".to_owned()))
    }

    async fn create(&self, changes: &[Change], options: &AdminOptions) -> Result<()> {
        let mut created = Vec::new();
        for change in changes {
            let Step::Create { partitions, replication, config } = &change.step else { continue };
            let partitions = i32::try_from(*partitions).expect("a definition has at most 64");
            let copies = TopicReplication::Fixed(i32::from(*replication));
            let topic = NewTopic::new(&change.topic, partitions, copies);
            created.push(config.iter().fold(topic, |topic, (key, value)| topic.set(key, value)));
        }
        if created.is_empty() {
            return Ok(());
        }
        let done = self.client.create_topics(&created, options).await;
        each(done.map_err(|error| unanswered(&error))?)
    }

    /// Altering replaces everything that was set for the topic, so that is repeated.
    async fn set(&self, changes: &[Change], options: &AdminOptions) -> Result<()> {
        let mut values: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        let there = self.look().await?;
        for change in changes {
            let Step::Set { key, to, .. } = &change.step else { continue };
            let own = || there.get(&change.topic).map(|one| one.own.clone()).unwrap_or_default();
            let topic = values.entry(&change.topic).or_insert_with(own);
            topic.insert((*key).to_owned(), to.clone());
        }
        let alter = values.iter().map(|(topic, values)| AlterConfig {
            specifier: ResourceSpecifier::Topic(topic),
            entries: values.iter().map(|(k, v)| (&**k, &**v)).collect::<HashMap<_, _>>(),
        });
        let alter: Vec<AlterConfig<'_>> = alter.collect();
        if alter.is_empty() {
            return Ok(());
        }
        let done = self.client.alter_configs(&alter, options).await;
        for one in done.map_err(|error| unanswered(&error))? {
            one.map_err(|(topic, code)| Error::Topics(format!("{topic:?}: {code}")))?;
        }
        Ok(())
    }

    fn topics(&self) -> impl Iterator<Item = TopicId> {
        TopicId::all().chain(self.settings.agency_topics())
    }

    fn name(&self, topic: TopicId) -> String {
        format!("{}{topic}", self.settings.topic_prefix)
    }

    async fn look(&self) -> Result<BTreeMap<String, There>> {
        let mut there = BTreeMap::new();
        let ours: Vec<String> = self.topics().map(|topic| self.name(topic)).collect();
        let client = Arc::clone(&self.client);
        let ask = move || client.inner().fetch_metadata(None, PATIENCE);
        let metadata = tokio::task::spawn_blocking(ask).await.map_err(|_| Error::Closed)?;
        for topic in metadata.map_err(|error| unanswered(&error))?.topics() {
            if ours.iter().any(|name| name == topic.name()) {
                let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
                let copies = topic.partitions().iter().map(|one| one.replicas().len()).min();
                let replication = u32::try_from(copies.unwrap_or(0)).unwrap_or(u32::MAX);
                let (config, own) = (BTreeMap::new(), BTreeMap::new());
                let one = There { partitions, replication, config, own };
                there.insert(topic.name().to_owned(), one);
            }
        }
        let ask: Vec<_> = there.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        if ask.is_empty() {
            return Ok(there);
        }
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let told = self.client.describe_configs(&ask, &options).await;
        for resource in told.map_err(|error| unanswered(&error))? {
            let resource = resource.map_err(|code| Error::Unreachable(code.to_string()))?;
            let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier else {
                continue;
            };
            let Some(one) = there.get_mut(name) else { continue };
            for entry in resource.entries {
                let value = entry.value.unwrap_or_default();
                if entry.source == ConfigSource::DynamicTopic {
                    one.own.insert(entry.name.clone(), value.clone());
                }
                one.config.insert(entry.name, value);
            }
        }
        Ok(there)
    }
}

fn unanswered(error: &KafkaError) -> Error {
    Error::Unreachable(error.to_string())
}

fn each(done: Vec<std::result::Result<String, (String, RDKafkaErrorCode)>>) -> Result<()> {
    let failed: Vec<String> = done
        .into_iter()
        .filter_map(|one| one.err())
        .map(|(topic, code)| format!("{topic}: {code}"))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Topics(failed.join(", "))) }
}

/// A topic as its definition and the settings want it.
fn wanted(topic: TopicId, settings: &Settings) -> Step {
    let definition = topic.definition();
    let (replication, min_in_sync) = match settings.replication {
        None => (definition.replication, definition.min_in_sync),
        Some(copies) => (copies, copies.saturating_sub(1).clamp(1, definition.min_in_sync)),
    };
    let config = BTreeMap::from([
        (RETENTION, definition.retention().as_millis().to_string()),
        (CLEANUP, "delete".to_owned()),
        (MIN_IN_SYNC, min_in_sync.to_string()),
        (BYTES_MAX, BATCH_BYTES_MAX.to_string()),
    ]);
    Step::Create { partitions: definition.partitions, replication, config }
}

fn differences(there: &There, wanted: Step) -> Vec<Step> {
    let Step::Create { partitions, replication, config } = wanted else { return Vec::new() };
    let mut steps = Vec::new();
    // More partitions than defined are an operator's choice; they cannot be taken away.
    if there.partitions < partitions {
        steps.push(Step::Grow { from: there.partitions, to: partitions });
    }
    if there.replication < u32::from(replication) {
        steps.push(Step::Replicate { from: there.replication, to: replication });
    }
    for (key, to) in config {
        let from = there.config.get(key).cloned().unwrap_or_default();
        if from != to {
            let lossy = is_lossy(key, &from, &to);
            steps.push(Step::Set { key, from, to, lossy });
        }
    }
    steps
}

/// Whether records, or the promise about them, may be lost by a change.
fn is_lossy(key: &str, from: &str, to: &str) -> bool {
    match (key, from.parse::<i64>(), to.parse::<i64>()) {
        // -1 means for ever.
        (RETENTION, Ok(from), Ok(to)) => from < 0 || to < from,
        (_, Ok(from), Ok(to)) => to < from,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(partitions: u32, retention: &str, min_in_sync: &str) -> There {
        let config = [
            (RETENTION, retention),
            (CLEANUP, "delete"),
            (MIN_IN_SYNC, min_in_sync),
            (BYTES_MAX, "1310720"),
        ];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        There { partitions, replication: 3, config, own: BTreeMap::new() }
    }

    fn of(there: &There) -> Vec<String> {
        let wanted = wanted(TopicId::Receipts, &Settings::default());
        let say = |step| Change { topic: "loa.receipts".to_owned(), step }.to_string();
        differences(there, wanted).into_iter().map(say).collect()
    }

    #[test]
    fn what_agrees_needs_nothing_and_more_partitions_are_left_alone() {
        assert_eq!(of(&there(8, "259200000", "2")), Vec::<String>::new());
        assert_eq!(of(&there(12, "259200000", "2")), Vec::<String>::new());
    }

    #[test]
    fn a_change_that_may_lose_something_says_so() {
        let grown = of(&there(4, "3600000", "1"));
        assert!(grown[0].contains("partitions 4 -> 8"), "{grown:?}");
        assert!(grown.iter().all(|line| !line.contains("LOSSY")), "{grown:?}");
        for retention in ["604800000", "-1"] {
            let shorter = of(&there(8, retention, "2"));
            assert!(shorter[0].contains("LOSSY"), "{shorter:?}");
        }
        assert!(of(&there(8, "259200000", "3"))[0].contains("LOSSY"));
    }

    #[test]
    fn a_small_cluster_has_fewer_copies() {
        let settings = Settings { replication: Some(1), ..Settings::default() };
        let Step::Create { replication, config, .. } = wanted(TopicId::Audit, &settings) else {
            panic!("a topic");
        };
        assert_eq!((replication, &*config[MIN_IN_SYNC]), (1, "1"));
    }
}
