//! The node's HTTP face put together: the shield around its routes, what of its refusals goes to
//! the audit, TLS of its own, renewal.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::refusals::{Listener, Refusal, told};
use crate::http::serve::{Face, serve};
use crate::http::shield;
use crate::http::tls::Door;
use crate::lifecycle::Lifecycle;
use crate::node::{Parts, together};
use crate::trail::refused::{self, Refused, Who};

/// Serves the routes on a bound socket until the node stops.
pub fn start(
    config: &Config,
    (parts, address_key): (&Parts, &[u8]),
    (socket, router): (TcpListener, axum::Router),
    tasks: &Lifecycle,
) -> Result<()> {
    let limits = config.http.clone();
    let door = match &limits.tls {
        Some(tls) => Some(Door::open(tls, parts.clock.now()).context("http.tls")?),
        None => None,
    };
    if let Some(door) = door.clone() {
        tasks.service("tls", door.renew(parts.clock.clone(), tasks.token().clone()));
    }
    let window = Duration::from_secs(config.node.refusals_seconds);
    let watch = refused::start(parts.trail.clone(), address_key.to_vec(), window, tasks);
    let tell = move |refusal: Refusal| {
        let Refusal { actor, address, code, asked } = refusal;
        let who = actor.map_or_else(|| Who::At(address.to_string()), Who::Known);
        watch.saw(Refused { who, code: code.as_str(), asked });
    };
    let listener = Listener::new(tell, &limits.trusted_proxies);
    let router = shield::around(router, &limits, together(parts));
    let router = router.layer(from_fn_with_state(listener.clone(), told));
    let face = Face { listener: socket, router, door, refusals: Some(listener) };
    let grace = Duration::from_secs(config.node.grace_seconds);
    let stop = tasks.token().clone();
    tasks.service("http", async move { serve(face, &limits, stop, grace).await });
    Ok(())
}
