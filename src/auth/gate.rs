//! The gate between the log and the people: a publication goes on only if ingest signed it, and
//! only within its agency's jurisdiction as it is now. Whoever can write to the log, but has none
//! of our keys, reaches no one.
//!
//! Ingest signs key, id, source, type, time and subject of a record and its payload ([`seal`]);
//! routers and gateways verify it ([`Gate`]). A record that was copied as a whole is the same
//! publication, which is published once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::auth::ring::{Keyring, Purpose};
use crate::auth::submission::{KEY_ID, SIGNATURE};
use crate::clock::Clock;
use crate::domain::agency::{Agency, DRILLS, Trespass};
use crate::domain::ids::AgencyId;
use crate::domain::lane::Lane;
use crate::domain::publication::{Content, Publication};
use crate::store::agencies::{Agencies, Error};

/// What every signed text begins with, so that a signature is good for nothing else.
const PURPOSE: &str = "loa-publication-v1";
/// The headers that are signed.
const SIGNED: [&str; 5] = ["ce_id", "ce_source", "ce_type", "ce_time", "ce_subject"];
/// How long an agency is remembered: what it lost of its jurisdiction holds here after that.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(2);
/// Agencies that are remembered.
const AGENCIES_MAX: usize = 4096;

/// What is taken from the log.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Until then unsigned publications are taken as well: while nodes are brought up to a version
    /// that signs. None: never.
    pub unsigned_until: Option<Timestamp>,
}

/// A record's parts.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its headers.
    pub headers: &'a [(String, String)],
    /// Its payload.
    pub payload: &'a [u8],
}

/// Why a publication on the log is not believed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No signature, or two.
    #[error("the record is not signed by ingest")]
    Unsigned,
    /// A key that is not ours, or no longer.
    #[error("the record is signed by `{0}`, which is no key of ours")]
    UnknownKey(String),
    /// The signature is not over this record.
    #[error("the signature is not over this record: it was changed, or forged")]
    Altered,
    /// The record lies on another lane's topic than it says.
    #[error("the publication is of lane {0}, and lies on another's topic")]
    WrongLane(Lane),
    /// The agency is not known.
    #[error("agency `{0}` is not known")]
    NoAgency(AgencyId),
    /// The agency may not publish it.
    #[error("outside the jurisdiction of its agency: {}", listed(.0))]
    Outside(Vec<Trespass>),
}

fn listed(found: &[Trespass]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Refused {
    /// A stable word for dead letters, metrics and the audit.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::Unsigned => "record_unsigned",
            Refused::UnknownKey(_) => "record_key_unknown",
            Refused::Altered => "record_altered",
            Refused::WrongLane(_) => "record_wrong_lane",
            Refused::NoAgency(_) => "agency_unknown",
            Refused::Outside(_) => "outside_jurisdiction",
        }
    }

    /// The header at fault, where one is.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Refused::Unsigned | Refused::Altered => Some(SIGNATURE),
            Refused::UnknownKey(_) => Some(KEY_ID),
            _ => None,
        }
    }
}

/// What is signed: the purpose, the key and each signed header on a line, then the payload. A
/// header that is missing, there twice, or holds a line end cannot be signed.
fn text(record: Parts<'_>) -> Option<Vec<u8>> {
    let mut head = format!("{PURPOSE}\n{}\n", record.key);
    for name in SIGNED {
        head.push_str(one(record.headers, name)?);
        head.push('\n');
    }
    let lines = head.matches('\n').count();
    (lines == SIGNED.len() + 2).then(|| [head.as_bytes(), record.payload].concat())
}

/// A header that is there once.
fn one<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|(given, _)| given == name);
    let (_, value) = found.next().filter(|_| found.next().is_none())?;
    Some(value)
}

/// The headers that seal a record; none if the ring has no key, or the record cannot be signed.
pub fn seal(keys: &Keyring, record: Parts<'_>, now: Timestamp) -> Option<[(String, String); 2]> {
    let ring = keys.now();
    let key = ring.signer(Purpose::Records, now)?;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&text(record)?));
    Some([(KEY_ID.to_owned(), key.kid().to_owned()), (SIGNATURE.to_owned(), signature)])
}

/// Agencies as they were a moment ago.
type Known = HashMap<AgencyId, (Timestamp, Option<Agency>)>;

/// Decides what goes on. A cheap handle.
#[derive(Clone, Debug)]
pub struct Gate {
    keys: Keyring,
    agencies: Option<Agencies>,
    clock: Clock,
    settings: Settings,
    known: Arc<Mutex<Known>>,
}

impl Gate {
    /// A gate that verifies with a ring.
    pub fn new(keys: Keyring, clock: Clock, settings: Settings) -> Self {
        Self { keys, agencies: None, clock, settings, known: Arc::default() }
    }

    /// That looks at jurisdictions too.
    pub fn with_agencies(self, agencies: Agencies) -> Self {
        Self { agencies: Some(agencies), ..self }
    }

    /// The ring.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The present instant, as it judges by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether ingest wrote this record, with this publication in it, to this lane's topic.
    pub fn genuine(
        &self,
        lane: Lane,
        record: Parts<'_>,
        publication: &Publication,
    ) -> Result<(), Refused> {
        if publication.lane != lane {
            return Err(Refused::WrongLane(publication.lane));
        }
        self.signed(record)
    }

    /// Whether ingest wrote this record: all that can be said of a sealed one that cannot be read.
    pub fn signed(&self, record: Parts<'_>) -> Result<(), Refused> {
        let named = |name: &str| record.headers.iter().any(|(given, _)| given == name);
        let now = self.clock.now();
        if !named(KEY_ID) && !named(SIGNATURE) {
            let open = self.settings.unsigned_until.is_some_and(|until| now < until);
            return if open { Ok(()) } else { Err(Refused::Unsigned) };
        }
        let kid = one(record.headers, KEY_ID).ok_or(Refused::Unsigned)?;
        let signature = one(record.headers, SIGNATURE).ok_or(Refused::Unsigned)?;
        let ring = self.keys.now();
        let key = ring.verifier(Purpose::Records, kid, now);
        let key = key.ok_or_else(|| Refused::UnknownKey(kid.chars().take(64).collect()))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Altered)?;
        match text(record) {
            Some(text) if key.verify(&text, &signature) => Ok(()),
            _ => Err(Refused::Altered),
        }
    }

    /// Whether the publication's agency may say it, as it is now.
    pub async fn allowed(&self, publication: &Publication) -> Result<Result<(), Refused>, Error> {
        let Some(agencies) = &self.agencies else { return Ok(Ok(())) };
        let ours = publication.agency.as_str() == DRILLS;
        if ours && matches!(publication.content, Content::StatusChange(_)) {
            return Ok(Ok(()));
        }
        let Some(agency) = self.agency(agencies, &publication.agency).await? else {
            return Ok(Err(Refused::NoAgency(publication.agency.clone())));
        };
        let found = agency.jurisdiction.trespasses(publication);
        Ok(if found.is_empty() { Ok(()) } else { Err(Refused::Outside(found)) })
    }

    async fn agency(&self, agencies: &Agencies, id: &AgencyId) -> Result<Option<Agency>, Error> {
        let now = self.clock.now();
        let lock = || self.known.lock().expect("no holder of this lock panics");
        let known = lock().get(id).filter(|(at, _)| now.duration_since(*at) < REMEMBERED).cloned();
        if let Some((_, agency)) = known {
            return Ok(agency);
        }
        let agency = agencies.get(id).await?;
        let mut known = lock();
        if known.len() >= AGENCIES_MAX {
            known.clear();
        }
        known.insert(id.clone(), (now, agency.clone()));
        Ok(agency)
    }
}
