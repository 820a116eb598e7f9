//! The settings of Redis: read whole, so that what is used cannot be half said.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::config::secret::Secret;

/// Characters of a key prefix at most: it stands in every key.
const PREFIX_MAX: usize = 32;

/// How the servers are laid out.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// One server, or an address that always leads to the primary.
    Single(Url),
    /// A primary that Sentinels know.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<Url>,
        /// What they call the primary.
        master_name: String,
    },
    /// A Redis Cluster; some of its nodes, the others are learnt.
    Cluster(Vec<Url>),
}

/// Where Redis is and how it is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The servers.
    pub layout: Layout,
    /// What every key begins with.
    pub prefix: String,
    /// The user, for servers with access lists.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Certificates that sign the servers', in PEM; absent means the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key in PEM, for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Connections of this node to one server.
    pub connections: usize,
    /// How long one command may take.
    pub command_timeout: Duration,
    /// How long a request is held while Redis is away, before it fails.
    pub patience: Duration,
    /// Replicas that must have a write that must last, before it is answered.
    pub wait_replicas: usize,
    /// How long to wait for them.
    pub wait: Duration,
}

impl Settings {
    /// One server with the defaults.
    pub fn single(url: Url) -> Self {
        Self {
            layout: Layout::Single(url),
            prefix: "loa".into(),
            username: None,
            password: None,
            ca_file: None,
            identity: None,
            connections: 4,
            command_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            wait_replicas: 0,
            wait: Duration::from_secs(1),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Single,
    Sentinel,
    Cluster,
}

/// The table `store.redis` as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    urls: Vec<String>,
    mode: Mode,
    #[serde(default)]
    master_name: Option<String>,
    prefix: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    certificate_file: Option<PathBuf>,
    #[serde(default)]
    key_file: Option<PathBuf>,
    connections: usize,
    command_timeout_ms: u64,
    patience_ms: u64,
    wait_replicas: usize,
    wait_ms: u64,
}

impl Table {
    /// The settings, or every rule that is broken.
    pub fn settle(self) -> Result<Settings, Vec<String>> {
        let mut broken = Vec::new();
        let layout = self.layout(&mut broken);
        let password = self.password(&mut broken);
        let identity = match (self.certificate_file.clone(), self.key_file.clone()) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                broken.push("certificate_file: goes with key_file".into());
                None
            }
        };
        self.ranges(&mut broken);
        let Some(layout) = layout.filter(|_| broken.is_empty()) else { return Err(broken) };
        Ok(Settings {
            layout,
            prefix: self.prefix,
            username: self.username,
            password,
            ca_file: self.ca_file,
            identity,
            connections: self.connections,
            command_timeout: Duration::from_millis(self.command_timeout_ms),
            patience: Duration::from_millis(self.patience_ms),
            wait_replicas: self.wait_replicas,
            wait: Duration::from_millis(self.wait_ms),
        })
    }

    fn layout(&self, broken: &mut Vec<String>) -> Option<Layout> {
        let mut urls: Vec<Url> = Vec::new();
        for text in &self.urls {
            match url(text) {
                Ok(url) => urls.push(url),
                Err(why) => broken.push(format!("urls: {why}")),
            }
        }
        if self.urls.is_empty() {
            broken.push("urls: name at least one server, such as redis://127.0.0.1:6379".into());
        }
        if urls.is_empty() {
            return None;
        }
        match self.mode {
            Mode::Single if urls.len() > 1 => {
                broken.push("urls: mode single has one server".into());
                None
            }
            Mode::Single => urls.pop().map(Layout::Single),
            Mode::Cluster => Some(Layout::Cluster(urls)),
            Mode::Sentinel => match &self.master_name {
                Some(name) if !name.is_empty() => {
                    Some(Layout::Sentinel { sentinels: urls, master_name: name.clone() })
                }
                _ => {
                    broken.push("master_name: mode sentinel needs it".into());
                    None
                }
            },
        }
    }

    fn password(&self, broken: &mut Vec<String>) -> Option<Secret> {
        let file: Option<&Path> = self.password_file.as_deref();
        if self.password.is_none() && file.is_none() {
            return None;
        }
        match Secret::resolve("password", self.password.as_ref(), file) {
            // A file that an editor wrote ends with a line break.
            Ok(secret) => Some(Secret::new(secret.expose().trim_end_matches(['\r', '\n']))),
            Err(error) => {
                broken.push(format!("password: {error}"));
                None
            }
        }
    }

    fn ranges(&self, broken: &mut Vec<String>) {
        let mut must = |holds: bool, rule: &str| {
            if !holds {
                broken.push(rule.to_owned());
            }
        };
        let fits = |one: char| one.is_ascii_alphanumeric() || "-_.:".contains(one);
        let length = self.prefix.len();
        must(
            (1..=PREFIX_MAX).contains(&length) && self.prefix.chars().all(fits),
            "prefix: 1 to 32 characters of A-Z, a-z, 0-9 and -_.:",
        );
        must((1..=64).contains(&self.connections), "connections: must be 1..=64");
        let timeout = (50..=60_000).contains(&self.command_timeout_ms);
        must(timeout, "command_timeout_ms: must be 50..=60000");
        must(
            self.patience_ms <= 60_000 && self.patience_ms >= self.command_timeout_ms,
            "patience_ms: must be command_timeout_ms..=60000",
        );
        must(self.wait_replicas <= 5, "wait_replicas: must be 0..=5");
        must((1..=10_000).contains(&self.wait_ms), "wait_ms: must be 1..=10000");
    }
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    if !["redis", "rediss"].contains(&url.scheme()) || url.host().is_none() {
        return Err(format!("`{text}` is not redis://HOST:PORT or rediss://HOST:PORT"));
    }
    // They would be shown wherever the address is.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("user and password have settings of their own".into());
    }
    if !["", "/"].contains(&url.path()) || url.query().is_some() {
        return Err(format!("`{text}`: only a scheme, a host and a port; Loa uses database 0"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "urls = [\"redis://one:6379\"]\nmode = \"single\"\nprefix = \"loa\"\n\
        connections = 4\ncommand_timeout_ms = 2000\npatience_ms = 10000\nwait_replicas = 0\n\
        wait_ms = 1000\n";

    fn settle(text: &str) -> Result<Settings, Vec<String>> {
        toml::from_str::<Table>(text).expect("a table").settle()
    }

    #[test]
    fn the_plain_table_is_the_types_own_defaults() {
        let url = Url::parse("redis://one:6379").expect("an address");
        assert_eq!(settle(PLAIN), Ok(Settings::single(url)));
    }

    #[test]
    fn a_layout_is_whole_or_refused() {
        let broken =
            |from: &str, to: &str| settle(&PLAIN.replace(from, to)).expect_err(to).join("; ");
        assert!(broken("\"redis://one:6379\"", "").contains("at least one server"));
        assert!(broken("redis://one", "http://one").contains("redis://HOST"));
        assert!(broken("redis://one", "redis://:secret@one").contains("of their own"));
        assert!(broken("6379\"", "6379/3\"").contains("database 0"));
        assert!(broken("\"single\"", "\"sentinel\"").contains("master_name"));
        assert!(broken("one:6379\"", "one:1\", \"redis://two:2\"").contains("one server"));
        assert!(broken("prefix = \"loa\"", "prefix = \"{x}\"").contains("prefix"));
        assert!(broken("patience_ms = 10000", "patience_ms = 1").contains("patience_ms"));
        assert!(broken("wait_ms", "key_file = \"k\"\nwait_ms").contains("certificate_file"));
        let named = PLAIN.replace("\"single\"", "\"sentinel\"\nmaster_name = \"city\"");
        let layout = settle(&named).expect("whole").layout;
        assert!(matches!(layout, Layout::Sentinel { master_name, .. } if master_name == "city"));
    }
}
