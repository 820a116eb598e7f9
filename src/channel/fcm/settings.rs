//! FCM settings: endpoint, credentials, and what the app is like.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::channel::{http2, throttle};
use crate::config::secret::Secret;

/// Messages a minute that Google lets a project send, unless it granted more (FACTS F2).
pub const QUOTA_PER_MINUTE: u32 = 600_000;

/// How to reach Google and as whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where messages are posted.
    pub endpoint: Url,
    /// The service account's key file, inline (JSON as Google gives it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<Secret>,
    /// The path of the service account's key file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_file: Option<PathBuf>,
    /// In place of a service account: the metadata server of the machine or cluster that Loa runs
    /// on (workload identity), `http://metadata.google.internal` everywhere at Google.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_server: Option<Url>,
    /// In place of a service account: the file that describes an identity of another platform which
    /// Google trusts (`external_account`, as gcloud writes it), inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account: Option<Secret>,
    /// The path of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account_file: Option<PathBuf>,
    /// The Firebase project; absent means the service account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Where access tokens are fetched; absent means the key file's `token_uri`, or the
    /// `token_url` of an external account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_uri: Option<Url>,
    /// The notification channels the app made.
    pub notification_channels: NotificationChannels,
    /// The app draws notifications itself: pushes are data messages that carry the words. An app
    /// that gets such a push and shows nothing will find its later ones delayed (FACTS F5).
    pub data_only: bool,
    /// Alerts for whole units are posted to the topics `loa-unit-<vintage>-<code>` too, which
    /// reaches installations that never registered. What topics cannot do: docs/OPERATIONS.md.
    pub unit_topics: bool,
    /// The connections to the endpoint.
    pub http2: http2::Settings,
    /// How fast it may go.
    pub throttle: throttle::Settings,
}

/// Names of the app's Android notification channels: from Android 8 on a channel's importance, set
/// by the app and the person, decides how loud a notification is (FACTS F5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationChannels {
    /// The gravest: sounds through Do Not Disturb where the person allowed it.
    pub critical: String,
    /// Hot alerts.
    pub emergency: String,
    /// The citizen's own reports and dossiers.
    pub personal: String,
    /// News and surveys.
    pub routine: String,
    /// Without sound: quiet hours, all-clear.
    pub quiet: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: Url::parse("https://fcm.googleapis.com").expect("a literal URL"),
            service_account: None,
            service_account_file: None,
            metadata_server: None,
            external_account: None,
            external_account_file: None,
            project: None,
            token_uri: None,
            notification_channels: NotificationChannels::default(),
            data_only: false,
            unit_topics: false,
            http2: http2::Settings::default(),
            throttle: throttle::Settings::default(),
        }
    }
}

impl Default for NotificationChannels {
    fn default() -> Self {
        Self {
            critical: "loa_critical".to_owned(),
            emergency: "loa_emergency".to_owned(),
            personal: "loa_personal".to_owned(),
            routine: "loa_routine".to_owned(),
            quiet: "loa_quiet".to_owned(),
        }
    }
}
