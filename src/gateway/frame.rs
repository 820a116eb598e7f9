//! Frames: one encoded event, shared by everybody who gets the same. Bytes are counted once per
//! queue but held once per node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::domain::publication::Publication;
use crate::gateway::close::Close;
use crate::gateway::rfc6455;
use crate::gateway::view::{Languages, View};
use crate::gateway::wire::ToClient;

/// Variants kept per publication; past it they are encoded for each who gets them.
const VARIANTS_MAX: usize = 64;

/// One encoded event, as the websocket frame it is written as.
#[derive(Debug)]
pub struct Frame {
    wire: Bytes,
    /// Bytes of the wire form before the text.
    head: usize,
    name: &'static str,
    position: Option<String>,
    event: OnceLock<Bytes>,
}

impl Frame {
    /// Encodes an event.
    pub fn of(event: &ToClient<'_>) -> Arc<Self> {
        let text = serde_json::to_string(event).expect("an event is plain data");
        let position = event.position().map(str::to_owned);
        let (wire, head) = (rfc6455::text(&text), rfc6455::head_bytes(text.len()));
        let (name, event) = (event.name(), OnceLock::new());
        Arc::new(Self { wire, head, name, position, event })
    }

    /// A control frame of the websocket, which no event stream has.
    pub fn control(wire: Bytes) -> Arc<Self> {
        let head = wire.len();
        Arc::new(Self { wire, head, name: "", position: None, event: OnceLock::new() })
    }

    /// The websocket's last frame: why it is closed, and when to come back.
    pub fn goodbye(close: Close, reconnect_ms: u64) -> Arc<Self> {
        let reason = close.reason(reconnect_ms, rand::random_range(0.0..1.0));
        tracing::debug!(code = close.name(), "stream closed");
        Self::control(rfc6455::close(Some(close.number()), &reason))
    }

    /// For a websocket: a whole frame.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The event as JSON.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.wire[self.head..]).expect("it was made of a text")
    }

    /// For an event stream: `id`, `event` and `data` lines (WHATWG HTML, 9.2.5). The JSON has no
    /// line breaks of its own.
    pub fn event(&self) -> Bytes {
        let build = || {
            let id = self.position.as_ref().map(|id| format!("id: {id}\n")).unwrap_or_default();
            Bytes::from(format!("{id}event: {}\ndata: {}\n\n", self.name, self.text()))
        };
        self.event.get_or_init(build).clone()
    }

    /// What it counts in a queue.
    pub fn bytes(&self) -> usize {
        self.wire.len()
    }
}

/// In how many ways one publication is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// In which languages.
    pub languages: Languages,
    /// The receiver's unit is covered only in part.
    pub coarse: bool,
    /// In the receiver's quiet hours.
    pub silent: bool,
    /// With the position after it; not when it is sent out of its order, to a late joiner.
    pub positioned: bool,
}

/// The frames of one publication, each variant encoded once.
#[derive(Debug, Default)]
pub struct Frames {
    made: Mutex<HashMap<Variant, Arc<Frame>>>,
    encoded: AtomicU64,
}

impl Frames {
    /// The frame of a variant.
    pub fn get(
        &self,
        publication: &Publication,
        position: Option<&str>,
        variant: Variant,
    ) -> Arc<Frame> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = made.get(&variant) {
            return Arc::clone(frame);
        }
        let mut view = View::of(publication, variant.languages);
        (view.coarse, view.silent) = (variant.coarse, variant.silent);
        let position = position.filter(|_| variant.positioned);
        let publication = Box::new(view);
        let frame = Frame::of(&ToClient::Publication { position, publication });
        self.encoded.fetch_add(1, Ordering::Relaxed);
        if made.len() < VARIANTS_MAX {
            made.insert(variant, Arc::clone(&frame));
        }
        frame
    }

    /// How many times it was encoded.
    pub fn encoded(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }
}
