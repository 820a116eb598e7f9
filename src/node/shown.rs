//! What the console may show of the channels' settings: apps and names of keys, never a secret.

use std::collections::BTreeMap;
use std::path::Path;

use crate::channel::{Settings, apns};
use crate::console::providers::{
    Configured, Credentials, CredentialsKind as Kind, CredentialsSource as Source,
};
use crate::domain::channel::Channel;

/// What is known of each channel that is configured.
pub fn configured(settings: &Settings) -> BTreeMap<Channel, Configured> {
    let mut shown = BTreeMap::new();
    if let Some(apns) = &settings.apns {
        let apps = apns.served().into_iter().map(|(app, place)| format!("{app} ({place})"));
        let credentials = Some(of_apple(&apns.credentials));
        shown.insert(Channel::Apns, Configured { apps: apps.collect(), credentials });
    }
    if let Some(fcm) = &settings.fcm {
        let file = fcm.service_account_file.as_deref();
        let credentials = match (file, &fcm.metadata_server) {
            (None, Some(_)) => {
                Credentials { source: Source::Platform, ..given(Kind::WorkloadIdentity, None) }
            }
            (file, _) => given(Kind::ServiceAccount, file),
        };
        let apps = fcm.project.iter().cloned().collect();
        shown.insert(Channel::Fcm, Configured { apps, credentials: Some(credentials) });
    }
    if let Some(webpush) = &settings.webpush {
        let mut credentials = given(Kind::VapidKey, webpush.key_file.as_deref());
        if webpush.key_file.is_none() && webpush.key.is_none() {
            credentials.source = Source::Node;
        }
        let apps = webpush.hosts.clone();
        shown.insert(Channel::Webpush, Configured { apps, credentials: Some(credentials) });
    }
    shown
}

fn of_apple(credentials: &apns::settings::Credentials) -> Credentials {
    if credentials.certificate.is_some() || credentials.certificate_file.is_some() {
        return given(Kind::Certificate, credentials.certificate_file.as_deref());
    }
    if credentials.key_id.is_empty() {
        return given(Kind::EachApp, None);
    }
    Credentials {
        key_id: Some(credentials.key_id.clone()),
        team_id: Some(credentials.team_id.clone()),
        ..given(Kind::TokenKey, credentials.key_file.as_deref())
    }
}

/// Credentials from a file, or else from the settings.
fn given(kind: Kind, file: Option<&Path>) -> Credentials {
    let source = if file.is_some() { Source::File } else { Source::Settings };
    Credentials { kind, key_id: None, team_id: None, source, file: file.map(name) }
}

/// A file's name without its folder, which is nobody's business.
fn name(file: &Path) -> String {
    file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
