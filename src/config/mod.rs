//! Settings: embedded defaults, file, environment, flags; parsed into types and validated whole.
//!
//! `default.toml` is the reference: every key with unit and reason. Nothing outside this room reads
//! an environment variable. A value that breaks a rule is reported with its path, and every problem
//! is reported at once.

pub mod retention;
pub mod secret;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config as Layers, Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

use crate::auth;
use crate::clock::Clock;
use crate::domain::forecast;
use crate::{bus, channel, fanout, gateway, geofence, http, ingest, store};

/// The defaults, as `loa config default` prints them.
pub const DEFAULT: &str = include_str!("default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The process.
    pub node: Node,
    /// How long what is over is kept.
    #[serde(default)]
    pub retention: retention::Retention,
    /// What is logged.
    pub log: Log,
    /// The HTTP faces.
    pub http: http::limits::Settings,
    /// The event log.
    pub bus: bus::Settings,
    /// Where the stores are.
    pub store: store::Settings,
    /// Devices.
    pub registry: Registry,
    /// Matching targets to units.
    pub geofence: geofence::MatchSettings,
    /// Submissions from the log.
    #[serde(default)]
    pub submissions: ingest::intake::Settings,
    /// What is believed of the log.
    #[serde(default)]
    pub trust: auth::gate::Settings,
    /// What is kept of people is sealed with.
    #[serde(default)]
    pub vault: store::vault::Settings,
    /// Fan-out workers.
    pub fanout: fanout::Settings,
    /// Websockets and event streams.
    #[serde(default)]
    pub gateway: gateway::settings::Settings,
    /// Push providers.
    #[serde(default)]
    pub channel: channel::Settings,
    /// What our side needs for a push, for forecasts.
    #[serde(default)]
    pub forecast: forecast::Settings,
    /// Citizens' identities.
    #[serde(default)]
    pub auth: Auth,
    /// The desk and its pages.
    #[serde(default)]
    pub console: Console,
}

/// The process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Where everything that must last is kept.
    pub data_dir: PathBuf,
    /// The address of all HTTP faces.
    pub listen: SocketAddr,
    /// What this process does.
    pub roles: BTreeSet<Role>,
    /// Seconds to end what is in flight.
    pub grace_seconds: u64,
    /// Days to keep what is over.
    pub keep_days: u32,
    /// Kinds of status change.
    #[serde(default)]
    pub status_kinds_file: Option<PathBuf>,
    /// Seconds in which refusals of one and the same become one line of the audit.
    pub refusals_seconds: u64,
    /// The key that signs the audit's checkpoints, in place of one that is made.
    #[serde(default)]
    pub audit_key_file: Option<PathBuf>,
}

/// A part of the pipeline a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Agencies' HTTP: ingest.
    Api,
    /// Routing and counting receipts.
    Router,
    /// Fan-out to the push providers.
    Fanout,
    /// Citizens' HTTP, websockets and event streams.
    Gateway,
    /// Operators' HTTP.
    Console,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] =
        [Role::Api, Role::Router, Role::Fanout, Role::Gateway, Role::Console];
}

/// What is logged.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// As `tracing` filters are written.
    pub filter: String,
    /// For people or machines.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Parts each (unit, channel) is cut into.
    pub shards: u16,
}

/// Citizens' identities.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The identity provider; without one, citizens use Loa anonymously.
    pub citizens: Option<auth::bearer::Settings>,
    /// Where the agencies' people log in; without one, with a password alone.
    pub people: Option<auth::bearer::Settings>,
}

/// The desk and its pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Minutes without a request after which a session ends.
    pub session_idle_minutes: u32,
    /// Hours after which a session ends whatever is done in it.
    pub session_hours: u32,
    /// People may log in with a password.
    pub password_login: bool,
    /// Templates by hazard; absent means the built-in ones.
    pub templates_file: Option<PathBuf>,
    /// Where the map's background tiles come from; empty means none.
    pub tile_server: String,
    /// Minutes between two tests of the way to the canary devices; 0 means none.
    pub link_test_minutes: u32,
}

impl Default for Console {
    fn default() -> Self {
        let sessions = auth::desk::Settings::default();
        Self {
            session_idle_minutes: sessions.session_idle_minutes,
            session_hours: sessions.session_hours,
            password_login: true,
            templates_file: None,
            tile_server: String::new(),
            link_test_minutes: 10,
        }
    }
}

impl Console {
    /// How long sessions last.
    pub fn sessions(&self) -> auth::desk::Settings {
        let Self { session_idle_minutes, session_hours, .. } = *self;
        auth::desk::Settings { session_idle_minutes, session_hours }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = self.sessions().problems();
        if !self.tile_server.is_empty() && self.tile_origin().is_none() {
            found.push("tile_server: must be an https URL with {z}, {x} and {y}".to_owned());
        }
        if self.link_test_minutes > 1440 {
            found.push("link_test_minutes: must be 0..=1440".to_owned());
        }
        found
    }

    /// The origin of the tile server, for the pages' policy of what may be loaded.
    pub fn tile_origin(&self) -> Option<String> {
        let holes = ["{z}", "{x}", "{y}"].iter().all(|hole| self.tile_server.contains(hole));
        let url = url::Url::parse(&self.tile_server).ok().filter(|_| holes)?;
        (url.scheme() == "https").then(|| url.origin().ascii_serialization())
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer cannot be read, or a value has the wrong form.
    #[error("{0}")]
    Form(String),
    /// Values break rules; all of them are listed.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
}

/// A flag: the path of a key and its value.
pub type Flag = (&'static str, String);

fn layers(file: Option<&Path>, flags: &[Flag]) -> Result<Layers, Error> {
    let mut builder = Layers::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
    if let Some(path) = file {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    let environment = Environment::with_prefix("LOA")
        .prefix_separator("__")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("node.roles")
        .with_list_parse_key("http.trusted_proxies")
        .with_list_parse_key("bus.kafka.brokers")
        .with_list_parse_key("bus.kafka.agency_topics")
        .with_list_parse_key("submissions.reply_prefixes")
        .with_list_parse_key("store.redis.urls")
        .with_list_parse_key("channel.webpush.hosts")
        .with_list_parse_key("channel.webpush.private")
        .try_parsing(true);
    builder = builder.add_source(environment);
    for (key, value) in flags {
        let list: Vec<&str> = value.split(',').collect();
        builder = match *key {
            "node.roles" => builder.set_override(*key, list),
            _ => builder.set_override(*key, value.as_str()),
        }
        .map_err(form)?;
    }
    builder.build().map_err(form)
}

fn form(error: config::ConfigError) -> Error {
    Error::Form(error.to_string())
}

/// Reads and validates the settings.
pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<Config, Error> {
    let mut config: Config = layers(file, flags)?.try_deserialize().map_err(form)?;
    config.bus.dir = config.node.data_dir.clone();
    if config.forecast.cores == 0.0 {
        let cores = std::thread::available_parallelism();
        config.forecast.cores = cores.map_or(1.0, |count| count.get() as f64);
    }
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(Error::Rules(problems)) }
}

/// What holds, as TOML, secrets hidden.
pub fn show(file: Option<&Path>, flags: &[Flag]) -> Result<String, Error> {
    let mut table: toml::Table = layers(file, flags)?.try_deserialize().map_err(form)?;
    redact(&mut table);
    toml::to_string(&table).map_err(|error| Error::Form(error.to_string()))
}

/// Keys whose values are secrets wherever they stand.
const SECRETS: [&str; 6] =
    ["key", "secret", "certificate", "service_account", "external_account", "password"];

fn redact(table: &mut toml::Table) {
    for (key, value) in table.iter_mut() {
        if SECRETS.contains(&key.as_str()) {
            *value = toml::Value::String("[redacted]".to_owned());
            continue;
        }
        match value {
            toml::Value::Table(inner) => redact(inner),
            toml::Value::Array(items) => {
                items.iter_mut().filter_map(toml::Value::as_table_mut).for_each(redact);
            }
            _ => {}
        }
    }
}

impl Config {
    /// How long each kind of what is over is kept.
    pub fn periods(&self) -> retention::Periods {
        self.retention.periods(self.node.keep_days)
    }

    /// Every rule the settings break, each with its path.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                found.push(rule.to_owned());
            }
        };
        must(!self.node.roles.is_empty(), "node.roles: name at least one role");
        must((1..=600).contains(&self.node.grace_seconds), "node.grace_seconds: must be 1..=600");
        must((1..=3650).contains(&self.node.keep_days), "node.keep_days: must be 1..=3650");
        let refusals = self.node.refusals_seconds;
        must((1..=3600).contains(&refusals), "node.refusals_seconds: must be 1..=3600");
        let retention = self.retention.problems();
        must((1..=64).contains(&self.registry.shards), "registry.shards: must be 1..=64");
        let fanout = &self.fanout;
        must((1..=10_000).contains(&fanout.batch), "fanout.batch: must be 1..=10000");
        let dispatches =
            [fanout.dispatches_emergency, fanout.dispatches_personal, fanout.dispatches_routine];
        must(
            dispatches.iter().all(|count| (1..=1024).contains(count)),
            "fanout.dispatches_*: must be 1..=1024",
        );
        must(fanout.retries_max >= fanout.batch, "fanout.retries_max: must be at least a batch");
        must(
            (-840..=840).contains(&fanout.utc_offset_minutes),
            "fanout.utc_offset_minutes: must be -840..=840",
        );
        found.extend(retention.into_iter().map(|rule| format!("retention.{rule}")));
        found.extend(self.bus.problems().into_iter().map(|rule| format!("bus.{rule}")));
        let submissions = self.submissions.problems();
        found.extend(submissions.into_iter().map(|rule| format!("submissions.{rule}")));
        let rules = self.forecast.problems();
        found.extend(rules.into_iter().map(|rule| format!("forecast.{rule}")));
        let hygiene = fanout.hygiene.problems();
        found.extend(hygiene.into_iter().map(|rule| format!("fanout.hygiene.{rule}")));
        let citizens = self.auth.citizens.iter().flat_map(auth::bearer::Settings::problems);
        found.extend(citizens.map(|rule| format!("auth.citizens.{rule}")));
        let people = self.auth.people.iter().flat_map(auth::bearer::Settings::problems);
        found.extend(people.map(|rule| format!("auth.people.{rule}")));
        let enters = self.auth.people.as_ref().is_some_and(|people| people.login.is_some());
        if self.auth.people.is_some() && !enters {
            found.push("auth.people.login: must be set, people log in with a browser".to_owned());
        }
        if !self.console.password_login && !enters {
            let rule = "console.password_login: without it, auth.people must let people in";
            found.push(rule.to_owned());
        }
        found.extend(self.http.problems().into_iter().map(|rule| format!("http.{rule}")));
        found.extend(self.geofence.problems().into_iter().map(|rule| format!("geofence.{rule}")));
        found.extend(self.console.problems().into_iter().map(|rule| format!("console.{rule}")));
        found.extend(self.gateway.problems().into_iter().map(|rule| format!("gateway.{rule}")));
        found
    }

    /// Whether the files that a node needs to listen hold what they must. Commands that only reach
    /// for the stores need none of them.
    pub fn check_files(&self) -> Result<(), Error> {
        let Some(tls) = &self.http.tls else { return Ok(()) };
        let checked = tls.check(Clock::System.now());
        checked.map_err(|error| Error::Rules(vec![format!("http.tls.{error}")]))
    }

    /// Legal but risky: what to warn of at the start.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.trust.unsigned_until.is_some() {
            warnings.push("trust.unsigned_until: unsigned records reach people until then");
        }
        if self.vault.unsealed_until.is_some() {
            warnings.push("vault.unsealed_until: push addresses are written unsealed until then");
        }
        let embedded = matches!(self.bus.shape, bus::Shape::Embedded);
        if embedded && self.node.roles.len() < Role::ALL.len() {
            warnings.push("the embedded log serves one process: roles left out here run nowhere");
        }
        let cluster = matches!(self.store, store::Settings::Redis(_));
        if cluster && self.vault.key.is_none() && self.vault.key_file.is_none() {
            warnings.push(
                "vault.key_file: the vault's key lies in Redis beside what it seals, so whoever \
                 reads Redis reads both; give all nodes one file, or LOA__VAULT__KEY",
            );
        }
        let alone = self.http.tls.is_none() && self.http.trusted_proxies.is_empty();
        if alone && !self.node.listen.ip().is_loopback() {
            warnings.push(
                "node.listen: plain HTTP beyond this machine, and no proxy is trusted: keys, \
                 sessions and secrets go in the clear; set http.tls, or http.trusted_proxies to \
                 the TLS proxy before it",
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn the_defaults_are_valid_and_are_the_types_own_defaults() {
        let config = load(None, &[]).expect("the defaults are valid");
        assert_eq!(config.fanout, fanout::Settings::default());
        assert_eq!(config.geofence, geofence::MatchSettings::default());
        assert_eq!(config.console, Console::default());
        assert_eq!(config.node.roles.len(), Role::ALL.len());
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = write("[fanout]\nbatch = 100\n[node]\ngrace_seconds = 5\n");
        let flags = [("node.grace_seconds", "7".to_owned()), ("node.roles", "api,router".into())];
        let config = load(Some(file.path()), &flags).expect("valid");
        assert_eq!((config.fanout.batch, config.node.grace_seconds), (100, 7));
        assert_eq!(config.node.roles, [Role::Api, Role::Router].into());
        assert!(!config.warnings().is_empty());
    }

    #[test]
    fn unknown_keys_are_refused_and_every_broken_rule_is_named() {
        let unknown = write("[fanout]\nbatches = 1\n");
        let error = load(Some(unknown.path()), &[]).expect_err("no such key").to_string();
        assert!(error.contains("batches"), "{error}");
        let broken = write("[fanout]\nbatch = 0\n[registry]\nshards = 0\n");
        let error = load(Some(broken.path()), &[]).expect_err("two rules").to_string();
        assert!(error.contains("fanout.batch") && error.contains("registry.shards"), "{error}");
    }

    #[test]
    fn a_vaults_key_beside_what_it_seals_is_warned_of() {
        let cluster = "[store]\nkind = \"redis\"\n[store.redis]\nurls = [\"redis://r:6379\"]\n";
        let warned = |more: &str| {
            let config = load(Some(write(&format!("{cluster}{more}")).path()), &[]);
            let warnings = config.expect("valid").warnings();
            warnings.iter().any(|warning| warning.starts_with("vault.key_file"))
        };
        assert!(warned("") && !warned("[vault]\nkey_file = \"vault.key\"\n"));
        assert!(load(None, &[]).expect("valid").warnings().is_empty());
    }

    #[test]
    fn shown_settings_hide_secrets() {
        let apps = "[[channel.apns.apps]]\n[channel.apns.apps.credentials]\n";
        let secrets = "key = \"hunter2\"\ncertificate = \"hunter2\"\n";
        let file = write(&format!("[channel.apns.credentials]\n{secrets}{apps}{secrets}"));
        let shown = show(Some(file.path()), &[]).expect("shown");
        assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
    }
}
