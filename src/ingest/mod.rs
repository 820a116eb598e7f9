//! Stage 1: what agencies submit becomes publications.
//!
//! Read, checked against every rule, matched to units, held to the agency's jurisdiction, reserved
//! in the alerts store, appended to the log, and only then answered. What it promises:
//!
//! - *Accepted is durable*: a 202 is given after the log's commit. A crash between reservation and
//!   log is finished at the next start ([`Ingest::recover`]).
//! - *Bad input is refused by name*: the problem says which field broke which rule, and nothing is
//!   changed by it.

pub mod alert;
pub mod audience;
pub mod cancel;
pub mod chain;
pub mod http;
pub mod intake;
pub mod notice;
pub mod publish;
pub mod status;

use std::sync::Arc;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::domain::forecast::Outlook;
use crate::domain::status_kinds::StatusKinds;
use crate::geofence::{City, MatchSettings};
use crate::store::agencies::Agencies;
use crate::store::alerts::Alerts;
use crate::store::ledger::Ledger;
use crate::store::registry::Registry;
use crate::store::replies::Replies;

/// What ingest needs of the rest of the node.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// The time.
    pub clock: Clock,
    /// The log.
    pub bus: Bus,
    /// Publications.
    pub alerts: Alerts,
    /// Who may publish.
    pub agencies: Agencies,
    /// For the estimate of an audience.
    pub registry: Registry,
    /// For the funnel of a publication.
    pub ledger: Ledger,
    /// Units and boundaries.
    pub city: Arc<City>,
    /// How targets are matched to units.
    pub matching: MatchSettings,
    /// Kinds of status change.
    pub kinds: Arc<StatusKinds>,
    /// Answers to repeated requests.
    pub replies: Replies,
    /// For the forecast beside the funnel.
    pub outlook: Arc<Outlook>,
}
