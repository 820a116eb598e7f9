//! From settings to a source of access tokens: exactly one of a service account's key, the metadata
//! server, and an external account. Whatever is wrong comes back with the name of its setting.

use std::fmt;

use tokio::time::Instant;

use super::Settings;
use super::account::{Account, KeyFile};
use super::identity::Identity;
use super::oauth::{Failure, Token, Tokens};
use super::workload::Workload;
use crate::channel::Error;
use crate::channel::http2::{self, WarmUp};
use crate::channel::open::Opening;
use crate::clock::Clock;

/// Where access tokens come from.
pub enum Source {
    /// A service account's key signs for them.
    Account(Box<Tokens>),
    /// The identity of the machine or the platform: no key anywhere.
    Workload(Box<Workload>),
}

impl Source {
    /// The present token, or a new one; waits to the deadline.
    pub async fn token(&self, deadline: Instant) -> Result<Token, Failure> {
        match self {
            Self::Account(tokens) => tokens.token(deadline).await,
            Self::Workload(workload) => workload.token(deadline).await,
        }
    }

    /// After FCM refused a token: the one made since, or a new one.
    pub async fn after_refused(
        &self,
        refused: &Token,
        deadline: Instant,
    ) -> Result<Token, Failure> {
        match self {
            Self::Account(tokens) => tokens.after_refused(refused, deadline).await,
            Self::Workload(workload) => workload.after_refused(refused, deadline).await,
        }
    }

    /// Waits until nobody asks for a token any more.
    pub async fn drain(&self) {
        match self {
            Self::Account(tokens) => tokens.drain().await,
            Self::Workload(workload) => workload.stop(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(redacted)")
    }
}

/// Where access tokens come from, and the project that the credentials name themselves.
pub fn source(
    settings: &Settings,
    opening: &Opening<'_>,
    clock: &Clock,
) -> Result<(Source, Option<String>), Error> {
    let account = settings.service_account.is_some() || settings.service_account_file.is_some();
    let external = settings.external_account.is_some() || settings.external_account_file.is_some();
    let workload = |identity| Source::Workload(Box::new(Workload::new(identity, clock.clone())));
    let instead = "stands in place of a service account, alone";
    match &settings.metadata_server {
        Some(_) if account || external => Err(opening.setting("metadata_server", instead)),
        Some(url) if url.scheme() == "http" => {
            Ok((workload(Identity::Metadata(url.clone())), None))
        }
        Some(_) => Err(opening.setting("metadata_server", "must be an http URL")),
        None if external && account => Err(opening.setting("external_account", instead)),
        None if external => Ok((workload(self::external(settings, opening)?), None)),
        None => self::account(settings, opening, clock),
    }
}

fn account(
    settings: &Settings,
    opening: &Opening<'_>,
    clock: &Clock,
) -> Result<(Source, Option<String>), Error> {
    let (inline, file) = (&settings.service_account, &settings.service_account_file);
    let json = opening.secret("service_account", inline.as_ref(), file.as_deref())?;
    let mut file: KeyFile = serde_json::from_str(json.expose()).map_err(|error| {
        // The text of a JSON error may quote the key file; its place does not.
        let why = format!("not a key file: line {}, column {}", error.line(), error.column());
        opening.setting("service_account", why)
    })?;
    if let Some(token_uri) = &settings.token_uri {
        file.token_uri = token_uri.clone();
    }
    let tls = opening.tls(None)?;
    // One token at a time is fetched: one connection is enough.
    let one = http2::Settings { connections: 1, streams: 4, ..settings.http2.clone() };
    let token_uri = ("token_uri", &file.token_uri);
    let http = opening.with(&one).connect(token_uri, &tls, WarmUp::None)?;
    let project = file.project_id.clone();
    let account = Account::new(file, http, clock.now())
        .map_err(|error| opening.setting("service_account", format!("private_key: {error}")))?;
    Ok((Source::Account(Box::new(Tokens::new(account, clock.clone()))), Some(project)))
}

fn external(settings: &Settings, opening: &Opening<'_>) -> Result<Identity, Error> {
    const SETTING: &str = "external_account";
    let (inline, file) = (&settings.external_account, &settings.external_account_file);
    let json = opening.secret(SETTING, inline.as_ref(), file.as_deref())?;
    Identity::external(json.expose(), settings.token_uri.as_ref())
        .map_err(|wrong| opening.setting(SETTING, wrong.to_string()))
}
