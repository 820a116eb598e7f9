//! Renewal without a restart: the files are read again every so often, and a changed set is taken
//! for the handshakes that follow if it is good. A bad one changes nothing; it is said once, and
//! shown by a metric until a good one is there. A pair that is half replaced is bad for one look.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::tls::Door;
use crate::http::tls::files::{Error, Texts};
use crate::metrics;

/// Days until a certificate ends, as a metric.
pub fn tell(ends: Timestamp, now: Timestamp) {
    metrics::certificate_days(ends.duration_since(now).as_secs_f64() / 86_400.0);
}

/// What was found at a look.
struct Seen {
    /// What tells the set that is in use from others; none where the last one was bad.
    good: Option<[u8; 32]>,
    /// Why it was bad.
    bad: Option<Error>,
}

impl Door {
    /// Looks at the files until the token is cancelled.
    pub async fn renew(
        self: Arc<Self>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut look = tokio::time::interval(Duration::from_secs(self.settings.reload_seconds));
        let mut seen = Seen { good: None, bad: None };
        let mut ends = None;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            let now = clock.now();
            if let Some(renewed) = self.look(&mut seen, now) {
                ends = Some(renewed);
            }
            if let Some(ends) = ends {
                tell(ends, now);
            }
        }
    }

    /// Takes what has changed; when it ends, if it was taken.
    fn look(&self, seen: &mut Seen, now: Timestamp) -> Option<Timestamp> {
        let texts = Texts::read(&self.settings);
        let digest = texts.as_ref().ok().map(Texts::digest);
        if digest.is_some() && digest == seen.good {
            return None;
        }
        let first = seen.good.is_none() && seen.bad.is_none();
        match texts.and_then(|texts| texts.load(&self.settings, now)) {
            Ok(loaded) => {
                self.config.store(loaded.config);
                *seen = Seen { good: digest, bad: None };
                metrics::renewal_failed(false);
                if !first {
                    tracing::info!(ends = %loaded.ends, "the faces' certificate was renewed");
                }
                Some(loaded.ends)
            }
            Err(error) => {
                if seen.bad.as_ref() != Some(&error) {
                    let what = "renewed TLS files are bad: the ones before stay in use";
                    tracing::warn!(error = %error, "{what}");
                }
                *seen = Seen { good: None, bad: Some(error) };
                metrics::renewal_failed(true);
                None
            }
        }
    }
}
