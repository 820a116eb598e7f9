//! What was written to streams, told to the ledger in batches and off the hot path: while an alert
//! is being written to sockets the ledger waits, so that the last of them does not wait for it.
//! Only devices whose channel is the websocket are told of: others count under their push channel.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::gateway::outbox::Delivers;
use crate::store::ledger::{AcceptedAt, BATCH_MAX, Delivered, Ledger};

/// Deliveries that may wait for the ledger: a few alerts to every stream a node may hold. Past it
/// they go uncounted; streams and hub never wait for a count.
const WAITING_MAX: usize = 262_144;
/// Deliveries after which the ledger waits no longer, however many more are coming.
const HELD_MAX: usize = WAITING_MAX / 2;
/// The ledger waits until so long nothing was written.
const CALM: Duration = Duration::from_millis(50);
/// How often it waits so at the most.
const CALMS_MAX: u32 = 20;
/// How often a write is tried before its deliveries go uncounted.
const TRIES_MAX: u32 = 5;
/// Pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);

/// Where streams report what they wrote.
#[derive(Clone, Debug)]
pub struct Deliveries {
    input: mpsc::Sender<(Delivers, Timestamp)>,
}

/// The task behind it.
#[derive(Debug)]
pub struct Recorder {
    output: mpsc::Receiver<(Delivers, Timestamp)>,
    ledger: Ledger,
}

/// Where to report, and the task that passes it on.
pub fn open(ledger: Ledger) -> (Deliveries, Recorder) {
    let (input, output) = mpsc::channel(WAITING_MAX);
    (Deliveries { input }, Recorder { output, ledger })
}

impl Deliveries {
    /// A frame was written to a device's stream.
    pub fn written(&self, delivers: Delivers, at: Timestamp) {
        match self.input.try_send((delivers, at)) {
            // Closed only when the recorder has ended, at the very end of a drain.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                tracing::error!(
                    waiting = WAITING_MAX,
                    "the ledger is behind: deliveries uncounted"
                );
            }
        }
    }
}

impl Recorder {
    /// Passes deliveries on until the token is cancelled, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        loop {
            let first = tokio::select! {
                first = self.output.recv() => first,
                () = stop.cancelled() => None,
            };
            let Some(first) = first else { break };
            tokio::select! {
                () = self.calm() => {}
                () = stop.cancelled() => {}
            }
            let mut batch = vec![first];
            batch.extend(std::iter::from_fn(|| self.output.try_recv().ok()).take(BATCH_MAX - 1));
            self.record(batch).await;
        }
        self.output.close();
        let mut batch = Vec::new();
        while self.output.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.record(std::mem::take(&mut batch)).await;
        }
        stop.cancelled().await;
        Ok(())
    }

    /// Waits while streams are being written to.
    async fn calm(&self) {
        for _ in 0..CALMS_MAX {
            let before = self.output.len();
            if before >= HELD_MAX {
                return;
            }
            tokio::time::sleep(CALM).await;
            if self.output.len() == before {
                return;
            }
        }
    }

    async fn record(&self, batch: Vec<(Delivers, Timestamp)>) {
        let mut accepted_at = AcceptedAt::new();
        let mut delivered = Vec::with_capacity(batch.len());
        for (delivers, at) in batch {
            let Delivers { publication, device, unit, accepted_at: accepted } = delivers;
            let Some(device) = device else { continue };
            accepted_at.insert(publication, accepted);
            delivered.push(Delivered { publication, device, unit, at });
        }
        let mut pause = PAUSE;
        for attempt in 1..=TRIES_MAX {
            match self.ledger.record_deliveries(delivered.clone(), &accepted_at).await {
                Ok(_) => return,
                Err(error) if attempt == TRIES_MAX => {
                    let count = delivered.len();
                    tracing::error!(count, error = %error, "deliveries went uncounted");
                }
                Err(error) => {
                    tracing::warn!(attempt, error = %error, "deliveries could not be counted yet");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }
}
