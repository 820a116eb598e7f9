//! PING keep-alive: a connection that falls silent is found dead in seconds, not when TCP gives up
//! after a quarter of an hour.

use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, sleep, timeout};

use super::Settings;
use super::connection::Link;

/// A ping is overdue after this part of its time limit.
const OVERDUE: u32 = 4;

/// Returns when the peer left a ping unanswered. Pings go out when requests are in flight and no
/// answer came during a whole `ping_quiet_ms`, and now and then when there is nothing to do.
/// When an answer is overdue the connection is suspect; `alive` is told when it no longer is.
pub async fn watch(mut pings: PingPong, link: &Link, settings: &Settings, alive: impl Fn()) {
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
        let ping = pings.ping(Ping::opaque());
        tokio::pin!(ping);
        let mut pong = timeout(patience / OVERDUE, &mut ping).await;
        if pong.is_err() {
            link.suspect(true);
            pong = timeout(patience - patience / OVERDUE, ping).await;
        }
        // An error means that the connection ended, which its driver sees too.
        let Ok(Ok(_)) = pong else { return };
        heard = Instant::now();
        if link.is_suspect() {
            link.suspect(false);
            alive();
        }
    }
}
