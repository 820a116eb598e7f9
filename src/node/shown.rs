//! What the console may show of the channels' settings: apps and names of keys, never a secret.

use std::collections::BTreeMap;
use std::path::Path;

use crate::channel::Settings;
use crate::channel::apns::settings::Credentials;
use crate::console::providers::Configured;
use crate::domain::channel::Channel;

/// What is known of each channel that is configured.
pub fn configured(settings: &Settings) -> BTreeMap<Channel, Configured> {
    let mut shown = BTreeMap::new();
    if let Some(apns) = &settings.apns {
        let apps = apns.served().into_iter().map(|(app, place)| format!("{app} ({place})"));
        let credentials = of_apple(&apns.credentials);
        shown.insert(Channel::Apns, Configured { apps: apps.collect(), credentials });
    }
    if let Some(fcm) = &settings.fcm {
        let credentials = match (&fcm.service_account_file, &fcm.metadata_server) {
            (Some(file), _) => format!("service account, from {}", name(file)),
            (None, Some(_)) => "workload identity".to_owned(),
            (None, None) => "service account, from the settings".to_owned(),
        };
        let apps = fcm.project.iter().cloned().collect();
        shown.insert(Channel::Fcm, Configured { apps, credentials });
    }
    if let Some(webpush) = &settings.webpush {
        let credentials = match &webpush.key_file {
            Some(file) => format!("VAPID key, from {}", name(file)),
            None if webpush.key.is_some() => "VAPID key, from the settings".to_owned(),
            None => "VAPID key of the data directory".to_owned(),
        };
        let apps = webpush.hosts.clone();
        shown.insert(Channel::Webpush, Configured { apps, credentials });
    }
    shown
}

fn of_apple(credentials: &Credentials) -> String {
    let from = |file: &Option<std::path::PathBuf>| match file {
        Some(file) => format!("from {}", name(file)),
        None => "from the settings".to_owned(),
    };
    if credentials.certificate.is_some() || credentials.certificate_file.is_some() {
        return format!("certificate, {}", from(&credentials.certificate_file));
    }
    let Credentials { team_id, key_id, key_file, .. } = credentials;
    if key_id.is_empty() {
        return "each app has its own".to_owned();
    }
    format!("key {key_id} of team {team_id}, {}", from(key_file))
}

/// A file's name without its folder, which is nobody's business.
fn name(file: &Path) -> String {
    file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
