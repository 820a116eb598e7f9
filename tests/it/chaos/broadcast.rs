//! One alert to the whole city, with a chain and one citizen's status changes beside it, and a
//! record that nobody can read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use loa::bus::{Record, TopicId};
use loa::domain::funnel::Funnel;
use loa::domain::ids::{PublicationId, UnitCode};
use loa::domain::lane::Lane;
use loa::simulator::providers::Providers;
use serde_json::{Value, json};

use super::nodes::{APIS, Nodes};
use super::stage::{LOOK, PATIENCE, SUBJECTS, Stage, subject};
use super::verdict::Fault;
use crate::recall::update_of;
use crate::support::node::AlertXml;
use crate::support::people::everywhere;
use crate::support::wire::lasts;

/// Deliveries that may wait for the counter: it only counts.
const ALL: usize = 1 << 20;
/// Pause before a request is repeated that no node took.
const AGAIN: Duration = Duration::from_millis(300);
/// Status changes of each citizen in one scenario.
const STEPS: u32 = 4;

/// Pushes of each publication, as they are taken.
#[derive(Clone, Default)]
pub struct Counted(Arc<Mutex<HashMap<PublicationId, usize>>>);

impl Counted {
    /// Counts from now on.
    pub fn of(providers: &Providers) -> Self {
        let counted = Self::default();
        let (mut pushes, mine) = (providers.deliveries(ALL), counted.clone());
        tokio::spawn(async move {
            while let Some(push) = pushes.recv().await {
                let mut counts = mine.0.lock().unwrap_or_else(PoisonError::into_inner);
                *counts.entry(push.publication).or_default() += 1;
            }
        });
        counted
    }

    /// How many of a publication.
    pub fn now(&self, id: PublicationId) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&id).copied().unwrap_or_default()
    }
}

/// Publications whose order is promised.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// An alert, its update, its cancel.
    pub chain: Vec<PublicationId>,
    /// Each citizen's status changes.
    pub changes: Vec<Vec<PublicationId>>,
}

/// Publishes like an agency: goes to the other node when one does not answer, and repeats what was
/// not accepted under the same identifier.
pub struct Publisher {
    key: String,
    apis: [SocketAddr; 2],
}

impl Publisher {
    /// Over the nodes of a stage.
    pub fn of(nodes: &Nodes, key: &str) -> Self {
        Self { key: key.to_owned(), apis: APIS.map(|name| nodes.address(name)) }
    }

    /// Posts until somebody accepts.
    pub async fn post(&self, path: &str, kind: &str, body: String) -> Value {
        let began = Instant::now();
        let credentials = format!("Bearer {}", self.key);
        let body = Bytes::from(body);
        for turn in 0.. {
            let api = self.apis[turn % 2];
            let request = (Method::POST, path);
            let sent = Some((kind, body.clone()));
            let asked = crate::support::http::ask(api, request, Some(&credentials), sent);
            match tokio::time::timeout(PATIENCE / 4, asked).await {
                Ok(Ok(answer)) if answer.status == StatusCode::ACCEPTED => return answer.json(),
                Ok(Ok(answer)) => {
                    let text = answer.text();
                    let passes = answer.status.is_server_error()
                        || answer.status == StatusCode::CONFLICT && text.contains("in_progress");
                    assert!(passes, "{path}: {} {text}", answer.status);
                }
                Ok(Err(_)) | Err(_) => {}
            }
            assert!(began.elapsed() < PATIENCE, "nobody accepts {path}");
            lasts(AGAIN).await;
        }
        unreachable!("a loop without an end")
    }

    /// Publishes CAP XML.
    pub async fn alert(&self, path: &str, xml: String) -> PublicationId {
        id_of(&self.post(path, "application/cap+xml", xml).await)
    }

    /// Publishes what is in order, one after another.
    pub async fn beside(&self, what: String, unit: UnitCode) -> Beside {
        let area =
            format!("<geocode><valueName>loa:unit</valueName><value>{unit}</value></geocode>");
        let first = AlertXml::hot(&what, &area).render();
        let changes = vec![Vec::new(); SUBJECTS];
        let mut beside = Beside { chain: Vec::new(), changes };
        beside.chain.push(self.alert("/v1/alerts", first.clone()).await);
        for step in 1..=STEPS {
            for place in 0..SUBJECTS {
                let change = json!({
                    "kind": "report-1022", "reference": format!("{what}-{place}"),
                    "state": if step == STEPS { "resolved" } else { "in-progress" },
                    "subject": subject(place), "step": step,
                    "changed_at": (Timestamp::UNIX_EPOCH
                        + jiff::SignedDuration::from_secs(i64::from(step))).to_string(),
                });
                let body = json!({ "changes": [change] }).to_string();
                let answer = self.post("/v1/status-changes", "application/json", body).await;
                beside.changes[place].push(id_of(&answer["accepted"][0]));
            }
            let last = *beside.chain.last().expect("the alert");
            if step == 2 {
                let update = update_of(&first, &format!("{what}-update"), &area);
                let path = format!("/v1/alerts/{last}/update");
                beside.chain.push(self.alert(&path, update).await);
            } else if step == 4 {
                let path = format!("/v1/alerts/{last}/cancel");
                let answer = self.post(&path, "application/json", "{}".to_owned()).await;
                beside.chain.push(id_of(&answer));
            }
        }
        beside
    }
}

fn id_of(answer: &Value) -> PublicationId {
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("no id in {answer}"));
    id.parse().expect("a publication id")
}

/// Runs a broadcast with what is in order beside it, lets something fail once a share of a hundred
/// was reached, and looks what it came to. `workers` may begin their batches again.
pub async fn under_fire(
    stage: &mut Stage,
    (what, share, workers): (&str, usize, usize),
    fail: impl AsyncFnOnce(&mut Stage),
) {
    stage.crowd.forget();
    stage.poison().await;
    let (publisher, unit, name) = (stage.publisher(), stage.unit(), stage.fresh("beside"));
    let id = stage.broadcast("everyone", share).await;
    let beside = tokio::spawn(async move { publisher.beside(name, unit).await });
    let fault = Fault::now(stage, what, workers);
    fail(stage).await;
    stage.everyone_is_reached(id, &fault).await;
    let beside = beside.await.expect("published");
    stage.order_was_kept(&beside).await;
    stage.nothing_twice_on_sockets();
    stage.only_poison_is_dead().await;
}

impl Stage {
    /// A unit where somebody with a socket is.
    pub fn unit(&self) -> UnitCode {
        self.population.device(self.crowd.people[0]).profile.places[0].unit.clone()
    }

    /// Who publishes.
    pub fn publisher(&self) -> Publisher {
        Publisher::of(&self.nodes, &self.key)
    }

    /// Publishes an alert to everyone and waits until a share of a hundred got it.
    pub async fn broadcast(&mut self, what: &str, share: usize) -> PublicationId {
        self.slow_down();
        let area = everywhere(&self.parts.city);
        let xml = AlertXml::hot(&self.fresh(what), &area).render();
        let id = self.publisher().alert("/v1/alerts", xml).await;
        self.pushed(id, self.tokens.len() * share / 100).await;
        id
    }

    /// Waits until so many pushes of a publication were taken.
    pub async fn pushed(&self, id: PublicationId, wanted: usize) {
        let began = Instant::now();
        while self.counted.now(id) < wanted {
            let now = self.counted.now(id);
            assert!(began.elapsed() < PATIENCE, "{now} of {wanted} pushes");
            lasts(LOOK / 5).await;
        }
    }

    /// Puts a record on the log that nobody can read.
    pub async fn poison(&mut self) {
        let topic = TopicId::Publications(Lane::Emergency);
        let record = Record {
            key: "poison".to_owned(),
            headers: vec![("ce_specversion".to_owned(), "1.0".to_owned())],
            payload: Bytes::from_static(b"{\"not\": \"a publication\""),
        };
        let published = self.parts.bus.publish(topic, vec![record]).await;
        self.poisoned.extend(published.expect("published").into_iter().flatten());
    }

    /// The funnel as the agency sees it; none while nobody answers.
    pub async fn funnel(&self, id: PublicationId) -> Option<Funnel> {
        let path = format!("/v1/publications/{id}/funnel");
        for name in APIS {
            let asked = self.nodes.ask(name, (Method::GET, &path), &self.key, None);
            if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE / 4, asked).await
                && answer.status == StatusCode::OK
            {
                return serde_json::from_slice(&answer.body).ok();
            }
        }
        None
    }

    /// Waits until nothing of a publication is left to be sent and so many were accepted.
    pub async fn over(&self, id: PublicationId, accepted: u64) -> Funnel {
        let began = Instant::now();
        loop {
            let funnel = self.funnel(id).await;
            let is_over =
                |funnel: &Funnel| funnel.open_dispatches == 0 && funnel.total.accepted >= accepted;
            if let Some(funnel) = funnel.as_ref().filter(|funnel| is_over(funnel)) {
                return funnel.clone();
            }
            let logs = || self.nodes.log("fanout-1");
            assert!(began.elapsed() < PATIENCE, "of {accepted}: {funnel:?}\n{}", logs());
            // A funnel is the sum of hundreds of rows.
            lasts(LOOK * 4).await;
        }
    }
}
