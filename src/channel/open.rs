//! What every provider's client does before it can send: checks settings, reads secrets, says whom
//! it trusts, makes its connections. Whatever is wrong comes back with the name of its setting.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::channel::Error;
use crate::channel::http2::tls::{self, Identity};
use crate::channel::http2::{self, WarmUp};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;

/// A channel about to be opened.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    channel: Channel,
    http2: &'a http2::Settings,
    stop: CancellationToken,
}

impl<'a> Opening<'a> {
    /// Checks the settings of the connections, which end when `stop` is cancelled.
    pub fn new(
        channel: Channel,
        http2: &'a http2::Settings,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let opening = Self { channel, http2, stop };
        match http2.broken_rule() {
            Some((name, rule)) => Err(opening.setting(name, rule)),
            None => Ok(opening),
        }
    }

    /// The same channel with connections of other settings.
    pub fn with<'b>(&self, http2: &'b http2::Settings) -> Opening<'b> {
        Opening { channel: self.channel, http2, stop: self.stop.clone() }
    }

    /// A setting that is missing or malformed.
    pub fn setting(&self, setting: &'static str, why: impl Into<String>) -> Error {
        Error::Setting { channel: self.channel, setting, why: why.into() }
    }

    /// The secret of a setting that may be given inline or by file.
    pub fn secret(
        &self,
        name: &'static str,
        inline: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Secret, Error> {
        Secret::resolve(name, inline, file)
            .map_err(|source| Error::Secret { channel: self.channel, source })
    }

    /// Whom the channel's connections trust, and as whom they present themselves.
    pub fn tls(&self, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
        tls::config(self.http2, identity)
            .map_err(|source| Error::Trust { channel: self.channel, source })
    }

    /// A sender to the host of a URL that the named setting holds.
    pub fn connect(
        &self,
        (setting, url): (&'static str, &Url),
        tls: &Arc<ClientConfig>,
        warm_up: WarmUp,
    ) -> Result<http2::Client, Error> {
        http2::Client::new(url, Arc::clone(tls), self.http2, warm_up, self.stop.clone())
            .ok_or_else(|| self.setting(setting, "must be an https URL"))
    }
}

/// What a dry run says of one set of credentials: nothing it asks for can reach a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whose credentials, and where.
    pub what: String,
    /// Why the provider would not take a push, if it would not.
    pub problem: Option<String>,
}
