//! Web Push settings: who we are, and to which push services anything is sent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::channel::{http2, throttle};
use crate::config::secret::{self, Secret};
use crate::domain::webpush::{PushServices, is_pattern};

/// The push services of Chrome (and Edge on Android, Samsung Internet, Opera, Brave), Firefox,
/// Safari, and Edge on Windows.
const KNOWN_SERVICES: [&str; 4] = [
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "*.notify.windows.com",
];
/// Names that stand for nobody on the internet (RFC 2606, 6761, 6762): Apple refuses such contacts.
const RESERVED: [&str; 5] = ["localhost", "local", "invalid", "test", "internal"];

/// Who we are, and to whom we send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whom a push service may write to when our pushes are in its way: `mailto:` or `https:`.
    pub contact: String,
    /// Our private key, inline: 32 bytes as base64url, as `web-push generate-vapid-keys` prints
    /// it. Without it and without a file, the key kept in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The path of a file with our private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Known push services: `host`, or `*.domain` for every name under it, each with `:port` unless
    /// it is 443.
    pub hosts: Vec<String>,
    /// Takes subscriptions of any other service as well, on port 443. Their names may still lead
    /// to public addresses only.
    pub any_public: bool,
    /// `host:port` of push services in the operator's own network, or the simulator: to these the
    /// rules about addresses do not apply.
    pub private: Vec<String>,
    /// Push services with open connections; the least recently used makes room.
    pub services: usize,
    /// The connections to each service.
    pub http2: http2::Settings,
    /// How fast the channel may go, all services together.
    pub throttle: throttle::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            contact: String::new(),
            key: None,
            key_file: None,
            hosts: KNOWN_SERVICES.map(str::to_owned).into(),
            any_public: false,
            private: Vec::new(),
            services: 32,
            http2: http2::Settings::default(),
            throttle: throttle::Settings::default(),
        }
    }
}

impl Settings {
    /// The first rule these settings break, as (setting, rule).
    pub fn broken_rule(&self) -> Option<(&'static str, &'static str)> {
        let port = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let is_own = |text: &String| port(text).is_some_and(|port: u16| port > 0);
        let rules = [
            (
                "contact",
                is_contact(&self.contact),
                "must be mailto:somebody@a.domain or https://a.domain/…: the push services' \
                 operators write there",
            ),
            (
                "hosts",
                self.hosts.iter().all(|one| is_pattern(one)),
                "must be lower-case names, \
              perhaps after `*.` and before `:port`",
            ),
            ("private", self.private.iter().all(is_own), "must be host:port each"),
            ("services", (1..=256).contains(&self.services), "must be 1 to 256"),
        ];
        let broken = rules.into_iter().find(|(_, holds, _)| !holds);
        broken.map(|(setting, _, rule)| (setting, rule))
    }

    /// The private key that is set, if one is.
    pub fn key(&self) -> Result<Option<Secret>, secret::Error> {
        match Secret::resolve("key", self.key.as_ref(), self.key_file.as_deref()) {
            Ok(key) => Ok(Some(key)),
            Err(secret::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// To which push services anything is sent.
    pub fn push_services(&self) -> PushServices {
        PushServices {
            hosts: self.hosts.clone(),
            any_public: self.any_public,
            private: self.private.clone(),
        }
    }
}

fn is_contact(contact: &str) -> bool {
    let host = match (contact.strip_prefix("mailto:"), contact.strip_prefix("https://")) {
        (Some(address), _) => match address.rsplit_once('@') {
            Some((name, host)) if !name.is_empty() => host,
            _ => return false,
        },
        (None, Some(rest)) => rest.split('/').next().unwrap_or_default(),
        (None, None) => return false,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let last = host.rsplit('.').next().unwrap_or_default();
    contact.bytes().all(|byte| byte.is_ascii_graphic())
        && host.contains('.')
        && host.chars().all(plain)
        && !RESERVED.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webpush::Addresses;

    fn broken(change: impl FnOnce(&mut Settings)) -> Option<&'static str> {
        let contact = "mailto:loa@city.example".to_owned();
        let mut settings = Settings { contact, ..Settings::default() };
        change(&mut settings);
        settings.broken_rule().map(|(setting, _)| setting)
    }

    #[test]
    fn a_contact_must_be_one_that_somebody_can_write_to() {
        for good in ["mailto:loa@city.example", "https://loa.city.example/contact"] {
            assert_eq!(broken(|one| one.contact = good.into()), None, "{good}");
        }
        for bad in [
            "",
            "loa@city.example",
            "mailto:loa@localhost",
            "mailto:loa@node.local",
            "mailto:@city.example",
            "https://node.internal/",
            "http://city.example",
            "mailto:a b@city.example",
        ] {
            assert_eq!(broken(|one| one.contact = bad.into()), Some("contact"), "{bad}");
        }
    }

    #[test]
    fn the_browsers_services_are_known_from_the_start() {
        let services = Settings::default().push_services();
        for endpoint in [
            "https://fcm.googleapis.com/fcm/send/dXk:APA91b",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
            "https://web.push.apple.com/QGwDy",
            "https://wns2-sg2p.notify.windows.com/w/?token=BQYAAA%3d%3d",
        ] {
            let url = url::Url::parse(endpoint).unwrap();
            assert_eq!(services.admit(&url), Some(Addresses::Public), "{endpoint}");
        }
    }

    #[test]
    fn every_broken_setting_is_named() {
        assert_eq!(broken(|one| one.hosts.push("https://x.y".into())), Some("hosts"));
        assert_eq!(broken(|one| one.private.push("localhost".into())), Some("private"));
        assert_eq!(broken(|one| one.services = 0), Some("services"));
    }
}
