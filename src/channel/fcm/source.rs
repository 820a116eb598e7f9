//! From settings to a source of access tokens: exactly one of a service account's key, the metadata
//! server, and an external account. Whatever is wrong comes back with the name of its setting.

use std::sync::Arc;

use rustls::ClientConfig;
use url::Url;

use super::Settings;
use super::account::{Account, KeyFile, path_of};
use super::external::{Endpoint, External, Subject};
use super::external_file::{Config, From};
use super::http1::Place;
use super::metadata::Metadata;
use super::oauth::Source;
use crate::channel::Error;
use crate::channel::http2::{self, WarmUp};
use crate::channel::open::Opening;
use crate::clock::Clock;

/// Where access tokens come from, and the project that the credentials name themselves.
pub fn source(
    settings: &Settings,
    opening: &Opening<'_>,
    clock: &Clock,
) -> Result<(Source, Option<String>), Error> {
    let account = settings.service_account.is_some() || settings.service_account_file.is_some();
    let external = settings.external_account.is_some() || settings.external_account_file.is_some();
    let tls = opening.tls(None)?;
    // One token at a time is fetched: one connection is enough.
    let one = http2::Settings { connections: 1, streams: 4, ..settings.http2.clone() };
    let opening = &opening.with(&one);
    let instead = "stands in place of a service account, alone";
    match &settings.metadata_server {
        Some(_) if account || external => Err(opening.setting("metadata_server", instead)),
        Some(url) => match Metadata::new(url, &tls) {
            Some(metadata) => Ok((Source::Metadata(metadata), None)),
            None => Err(opening.setting("metadata_server", "must be an http URL")),
        },
        None if external && account => Err(opening.setting("external_account", instead)),
        None if external => Ok((self::external(settings, opening, &tls)?, None)),
        None => self::account(settings, opening, (&tls, clock)),
    }
}

fn account(
    settings: &Settings,
    opening: &Opening<'_>,
    (tls, clock): (&Arc<ClientConfig>, &Clock),
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
    let http = opening.connect(("token_uri", &file.token_uri), tls, WarmUp::None)?;
    let project = file.project_id.clone();
    let account = Account::new(file, http, clock.now())
        .map_err(|error| opening.setting("service_account", format!("private_key: {error}")))?;
    Ok((Source::Account(Box::new(account)), Some(project)))
}

fn external(
    settings: &Settings,
    opening: &Opening<'_>,
    tls: &Arc<ClientConfig>,
) -> Result<Source, Error> {
    const SETTING: &str = "external_account";
    let (inline, file) = (&settings.external_account, &settings.external_account_file);
    let json = opening.secret(SETTING, inline.as_ref(), file.as_deref())?;
    let mut config =
        Config::read(json.expose()).map_err(|wrong| opening.setting(SETTING, wrong.to_string()))?;
    if let Some(token_uri) = &settings.token_uri {
        config.token_url = token_uri.clone();
    }
    let subject = match &config.from {
        From::File(path) => Subject::File(path.clone()),
        From::Url { url, headers } => {
            let rule = "credential_source.url: must be an http or https URL";
            let place = Place::new(url, tls).ok_or_else(|| opening.setting(SETTING, rule))?;
            Subject::Url(Box::new((place, headers.clone())))
        }
    };
    let endpoint = |url: &Url| -> Result<Endpoint, Error> {
        let http = opening.connect((SETTING, url), tls, WarmUp::None)?;
        Ok(Endpoint { http, path: path_of(url) })
    };
    let exchange = endpoint(&config.token_url)?;
    let impersonate = config.impersonation_url.as_ref().map(endpoint).transpose()?;
    Ok(Source::External(Box::new(External::new(config, subject, (exchange, impersonate)))))
}
