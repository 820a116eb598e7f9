//! How the push channels fare, and whose credentials they hold; never a secret.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::channel::Sender;
use crate::console::{AsOperator, Console};
use crate::domain::channel::Channel;
use crate::http::problem::{Problem, Refused};

/// How a channel fares.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProviderState {
    /// Its name.
    pub channel: &'static str,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// The provider's reason, while it refuses our credentials or configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misconfigured: Option<&'static str>,
    /// So many addresses are called dead that none is removed.
    pub removal_paused: bool,
    /// Pushes under way.
    pub in_flight: u64,
}

/// A channel, its state and its credentials.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderAnswer {
    /// Whether it is configured at all.
    pub configured: bool,
    /// It talks to the simulator, not to the provider.
    pub simulated: bool,
    /// The apps it serves.
    pub apps: Vec<String>,
    /// What is known of its credentials without showing them; absent without any.
    pub credentials: Option<Credentials>,
    /// How it fares.
    #[serde(flatten)]
    pub state: ProviderState,
}

/// The push channels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProvidersAnswer {
    /// Each of them.
    pub providers: Vec<ProviderAnswer>,
}

/// What is known of a channel's configuration without its secrets.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The apps it serves.
    pub apps: Vec<String>,
    /// Which credentials.
    pub credentials: Option<Credentials>,
}

/// Which credentials a channel has, never the secret.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Credentials {
    /// What they are.
    pub kind: CredentialsKind,
    /// The key's id, of an APNs key.
    pub key_id: Option<String>,
    /// The team's id, of an APNs key.
    pub team_id: Option<String>,
    /// Where they come from.
    pub source: CredentialsSource,
    /// The file's name, without its folder, where they come from one.
    pub file: Option<String>,
}

/// What credentials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsKind {
    /// A key that signs provider tokens (APNs).
    TokenKey,
    /// A client certificate (APNs).
    Certificate,
    /// Each app has its own (APNs).
    EachApp,
    /// A service account (FCM).
    ServiceAccount,
    /// The platform's own identity (FCM).
    WorkloadIdentity,
    /// A VAPID key (Web Push).
    VapidKey,
}

/// Where credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsSource {
    /// A file that the settings name.
    File,
    /// The settings themselves.
    Settings,
    /// The platform the node runs on.
    Platform,
    /// Made by the node, and kept in its data directory.
    Node,
}

/// How every channel fares.
pub fn states(senders: &[Arc<Sender>]) -> Vec<ProviderState> {
    let state = |sender: &Arc<Sender>| {
        let health = sender.health();
        ProviderState {
            channel: sender.channel().as_str(),
            consecutive_failures: health.consecutive_failures,
            misconfigured: health.misconfigured,
            removal_paused: health.removal_paused,
            in_flight: sender.figures().in_flight as u64,
        }
    };
    senders.iter().map(state).collect()
}

/// The push channels and their credentials' state.
#[utoipa::path(get, path = "/v1/console/providers", tag = "desk",
    responses((status = 200, description = "The channels", body = ProvidersAnswer), Refused),
    security(("session" = []), ("api_key" = [])))]
pub async fn list(
    State(console): State<Console>,
    _: AsOperator,
) -> Result<axum::Json<ProvidersAnswer>, Problem> {
    let states = states(&console.senders);
    let answer = |channel: Channel| {
        let known = console.configured.get(&channel).cloned().unwrap_or_default();
        let running = states.iter().find(|state| state.channel == channel.as_str()).cloned();
        ProviderAnswer {
            configured: running.is_some(),
            simulated: console.simulated && running.is_some(),
            apps: known.apps,
            credentials: known.credentials,
            state: running.unwrap_or(ProviderState {
                channel: channel.as_str(),
                consecutive_failures: 0,
                misconfigured: None,
                removal_paused: false,
                in_flight: 0,
            }),
        }
    };
    Ok(axum::Json(ProvidersAnswer { providers: Channel::PUSH.map(answer).into() }))
}
