//! The pulse: once a second it looks what changed, and tells every open console. A publication's
//! funnel is told at most once a second, however fast it goes, and only if it changed; drafts are
//! told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::broadcast;

use crate::channel::Sender;
use crate::clock::Clock;
use crate::console::providers::{self, ProviderState};
use crate::console::publications::LatencyAnswer;
use crate::console::rates::{Rate, Rates};
use crate::console::rows::{self, Row};
use crate::domain::channel::Channel;
use crate::domain::funnel::{Counts, Funnel};
use crate::domain::ids::{AgencyId, PublicationId, UnitCode};
use crate::lifecycle::Lifecycle;
use crate::store::alerts::Alerts;
use crate::store::answers::{Answers, Count, SafetyCounts};
use crate::store::drafts::Drafts;
use crate::store::drills::Drills;
use crate::store::ledger::Ledger;

/// How often it beats.
const BEAT: Duration = Duration::from_secs(1);
/// Messages a slow console may be behind before it is told to load anew.
const BEHIND_MAX: usize = 1_024;
/// Publications watched at once, the newest.
const WATCHED_MAX: usize = 64;
/// Funnels computed in one beat; the others wait for the next.
const FUNNELS_MAX: usize = 16;
/// Publications whose answers are counted in one beat, the newest that are live.
const ANSWERED_MAX: usize = 16;
/// Answers are counted for so much of the time at the most: one part in so many.
const COUNTING: i32 = 20;
/// A publication that is over is watched so long, for its last receipts.
const AFTERWARDS: SignedDuration = SignedDuration::from_mins(10);

/// A publication this young had sent nothing when it was first seen.
const FRESH: SignedDuration = SignedDuration::from_secs(3);

/// Something every console of an agency is told.
#[derive(Clone, Debug)]
pub struct Message {
    /// The event's name.
    pub event: &'static str,
    /// Its data, as JSON.
    pub data: Arc<str>,
    /// For whom.
    pub audience: Listeners,
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// An agency's people, and operators.
    Agency(AgencyId),
    /// Operators.
    Operators,
}

/// The funnel as it is told.
#[derive(Clone, Debug, Serialize)]
struct FunnelEvent<'a> {
    id: PublicationId,
    total: &'a Counts,
    channels: &'a BTreeMap<Channel, Counts>,
    units: &'a BTreeMap<UnitCode, Counts>,
    open_dispatches: u64,
    latency: LatencyAnswer,
    providers: &'a [ProviderState],
}

/// People answered: whoever looks at it reads the counts again.
#[derive(Clone, Copy, Debug, Serialize)]
struct AnswersEvent {
    id: PublicationId,
}

/// What people answered, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Safety(SafetyCounts),
    Survey(Vec<Count>),
}

impl Heard {
    fn is_empty(&self) -> bool {
        match self {
            Heard::Safety(counts) => counts.is_empty(),
            Heard::Survey(counts) => counts.is_empty(),
        }
    }
}

/// What it beats for.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The time.
    pub clock: Clock,
    /// Publications.
    pub alerts: Alerts,
    /// Funnels.
    pub ledger: Ledger,
    /// Drafts.
    pub drafts: Drafts,
    /// Citizens' answers.
    pub answers: Answers,
    /// Link tests.
    pub drills: Drills,
    /// The push channels.
    pub senders: Vec<Arc<Sender>>,
}

/// The pulse. A cheap handle.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Sources,
    messages: broadcast::Sender<Message>,
    watched: Mutex<BTreeMap<PublicationId, Watched>>,
}

#[derive(Debug)]
struct Watched {
    agency: AgencyId,
    row: Row,
    funnel: Option<Funnel>,
    rates: Rates,
}

impl Pulse {
    /// A pulse that does not beat yet.
    pub fn new(sources: Sources) -> Self {
        let (messages, _) = broadcast::channel(BEHIND_MAX);
        Self(Arc::new(Inner { sources, messages, watched: Mutex::default() }))
    }

    /// What is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Message> {
        self.0.messages.subscribe()
    }

    /// How fast a publication went, as far as it was watched.
    pub fn rates(&self, id: PublicationId) -> Vec<Rate> {
        self.watched().get(&id).map(|watched| watched.rates.all()).unwrap_or_default()
    }

    /// Tells everybody whom it concerns.
    pub fn tell<T: Serialize>(&self, event: &'static str, audience: Listeners, data: &T) {
        let data = serde_json::to_string(data).expect("what is told is plain data");
        // Nobody listens: nobody is told.
        let _ = self.0.messages.send(Message { event, data: data.into(), audience });
    }

    /// Beats for as long as the node runs.
    pub fn start(&self, tasks: &Lifecycle) {
        let (pulse, stop) = (self.clone(), tasks.token().clone());
        tasks.service("console pulse", async move {
            let mut drafts = pulse.0.sources.drafts.watch();
            let mut told = *drafts.borrow_and_update();
            let mut links = pulse.0.sources.drills.watch();
            let mut beat = tokio::time::interval(BEAT);
            beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut rhythm = Rhythm::default();
            loop {
                tokio::select! {
                    Ok(()) = drafts.changed() => {
                        drafts.borrow_and_update();
                        told = pulse.tell_drafts(told).await;
                    }
                    Ok(()) = links.changed() => {
                        links.borrow_and_update();
                        pulse.tell_links().await;
                    }
                    _ = beat.tick() => pulse.beat(&mut rhythm).await,
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                }
            }
        });
    }

    async fn tell_drafts(&self, mut told: u64) -> u64 {
        loop {
            let changed = match self.0.sources.drafts.changed(told).await {
                Ok(changed) => changed,
                Err(error) => {
                    tracing::warn!(%error, "changed drafts could not be read");
                    return told;
                }
            };
            if changed.is_empty() {
                return told;
            }
            for (number, draft) in changed {
                told = number;
                self.tell("drafts", Listeners::Agency(draft.agency.clone()), &draft);
            }
        }
    }

    async fn tell_links(&self) {
        match self.0.sources.drills.history(1).await {
            Ok(tests) => tests.iter().for_each(|test| {
                self.tell("links", Listeners::Operators, test);
            }),
            Err(error) => tracing::warn!(%error, "link tests could not be read"),
        }
    }

    async fn beat(&self, rhythm: &mut Rhythm) {
        let now = self.0.sources.clock.now();
        if let Err(error) = self.look_at_rows(rhythm, now).await {
            tracing::warn!(error, "publications could not be looked at");
        }
        let states = providers::states(&self.0.sources.senders);
        if states != rhythm.providers {
            self.tell("providers", Listeners::Operators, &states);
            rhythm.providers = states;
        }
        self.look_at_answers(rhythm, now).await;
        let revision = *self.0.sources.ledger.watch().borrow();
        if revision == rhythm.ledger && rhythm.waiting.is_empty() {
            self.watched().values_mut().for_each(|one| one.rates.rest(now));
            return;
        }
        if revision != rhythm.ledger {
            rhythm.ledger = revision;
            let ids = self.watched().keys().rev().copied().collect::<Vec<_>>();
            let known: BTreeSet<_> = rhythm.waiting.iter().copied().collect();
            rhythm.waiting.extend(ids.into_iter().filter(|id| !known.contains(id)));
        }
        let count = rhythm.waiting.len().min(FUNNELS_MAX);
        for id in rhythm.waiting.drain(..count).collect::<Vec<_>>() {
            self.look_at_funnel(id, &rhythm.providers, now).await;
        }
    }

    /// What is new, and what is over.
    async fn look_at_rows(&self, rhythm: &mut Rhythm, now: Timestamp) -> Result<(), String> {
        let alerts = &self.0.sources.alerts;
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let mut looked: BTreeSet<PublicationId> =
            alerts.live(now).iter().map(|live| live.id).rev().take(WATCHED_MAX).collect();
        let first = !std::mem::replace(&mut rhythm.begun, true);
        if first {
            let recent = alerts.recent(None, WATCHED_MAX).await.map_err(|error| why(&error))?;
            looked.extend(recent.iter().map(|stored| stored.publication.id));
        }
        let known: Vec<(PublicationId, bool)> = {
            let watched = self.watched();
            watched.iter().map(|(id, one)| (*id, one.row.state == "live")).collect()
        };
        // Still live: nothing to be told of. No longer: what became of it?
        let over = known.iter().filter(|(id, live)| *live && !looked.contains(id));
        let over: Vec<PublicationId> = over.map(|(id, _)| *id).collect();
        looked.retain(|id| !known.iter().any(|(known, _)| known == id));
        looked.extend(over);
        while let Some(id) = looked.pop_first() {
            let Some(stored) = alerts.get(id).await.map_err(|error| why(&error))? else {
                self.watched().remove(&id);
                continue;
            };
            let row = rows::row(alerts, &stored, now).await.map_err(|problem| problem.detail)?;
            let agency = stored.publication.agency.clone();
            if let Some(by) = row.superseded_by.filter(|by| !self.watched().contains_key(by)) {
                looked.insert(by);
            }
            let changed = self.watched().get(&id).is_none_or(|known| known.row != row);
            if changed && !first {
                self.tell("publication", Listeners::Agency(agency.clone()), &row);
            }
            let mut watched = self.watched();
            match watched.get_mut(&id) {
                Some(known) => known.row = row,
                None => {
                    let fresh = now.duration_since(row.accepted_at) < FRESH;
                    let rates = if fresh { Rates::beginning(now) } else { Rates::default() };
                    let funnel = None;
                    watched.insert(id, Watched { agency, row, funnel, rates });
                }
            }
        }
        self.forget(now);
        Ok(())
    }

    fn forget(&self, now: Timestamp) {
        let mut watched = self.watched();
        watched.retain(|_, one| now.duration_since(one.row.expires) < AFTERWARDS);
        while watched.len() > WATCHED_MAX {
            watched.pop_first();
        }
    }

    /// Says of which live publications the answers changed, to whoever is there to hear it.
    async fn look_at_answers(&self, rhythm: &mut Rhythm, now: Timestamp) {
        let early = rhythm.counting_from.is_some_and(|from| now < from);
        if early || self.0.messages.receiver_count() == 0 {
            return;
        }
        let live: Vec<(PublicationId, AgencyId, bool)> = {
            let watched = self.watched();
            let live = watched.iter().rev().filter(|(_, one)| one.row.state == "live");
            let live = live.map(|(id, one)| (*id, one.agency.clone(), one.row.kind == "notice"));
            live.take(ANSWERED_MAX).collect()
        };
        let mut heard = BTreeMap::new();
        for (id, agency, survey) in live {
            let answers = &self.0.sources.answers;
            let counted = match survey {
                true => answers.tally(id).await.map(Heard::Survey),
                false => answers.safety(id).await.map(Heard::Safety),
            };
            match counted {
                Ok(counts) => {
                    let before = rhythm.heard.get(&id);
                    let quiet = before.is_none() && counts.is_empty();
                    if !quiet && before != Some(&counts) {
                        self.tell("answers", Listeners::Agency(agency), &AnswersEvent { id });
                    }
                    heard.insert(id, counts);
                }
                Err(error) => tracing::warn!(%error, "answers could not be counted"),
            }
        }
        rhythm.heard = heard;
        let counted = self.0.sources.clock.now();
        rhythm.counting_from = counted.checked_add(counted.duration_since(now) * COUNTING).ok();
    }

    async fn look_at_funnel(&self, id: PublicationId, states: &[ProviderState], now: Timestamp) {
        let funnel = match self.0.sources.ledger.funnel(id).await {
            Ok(funnel) => funnel,
            Err(error) => {
                tracing::warn!(%error, "a funnel could not be read");
                return;
            }
        };
        let agency = {
            let mut watched = self.watched();
            let Some(one) = watched.get_mut(&id) else { return };
            if one.funnel.as_ref() == Some(&funnel) {
                one.rates.rest(now);
                return;
            }
            one.rates.take(&funnel.total, now);
            one.funnel = Some(funnel.clone());
            one.agency.clone()
        };
        let event = FunnelEvent {
            id,
            total: &funnel.total,
            channels: &funnel.channels,
            units: &funnel.units,
            open_dispatches: funnel.open_dispatches,
            latency: (&funnel.accepted_ms).into(),
            providers: states,
        };
        self.tell("funnel", Listeners::Agency(agency), &event);
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<PublicationId, Watched>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the pulse remembers from beat to beat.
#[derive(Debug, Default)]
struct Rhythm {
    begun: bool,
    ledger: u64,
    providers: Vec<ProviderState>,
    /// Funnels that may have changed and were not looked at yet.
    waiting: Vec<PublicationId>,
    /// What was answered to what is live.
    heard: BTreeMap<PublicationId, Heard>,
    /// When answers are counted again.
    counting_from: Option<Timestamp>,
}
