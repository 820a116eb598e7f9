//! How the log is set up.

use std::path::PathBuf;

use serde::Deserialize;

use crate::bus::kafka;

/// The log's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// The data directory; the embedded log is `log` and `log.db` in it.
    pub dir: PathBuf,
    /// Mebibytes that may wait for the writer before publishers wait themselves, 32..=1024. Below
    /// 32 the largest call could never pass.
    pub queue_mib: u32,
    /// Hours after which a group that does not commit no longer keeps old records from being
    /// deleted, so that a forgotten group cannot fill the disk. Kafka waits for no group.
    pub pinned_hours_max: u32,
    /// What stands behind the log.
    pub shape: Shape,
}

/// What stands behind the log.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Files of this process.
    #[default]
    Embedded,
    /// Apache Kafka; at least one broker is named.
    Kafka(Box<kafka::Settings>),
}

/// The settings as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    kind: Kind,
    queue_mib: u32,
    pinned_hours_max: u32,
    kafka: Option<kafka::Settings>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Embedded,
    Kafka,
}

impl Default for Written {
    fn default() -> Self {
        let Settings { queue_mib, pinned_hours_max, .. } = Settings::default();
        Self { kind: Kind::default(), queue_mib, pinned_hours_max, kafka: None }
    }
}

impl TryFrom<Written> for Settings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { kind, queue_mib, pinned_hours_max, kafka } = written;
        let shape = match (kind, kafka) {
            (Kind::Embedded, None) => Shape::Embedded,
            (Kind::Embedded, Some(_)) => {
                return Err("bus.kind: is \"embedded\", yet [bus.kafka] is set; \
                            say kind = \"kafka\" or leave the table out");
            }
            (Kind::Kafka, Some(kafka)) if !kafka.brokers.is_empty() => {
                Shape::Kafka(Box::new(kafka))
            }
            (Kind::Kafka, _) => {
                return Err("bus.kafka.brokers: name at least one broker (host:port) \
                            when bus.kind is \"kafka\"");
            }
        };
        Ok(Self { dir: PathBuf::new(), queue_mib, pinned_hours_max, shape })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let shape = Shape::Embedded;
        Self { dir: PathBuf::new(), queue_mib: 64, pinned_hours_max: 24 * 14, shape }
    }
}

impl Settings {
    /// The defaults, in a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }

    /// The defaults, on a cluster.
    pub fn kafka(kafka: kafka::Settings) -> Self {
        Self { shape: Shape::Kafka(Box::new(kafka)), ..Self::default() }
    }

    /// Every rule that is broken, with the path below `bus`.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !(32..=1024).contains(&self.queue_mib) {
            found.push("queue_mib: must be 32..=1024".to_owned());
        }
        if self.pinned_hours_max == 0 {
            found.push("pinned_hours_max: must not be 0".to_owned());
        }
        if let Shape::Kafka(kafka) = &self.shape {
            found.extend(kafka.problems().into_iter().map(|rule| format!("kafka.{rule}")));
        }
        found
    }

    /// What stands behind the log, in a word.
    pub fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Embedded => "embedded",
            Shape::Kafka(_) => "kafka",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn kafka_without_brokers_cannot_be() {
        for text in ["kind = \"kafka\"", "kind = \"kafka\"\n[kafka]\nbrokers = []"] {
            let error = read(text).expect_err("no brokers");
            assert!(error.contains("bus.kafka.brokers"), "{error}");
        }
        let read_well = read("kind = \"kafka\"\n[kafka]\nbrokers = [\"a:1\"]").expect("brokers");
        assert!(matches!(read_well.shape, Shape::Kafka(_)));
    }

    #[test]
    fn brokers_that_nobody_would_use_are_told_so() {
        let error = read("[kafka]\nbrokers = [\"a:1\"]").expect_err("the wrong kind");
        assert!(error.contains("bus.kind"), "{error}");
        assert!(matches!(read("").expect("the defaults").shape, Shape::Embedded));
    }
}
