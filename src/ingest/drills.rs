//! Link tests: every few minutes each unit's canary devices are sent something, by the whole road
//! that an alert takes to a phone and back, and nobody else is.
//!
//! A canary is a device that an operator gave to a pseudonym of its unit; a link test is a status
//! change for that pseudonym. So it goes through log, router, workers, provider and app, and its
//! receipt comes back to the ledger, on the personal lane, which yields to every alert.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::domain::agency::{Agency, DRILLS, Jurisdiction};
use crate::domain::audience::Audience;
use crate::domain::certificate::CapSigning;
use crate::domain::ids::{DeviceId, PublicationId, SubjectId, UnitCode};
use crate::domain::lane::Lane;
use crate::domain::publication::Content;
use crate::domain::receipt::Stage;
use crate::domain::status_change::{Owner, StatusChange};
use crate::http::{Code, Problem};
use crate::ingest::Ingest;
use crate::ingest::publish::Checked;
use crate::store::alerts::Identity;
use crate::store::drills::{Canary, LinkTest};
use crate::store::registry::Registry;

/// The kind of status change that a link test is.
pub const KIND: &str = "link-test";
/// A receipt that has not come by then counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the receipts are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// A push about it is worth sending this long.
const LIFE: SignedDuration = SignedDuration::from_mins(2);

/// The pseudonym that a unit's canaries belong to.
pub fn pseudonym(unit: &UnitCode) -> SubjectId {
    format!("loa-canary-{unit}").parse().expect("a unit's code fits a pseudonym's alphabet")
}

/// Gives a device to its unit's pseudonym. One that belongs to a citizen is refused.
pub async fn appoint(
    registry: &Registry,
    unit: &UnitCode,
    device: DeviceId,
) -> Result<Canary, Problem> {
    let internal = |error: crate::store::registry::Error| Problem::internal(&error);
    let known = registry.get(&device).await.map_err(internal)?;
    let known = known.ok_or_else(|| Problem::new(Code::NotFound, format!("no device {device}")))?;
    let subject = pseudonym(unit);
    if known.device.subject.as_ref().is_some_and(|owner| *owner != subject) {
        return Err(Problem::new(Code::Conflict, "the device belongs to somebody"));
    }
    registry.claim(&device, Some(subject)).await.map_err(internal)?;
    Ok(Canary { unit: unit.clone(), device, last_sent: None, last_received: None })
}

/// Runs link tests for as long as the node runs: every so many minutes (0: never by itself), and
/// whenever one is asked for.
pub fn start(ingest: Ingest, minutes: u32, tasks: &crate::lifecycle::Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("link tests", async move {
        let every = Duration::from_secs(60 * u64::from(minutes.max(1)));
        // Spread, so that the nodes of a cluster do not test at once.
        let first = every.mul_f64(1.0 + rand::random::<f64>() / 5.0);
        let mut schedule = tokio::time::interval_at(Instant::now() + first, every);
        loop {
            tokio::select! {
                // Another node of the cluster may have tested meanwhile.
                _ = schedule.tick(), if minutes > 0 => if ingest.tested_within(every / 2).await {
                    continue;
                },
                () = ingest.link_test.notified() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            tokio::select! {
                tested = ingest.test_links() => if let Err(problem) = tested {
                    tracing::error!(code = problem.code.as_str(), "a link test failed to run");
                },
                () = stop.cancelled() => return Ok(()),
            }
        }
    });
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

impl Ingest {
    /// Whether the newest link test, of whichever node, is this young.
    async fn tested_within(&self, age: Duration) -> bool {
        match self.drills.history(1).await {
            Ok(tests) => tests
                .first()
                .is_some_and(|test| self.clock.now().duration_since(test.at) < signed(age)),
            Err(error) => {
                tracing::warn!(%error, "link tests could not be read");
                false
            }
        }
    }

    /// Sends to every canary, waits for their receipts, and remembers what came of it.
    pub async fn test_links(&self) -> Result<Option<LinkTest>, Problem> {
        let canaries = self.drills.canaries().await.map_err(|error| Problem::internal(&error))?;
        if canaries.is_empty() {
            return Ok(None);
        }
        let at = self.clock.now();
        let sent = self.send_tests(&canaries).await?;
        let deadline = Instant::now() + PATIENCE;
        let mut reached: BTreeMap<DeviceId, u64> = BTreeMap::new();
        while reached.len() < canaries.len() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            let open = canaries.iter().filter(|one| !reached.contains_key(&one.device));
            for canary in open.collect::<Vec<_>>() {
                if let Some(ms) = self.arrival(canary, &sent).await? {
                    reached.insert(canary.device, ms);
                }
            }
        }
        let mut times: Vec<u64> = reached.values().copied().collect();
        times.sort_unstable();
        let (count, received) = (canaries.len() as u64, times.len() as u64);
        for canary in canaries {
            let ms = reached.get(&canary.device).map(|ms| SignedDuration::from_millis(*ms as i64));
            let last_received = ms.and_then(|ms| at.checked_add(ms).ok()).or(canary.last_received);
            let canary = Canary { last_sent: Some(at), last_received, ..canary };
            self.drills.put(canary).await.map_err(|error| Problem::internal(&error))?;
        }
        let ms_p50 = times.get(times.len().saturating_sub(1) / 2).copied();
        let test = LinkTest { at, sent: count, received, ms_p50 };
        self.drills.add(test.clone()).await.map_err(|error| Problem::internal(&error))?;
        if received < count {
            tracing::warn!(sent = count, received, "canaries did not answer a link test");
        }
        Ok(Some(test))
    }

    /// One publication for each unit that has canaries.
    async fn send_tests(
        &self,
        canaries: &[Canary],
    ) -> Result<BTreeMap<UnitCode, PublicationId>, Problem> {
        let now = self.clock.now();
        let agency = Agency {
            id: DRILLS.parse().expect("a constant of the ids' alphabet"),
            name: DRILLS.to_owned(),
            jurisdiction: Jurisdiction::unlimited(),
            operator: false,
            second_person: false,
            submission_keys: BTreeMap::new(),
            cap_signing: CapSigning::default(),
        };
        let units: BTreeSet<&UnitCode> = canaries.iter().map(|canary| &canary.unit).collect();
        let checked = units.iter().map(|unit| {
            let reference = format!("{unit}-{}", now.as_millisecond());
            let change = StatusChange {
                kind: KIND.to_owned(),
                reference: reference.clone(),
                state: "sent".to_owned(),
                owner: Owner::Citizen(pseudonym(unit)),
                changed_at: now,
                step: 1,
                remark: None,
            };
            Checked {
                lane: Lane::Personal,
                audience: Audience::of_subject(pseudonym(unit)),
                expires: now.checked_add(LIFE).unwrap_or(now),
                chain: None,
                supersedes: Vec::new(),
                identity: Identity::StatusChange {
                    agency: agency.id.clone(),
                    kind: KIND.to_owned(),
                    reference,
                    step: 1,
                },
                raw: None,
                signed_by: None,
                content: Content::StatusChange(Box::new(change)),
            }
        });
        let published = self.publish(&agency, checked.collect()).await?;
        Ok(units.into_iter().cloned().zip(published.into_iter().map(|one| one.id)).collect())
    }

    /// Milliseconds until a canary's receipt, to within one look, if it came.
    async fn arrival(
        &self,
        canary: &Canary,
        sent: &BTreeMap<UnitCode, PublicationId>,
    ) -> Result<Option<u64>, Problem> {
        let Some(id) = sent.get(&canary.unit) else { return Ok(None) };
        let known = self.registry.get(&canary.device).await;
        let Some(known) = known.map_err(|error| Problem::internal(&error))? else {
            return Ok(None);
        };
        let stage = self.ledger.stage_of(*id, known.device.num).await;
        let stage = stage.map_err(|error| Problem::internal(&error))?;
        if stage.is_none_or(|stage| stage < Stage::Received) {
            return Ok(None);
        }
        let funnel = self.ledger.funnel(*id).await.map_err(|error| Problem::internal(&error))?;
        Ok(funnel.received_ms.last_ms)
    }
}
