//! A node with its simulated providers, an agency that may publish anything, and a watcher of
//! what the providers accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use loa::bus;
use loa::channel;
use loa::clock::Clock;
use loa::config;
use loa::domain::agency::{Agency, Jurisdiction};
use loa::domain::alert::CapTime;
use loa::domain::ids::{PublicationId, UnitCode};
use loa::geofence::import;
use loa::node::{Node, Outside};
use loa::simulator::providers::{Options, Providers};
use loa::store;
use loa::store::registry::NewDevice;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::growth;

/// The media type of CAP.
pub const CAP_XML: &str = "application/cap+xml";
/// Pushes the watcher may be behind; more than any benchmark sends at once.
const WATCHED: usize = 1 << 21;
/// A broadcast that takes longer has failed: so long in any case, and so long for each device.
const PATIENCE: Duration = Duration::from_secs(300);
const PATIENCE_EACH: Duration = Duration::from_micros(400);
/// Between two looks at how many have arrived.
const LOOK: Duration = Duration::from_millis(5);

/// Everything that runs.
pub struct Stage {
    /// The node.
    pub node: Node,
    /// What the providers accepted.
    pub arrivals: Arrivals,
    providers: Option<Providers>,
    client: SendRequest<Full<Bytes>>,
    key: String,
    published: u64,
    registered: u64,
    dir: TempDir,
}

/// What a node of a cluster stands on.
pub struct Servers {
    /// Its stores.
    pub redis: store::redis::Settings,
    /// Its log, whose topics are there.
    pub kafka: bus::kafka::Settings,
}

/// When pushes were accepted, by publication. Clones share it.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<Mutex<HashMap<PublicationId, Vec<Timestamp>>>>);

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, HashMap<PublicationId, Vec<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many so far.
    pub fn count(&self, id: PublicationId) -> usize {
        self.lock().get(&id).map_or(0, Vec::len)
    }

    /// Takes note of everything that providers accept from now on.
    pub fn watch(&self, providers: &Providers) {
        let (mut pushes, kept) = (providers.deliveries(WATCHED), self.clone());
        tokio::spawn(async move {
            while let Some(push) = pushes.recv().await {
                kept.lock().entry(push.publication).or_default().push(push.at);
            }
        });
    }

    /// Waits for so many.
    pub async fn reach(&self, id: PublicationId, count: usize) -> Result<()> {
        let (began, patience) = (Instant::now(), patience(count as u64));
        while self.count(id) < count {
            ensure!(began.elapsed() < patience, "{} of {count} arrived", self.count(id));
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Those of a publication, sorted; they are kept no longer.
    pub fn take(&self, id: PublicationId) -> Vec<Timestamp> {
        let mut all = self.lock().remove(&id).unwrap_or_default();
        all.sort_unstable();
        all
    }

    /// Milliseconds since an instant, sorted.
    pub fn ms_since(&self, id: PublicationId, since: Timestamp) -> Vec<f64> {
        let ms = |at: &Timestamp| at.duration_since(since).as_secs_f64() * 1e3;
        let mut all: Vec<f64> = self.lock().get(&id).into_iter().flatten().map(ms).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// What was accepted with 202.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// As what.
    pub id: PublicationId,
    /// When the request was made.
    pub asked_at: Timestamp,
    /// When the answer was there.
    pub answered_at: Timestamp,
    /// From one to the other.
    pub took: Duration,
}

/// What was answered to a request.
pub struct Posted {
    /// How it went.
    pub status: StatusCode,
    /// The answer.
    pub answer: Bytes,
    asked_at: Timestamp,
    answered_at: Timestamp,
    /// From the request to the whole answer.
    pub took: Duration,
}

/// How urgent.
#[derive(Clone, Copy, Debug)]
pub enum Heat {
    /// The emergency lane.
    Hot,
    /// The routine lane.
    Routine,
}

impl Stage {
    /// Starts it, the providers in this process.
    pub async fn set() -> Result<Self> {
        let providers = Providers::start(Options::default()).await?;
        let mut stage = Self::over(providers.channel_settings(), None).await?;
        stage.arrivals.watch(&providers);
        stage.providers = Some(providers);
        Ok(stage)
    }

    /// Starts a node over providers elsewhere, and over the servers of a cluster if they are named;
    /// nobody watches what the providers accept.
    pub async fn over(channel: channel::Settings, servers: Option<Servers>) -> Result<Self> {
        Self::start(tempfile::tempdir()?, channel, servers).await
    }

    /// Starts a node that has the true boundaries, where they are, and no providers.
    pub async fn of_true_boundaries() -> Result<Self> {
        let (dir, boundaries) = (tempfile::tempdir()?, growth::boundaries());
        if boundaries.exists() {
            import::import(&boundaries, dir.path(), Timestamp::now())?;
        } else {
            eprintln!("true boundaries are not there: measuring on the approximate ones");
        }
        Self::start(dir, channel::Settings::default(), None).await
    }

    async fn start(
        dir: TempDir,
        channel: channel::Settings,
        servers: Option<Servers>,
    ) -> Result<Self> {
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
        let mut config = config::load(None, &flags)?;
        config.channel = channel;
        if let Some(Servers { redis, kafka }) = servers {
            config.store = store::Settings::Redis(Box::new(redis));
            config.bus.shape = bus::Shape::Kafka(Box::new(kafka));
        }
        let outside = Outside { clock: Clock::System, listener: None, simulated: true };
        let node = Node::start(&config, outside).await?;
        let key = agency(&node).await?;
        let arrivals = Arrivals::default();
        let client = connect(&node).await?;
        Ok(Self { node, arrivals, providers: None, client, key, published: 0, registered: 0, dir })
    }

    /// The agency's API key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it keeps its data.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The units of the city.
    pub fn units(&self) -> Vec<UnitCode> {
        self.node.parts.city.units().iter().map(|unit| unit.code.clone()).collect()
    }

    /// Registers devices in bulk.
    pub async fn register<I>(&mut self, devices: I) -> Result<u64>
    where
        I: IntoIterator<Item = NewDevice> + Send + 'static,
    {
        let count = self.node.parts.registry.bulk_load(devices).await?;
        self.registered += count;
        Ok(count)
    }

    /// Posts an alert to units over a kept connection.
    pub async fn publish(&mut self, heat: Heat, units: &[UnitCode]) -> Result<Accepted> {
        self.published += 1;
        let body = Bytes::from(alert(self.published, heat, &area_of(units)));
        let posted = self.post("/v1/alerts", CAP_XML, body).await?;
        let Posted { status, answer, asked_at, answered_at, took } = posted;
        if status != StatusCode::ACCEPTED {
            bail!("{status}: {}", String::from_utf8_lossy(&answer));
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().context("an id")?.parse()?;
        Ok(Accepted { id, asked_at, answered_at, took })
    }

    /// Posts something over the kept connection, as the agency.
    pub async fn post(&mut self, path: &str, content: &str, body: Bytes) -> Result<Posted> {
        let request = Request::post(path)
            .header(HOST, self.node.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, content)
            .body(Full::new(body))?;
        self.send(request).await
    }

    /// What the node says of itself.
    pub async fn metrics(&mut self) -> Result<String> {
        let request = Request::get("/metrics")
            .header(HOST, self.node.address.to_string())
            .body(Full::new(Bytes::new()))?;
        Ok(String::from_utf8(self.send(request).await?.answer.into())?)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Posted> {
        // The node closes a connection that was idle while devices were loaded.
        if self.client.ready().await.is_err() {
            self.client = connect(&self.node).await?;
        }
        let (asked_at, began) = (Timestamp::now(), Instant::now());
        let response = self.client.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        Ok(Posted {
            status,
            answer,
            asked_at,
            answered_at: Timestamp::now(),
            took: began.elapsed(),
        })
    }

    /// Waits until every dispatch of a publication is done, so that the next finds an idle node.
    pub async fn quiet(&self, id: PublicationId) -> Result<()> {
        let (began, patience) = (Instant::now(), patience(self.registered));
        loop {
            let funnel = self.node.parts.ledger.funnel(id).await?;
            if funnel.total.targeted > 0 && funnel.open_dispatches == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < patience, "{} dispatches are open", funnel.open_dispatches);
            tokio::time::sleep(10 * LOOK).await;
        }
    }

    /// Stops everything.
    pub async fn strike(self) -> Result<()> {
        self.node.stop().await?;
        if let Some(providers) = self.providers {
            providers.stop().await;
        }
        Ok(())
    }
}

async fn connect(node: &Node) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(node.address).await?;
    stream.set_nodelay(true)?;
    let (client, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(client)
}

async fn agency(node: &Node) -> Result<String> {
    let id: loa::domain::ids::AgencyId = "bench".parse()?;
    let jurisdiction = Jurisdiction::unlimited();
    let agency = Agency {
        id: id.clone(),
        name: "bench".to_owned(),
        jurisdiction,
        operator: true,
        submission_keys: Default::default(),
        cap_signing: Default::default(),
        second_person: false,
    };
    node.parts.agencies.put(agency).await?;
    let key = node.parts.agencies.add_key(&id, "bench", Timestamp::now(), None).await;
    Ok(key?.expose().to_owned())
}

/// How long a broadcast may take.
fn patience(devices: u64) -> Duration {
    PATIENCE + PATIENCE_EACH * u32::try_from(devices).unwrap_or(u32::MAX)
}

/// Whole units, as CAP names them.
fn area_of(units: &[UnitCode]) -> String {
    let geocode = |unit: &UnitCode| {
        format!("<geocode><valueName>loa:unit</valueName><value>{unit}</value></geocode>")
    };
    units.iter().map(geocode).collect()
}

/// A CAP alert in two languages for an area: the elements that follow its description.
pub fn alert(number: u64, heat: Heat, area: &str) -> String {
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a whole second");
    let (sent, expires) = (CapTime::new(now, 420), CapTime::new(now + LIFE, 420));
    let (urgency, severity) = match heat {
        Heat::Hot => ("Immediate", "Severe"),
        Heat::Routine => ("Future", "Minor"),
    };
    let info = |language: &str, headline: &str, instruction: &str| {
        format!(
            "<info><language>{language}</language><category>Met</category><event>Ngập</event>\
             <responseType>Avoid</responseType><urgency>{urgency}</urgency>\
             <severity>{severity}</severity><certainty>Observed</certainty>\
             <expires>{expires}</expires><headline>{headline}</headline>\
             <description>{headline}</description><instruction>{instruction}</instruction>\
             <area><areaDesc>Thành phố</areaDesc>{area}</area></info>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\
         <identifier>bench-{number}</identifier><sender>bench@loa.example</sender>\
         <sent>{sent}</sent><status>Actual</status><msgType>Alert</msgType>\
         <scope>Public</scope>{}{}</alert>",
        info("vi-VN", "Ngập sâu do triều cường", "Tránh các tuyến đường ven sông."),
        info("en-US", "Deep flooding by the tide", "Avoid the roads along the river.")
    )
}

const LIFE: SignedDuration = SignedDuration::from_hours(2);
