//! APNs settings: endpoints, the signing key and what the app is allowed to do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::channel::{http2, throttle};
use crate::config::secret::Secret;

/// How to reach Apple and as whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where App Store and TestFlight builds are served. Port 443 or 2197.
    pub production: Url,
    /// Where development builds are served.
    pub sandbox: Url,
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
    /// Apple granted the app the critical-alerts entitlement. Without it the gravest pushes go out
    /// as time-sensitive.
    pub critical_entitlement: bool,
    /// Name of the sound file of critical alerts in the app's bundle.
    pub critical_sound: String,
    /// The connections; to each of the two environments as many as it says.
    pub http2: http2::Settings,
    /// How fast it may go.
    pub throttle: throttle::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            production: url("https://api.push.apple.com"),
            sandbox: url("https://api.sandbox.push.apple.com"),
            team_id: String::new(),
            key_id: String::new(),
            key: None,
            key_file: None,
            critical_entitlement: false,
            critical_sound: "default".to_owned(),
            http2: http2::Settings::default(),
            throttle: throttle::Settings::default(),
        }
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a literal URL")
}
