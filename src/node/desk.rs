//! The desk's face put together: sessions, templates, and the console with its pulse.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

use crate::auth::bearer::Verifier;
use crate::auth::desk::Desk;
use crate::channel::Sender;
use crate::config::Config;
use crate::console::pulse::{Pulse, Sources};
use crate::console::templates::Templates;
use crate::console::{self, Console, Entrance};
use crate::lifecycle::Lifecycle;
use crate::node::Parts;
use crate::node::key;
use crate::node::shown::configured;

/// Who works at the desk.
pub fn of(config: &Config, parts: &Parts) -> Desk {
    Desk {
        agencies: parts.agencies.clone(),
        people: parts.people.clone(),
        clock: parts.clock.clone(),
        settings: config.console.sessions(),
    }
}

/// The desk's face, with its pulse beating.
pub fn console(
    config: &Config,
    (parts, key): (&Parts, &[u8]),
    (senders, simulated): (Vec<Arc<Sender>>, bool),
    tasks: &Lifecycle,
) -> Result<Console> {
    let pulse = Pulse::new(Sources {
        clock: parts.clock.clone(),
        alerts: parts.alerts.clone(),
        ledger: parts.ledger.clone(),
        drafts: parts.drafts.clone(),
        answers: parts.answers.clone(),
        drills: parts.drills.clone(),
        senders: senders.clone(),
    });
    pulse.start(tasks);
    Ok(Console {
        clock: parts.clock.clone(),
        bus: parts.bus.clone(),
        senders,
        tasks: tasks.clone(),
        simulated,
        desk: of(config, parts),
        trail: parts.trail.clone(),
        city: Arc::clone(&parts.city),
        registry: parts.registry.clone(),
        alerts: parts.alerts.clone(),
        ledger: parts.ledger.clone(),
        drafts: parts.drafts.clone(),
        answers: parts.answers.clone(),
        outlook: super::outlook(config),
        pulse,
        streams: Arc::new(Semaphore::new(console::STREAMS_MAX)),
        configured: Arc::new(configured(&config.channel)),
        templates: Arc::new(templates(config)?),
        shapes: console::shapes(&parts.city),
        tile_server: Some(config.console.tile_server.clone()).filter(|url| !url.is_empty()),
        entrance: entrance(config, parts, key)?,
        logins: Arc::default(),
        hashing: Arc::new(Semaphore::new(console::HASHING_MAX)),
    })
}

/// How people get in.
fn entrance(config: &Config, parts: &Parts, key: &[u8]) -> Result<Entrance> {
    let verifier = |settings| {
        let login = key::derived(key, "people login");
        let made = Verifier::new(settings, &login, "loa_people_login", parts.clock.clone());
        made.map(Arc::new).context("auth.people")
    };
    let provider = config.auth.people.as_ref().map(verifier).transpose()?;
    Ok(Entrance { provider, passwords: config.console.password_login })
}

/// Templates by hazard: the city's own, or the built-in ones.
fn templates(config: &Config) -> Result<Templates> {
    let Some(path) = &config.console.templates_file else { return Ok(Templates::built_in()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("console.templates_file: {}", path.display()))?;
    Templates::parse(&text).context("console.templates_file")
}
