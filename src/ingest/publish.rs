//! From a checked draft to a publication on the log: the steps every kind shares.

use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::auth::ring::Purpose;
use crate::auth::{gate, jws};
use crate::bus::{self, Position, Record, TopicId};
use crate::domain::agency::{Agency, Kind, Trespass};
use crate::domain::alert::{Category, Severity};
use crate::domain::audience::Audience;
use crate::domain::certificate::SignedBy;
use crate::domain::ids::{ChainId, PublicationId};
use crate::domain::lane::Lane;
use crate::domain::publication::{Action, Content, Publication};
use crate::event;
use crate::http::{Code, FieldError, Problem};
use crate::ingest::Ingest;
use crate::metrics::{self, Room};
use crate::store::alerts::{self, Accepted, Accepting, Carried, Identity};

/// The mark of what is on the log where the log could not say.
const UNPLACED: &str = "somewhere";

/// Everything about a publication but what acceptance gives it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub content: Content,
    /// Its lane.
    pub lane: Lane,
    /// Who it is for.
    pub audience: Audience,
    /// After this nothing is sent.
    pub expires: Timestamp,
    /// The chain it continues; none for the first of a chain.
    pub chain: Option<ChainId>,
    /// What it supersedes.
    pub supersedes: Vec<PublicationId>,
    /// What makes it the same submission as another.
    pub identity: Identity,
    /// The document as it came, if it was XML.
    pub raw: Option<Bytes>,
    /// What verified the document's own signature.
    pub signed_by: Option<SignedBy>,
}

impl Checked {
    /// What it does to its chain.
    pub fn action(&self) -> Action {
        self.content.action()
    }
}

/// An accepted publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its id.
    pub id: PublicationId,
    /// Its chain.
    pub chain: ChainId,
    /// Its lane.
    pub lane: Lane,
    /// It was accepted before; nothing was published again.
    pub repeated: bool,
    /// What verified its agency's own signature.
    pub signed_by: Option<SignedBy>,
}

impl Published {
    /// What was accepted before.
    pub fn before(known: &Publication) -> Self {
        let Publication { id, chain, lane, .. } = *known;
        Self { id, chain, lane, repeated: true, signed_by: known.signed_by.clone() }
    }
}

impl Ingest {
    /// Accepts publications: reserved, appended to the log, marked. All in one group commit each;
    /// a repeated one is answered as it was.
    pub async fn publish(
        &self,
        agency: &Agency,
        checked: Vec<Checked>,
    ) -> Result<Vec<Published>, Problem> {
        let (now, began) = (self.clock.now(), Instant::now());
        let accepting: Vec<Accepting> =
            checked.into_iter().map(|one| self.accepting(agency, one, now)).collect();
        let drafts: Vec<Publication> =
            accepting.iter().map(|one| one.publication.clone()).collect();
        let places: Vec<String> = accepting.iter().enumerate().map(place).collect();
        let clash = |index: usize, known| conflict(&places[index], known);
        let answers = self.alerts.accept_all(accepting).await.map_err(|error| match error {
            alerts::Error::Clash { index, known } => clash(index, known),
            other => store_problem(other),
        })?;
        let mut published = Vec::with_capacity(answers.len());
        let mut fresh = Vec::new();
        for (index, (draft, answer)) in drafts.into_iter().zip(answers).enumerate() {
            let (publication, repeated, logged) = match answer {
                Accepted::New => (draft, false, false),
                Accepted::Same(stored) if stored.publication.agency != agency.id => {
                    return Err(clash(index, stored.publication.id));
                }
                Accepted::Same(stored) => {
                    ((*stored.publication).clone(), true, stored.logged.is_some())
                }
                Accepted::Conflict(known) => return Err(clash(index, known)),
            };
            let (id, chain, lane) = (publication.id, publication.chain, publication.lane);
            let signed_by = publication.signed_by.clone();
            published.push(Published { id, chain, lane, repeated, signed_by });
            if !logged {
                fresh.push(publication);
            }
        }
        self.log(fresh).await?;
        metrics::room(Room::Accept, began.elapsed());
        Ok(published)
    }

    /// Appends reserved publications to their lanes and marks them.
    async fn log(&self, publications: Vec<Publication>) -> Result<(), Problem> {
        for publication in &publications {
            let by = publication.id;
            self.alerts.supersede(&publication.supersedes, by).await.map_err(store_problem)?;
        }
        for lane in Lane::ALL {
            let mine: Vec<&Publication> =
                publications.iter().filter(|publication| publication.lane == lane).collect();
            if mine.is_empty() {
                continue;
            }
            let ids = mine.iter().map(|publication| publication.id).collect();
            let carried = self.alerts.carried(ids).await.map_err(store_problem)?;
            let (mine, records) = self.records(mine, carried)?;
            let topic = TopicId::Publications(lane);
            let began = Instant::now();
            let positions = self.bus.publish(topic, records).await.map_err(bus_problem)?;
            metrics::room(Room::Log, began.elapsed());
            let marks = mine.iter().zip(positions).map(|(publication, position)| {
                metrics::publication(lane);
                tracing::info!(
                    publication.id = %publication.id,
                    agency.id = %publication.agency,
                    lane = %lane,
                    "accepted"
                );
                (publication.id, position.map_or_else(|| UNPLACED.to_owned(), mark))
            });
            let marked = self.alerts.mark_all_logged(marks.collect()).await;
            // The publication is on the log, so the 202 is true whatever became of the mark: an
            // unmarked one is only appended again at the next start, under the same id.
            if let Err(error) = marked {
                tracing::warn!(error = %error, "publications on the log could not be marked");
            }
        }
        Ok(())
    }

    /// Publications with their records; what is one citizen's goes as it is stored, sealed. Those
    /// whose citizen left meanwhile are left out.
    fn records<'a>(
        &self,
        publications: Vec<&'a Publication>,
        carried: Vec<Carried>,
    ) -> Result<(Vec<&'a Publication>, Vec<Record>), Problem> {
        let (mut kept, mut records) = (Vec::new(), Vec::new());
        for (publication, carried) in publications.into_iter().zip(carried) {
            let event = match &carried {
                Carried::Open => event::publication::encode(publication),
                Carried::Sealed(sealed) => {
                    let Publication { agency, accepted_at, .. } = publication;
                    event::publication::encode_sealed(sealed, agency, *accepted_at)
                }
                Carried::Gone => continue,
            };
            kept.push(publication);
            records.push(self.signed(event.into())?);
        }
        Ok((kept, records))
    }

    /// A record that routers and gateways know for ours.
    fn signed(&self, mut record: Record) -> Result<Record, Problem> {
        let parts =
            gate::Parts { key: &record.key, headers: &record.headers, payload: &record.payload };
        let seal = gate::seal(&self.keys, parts, self.clock.now());
        let seal = seal.ok_or_else(|| Problem::internal(&"a record could not be signed"))?;
        record.headers.extend(seal);
        Ok(record)
    }

    /// What is accepted. An alert's document is kept as it was signed.
    fn accepting(&self, agency: &Agency, checked: Checked, now: Timestamp) -> Accepting {
        let (raw, signature) = match &checked.content {
            Content::Alert(alert) => {
                let raw = checked.raw.unwrap_or_else(|| event::cap::write(alert).into());
                let ring = self.keys.now();
                let key = ring.signer(Purpose::Alerts, now);
                let signature = key.map(|key| jws::sign(key, &raw));
                (Some(raw), signature)
            }
            _ => (checked.raw, None),
        };
        let id = fresh_id(now);
        let digest = alerts::digest(&checked.content);
        let publication = Publication {
            id,
            chain: checked.chain.unwrap_or(ChainId::from(id)),
            lane: checked.lane,
            agency: agency.id.clone(),
            agency_name: Some(agency.name.clone()),
            accepted_at: now,
            expires: checked.expires,
            supersedes: checked.supersedes,
            audience: checked.audience,
            content: checked.content,
            signature,
            signed_by: checked.signed_by,
        };
        Accepting { publication, identity: checked.identity, digest, raw }
    }

    /// Finishes what a crash left between reservation and log; call before serving.
    pub async fn recover(&self) -> Result<usize, Problem> {
        let mut count = 0;
        let mut done = None;
        loop {
            let mut unlogged = self.alerts.unlogged().await.map_err(store_problem)?;
            // One that could not be marked is on the log all the same.
            unlogged.retain(|publication| done.is_none_or(|last| publication.id > last));
            let Some(last) = unlogged.last() else { return Ok(count) };
            done = Some(last.id);
            count += unlogged.len();
            self.log(unlogged).await?;
        }
    }
}

/// Ids sort by the time of acceptance.
fn fresh_id(now: Timestamp) -> PublicationId {
    let seconds = now.as_second().unsigned_abs();
    let nanos = now.subsec_nanosecond().unsigned_abs();
    PublicationId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
}

/// Where in the request the identity stands.
fn place((index, accepting): (usize, &Accepting)) -> String {
    match &accepting.identity {
        Identity::Alert { .. } => "/alert/identifier".to_owned(),
        Identity::Notice { .. } => "identifier".to_owned(),
        Identity::StatusChange { .. } => format!("changes[{index}].step"),
    }
}

fn conflict(path: &str, known: PublicationId) -> Problem {
    let message = format!("this identity was used with other content, by publication {known}");
    Problem::fields(Code::Conflict, vec![FieldError::new(path, "unique_identity", message)])
}

/// Holds a publication to the agency's jurisdiction; every trespass is named.
pub fn within_jurisdiction(
    agency: &Agency,
    kind: Kind,
    audience: &Audience,
    (categories, severity): (&[Category], Option<Severity>),
) -> Result<(), Problem> {
    let found = agency.jurisdiction.check(kind, audience.addressed(), categories, severity);
    if found.is_empty() {
        return Ok(());
    }
    let errors = found.iter().map(|trespass| {
        let (path, rule) = match trespass {
            Trespass::Kind(_) => ("kind", "jurisdiction_kind"),
            Trespass::Units(_) => ("area", "jurisdiction_units"),
            Trespass::Category(_) => ("category", "jurisdiction_category"),
            Trespass::Severity { .. } => ("severity", "jurisdiction_severity"),
        };
        FieldError::new(path, rule, trespass)
    });
    Err(Problem::fields(Code::OutsideJurisdiction, errors.collect()))
}

/// Where a publication lies, as its mark.
fn mark(position: Position) -> String {
    format!("{}/{}", position.partition, position.offset)
}

/// A failing alerts store, as an answer.
pub fn store_problem(error: alerts::Error) -> Problem {
    match error {
        alerts::Error::Storage(_) => {
            tracing::error!(error = %error, "the alerts store takes nothing");
            Problem::new(Code::Unavailable, "nothing can be stored just now").retry_after(5)
        }
        other => Problem::internal(&other),
    }
}

/// A failing log, as an answer.
pub fn bus_problem(error: bus::Error) -> Problem {
    match error {
        bus::Error::StorageFull { .. } | bus::Error::Closed => {
            tracing::error!(error = %error, "the event log takes nothing");
            Problem::new(Code::Unavailable, "nothing can be stored just now").retry_after(5)
        }
        other => Problem::internal(&other),
    }
}
