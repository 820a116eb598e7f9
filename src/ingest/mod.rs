//! Stage 1: what agencies submit becomes publications.
//!
//! Read, checked against every rule, matched to units, held to the agency's jurisdiction, reserved
//! in the alerts store, appended to the log, and only then answered. What it promises:
//!
//! - *Accepted is durable*: a 202 is given after the log's commit. A crash between reservation and
//!   log is finished at the next start ([`Ingest::recover`]).
//! - *Only who may*: what people write is a draft until a second person approves it, or one alone
//!   overrides with a reason; the decision is durable before anything is published ([`desk`]).
//! - *Bad input is refused by name*: the problem says which field broke which rule, and nothing is
//!   changed by it.

pub mod alert;
pub mod audience;
pub mod cancel;
pub mod chain;
pub mod desk;
pub mod drills;
pub mod http;
pub mod intake;
pub mod notice;
pub mod publish;
pub mod signed;
pub mod status;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::auth::desk::Desk;
use crate::auth::ring::Keyring;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::domain::forecast::Outlook;
use crate::domain::push::Render;
use crate::domain::status_kinds::StatusKinds;
use crate::geofence::{City, MatchSettings};
use crate::store::agencies::Agencies;
use crate::store::alerts::Alerts;
use crate::store::drafts::Drafts;
use crate::store::drills::Drills;
use crate::store::ledger::Ledger;
use crate::store::registry::Registry;
use crate::store::replies::Replies;
use crate::trail::Trail;

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
    /// What records and alerts are signed with.
    pub keys: Keyring,
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
    /// Who works at the desk.
    pub desk: Desk,
    /// What they edit and decide on.
    pub drafts: Drafts,
    /// What they did.
    pub trail: Trail,
    /// Canary devices, and what link tests found.
    pub drills: Drills,
    /// Asks for a link test now.
    pub link_test: Arc<Notify>,
    /// Minutes between two link tests.
    pub link_test_minutes: u32,
    /// What a push will say, for its author's eyes.
    pub render: Render,
    /// Minutes east of UTC in which the times of our own words are written.
    pub utc_offset_minutes: i16,
}
