//! One stream as the hub sees it: its viewer, its queue, and the buffer that holds live entries
//! while it is told what was before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::device::Device;
use crate::domain::ids::DeviceId;
use crate::gateway::close::Close;
use crate::gateway::entry::Entry;
use crate::gateway::frame::Frame;
use crate::gateway::hub::index::Keys;
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
    /// What the index has it under; changed under the lock of its shard there.
    listed: Mutex<Keys>,
}

#[derive(Debug)]
struct State {
    viewer: Option<Viewer>,
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
    /// What the device changed to before its viewer arrived.
    changed: Option<(Arc<Device>, Vec<Stay>)>,
}

impl Conn {
    /// A connection whose viewer has not arrived.
    pub(super) fn joining(id: u64, queue_frames: usize, queue_bytes: usize) -> Self {
        let phase = Phase::Joining(Box::default());
        let state = State { viewer: None, phase, owes_late: false, sent: 0 };
        let outbox = Outbox::new(queue_frames, queue_bytes);
        Self { id, outbox, state: Mutex::new(state), listed: Mutex::default() }
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
        self.lock().viewer.as_ref()?.device().map(|device| device.id)
    }

    /// The viewer, told everything up to a serial, the last of it with its position.
    pub(super) fn arrived(&self, mut viewer: Viewer, serial: u64, sent: u64) {
        let mut state = self.lock();
        state.sent = sent;
        if let Phase::Joining(joining) = &mut state.phase {
            joining.told = serial;
            if let Some((device, stays)) = joining.changed.take() {
                viewer.change(&device, stays);
            }
        }
        state.viewer = Some(viewer);
    }

    /// What it is to be found by.
    pub(super) fn keys(&self) -> Keys {
        self.lock().viewer.as_ref().map(Keys::of).unwrap_or_default()
    }

    /// Notes what the index has it under now; answers what it had before.
    pub(super) fn list_under(&self, keys: Keys) -> Keys {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut listed, keys)
    }

    /// Offers a live entry; whether it was queued.
    pub(super) fn offer(&self, entry: &Arc<Entry>, now: Timestamp) -> bool {
        let mut state = self.lock();
        match &mut state.phase {
            Phase::Joining(joining) if joining.buffer.len() < BUFFER_MAX => {
                joining.buffer.push(Arc::clone(entry));
                false
            }
            Phase::Joining(_) => {
                self.outbox.close(Close::Slow);
                false
            }
            Phase::Live => self.send(&mut state, entry, now),
        }
    }

    /// Ends the joining: what waited is sent, then the mark.
    pub(super) fn go_live(&self, now: Timestamp, mark: impl FnOnce(u64) -> Arc<Frame>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.phase, Phase::Live);
        let Phase::Joining(joining) = before else { return };
        // The mark's position may be newer than what waited: sent first, a cut would lose that.
        for entry in joining.buffer.iter().filter(|entry| entry.serial > joining.told) {
            self.send(&mut state, entry, now);
        }
        self.outbox.push(Outgoing::plain(mark(state.sent)));
    }

    /// Queues a frame made of the newest entry that was queued before it.
    pub(super) fn mark(&self, mark: impl FnOnce(u64) -> Arc<Frame>) {
        let state = self.lock();
        self.outbox.push(Outgoing::plain(mark(state.sent)));
    }

    /// The device changed.
    pub(super) fn change(&self, device: &Arc<Device>, stays: Vec<Stay>) {
        let mut state = self.lock();
        let State { viewer, phase, owes_late, .. } = &mut *state;
        *owes_late |= matches!(phase, Phase::Joining(_));
        match (viewer, phase) {
            (Some(viewer), _) => viewer.change(device, stays),
            (None, Phase::Joining(joining)) => {
                joining.changed = Some((Arc::clone(device), stays));
            }
            (None, Phase::Live) => {} // its viewer arrives before it goes live
        }
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
        let Some(viewer) = &mut state.viewer else { return };
        for entry in live {
            if let Some(outgoing) = viewer.take_late(entry, now) {
                self.outbox.push(outgoing);
            }
        }
    }

    fn send(&self, state: &mut State, entry: &Arc<Entry>, now: Timestamp) -> bool {
        let taken = state.viewer.as_mut().and_then(|viewer| viewer.take(entry, now));
        let Some(outgoing) = taken else { return false };
        state.sent = entry.serial;
        self.outbox.push(outgoing);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
