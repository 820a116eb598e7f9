//! A gateway on a free port, with everything embedded in a fresh directory.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use loa::auth::citizen::Doorkeeper;
use loa::auth::gate::{self, Gate};
use loa::auth::names::Names;
use loa::auth::oidc::session::Sessions;
use loa::auth::pseudonym::Pseudonyms;
use loa::auth::ring::{Keyring, Ring, SEED_BYTES};
use loa::auth::ticket::Tickets;
use loa::bus::{Bus, Record, TopicId};
use loa::clock::Clock;
use loa::domain::alert::{Alert, MsgType};
use loa::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use loa::domain::ids::{ChainId, PublicationId};
use loa::domain::lane::Lane;
use loa::domain::publication::{Content, Publication};
use loa::event;
use loa::gateway::settings::Settings;
use loa::gateway::{Gateway, Parts};
use loa::geofence::{BUILTIN_CITY, City};
use loa::http::tls::Door;
use loa::http::{limits, serve, shield};
use loa::lifecycle::{Drained, Lifecycle};
use loa::store::alerts::{Accepting, Alerts, Identity};
use loa::store::answers::{self, Answers};
use loa::store::ledger::{self, Ledger};
use loa::store::registry::{self, Registry};
use loa::store::replies::{self, Replies};
use serde_json::json;
use uuid::Uuid;

pub const GRACE: Duration = Duration::from_secs(20);

/// A running gateway.
pub struct House {
    pub to: String,
    pub gateway: Gateway,
    pub bus: Bus,
    pub registry: Registry,
    pub alerts: Alerts,
    pub ledger: Ledger,
    pub keys: Keyring,
    pub life: Lifecycle,
    pub units: Vec<String>,
    _dir: tempfile::TempDir,
}

impl House {
    pub async fn open() -> Self {
        Self::with(Settings::default(), limits::Settings::default()).await
    }

    pub async fn with(mut settings: Settings, limits: limits::Settings) -> Self {
        // Every stream of a test comes from one address, all at once.
        settings.new_streams_burst = settings.new_streams_burst.max(1_000);
        let limits = limits::Settings { request_burst: 10_000, ..limits };
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path();
        let clock = Clock::System;
        let bus = Bus::open(&loa::bus::Settings::new(at), clock.clone()).await.expect("a log");
        let registry = Registry::open(&registry::Settings::at(at), clock.clone()).await;
        let registry = registry.expect("a registry");
        let alerts = loa::store::alerts::Settings { dir: at.to_owned() };
        let alerts = Alerts::open(&alerts).await.expect("alerts");
        let ledger = ledger::Settings { dir: at.to_owned() };
        let ledger = Ledger::start(&ledger, clock.clone()).await.expect("a ledger");
        let replies = Replies::open(&replies::Settings::new(at), clock.clone()).await;
        let answers = Answers::open(&answers::Settings { dir: at.to_owned() }).await;
        let city = Arc::new(City::builtin(BUILTIN_CITY).expect("the built-in city"));
        let units = city.units().iter().map(|unit| unit.code.to_string()).collect();
        let tickets = Tickets::new(b"a node's key");
        let keys = Keyring::new(Ring::fresh());
        let answers = answers.expect("answers");
        let pseudonyms = Pseudonyms::new(keys.clone(), [7; SEED_BYTES], clock.clone());
        let names = Names::new(pseudonyms, (alerts.clone(), registry.clone(), answers.clone()));
        let parts = Parts {
            gate: Gate::new(keys.clone(), clock.clone(), gate::Settings::default()),
            apns_apps: None,
            doorkeeper: Doorkeeper::new(names, None, (tickets, Sessions::new(b"k")), clock.clone()),
            bus: bus.clone(),
            registry: registry.clone(),
            alerts: alerts.clone(),
            ledger: ledger.clone(),
            replies: replies.expect("replies"),
            answers,
            city,
            kinds: Arc::default(),
            together: None,
            node_key: Arc::from(&b"a node's key"[..]),
            webpush: None,
            clock,
        };
        let life = Lifecycle::new();
        let opened = Gateway::open(parts, &settings, &[], &life).await;
        let (gateway, services) = opened.expect("a gateway");
        gateway.start(services);
        let listener = serve::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let to = listener.local_addr().expect("bound").to_string();
        let (router, _) = gateway.router().split_for_parts();
        let router = shield::around(router, &limits, None);
        let door = limits.tls.as_ref().map(|tls| Door::open(tls, Timestamp::now()));
        let door = door.transpose().expect("a certificate");
        let face = serve::Face { listener, router, door, refusals: None };
        let stop = life.token().clone();
        life.service("http", async move { serve::serve(face, &limits, stop, GRACE).await });
        Self { to, gateway, bus, registry, alerts, ledger, keys, life, units, _dir: dir }
    }

    /// A unit's code, by number.
    pub fn unit(&self, index: usize) -> &str {
        &self.units[index]
    }

    /// Stores a publication and puts it on the log.
    pub async fn publish(&self, publication: &Publication) -> String {
        self.publish_all(std::slice::from_ref(publication)).await;
        publication.id.to_string()
    }

    pub async fn publish_all(&self, publications: &[Publication]) {
        let mut records = Vec::new();
        for publication in publications {
            let accepting = Accepting {
                publication: publication.clone(),
                identity: Identity::of(publication),
                digest: *blake(publication.id.0.as_bytes()),
                raw: None,
            };
            self.alerts.accept(accepting).await.expect("stored");
            self.alerts
                .supersede(&publication.supersedes, publication.id)
                .await
                .expect("superseded");
            let mut record: Record = event::publication::encode(publication).into();
            let Record { key, headers, payload } = &record;
            let parts = gate::Parts { key, headers, payload };
            let seal = gate::seal(&self.keys, parts, Timestamp::now()).expect("a key");
            record.headers.extend(seal);
            records.push(record);
        }
        let topic = TopicId::Publications(publications[0].lane);
        self.bus.publish(topic, records).await.expect("on the log");
    }

    /// Ends the gateway; every task must end by itself.
    pub async fn close(self) {
        assert_eq!(self.life.drain(GRACE).await, Drained::Whole);
    }
}

fn blake(bytes: &[u8; 16]) -> Box<[u8; 32]> {
    let mut digest = Box::new([0; 32]);
    digest[..16].copy_from_slice(bytes);
    digest
}

/// An alert for an hour, in whole units.
pub fn alert(units: &[&str]) -> Publication {
    alert_saying(units, "Rise to the second floor")
}

/// An alert with an instruction of its own.
pub fn alert_saying(units: &[&str], instruction: &str) -> Publication {
    let now = Timestamp::now();
    let id = Uuid::now_v7();
    let info = |language: &str| {
        json!({
            "language": language, "categories": ["Met"], "event": "Flood",
            "urgency": "Immediate", "severity": "Extreme", "certainty": "Observed",
            "headline": "Flood", "instruction": instruction,
        })
    };
    let alert: Alert = serde_json::from_value(json!({
        "identifier": id.to_string(), "sender": "test@loa.example",
        "sent": "2026-11-22T12:00:00+07:00", "status": "Actual", "msg_type": "Alert",
        "scope": "Public", "infos": [info("vi"), info("en")],
    }))
    .expect("an alert");
    let mut units: Vec<AudienceUnit> = units
        .iter()
        .map(|code| AudienceUnit {
            code: code.parse().expect("a code"),
            share: 1.0,
            coverage: Coverage::Whole,
        })
        .collect();
    units.sort_by(|a, b| a.code.cmp(&b.code));
    let area = AreaAudience {
        boundaries: Boundaries::Approximate,
        vintage: "2025-07".parse().expect("a vintage"),
        units,
    };
    Publication {
        id: PublicationId(id),
        chain: ChainId(id),
        lane: Lane::Emergency,
        agency: "test".parse().expect("an agency"),
        accepted_at: now,
        expires: now + SignedDuration::from_hours(1),
        supersedes: vec![],
        audience: Audience::Area(area),
        content: Content::Alert(Box::new(alert)),
        agency_name: None,
        signature: None,
        signed_by: None,
    }
}

/// A cancel of an alert, in the same units.
pub fn cancel(of: &Publication) -> Publication {
    let mut cancel = Publication { audience: of.audience.clone(), ..alert(&[]) };
    cancel.chain = of.chain;
    cancel.supersedes = vec![of.id];
    if let Content::Alert(alert) = &mut cancel.content {
        alert.msg_type = MsgType::Cancel;
    }
    cancel
}
