//! The apps, opened: each with the credentials and connections it is served with. Apps with the
//! same credentials share both, others none: Apple ties a connection to the first key it sees.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use url::Url;

use super::certificate;
use super::payload::Style;
use super::settings::{self, Credentials, Settings};
use super::token::Signer;
use crate::channel::Error;
use crate::channel::http2::tls::Identity;
use crate::channel::http2::{self, WarmUp};
use crate::channel::open::Opening;
use crate::clock::Clock;
use crate::domain::channel::ApnsEnvironment;

/// Length of Apple's team and key ids.
const ID_CHARS: usize = 10;
/// Credentials that Apple refuses are tried again after this.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// One app.
#[derive(Debug)]
pub struct App {
    settings: settings::App,
    /// `apns-topic`.
    pub topic: HeaderValue,
    /// Credentials and connections.
    pub road: Arc<Road>,
    /// Which of the channel's styles its pushes have.
    pub style: usize,
}

/// Credentials, and the connections that carry them.
#[derive(Debug)]
pub struct Road {
    /// Absent where a certificate speaks for us.
    pub signer: Option<Signer>,
    production: http2::Client,
    sandbox: http2::Client,
    /// Until when Apple is not asked with these credentials again, and why.
    refused: Mutex<Option<(Timestamp, &'static str)>>,
}

impl App {
    /// Whether it is the app of this topic and environment.
    pub fn is(&self, topic: &str, environment: ApnsEnvironment) -> bool {
        self.settings.is(topic, environment)
    }

    /// Where it is served.
    pub fn environments(&self) -> &[ApnsEnvironment] {
        &self.settings.environments
    }
}

impl Road {
    /// The connections to an environment.
    pub fn host(&self, environment: ApnsEnvironment) -> &http2::Client {
        match environment {
            ApnsEnvironment::Production => &self.production,
            ApnsEnvironment::Sandbox => &self.sandbox,
        }
    }

    /// Why Apple refused these credentials lately, if it did.
    pub fn refused(&self, now: Timestamp) -> Option<&'static str> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.filter(|(until, _)| now < *until).map(|(_, reason)| reason)
    }

    /// Notes that Apple refuses these credentials.
    pub fn refuse(&self, now: Timestamp, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some((now + REFUSED_WAIT, reason));
    }
}

/// Everything the settings name: the apps, and the styles in which their pushes differ.
pub fn open(
    settings: &Settings,
    opening: &Opening<'_>,
    clock: &Clock,
) -> Result<(Vec<App>, Vec<Style>), Error> {
    if settings.apps.is_empty() {
        return Err(opening.setting("apps", "name at least one app by its bundle_id"));
    }
    let hosts = (&settings.production, &settings.sandbox);
    let mut roads: Vec<(&Credentials, Arc<Road>)> = Vec::new();
    let mut styles: Vec<Style> = Vec::new();
    let mut apps: Vec<App> = Vec::new();
    for app in &settings.apps {
        let wrong = |why: &str| opening.setting("apps", format!("`{}`: {why}", app.bundle_id));
        if app.environments.is_empty() {
            return Err(wrong("environments: name at least one"));
        }
        if app
            .environments
            .iter()
            .any(|place| apps.iter().any(|one| one.is(&app.bundle_id, *place)))
        {
            return Err(wrong("stands in the list twice for one environment"));
        }
        let bundle = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if app.bundle_id.is_empty() || !app.bundle_id.bytes().all(bundle) {
            return Err(wrong("bundle_id: must be letters, digits, - and ."));
        }
        let topic = HeaderValue::try_from(&app.bundle_id).expect("letters, digits, - and .");
        let credentials = app.credentials.as_ref().unwrap_or(&settings.credentials);
        let road = match roads.iter().find(|(known, _)| *known == credentials) {
            Some((_, road)) => Arc::clone(road),
            None => {
                let road = Arc::new(road(credentials, opening, hosts, clock)?);
                roads.push((credentials, Arc::clone(&road)));
                road
            }
        };
        check_certificate(app, credentials, opening)?;
        let style = Style::of(app);
        let index = styles.iter().position(|known| *known == style).unwrap_or(styles.len());
        if index == styles.len() {
            styles.push(style);
        }
        apps.push(App { settings: app.clone(), topic, road, style: index });
    }
    Ok((apps, styles))
}

fn road(
    credentials: &Credentials,
    opening: &Opening<'_>,
    (production, sandbox): (&Url, &Url),
    clock: &Clock,
) -> Result<Road, Error> {
    let identity = identity(credentials, opening)?;
    let signer = match identity {
        Some(_) => None,
        None => Some(signer(credentials, opening, clock)?),
    };
    let tls = opening.tls(identity)?;
    let connect = |name, url: &Url| opening.connect((name, url), &tls, WarmUp::FirstAccepted);
    Ok(Road {
        signer,
        production: connect("production", production)?,
        sandbox: connect("sandbox", sandbox)?,
        refused: Mutex::default(),
    })
}

fn signer(
    credentials: &Credentials,
    opening: &Opening<'_>,
    clock: &Clock,
) -> Result<Signer, Error> {
    let Credentials { team_id, key_id, key, key_file, .. } = credentials;
    for (name, id) in [("team_id", team_id), ("key_id", key_id)] {
        if id.len() != ID_CHARS || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(opening.setting(name, format!("must be {ID_CHARS} letters or digits")));
        }
    }
    let key = opening.secret("key", key.as_ref(), key_file.as_deref())?;
    Signer::new(key.expose(), key_id, team_id, clock.now())
        .map_err(|error| opening.setting("key", error.to_string()))
}

/// The certificate, if it is one that speaks for us.
fn identity(credentials: &Credentials, opening: &Opening<'_>) -> Result<Option<Identity>, Error> {
    let (inline, file) = (&credentials.certificate, &credentials.certificate_file);
    if inline.is_none() && file.is_none() {
        return Ok(None);
    }
    if credentials.key.is_some() || credentials.key_file.is_some() {
        return Err(opening.setting("certificate", "stands in place of a key, not beside one"));
    }
    let pem = opening.secret("certificate", inline.as_ref(), file.as_deref())?;
    let identity = Identity::from_pem(pem.expose());
    identity.map(Some).map_err(|error| opening.setting("certificate", error.to_string()))
}

/// A certificate that names an app serves that one only; Apple would refuse every push of another.
fn check_certificate(
    app: &settings::App,
    credentials: &Credentials,
    opening: &Opening<'_>,
) -> Result<(), Error> {
    let Some(identity) = identity(credentials, opening)? else { return Ok(()) };
    match certificate::bundle_id(identity.certificate()) {
        Some(named) if named != app.bundle_id => {
            let why = format!("is for `{named}`, not for `{}`", app.bundle_id);
            Err(opening.setting("certificate", why))
        }
        _ => Ok(()),
    }
}
