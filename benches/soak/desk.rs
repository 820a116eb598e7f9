//! The agency: alerts for everybody, for units and for drawn squares, their updates and cancels,
//! news and status changes, each at a steady pace. A chain goes on when its last word has reached
//! everybody it must reach, so that who gets what is certain whatever fails meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use jiff::Timestamp;
use loa::domain::ids::PublicationId;
use loa::domain::notice::AreaTarget;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::crowd::Crowd;
use crate::node::subject;
use crate::plan::{Plan, signed};
use crate::pushed::Pushed;
use crate::target::{Expected, Town, cap_area};

/// Between two looks at how many have got it.
const LOOK: Duration = Duration::from_millis(250);
/// Status changes of one request.
const CHANGES: usize = 2;

/// What is published, at which pace.
#[derive(Clone, Copy)]
struct Beat {
    what: What,
    every: Duration,
    /// Every nth is followed by an update, every mth by a cancel; 0 is none.
    update: u64,
    cancel: u64,
    /// Between two words of a chain.
    gap: Duration,
}

#[derive(Clone, Copy)]
enum What {
    Everybody,
    Units,
    Square,
    News,
    Status,
}

/// A cancel lives for an hour at least, so there are few; all else is over within minutes.
const BEATS: [Beat; 6] = [
    Beat { what: What::Everybody, every: secs(40), update: 1, cancel: 2, gap: secs(5) },
    Beat { what: What::Units, every: secs(3), update: 4, cancel: 15, gap: secs(1) },
    Beat { what: What::Units, every: secs(4), update: 5, cancel: 0, gap: secs(1) },
    Beat { what: What::Square, every: secs(4), update: 4, cancel: 0, gap: secs(1) },
    Beat { what: What::News, every: secs(5), update: 0, cancel: 0, gap: secs(1) },
    Beat { what: What::Status, every: secs(1), update: 0, cancel: 0, gap: secs(1) },
];

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The agency. Clones share it.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    plan: Plan,
    node: SocketAddr,
    authorization: String,
    town: Arc<Town>,
    pushed: Arc<Pushed>,
    crowd: Crowd,
    number: AtomicU64,
    expected: Mutex<BTreeMap<PublicationId, Expected>>,
    failed: Mutex<Vec<String>>,
    /// That everybody has got.
    newest: Mutex<Option<PublicationId>>,
}

impl Desk {
    /// The agency with this key.
    pub fn new(
        plan: Plan,
        (node, key): (SocketAddr, &str),
        town: Arc<Town>,
        (pushed, crowd): (Arc<Pushed>, Crowd),
    ) -> Self {
        Self(Arc::new(Inner {
            plan,
            node,
            authorization: format!("Bearer {key}"),
            town,
            pushed,
            crowd,
            number: AtomicU64::new(0),
            expected: Mutex::default(),
            failed: Mutex::default(),
            newest: Mutex::default(),
        }))
    }

    /// Publishes until it is told to stop, and ends the chains that are open then.
    pub async fn work(self, stop: CancellationToken) -> Result<()> {
        let mut beats = JoinSet::new();
        for beat in BEATS {
            beats.spawn(self.clone().beat(beat, stop.clone()));
        }
        while let Some(done) = beats.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Who must have got what.
    pub fn expected(&self) -> BTreeMap<PublicationId, Expected> {
        self.0.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was refused, or did not reach everybody in time.
    pub fn failed(&self) -> Vec<String> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest alert that everybody has got.
    pub fn newest_for_everybody(&self) -> Option<PublicationId> {
        *self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it shows that it is who it is.
    pub fn authorization(&self) -> &str {
        &self.0.authorization
    }

    async fn beat(self, beat: Beat, stop: CancellationToken) -> Result<()> {
        let mut client = Client::connect(self.0.node).await?;
        let mut due = interval(beat.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1.. {
            tokio::select! {
                _ = due.tick() => {}
                () = stop.cancelled() => break,
            }
            if let Err(error) = self.chain(&mut client, beat, number).await {
                let failed = &mut self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
                eprintln!("  failed: {error:#}");
                failed.push(format!("{error:#}"));
            }
        }
        Ok(())
    }

    /// Something new, and what follows it.
    async fn chain(&self, client: &mut Client, beat: Beat, number: u64) -> Result<()> {
        let town = &self.0.town;
        let area = match beat.what {
            What::Everybody => town.everybody(),
            What::Units => town.some_units(),
            What::Square => town.a_square()?,
            What::News => {
                let area = town.some_units();
                let notice = self.notice(&area);
                return self
                    .say(client, "/v1/notices", notice, town.expected(&area)?)
                    .await
                    .map(drop);
            }
            What::Status => return self.tell(client).await,
        };
        let expected = town.expected(&area)?;
        let id = self.say(client, "/v1/alerts", self.alert(&area), expected.clone()).await?;
        if matches!(beat.what, What::Everybody) {
            *self.0.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        }
        let follows = |every: u64| every > 0 && number.is_multiple_of(every);
        if follows(beat.update) {
            tokio::time::sleep(beat.gap).await;
            let (path, infos) = (format!("/v1/alerts/{id}/update"), self.infos(&area));
            self.say(client, &path, json!({ "infos": infos }), expected.clone()).await?;
        }
        if follows(beat.cancel) {
            tokio::time::sleep(beat.gap).await;
            let path = format!("/v1/alerts/{id}/cancel");
            self.say(client, &path, json!({"note": "over"}), expected).await?;
        }
        Ok(())
    }

    /// Publishes something, and waits until everybody has it who must.
    async fn say(
        &self,
        client: &mut Client,
        path: &str,
        body: Value,
        expected: Expected,
    ) -> Result<PublicationId> {
        let line = (Method::POST, path, Some(self.0.authorization.as_str()));
        let answer = client.expect(line, Some(&body), StatusCode::ACCEPTED).await?;
        let id = answer["id"].as_str().context("an id")?.parse()?;
        self.arrived(id, expected).await?;
        Ok(id)
    }

    /// Tells some citizens that something of theirs moved.
    async fn tell(&self, client: &mut Client) -> Result<()> {
        let mut citizens = Vec::new();
        while citizens.len() < CHANGES {
            let device = rand::rng().random_range(0..self.0.plan.stable());
            let is_pushed = self.0.town.is_pushed(device) && self.0.plan.is_citizens(device);
            if is_pushed && !citizens.contains(&device) {
                citizens.push(device);
            }
        }
        let change = |device: &u32| {
            json!({"kind": "report-1022", "reference": self.identifier(), "step": 1,
                "state": "received", "subject": subject(*device), "remark": "Đã nhận.",
                "changed_at": Timestamp::now()})
        };
        let changes: Vec<Value> = citizens.iter().map(change).collect();
        let line = (Method::POST, "/v1/status-changes", Some(self.0.authorization.as_str()));
        let body = json!({ "changes": changes });
        let answer = client.expect(line, Some(&body), StatusCode::ACCEPTED).await?;
        for (index, device) in citizens.into_iter().enumerate() {
            let id = answer["accepted"][index]["id"].as_str().context("an id")?.parse()?;
            self.arrived(id, Town::expected_of(device)).await?;
        }
        Ok(())
    }

    /// Waits until everybody has it who must.
    async fn arrived(&self, id: PublicationId, expected: Expected) -> Result<()> {
        let (pushes, streams) = (expected.pushed.devices, expected.streamed.devices);
        self.0.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(id, expected);
        let patience = Instant::now() + self.0.plan.life();
        loop {
            let pushed = self.0.pushed.count(id).await?;
            let streamed = self.0.crowd.count(id);
            if pushed >= pushes && streamed >= streams {
                return Ok(());
            }
            if Instant::now() > patience {
                let path = format!("/v1/publications/{id}/funnel");
                let line = (Method::GET, path.as_str(), Some(self.authorization()));
                let mut client = Client::connect(self.0.node).await?;
                let funnel = client.expect(line, None, StatusCode::OK).await?;
                anyhow::bail!(
                    "{id}: {pushed} of {pushes} pushed, {streamed} of {streams} streamed; {}",
                    funnel["total"]
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn identifier(&self) -> String {
        format!("soak-{}", self.0.number.fetch_add(1, Ordering::Relaxed))
    }

    fn expires(&self) -> Timestamp {
        let at = Timestamp::now() + signed(self.0.plan.life());
        Timestamp::from_second(at.as_second()).expect("a whole second")
    }

    fn alert(&self, area: &AreaTarget) -> Value {
        let sent = Timestamp::from_second(Timestamp::now().as_second()).expect("a whole second");
        json!({"identifier": self.identifier(), "sender": "soak@loa.example",
            "sent": zoned(sent), "status": "Actual", "msg_type": "Alert", "scope": "Public",
            "infos": self.infos(area)})
    }

    fn infos(&self, area: &AreaTarget) -> Value {
        let (expires, area) = (zoned(self.expires()), cap_area(area));
        let info = |language: &str, headline: &str, instruction: &str| {
            json!({"language": language, "categories": ["Met"], "event": "Ngập",
                "response_types": ["Avoid"], "urgency": "Immediate", "severity": "Severe",
                "certainty": "Observed", "expires": expires, "headline": headline,
                "description": headline, "instruction": instruction, "areas": [area]})
        };
        json!([
            info("vi-VN", "Ngập sâu do triều cường", "Tránh các tuyến đường ven sông."),
            info("en-US", "Deep flooding by the tide", "Avoid the roads along the river."),
        ])
    }

    fn notice(&self, area: &AreaTarget) -> Value {
        json!({"identifier": self.identifier(), "kind": "news", "target": area,
            "texts": {"vi": {"title": "Cắt nước", "body": "Tối nay, từ 22 giờ."}},
            "expires": self.expires()})
    }
}

/// CAP's form, in local time.
fn zoned(at: Timestamp) -> String {
    loa::domain::alert::CapTime::new(at, 420).to_string()
}
