//! A whole node in this process: real sockets on port 0, a directory of its own, simulated
//! providers and a population.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use loa::clock::Clock;
use loa::config::{self, Config};
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::alert::CapTime;
use loa::domain::funnel::Funnel;
use loa::domain::ids::PublicationId;
use loa::node::{Node, Outside};
use loa::simulator::citizens::{Mix, Population};
use loa::simulator::providers::{Options, Providers};
use tempfile::TempDir;

use super::http::{Answer, ask};
use super::shape::Shape;
use super::{logs, metrics};

/// How long a condition is waited for before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running node with everything around it.
pub struct TestNode {
    /// The node.
    pub node: Node,
    /// The simulated Apple and Google.
    pub providers: Providers,
    /// The key of an agency that may do everything and is an operator.
    pub key: String,
    /// Its data directory; removed at the end.
    pub dir: TempDir,
}

/// The settings of a test's node: fresh directory, port 0, no rate limits.
pub fn settings(dir: &TempDir) -> Config {
    logs::listen();
    metrics::install();
    let flags = [
        ("node.data_dir", dir.path().display().to_string()),
        ("node.listen", "127.0.0.1:0".to_owned()),
        ("http.requests_per_second", "1000000".to_owned()),
        ("http.request_burst", "1000000".to_owned()),
        ("http.credential_requests_per_second", "1000000".to_owned()),
        ("http.credential_request_burst", "1000000".to_owned()),
        ("http.citizen_requests_per_second", "1000000".to_owned()),
        ("http.citizen_request_burst", "1000000".to_owned()),
        ("gateway.streams_per_address", "1000000".to_owned()),
        ("gateway.new_streams_per_second", "1000000".to_owned()),
        ("gateway.new_streams_burst", "1000000".to_owned()),
    ];
    config::load(None, &flags).expect("the test's settings are valid")
}

impl TestNode {
    /// A node with default settings.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A node with changed settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let providers = Providers::start(Options::default()).await.expect("the simulator starts");
        Self::over(dir, providers, change).await
    }

    /// A node of a shape, with changed settings.
    pub async fn shaped(shape: &Shape, change: impl FnOnce(&mut Config)) -> Self {
        let shaped = |config: &mut Config| {
            shape.apply(config);
            change(config);
        };
        Self::with(shaped).await
    }

    /// A node over a directory that may hold an earlier node's data.
    pub async fn over(
        dir: TempDir,
        providers: Providers,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = settings(&dir);
        config.channel = providers.channel_settings();
        change(&mut config);
        let outside = Outside { clock: Clock::System, listener: None, simulated: true };
        let node = Node::start(&config, outside).await.expect("the node starts");
        let key = agency(&node, "test", Jurisdiction::unlimited()).await.expect("an agency");
        Self { node, providers, key, dir }
    }

    /// Registers a population's devices in bulk.
    pub async fn populate(&self, size: u32, mix: Mix) -> Population {
        let population = Population::new(&self.node.parts.city, size, (1, mix));
        let everyone = population.clone();
        let devices = (0..size).map(move |index| everyone.device(index));
        self.node.parts.registry.bulk_load(devices).await.expect("loaded");
        population
    }

    /// Asks the node over HTTP, with the test agency's key.
    pub async fn ask(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Answer {
        let credentials = format!("Bearer {}", self.key);
        ask(self.node.address, (method, path), Some(&credentials), body).await.expect("an answer")
    }

    /// Publishes CAP XML, which must be accepted.
    pub async fn publish(&self, xml: String) -> PublicationId {
        let body = Some(("application/cap+xml", Bytes::from(xml)));
        let answer = self.ask(Method::POST, "/v1/alerts", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").parse().expect("a publication id")
    }

    /// The funnel as it is now.
    pub async fn funnel(&self, id: PublicationId) -> Funnel {
        self.node.parts.ledger.funnel(id).await.expect("a funnel")
    }

    /// Waits until a publication's funnel fulfils a condition; the test fails when it does not.
    pub async fn funnel_where(&self, id: PublicationId, holds: impl Fn(&Funnel) -> bool) -> Funnel {
        let mut changes = self.node.parts.ledger.watch();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            changes.borrow_and_update();
            let funnel = self.funnel(id).await;
            if holds(&funnel) {
                return funnel;
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            assert!(changed.is_ok(), "not so within {PATIENCE:?}: {:?}", funnel.total);
        }
    }

    /// Stops the node in order and gives back what a next one needs.
    pub async fn stop(self) -> (TempDir, Providers) {
        self.node.stop().await.expect("the node drains");
        logs::clean();
        (self.dir, self.providers)
    }
}

/// Adds an agency with a jurisdiction and answers its key.
pub async fn agency(node: &Node, id: &str, jurisdiction: Jurisdiction) -> Result<String> {
    let operator = id == "test";
    let agency = Agency {
        id: id.parse()?,
        name: id.to_owned(),
        jurisdiction,
        operator,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: false,
    };
    let id = agency.id.clone();
    let agencies = &node.parts.agencies;
    agencies.put(agency).await?;
    let name = format!("key-{}", Timestamp::now().as_nanosecond());
    let key = agencies.add_key(&id, &name, Timestamp::now(), None).await.context("a key")?;
    Ok(key.expose().to_owned())
}

/// CAP XML of an alert: what a test wants to vary, the rest plausible.
#[derive(Clone, Debug)]
pub struct AlertXml {
    /// Unique.
    pub identifier: String,
    /// The `area` elements' content after `areaDesc`.
    pub area: String,
    /// CAP severity.
    pub severity: &'static str,
    /// CAP urgency.
    pub urgency: &'static str,
    /// CAP status.
    pub status: &'static str,
    /// How long it lasts.
    pub life: SignedDuration,
}

impl AlertXml {
    /// A hot alert over an area.
    pub fn hot(identifier: &str, area: &str) -> Self {
        Self {
            identifier: identifier.to_owned(),
            area: area.to_owned(),
            severity: "Severe",
            urgency: "Immediate",
            status: "Actual",
            life: SignedDuration::from_hours(2),
        }
    }

    /// The document.
    pub fn render(&self) -> String {
        let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a second");
        let sent = CapTime::new(now, 420);
        let expires = CapTime::new(now + self.life, 420);
        let Self { identifier, area, severity, urgency, status, .. } = self;
        let info = |language: &str, headline: &str| {
            format!(
                "<info><language>{language}</language><category>Met</category>\
                 <event>Ngập</event><responseType>Avoid</responseType>\
                 <urgency>{urgency}</urgency><severity>{severity}</severity>\
                 <certainty>Observed</certainty><expires>{expires}</expires>\
                 <headline>{headline}</headline><description>…</description>\
                 <instruction>…</instruction>\
                 <area><areaDesc>Khu vực thử</areaDesc>{area}</area></info>"
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\
             <identifier>{identifier}</identifier><sender>test@loa.example</sender>\
             <sent>{sent}</sent><status>{status}</status><msgType>Alert</msgType>\
             <scope>Public</scope>{}{}</alert>",
            info("vi-VN", "Ngập sâu"),
            info("en-US", "Deep flooding")
        )
    }
}

/// A polygon over the middle of the city, in CAP's words.
pub const CENTRE: &str = "<polygon>10.70,106.60 10.70,106.80 10.90,106.80 10.90,106.60 \
                          10.70,106.60</polygon>";
