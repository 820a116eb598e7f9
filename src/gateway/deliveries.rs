//! What was written to streams, told to the ledger in batches and off the hot path. Only devices
//! whose channel is the websocket are told of: others count under their push channel.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::channel::Channel;
use crate::domain::device::Device;
use crate::gateway::outbox::Delivers;
use crate::store::ledger::{AcceptedAt, Delivered, Ledger};

/// Deliveries that may wait for the ledger; past it the streams wait, the hub never does.
const WAITING_MAX: usize = 16_384;
/// Deliveries of one write to the ledger.
const BATCH_MAX: usize = 2_048;
/// How often a write is tried before its deliveries go uncounted.
const TRIES_MAX: u32 = 5;
/// Pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);

/// Where streams report what they wrote.
#[derive(Clone, Debug)]
pub struct Deliveries {
    input: mpsc::Sender<(Delivered, Delivers)>,
}

/// The task behind it.
#[derive(Debug)]
pub struct Recorder {
    output: mpsc::Receiver<(Delivered, Delivers)>,
    ledger: Ledger,
}

/// Where to report, and the task that passes it on.
pub fn open(ledger: Ledger) -> (Deliveries, Recorder) {
    let (input, output) = mpsc::channel(WAITING_MAX);
    (Deliveries { input }, Recorder { output, ledger })
}

impl Deliveries {
    /// A frame was written to a device's stream.
    pub async fn written(&self, device: &Device, delivers: Delivers, at: jiff::Timestamp) {
        if device.profile.address.channel() != Channel::Websocket {
            return;
        }
        let delivered = Delivered {
            publication: delivers.publication,
            device: device.num,
            unit: delivers.unit.clone(),
            at,
        };
        // Refused only when the recorder has ended, at the very end of a drain.
        let _ = self.input.send((delivered, delivers)).await;
    }
}

impl Recorder {
    /// Passes deliveries on until the token is cancelled, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                _ = self.output.recv_many(&mut batch, BATCH_MAX) => {}
                () = stop.cancelled() => break,
            }
            if batch.is_empty() {
                break; // nobody is left to report
            }
            self.record(&mut batch).await;
        }
        self.output.close();
        while self.output.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.record(&mut batch).await;
        }
        stop.cancelled().await;
        Ok(())
    }

    async fn record(&self, batch: &mut Vec<(Delivered, Delivers)>) {
        let mut accepted_at = AcceptedAt::new();
        let delivered: Vec<Delivered> = batch
            .drain(..)
            .map(|(delivered, delivers)| {
                accepted_at.insert(delivers.publication, delivers.accepted_at);
                delivered
            })
            .collect();
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
