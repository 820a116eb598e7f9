//! What a node must know of simulated providers in another process: as they write it on a line, and
//! as a node's settings.

use anyhow::{Context, Result};
use loa::channel::{self, apns, fcm, http2, throttle, webpush};
use loa::config::secret::Secret;
use loa::simulator::providers::Providers;
use serde::{Deserialize, Serialize};
use url::Url;

/// What a node must know of the providers.
#[derive(Clone, Serialize, Deserialize)]
pub struct Known {
    apns: Url,
    fcm: Url,
    /// The push service of the browsers.
    pub webpush: Url,
    webpush_key: String,
    ca_pem: String,
    key: String,
    key_id: String,
    team_id: String,
    account: String,
    topic: String,
}

impl Known {
    /// Of providers that run here.
    pub fn of(providers: &Providers) -> Self {
        Self {
            apns: providers.apns_url.clone(),
            fcm: providers.fcm_url.clone(),
            webpush: providers.webpush_url.clone(),
            webpush_key: providers.webpush_key.expose().to_owned(),
            ca_pem: providers.ca_pem.clone(),
            key: providers.apns_key.pem.expose().to_owned(),
            key_id: providers.apns_key.key_id.clone(),
            team_id: providers.apns_key.team_id.clone(),
            account: providers.fcm_service_account_json.expose().to_owned(),
            topic: providers.topic.clone(),
        }
    }

    /// How a node reaches them; without quotas.
    pub fn settings(self) -> Result<channel::Settings> {
        let known = self;
        let http2 = http2::Settings { ca_pem: Some(known.ca_pem), ..http2::Settings::default() };
        let throttle = throttle::Settings { per_minute: Some(0), ..throttle::Settings::default() };
        let apns = apns::Settings {
            production: known.apns.clone(),
            sandbox: known.apns,
            credentials: apns::Credentials {
                team_id: known.team_id,
                key_id: known.key_id,
                key: Some(Secret::new(known.key)),
                ..apns::Credentials::default()
            },
            apps: vec![apns::App { bundle_id: known.topic, ..apns::App::default() }],
            http2: http2.clone(),
            throttle: throttle.clone(),
        };
        let fcm = fcm::Settings {
            endpoint: known.fcm,
            service_account: Some(Secret::new(known.account)),
            http2: http2.clone(),
            throttle: throttle.clone(),
            ..fcm::Settings::default()
        };
        let host = known.webpush.host_str().context("a host")?;
        let port = known.webpush.port_or_known_default().context("a port")?;
        let webpush = webpush::Settings {
            contact: "mailto:bench@loa.example".to_owned(),
            key: Some(Secret::new(known.webpush_key)),
            private: vec![format!("{host}:{port}")],
            http2,
            throttle,
            ..webpush::Settings::default()
        };
        Ok(channel::Settings { apns: Some(apns), fcm: Some(fcm), webpush: Some(webpush) })
    }
}
