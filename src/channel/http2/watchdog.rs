//! PING keep-alive: a connection that falls silent is found dead in seconds, not when TCP gives up
//! after a quarter of an hour.

use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, sleep, timeout};

use super::Settings;
use super::connection::Link;

/// Returns when the peer left a ping unanswered. Pings go out when requests are in flight and no
/// answer came during a whole `ping_quiet_ms`, and now and then when there is nothing to do.
pub async fn watch(mut pings: PingPong, link: &Link, settings: &Settings) {
    let quiet = Duration::from_millis(settings.ping_quiet_ms);
    let idle = Duration::from_millis(settings.ping_idle_ms);
    let patience = Duration::from_millis(settings.ping_timeout_ms);
    let mut answers = link.answers();
    let mut heard = Instant::now();
    loop {
        sleep(quiet.min(idle)).await;
        let now_answers = link.answers();
        if now_answers != answers {
            answers = now_answers;
            heard = Instant::now();
            continue;
        }
        if link.in_flight() == 0 && heard.elapsed() < idle {
            continue;
        }
        match timeout(patience, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => heard = Instant::now(),
            // An error means that the connection ended, which its driver sees too.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
