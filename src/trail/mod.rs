//! The trail: what people, keys and Loa itself did goes to the audit, and a copy to `loa.audit`.
//!
//! The chain in the store is the proof; the topic is for those who follow. Checkpoints are signed
//! every minute in which something was added ([`start`]), so that whoever changes the file later
//! would need the node's key too.

pub mod refused;
pub mod seal;
pub mod verify;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::bus::{Bus, Record, TopicId};
use crate::clock::Clock;
use crate::domain::audit::{Act, Actor, Entry, Verdict};
use crate::event;
use crate::lifecycle::Lifecycle;
use crate::store::audit::{self, Audit, Checkpoint};
use crate::trail::seal::Seal;

/// How often the end of the chain is signed, if it moved.
const SIGN: Duration = Duration::from_secs(60);

/// Where acts are written down. A cheap handle.
#[derive(Clone, Debug)]
pub struct Trail {
    audit: Audit,
    bus: Bus,
    clock: Clock,
    seal: Arc<Seal>,
}

/// What was done, by whom, to what.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Who.
    pub actor: Actor,
    /// What.
    pub act: Act,
    /// To what.
    pub object: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, where a reason is asked for.
    pub reason: Option<String>,
}

impl Deed {
    /// A deed that was done.
    pub fn done(actor: Actor, act: Act, object: impl ToString) -> Self {
        Self { actor, act, object: object.to_string(), verdict: Verdict::Done, reason: None }
    }

    /// A deed that was refused, with the problem's code.
    pub fn refused(actor: Actor, act: Act, object: impl ToString, code: &str) -> Self {
        let verdict = Verdict::Refused { code: code.to_owned() };
        Self { verdict, ..Self::done(actor, act, object) }
    }

    /// Done by one person where two are the rule.
    pub fn alone(self, alone: bool) -> Self {
        if alone { Self { verdict: Verdict::Alone, ..self } } else { self }
    }

    /// With a reason.
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }
}

impl Trail {
    /// A trail over its store, its topic, and the key that signs checkpoints.
    pub fn new(audit: Audit, bus: Bus, clock: Clock, seal: Seal) -> Self {
        Self { audit, bus, clock, seal: Arc::new(seal) }
    }

    /// The store.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The key that signs, to verify with.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Writes a deed down; durable when it returns.
    pub async fn record(&self, deed: Deed) -> Result<(), audit::Error> {
        let Deed { actor, act, object, verdict, reason } = deed;
        let (id, at) = (Uuid::new_v4(), self.clock.now());
        let entry = Entry { id, at, actor, act, object, verdict, reason };
        let record: Record = event::audit::encode(&entry).into();
        let link = self.audit.append(entry).await?;
        if let Err(error) = self.bus.publish(TopicId::Audit, vec![record]).await {
            tracing::warn!(audit.seq = link.seq, %error, "an entry was not copied to its topic");
        }
        Ok(())
    }

    /// Writes down a deed that is done already: if that fails, an operator is told by the log,
    /// and what is done stays done.
    pub async fn note(&self, deed: Deed) {
        let (act, object) = (deed.act, deed.object.clone());
        if let Err(error) = self.record(deed).await {
            tracing::error!(?act, object, %error, "A DEED IS NOT IN THE AUDIT");
        }
    }

    /// Signs the end of the chain, if it moved since the last checkpoint.
    pub async fn sign(&self) -> Result<bool, audit::Error> {
        let (seq, hash) = self.audit.head().await?;
        if seq <= self.audit.signed().await? {
            return Ok(false);
        }
        let at = self.clock.now();
        let signature = self.seal.sign(seq, &hash);
        self.audit.add_checkpoint(Checkpoint { seq, hash, at, signature }).await?;
        Ok(true)
    }
}

/// Signs checkpoints for as long as the node runs, and once more when it stops.
pub fn start(trail: Trail, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("audit checkpoints", async move {
        let mut every = tokio::time::interval(SIGN);
        loop {
            let last = tokio::select! {
                _ = every.tick() => false,
                () = stop.cancelled() => true,
            };
            if let Err(error) = trail.sign().await {
                tracing::error!(%error, "the audit could not be signed");
            }
            if last {
                return Ok::<(), Infallible>(());
            }
        }
    });
}
