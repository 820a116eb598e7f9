//! One stream as the hub sees it: its viewer, its queue, and the buffer that holds live entries
//! while it is told what was before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::device::Device;
use crate::domain::ids::DeviceId;
use crate::gateway::close::Close;
use crate::gateway::entry::Entry;
use crate::gateway::frame::Frame;
use crate::gateway::outbox::{Outbox, Outgoing};
use crate::gateway::viewer::{Stay, Viewer};

/// Live entries that may wait while a stream begins.
const BUFFER_MAX: usize = 1_024;

/// One stream.
#[derive(Debug)]
pub struct Conn {
    id: u64,
    outbox: Outbox,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    viewer: Viewer,
    phase: Phase,
    /// The places changed while it was joining: what is live has to be looked at again.
    owes_late: bool,
    /// The newest entry that was queued with its position.
    sent: u64,
}

#[derive(Debug)]
enum Phase {
    /// Told what was before; what happens meanwhile waits.
    Joining(Box<Joining>),
    /// Sent everything as it happens.
    Live,
}

#[derive(Debug, Default)]
struct Joining {
    buffer: Vec<Arc<Entry>>,
    told: u64,
}

/// What a stream is told of the time before it.
#[derive(Debug)]
pub(super) struct Before {
    /// Whether it is all that was missed.
    pub(super) recovered: bool,
    /// In order.
    pub(super) follow: Vec<Outgoing>,
    /// The newest entry that was looked at.
    pub(super) told: u64,
    /// The newest entry that follows; 0 if none does.
    pub(super) sent: u64,
}

impl Conn {
    /// A connection that has not been told anything.
    pub(super) fn joining(id: u64, viewer: Viewer, (frames, bytes): (usize, usize)) -> Self {
        let phase = Phase::Joining(Box::default());
        let state = State { viewer, phase, owes_late: false, sent: 0 };
        Self { id, outbox: Outbox::new(frames, bytes), state: Mutex::new(state) }
    }

    /// Its number on this gateway.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its queue.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The id of the device behind it.
    pub fn device(&self) -> Option<DeviceId> {
        self.look(|viewer| viewer.device().map(|device| device.id))
    }

    /// Asks something of its viewer.
    pub(super) fn look<T>(&self, ask: impl FnOnce(&Viewer) -> T) -> T {
        ask(&self.lock().viewer)
    }

    /// Looks at the time before it; what happens meanwhile waits.
    pub(super) fn begin(&self, look: impl FnOnce(&mut Viewer) -> Before) -> Before {
        let mut state = self.lock();
        let before = look(&mut state.viewer);
        state.sent = before.sent;
        if let Phase::Joining(joining) = &mut state.phase {
            joining.told = before.told;
        }
        before
    }

    /// Offers a live entry; what is to be pushed at once, if it takes it now.
    pub(super) fn offer(&self, entry: &Arc<Entry>, now: Timestamp) -> Option<Outgoing> {
        let mut state = self.lock();
        match &mut state.phase {
            Phase::Joining(joining) if joining.buffer.len() < BUFFER_MAX => {
                joining.buffer.push(Arc::clone(entry));
                None
            }
            Phase::Joining(_) => {
                self.outbox.close(Close::Slow);
                None
            }
            Phase::Live => state.take(entry, now),
        }
    }

    /// Ends the joining: what waited is sent, then the mark.
    pub(super) fn go_live(&self, now: Timestamp, mark: impl FnOnce(u64) -> Arc<Frame>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.phase, Phase::Live);
        let Phase::Joining(joining) = before else { return };
        // The mark's position may be newer than what waited: sent first, a cut would lose that.
        for entry in joining.buffer.iter().filter(|entry| entry.serial > joining.told) {
            if let Some(outgoing) = state.take(entry, now) {
                self.outbox.push(outgoing);
            }
        }
        self.outbox.push(Outgoing::plain(mark(state.sent)));
    }

    /// Queues a frame made of the newest entry that was queued before it.
    pub(super) fn mark(&self, mark: impl FnOnce(u64) -> Arc<Frame>) {
        let state = self.lock();
        self.outbox.push(Outgoing::plain(mark(state.sent)));
    }

    /// The device changed.
    pub(super) fn change(&self, device: &Device, stays: Vec<Stay>) {
        let mut state = self.lock();
        state.owes_late |= matches!(state.phase, Phase::Joining(_));
        state.viewer.change(device, stays);
    }

    /// Whether its places changed while it was joining; asked once.
    pub(super) fn owes_late(&self) -> bool {
        std::mem::take(&mut self.lock().owes_late)
    }

    /// Offers what is live and was not sent; without positions, since it is out of order.
    pub(super) fn offer_late(&self, live: &[Arc<Entry>], now: Timestamp) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Joining(_)) {
            state.owes_late = true;
            return;
        }
        for entry in live {
            if let Some(outgoing) = state.viewer.take_late(entry, now) {
                self.outbox.push(outgoing);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, entry: &Entry, now: Timestamp) -> Option<Outgoing> {
        let outgoing = self.viewer.take(entry, now)?;
        self.sent = entry.serial;
        Some(outgoing)
    }
}
