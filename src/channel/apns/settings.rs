//! APNs settings: endpoints, the apps, and the credentials they are served with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::channel::{http2, throttle};
use crate::config::secret::Secret;
use crate::domain::channel::ApnsEnvironment;

/// How to reach Apple and as whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where App Store and TestFlight builds are served. Port 443 or 2197.
    pub production: Url,
    /// Where development builds are served.
    pub sandbox: Url,
    /// What serves every app that has no credentials of its own.
    pub credentials: Credentials,
    /// The apps, at least one. A device's topic and environment select its app.
    pub apps: Vec<App>,
    /// The connections: so many for each credentials and environment.
    pub http2: http2::Settings,
    /// How fast it may go.
    pub throttle: throttle::Settings,
}

/// As whom we ask: with a signing key, or with a certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Ten characters: the developer team (`iss`).
    pub team_id: String,
    /// Ten characters: the signing key's id (`kid`).
    pub key_id: String,
    /// The signing key as Apple gives it (.p8: PKCS #8 PEM of a P-256 key).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The file that holds the signing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// In place of team, key id and key: Apple's push certificate with its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Secret>,
    /// The file that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// Its bundle id: the topic its devices name.
    pub bundle_id: String,
    /// Which environments it is served in. An app whose environments have different keys stands in
    /// the list twice.
    pub environments: Vec<ApnsEnvironment>,
    /// Apple granted it the critical-alerts entitlement. Without it the gravest pushes go out as
    /// time-sensitive.
    pub critical_entitlement: bool,
    /// Name of the sound file of critical alerts in its bundle.
    pub critical_sound: String,
    /// Kinds of status change whose texts it ships in its own `Localizable.strings`: their pushes
    /// name the text (`loa.status.title`, `loa.status.<kind>`) in place of our words.
    pub localised_kinds: Vec<String>,
    /// Its own credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

impl Settings {
    /// Every app and environment that is served.
    pub fn served(&self) -> Vec<(String, ApnsEnvironment)> {
        let places = |app: &App| {
            let bundle_id = app.bundle_id.clone();
            app.environments.clone().into_iter().map(move |place| (bundle_id.clone(), place))
        };
        self.apps.iter().flat_map(places).collect()
    }
}

impl App {
    /// Whether it is the app of this topic and environment.
    pub fn is(&self, topic: &str, environment: ApnsEnvironment) -> bool {
        self.bundle_id == topic && self.environments.contains(&environment)
    }
}

impl Default for App {
    fn default() -> Self {
        Self {
            bundle_id: String::new(),
            environments: vec![ApnsEnvironment::Production, ApnsEnvironment::Sandbox],
            critical_entitlement: false,
            critical_sound: "default".to_owned(),
            localised_kinds: Vec::new(),
            credentials: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            production: url("https://api.push.apple.com"),
            sandbox: url("https://api.sandbox.push.apple.com"),
            credentials: Credentials::default(),
            apps: Vec::new(),
            http2: http2::Settings::default(),
            throttle: throttle::Settings::default(),
        }
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a literal URL")
}
