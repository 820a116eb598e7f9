//! Questions to the cluster: which topics it has, what a partition holds, whether it can take
//! records now.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use sha2::{Digest, Sha256};

use super::client::{Context, unmade};
use super::settings::Settings;
use crate::bus::{Error, Result, TopicId};
use crate::domain::lane::Lane;

/// How long one question may take.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);
/// Questions to a silent cluster before the asker is told.
const QUESTIONS_MAX: u32 = 6;
/// Pause between two looks at a cluster that is away when a node starts.
const START_PAUSE: Duration = Duration::from_secs(1);

/// The client that asks.
pub(super) struct Cluster {
    config: ClientConfig,
    client: Mutex<Arc<BaseConsumer<Context>>>,
    prefix: String,
}

/// What a node learns at its start and keeps.
#[derive(Debug)]
pub(super) struct Layout {
    /// Partitions of each topic.
    pub partitions: BTreeMap<TopicId, u32>,
    /// Names the cluster and its topics.
    pub epoch: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Cluster {
    pub fn new(config: &ClientConfig, prefix: &str) -> Result<Self> {
        let client = Mutex::new(make(config)?);
        Ok(Self { config: config.clone(), client, prefix: prefix.to_owned() })
    }

    /// A topic's name on the cluster.
    pub fn name(&self, topic: TopicId) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// A group's name on the cluster: one a topic.
    pub fn group(&self, group: &str, topic: TopicId) -> String {
        let topic = topic.name();
        format!("{}loa.{group}.{}", self.prefix, topic.trim_start_matches("loa."))
    }

    /// Learns what there is; waits for as long as no broker answers, and says so.
    pub async fn layout(&self, settings: &Settings) -> Result<Layout> {
        let mut tries = 0_u32;
        let found = loop {
            match self.ask(look).await {
                Ok(found) => break found,
                Err(error) => {
                    if tries.is_multiple_of(10) {
                        let brokers = settings.brokers.join(",");
                        tracing::warn!(brokers, %error, "no broker answers; waiting for one");
                    }
                    tries += 1;
                    tokio::time::sleep(START_PAUSE).await;
                }
            }
        };
        let partitions = self.check(&found.topics, settings)?;
        Ok(Layout { epoch: epoch(&found.cluster, settings, &partitions), partitions })
    }

    /// Every topic must be there, with at least the partitions its definition says.
    fn check(
        &self,
        there: &BTreeMap<String, u32>,
        settings: &Settings,
    ) -> Result<BTreeMap<TopicId, u32>> {
        let (mut partitions, mut problems) = (BTreeMap::new(), Vec::new());
        for topic in TopicId::all().chain(settings.agency_topics()) {
            let (name, wanted) = (self.name(topic), topic.definition().partitions);
            match there.get(&name) {
                Some(&count) if count >= wanted => drop(partitions.insert(topic, count)),
                Some(count) => problems.push(format!("{name} has {count} partitions of {wanted}")),
                None => problems.push(format!("{name} is missing")),
            }
        }
        if problems.is_empty() {
            return Ok(partitions);
        }
        Err(Error::Topics(problems.join(", ")))
    }

    /// What a partition holds.
    pub async fn bounds(&self, topic: TopicId, partition: u32) -> Result<Range<u64>> {
        let (name, place) = (self.name(topic), i32::try_from(partition).unwrap_or(i32::MAX));
        let mut tries = 0;
        loop {
            let name = name.clone();
            let asked =
                self.ask(move |client| client.fetch_watermarks(&name, place, QUESTION_PATIENCE));
            match asked.await {
                Ok((start, end)) => {
                    let unsigned = |offset: i64| u64::try_from(offset).unwrap_or(0);
                    return Ok(unsigned(start)..unsigned(end));
                }
                Err(error) if tries < QUESTIONS_MAX => {
                    tries += 1;
                    tracing::debug!(%topic, partition, %error, "no bounds yet; asking again");
                    tokio::time::sleep(START_PAUSE).await;
                }
                Err(error) => return Err(Error::Unreachable(error.to_string())),
            }
        }
    }

    /// Whether every partition of the emergency lane has a leader, so that an alert could be
    /// accepted now.
    pub async fn is_ready(&self) -> bool {
        let name = self.name(TopicId::Publications(Lane::Emergency));
        let asked = self.ask(move |client| client.fetch_metadata(Some(&name), QUESTION_PATIENCE));
        asked.await.is_ok_and(|metadata| {
            metadata.topics().iter().all(|topic| {
                topic.error().is_none()
                    && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            })
        })
    }

    /// Asks off the async threads. A client that got no answer is not asked again: it holds
    /// nothing, and may be one that forgot its brokers (see [`super::pulse`]).
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T> + Send + 'static,
    ) -> KafkaResult<T> {
        let client = Arc::clone(&self.client());
        let asking = Arc::clone(&client);
        let asked = tokio::task::spawn_blocking(move || {
            // What librdkafka wants to say waits in this client's queue.
            while asking.poll(Duration::ZERO).is_some() {}
            question(&asking)
        });
        let answer = asked.await.unwrap_or(Err(KafkaError::Canceled));
        if answer.is_err() {
            self.replace(client);
        }
        answer
    }

    /// Another client in the place of one, unless somebody else did that.
    fn replace(&self, silent: Arc<BaseConsumer<Context>>) {
        let mut current = self.client();
        if Arc::ptr_eq(&current, &silent) {
            match make(&self.config) {
                Ok(client) => *current = client,
                Err(error) => tracing::warn!(%error, "no other client could be made"),
            }
        }
        drop(current);
        // The end of the last one who holds it takes a moment that no async thread has.
        tokio::task::spawn_blocking(move || drop(silent));
    }

    fn client(&self) -> MutexGuard<'_, Arc<BaseConsumer<Context>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make(config: &ClientConfig) -> Result<Arc<BaseConsumer<Context>>> {
    let client = config.create_with_context(Context::default());
    client.map(Arc::new).map_err(|error| unmade(&error))
}

struct Found {
    cluster: String,
    topics: BTreeMap<String, u32>,
}

fn look(client: &BaseConsumer<Context>) -> KafkaResult<Found> {
    let metadata = client.fetch_metadata(None, QUESTION_PATIENCE)?;
    let cluster = client.client().fetch_cluster_id(QUESTION_PATIENCE);
    let cluster = cluster.ok_or(KafkaError::Canceled)?;
    Ok(Found { cluster, topics: counts(&metadata) })
}

fn counts(metadata: &Metadata) -> BTreeMap<String, u32> {
    let count = |topic: &rdkafka::metadata::MetadataTopic| {
        (topic.name().to_owned(), u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))
    };
    metadata.topics().iter().map(count).collect()
}

/// The same on every node of a cluster; another one when the topics are others or were grown, so
/// that a position remembered from before means nothing.
fn epoch(cluster: &str, settings: &Settings, partitions: &BTreeMap<TopicId, u32>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{cluster}/{}/{}", settings.topic_prefix, settings.epoch));
    for lane in Lane::ALL {
        hash.update(format!("/{:?}", partitions.get(&TopicId::Publications(lane))));
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_follows_from_the_cluster_and_its_topics_alone() {
        let settings = Settings::default();
        let partitions: BTreeMap<_, _> = TopicId::all().map(|topic| (topic, 4)).collect();
        let one = epoch("c", &settings, &partitions);
        assert_eq!(
            one,
            epoch("c", &Settings { rack: Some("b".into()), ..settings.clone() }, &partitions)
        );
        let mut grown = partitions.clone();
        grown.insert(TopicId::Publications(Lane::Routine), 8);
        let others = [
            epoch("d", &settings, &partitions),
            epoch("c", &Settings { topic_prefix: "x.".into(), ..settings.clone() }, &partitions),
            epoch("c", &Settings { epoch: 2, ..settings.clone() }, &partitions),
            epoch("c", &settings, &grown),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
    }
}
