//! The stores: one folder per question, each an enum over its implementations.
//!
//! Who is to be warned is `registry`; what was accepted, `alerts`; what became of it, `ledger`;
//! who may publish, `agencies`; who works there, `people`; what they edit and decide on, `drafts`;
//! what citizens answered, `answers`; whether the road to a unit is open, `drills`; who did what,
//! `audit`; what was answered to a repeated request, `replies`. A store says in its module's prose
//! what is atomic and what is durable, and one contract suite in `tests/it` holds every
//! implementation to it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

pub mod agencies;
pub mod alerts;
pub mod answers;
pub mod audit;
pub mod drafts;
pub mod drills;
pub mod ledger;
pub mod people;
pub mod rates;
pub mod reach;
pub mod redis;
pub mod registry;
pub mod replies;
pub mod vault;

pub(crate) mod sqlite;

/// Where the stores are: `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub enum Settings {
    /// Files in the data directory; one node.
    #[default]
    Embedded,
    /// Redis; nodes of one cluster share it.
    Redis(Box<redis::Settings>),
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Kind,
    redis: redis::settings::Table,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Embedded,
    Redis,
}

impl TryFrom<Table> for Settings {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        match table.kind {
            Kind::Embedded => Ok(Self::Embedded),
            Kind::Redis => {
                table.redis.settle().map(|set| Self::Redis(Box::new(set))).map_err(|broken| {
                    let rules = broken.into_iter().map(|rule| format!("store.redis.{rule}"));
                    rules.collect::<Vec<_>>().join("\n")
                })
            }
        }
    }
}

/// The storage below a store failed: the disk is full, the file is damaged, the server is away.
/// Nothing of the request was done. Trying again may help; if it goes on, page an operator.
#[derive(Clone, Debug)]
pub struct Failure(Arc<dyn StdError + Send + Sync>);

impl Failure {
    /// A failure with its cause.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }

    /// Whether it passes by itself: servers that are away come back.
    pub fn passes(&self) -> bool {
        self.cause::<redis::Tired>().is_some()
    }

    /// The cause, if it is of this type.
    fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage failed: {}", self.0)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
