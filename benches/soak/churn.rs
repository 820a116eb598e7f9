//! Devices that come, move and go, at a steady pace and with a steady number of them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use loa::domain::channel::{Channel, PushAddress};
use loa::domain::device::Place;
use loa::simulator::citizens::Population;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::plan::Plan;
use crate::target::Town;

const EVERY: Duration = Duration::from_secs(1);
/// Each time.
const COME: usize = 3;
const MOVE: usize = 5;
/// Apps that are deleted at once: enough that the node believes the providers.
pub const GONE: usize = 80;

/// A device that may move or go.
struct Known {
    number: u32,
    id: String,
    secret: String,
}

impl Known {
    fn authorization(&self) -> String {
        format!("Loa-Device {}:{}", self.id, self.secret)
    }
}

/// Who wants to know the addresses of apps that are deleted now.
pub type Deleted = oneshot::Sender<Vec<String>>;

/// All of them.
pub struct Churn {
    client: Client,
    people: Population,
    town: Arc<Town>,
    here: VecDeque<Known>,
    next: u32,
    /// Deleted apps, which the node still has to find out about.
    deleted: Vec<Known>,
}

impl Churn {
    /// Those of the plan that do not stay.
    pub async fn new(
        plan: Plan,
        node: SocketAddr,
        (people, town): (Population, Arc<Town>),
    ) -> Result<Self> {
        let known = |number: u32| Known {
            number,
            id: people.id(number).to_string(),
            secret: people.secret(number).reveal(),
        };
        let here = (plan.stable()..plan.devices).map(known).collect();
        let (client, next) = (Client::connect(node).await?, plan.devices);
        Ok(Self { client, people, town, here, next, deleted: Vec::new() })
    }

    /// Has them come, move and go until it is told to stop.
    pub async fn work(
        mut self,
        stop: CancellationToken,
        mut deletions: mpsc::Receiver<Deleted>,
    ) -> Result<()> {
        let mut due = interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = due.tick() => self.step().await?,
                Some(tell) = deletions.recv() => {
                    let tokens = self.delete().await?;
                    // Whoever asked may have ended with the run.
                    let _ = tell.send(tokens);
                }
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        for _ in 0..COME {
            self.come().await?;
            let known = self.here.pop_front().context("some are here")?;
            self.go(&known, &[StatusCode::NO_CONTENT]).await?;
        }
        for _ in 0..MOVE {
            self.move_on().await?;
        }
        Ok(())
    }

    async fn come(&mut self) -> Result<()> {
        let number = self.next;
        self.next += 1;
        ensure!(number < self.people.size(), "everybody has been here");
        let body = self.body(number, &self.people.device(number).profile.places);
        let line = (Method::POST, "/v1/devices", None);
        let device = self.client.expect(line, Some(&body), StatusCode::CREATED).await?;
        let text = |name: &str| device[name].as_str().map(str::to_owned).context("a text");
        self.here.push_back(Known { number, id: text("id")?, secret: text("secret")? });
        Ok(())
    }

    /// Somebody is somewhere else from now on.
    async fn move_on(&mut self) -> Result<()> {
        let known = self.here.pop_front().context("some are here")?;
        let unit = self.town.any_unit(&mut rand::rng());
        let body = self.body(known.number, &[Place { unit, cell: None }]);
        let (path, own) = (format!("/v1/devices/{}", known.id), known.authorization());
        let line = (Method::PUT, path.as_str(), Some(own.as_str()));
        self.client.expect(line, Some(&body), StatusCode::OK).await?;
        // Not the next to go.
        let at = rand::rng().random_range(self.here.len() / 2..=self.here.len());
        self.here.insert(at, known);
        Ok(())
    }

    async fn go(&mut self, known: &Known, expected: &[StatusCode]) -> Result<()> {
        let (path, own) = (format!("/v1/devices/{}", known.id), known.authorization());
        let line = (Method::DELETE, path.as_str(), Some(own.as_str()));
        let (status, answer) = self.client.send(line, None).await?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(expected.contains(&status), "DELETE: {status}: {text}");
        Ok(())
    }

    /// Some apps are deleted: their addresses. Others come, and those of the last time, whom the
    /// node has forgotten or not, are removed.
    async fn delete(&mut self) -> Result<Vec<String>> {
        for known in std::mem::take(&mut self.deleted) {
            let gone = [StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND];
            self.go(&known, &gone).await?;
        }
        let mut tokens = Vec::new();
        while tokens.len() < GONE {
            let known = self.here.pop_front().context("some are here")?;
            self.come().await?;
            match self.people.device(known.number).profile.address {
                PushAddress::Apns { token, .. } => tokens.push(token),
                PushAddress::Fcm { value, .. } => tokens.push(value),
                PushAddress::Webpush(to) => {
                    tokens.extend(to.endpoint.rsplit('/').next().map(Into::into))
                }
                PushAddress::Websocket => {}
            }
            self.deleted.push(known);
        }
        Ok(tokens)
    }

    fn body(&self, number: u32, places: &[Place]) -> Value {
        let units: Vec<Value> = places.iter().map(|place| json!({"unit": place.unit})).collect();
        let profile = self.people.device(number).profile;
        let mut body = json!({"places": units, "languages": profile.languages});
        if profile.address.channel() != Channel::Websocket {
            body["address"] = json!(profile.address);
        }
        body
    }
}
