//! TLS of our own for the HTTP faces: settings, the certificate with its key, the handshake with
//! its limits, and renewal without a restart. Absent, the faces speak plain HTTP for a proxy.
//!
//! TLS 1.2 and 1.3 with rustls' defaults; ALPN offers h2 and http/1.1. The newcomer pays: whoever
//! is slow, speaks nonsense or comes while too many handshakes are under way is closed, and those
//! who are connected are not touched.

pub mod certificate;
mod door;
mod files;
mod renew;
mod wire;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use crate::config::secret::Secret;

pub use certificate::ClientCertificate;
pub use door::Door;
pub use files::Error;
pub use wire::{Unanswered, Wire};

/// TLS of the HTTP faces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The certificate with its chain (PEM).
    pub certificate_file: Option<PathBuf>,
    /// Its private key (PEM), in place of a file.
    pub key: Option<Secret>,
    /// The file of its private key (PEM).
    pub key_file: Option<PathBuf>,
    /// Seconds for a handshake from the connection's first moment.
    pub handshake_seconds: u64,
    /// Handshakes under way at a time; further ones are closed.
    pub handshakes_max: usize,
    /// The same of one address.
    pub handshakes_per_address: usize,
    /// Seconds between two looks at the files for renewed ones.
    pub reload_seconds: u64,
    /// Days for which browsers keep to TLS (`Strict-Transport-Security`, RFC 6797); 0: not told.
    pub hsts_days: u32,
    /// Whether agencies' programs present certificates.
    pub client_certificates: ClientCertificates,
    /// Authorities (PEM) that sign them.
    pub client_ca_file: Option<PathBuf>,
}

/// Whether a client presents a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Nobody is asked.
    #[default]
    Off,
    /// Who presents one is checked; keys that are bound to one need it.
    Optional,
    /// The same, and no API key is taken without one.
    Required,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate_file: None,
            key: None,
            key_file: None,
            handshake_seconds: 5,
            handshakes_max: 1_024,
            handshakes_per_address: 128,
            reload_seconds: 30,
            hsts_days: 365,
            client_certificates: ClientCertificates::Off,
            client_ca_file: None,
        }
    }
}

impl Settings {
    /// Every rule these settings break, each with its key; no file is read.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                found.push(rule.to_owned());
            }
        };
        must((1..=60).contains(&self.handshake_seconds), "handshake_seconds: must be 1..=60");
        must(self.handshakes_max > 0, "handshakes_max: must not be 0");
        must(self.handshakes_per_address > 0, "handshakes_per_address: must not be 0");
        must((1..=86_400).contains(&self.reload_seconds), "reload_seconds: must be 1..=86400");
        must(self.hsts_days <= 3_650, "hsts_days: must be 0..=3650");
        let asks = self.client_certificates != ClientCertificates::Off;
        must(
            !asks || self.client_ca_file.is_some(),
            "client_ca_file: must be set where client_certificates is not `off`",
        );
        must(
            asks || self.client_ca_file.is_none(),
            "client_certificates: must be `optional` or `required` where client_ca_file is set",
        );
        found
    }

    /// Whether the files hold what a face needs now.
    pub fn check(&self, now: Timestamp) -> Result<(), Error> {
        files::load(self, now).map(|_| ())
    }
}
