//! The citizens' face put together; and what is kept under a pseudonyms' key when its time is over.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::auth::bearer::Verifier;
use crate::auth::citizen::Doorkeeper;
use crate::auth::names::Names;
use crate::auth::oidc::session::Sessions;
use crate::auth::ticket::Tickets;
use crate::config::Config;
use crate::domain::webpush::Offer;
use crate::gateway;
use crate::http::pace::Pace;
use crate::lifecycle::Lifecycle;
use crate::node::key::{self, Secrets};
use crate::node::signing::Place;
use crate::node::{Parts, gate, together};

/// How often it is looked whether a key's time is over.
const LOOK: Duration = Duration::from_secs(600);
/// Between two steps through the registry: ten million devices in a good hour, beside everything
/// else.
const PAUSE: Duration = Duration::from_millis(200);

/// Ends pseudonyms' keys for as long as the node runs.
pub(super) fn start(names: Names, place: Place, tasks: &Lifecycle) {
    let stop = tasks.token().clone();
    tasks.service("pseudonyms", async move {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let ended = async {
                look.tick().await;
                end(&names, &place, PAUSE).await
            };
            tokio::select! {
                ended = ended => match ended {
                    Ok(0) => {}
                    Ok(keys) => tracing::info!(keys, "nothing lies under an ended key any more"),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "what lies under an ended key is not erased yet");
                    }
                },
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
        }
    });
}

/// Erases what lies under pseudonyms' keys whose time is over, then the keys; answers how many.
pub async fn end(names: &Names, place: &Place, pause: Duration) -> Result<usize> {
    let keys = names.ended();
    if !keys.is_empty() {
        names.end(&keys, pause).await?;
        let kids: Vec<String> = keys.iter().map(|key| key.kid.clone()).collect();
        place.change(|ring| Ok(ring.without(&kids))).await?;
    }
    Ok(keys.len())
}

/// What a gateway is made of.
pub(super) fn gateway(config: &Config, parts: &Parts, secrets: &Secrets) -> Result<gateway::Parts> {
    let key = secrets.node;
    let verifier = match &config.auth.citizens {
        Some(provider) => {
            let login = key::derived(&key, "login");
            let verifier = Verifier::new(provider, &login, "loa_login", parts.clock.clone());
            Some(Arc::new(verifier.context("auth.citizens")?))
        }
        None => None,
    };
    let apps = config.channel.apns.as_ref().map(|apns| Arc::from(apns.served()));
    let tickets = Tickets::new(&key::derived(&key, "ticket"));
    let sessions = Sessions::new(&key::derived(&key, "citizen session"));
    let names = parts.names.clone();
    Ok(gateway::Parts {
        bus: parts.bus.clone(),
        registry: parts.registry.clone(),
        alerts: parts.alerts.clone(),
        gate: gate(config, parts),
        ledger: parts.ledger.clone(),
        replies: parts.replies.clone(),
        answers: parts.answers.clone(),
        city: Arc::clone(&parts.city),
        doorkeeper: Doorkeeper::new(names, verifier, (tickets, sessions), parts.clock.clone())
            .paced(Pace::new("citizen", config.http.citizen_rate(), together(parts)))
            .noting(parts.seen.clone()),
        kinds: Arc::clone(&parts.kinds),
        together: together(parts),
        node_key: key::derived(&key, "device").into(),
        webpush: offer(config, secrets)?,
        apns_apps: apps,
        clock: parts.clock.clone(),
    })
}

fn offer(config: &Config, secrets: &Secrets) -> Result<Option<Arc<Offer>>> {
    let webpush = config.channel.webpush.as_ref().zip(secrets.vapid()?);
    Ok(webpush.map(|(webpush, key)| {
        let application_server_key = key.public().to_owned();
        Arc::new(Offer { application_server_key, services: webpush.push_services() })
    }))
}
