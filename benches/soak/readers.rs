//! Those who look and answer: what is in force, inboxes, funnels, metrics, and people who say that
//! they are safe. Any answer but the right one ends the run.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use loa::simulator::citizens::Population;
use rand::RngExt;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::desk::Desk;

const EVERY: Duration = Duration::from_millis(500);
/// A funnel and metrics are asked for every nth time, as a desk and a monitor would.
const SELDOM: u64 = 10;

/// Who looks.
pub struct Readers {
    /// At what.
    pub node: SocketAddr,
    /// Whose devices they use.
    pub people: Population,
    /// The devices of those that stay and hold a stream.
    pub devices: Vec<u32>,
    /// Whose publications.
    pub desk: Desk,
}

impl Readers {
    /// Has them look until they are told to stop.
    pub async fn work(self, stop: CancellationToken) -> Result<()> {
        let mut client = Client::connect(self.node).await?;
        let mut due = interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0u64.. {
            tokio::select! {
                _ = due.tick() => {}
                () = stop.cancelled() => break,
            }
            self.look(&mut client).await?;
            if number.is_multiple_of(SELDOM) {
                self.monitor(&mut client).await?;
            }
        }
        Ok(())
    }

    /// A citizen looks, and says how they are.
    async fn look(&self, client: &mut Client) -> Result<()> {
        let index = rand::rng().random_range(0..self.devices.len());
        let device = self.devices[index];
        let (id, secret) = (self.people.id(device), self.people.secret(device));
        let own = format!("Loa-Device {id}:{}", secret.reveal());
        for (path, own) in [("/v1/alerts/active", None), ("/v1/inbox", Some(own.as_str()))] {
            client.expect((Method::GET, path, own), None, StatusCode::OK).await?;
        }
        if let Some(publication) = self.desk.newest_for_everybody() {
            let answer = json!({"publication": publication, "answer": "safe"});
            let line = (Method::POST, "/v1/answers", Some(own.as_str()));
            client.expect(line, Some(&answer), StatusCode::ACCEPTED).await?;
        }
        Ok(())
    }

    /// Somebody on duty looks.
    async fn monitor(&self, client: &mut Client) -> Result<()> {
        let (status, _) = client.send((Method::GET, "/metrics", None), None).await?;
        anyhow::ensure!(status == StatusCode::OK, "/metrics: {status}");
        let Some(publication) = self.desk.newest_for_everybody() else { return Ok(()) };
        let path = format!("/v1/publications/{publication}/funnel");
        let line = (Method::GET, path.as_str(), Some(self.desk.authorization()));
        let funnel = client.expect(line, None, StatusCode::OK).await?;
        funnel["total"]["targeted"].as_u64().context("a funnel has a total").map(drop)
    }
}
