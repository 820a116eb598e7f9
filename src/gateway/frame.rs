//! Frames: one encoded event, shared by everybody who gets the same. Bytes are counted once per
//! queue but held once per node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

use crate::domain::publication::Publication;
use crate::gateway::view::{Languages, View};
use crate::gateway::wire::ToClient;

/// Variants kept per publication; past it they are encoded for each who gets them.
const VARIANTS_MAX: usize = 64;

/// One encoded event.
#[derive(Debug)]
pub struct Frame {
    text: Utf8Bytes,
    name: &'static str,
    position: Option<String>,
    event: OnceLock<Bytes>,
}

impl Frame {
    /// Encodes an event.
    pub fn of(event: &ToClient<'_>) -> Arc<Self> {
        let text = serde_json::to_string(event).expect("an event is plain data");
        let position = event.position().map(str::to_owned);
        Arc::new(Self { text: text.into(), name: event.name(), position, event: OnceLock::new() })
    }

    /// For a websocket: a text message.
    pub fn text(&self) -> Utf8Bytes {
        self.text.clone()
    }

    /// For an event stream: `id`, `event` and `data` lines (WHATWG HTML, 9.2.5). The JSON has no
    /// line breaks of its own.
    pub fn event(&self) -> Bytes {
        let build = || {
            let id = self.position.as_ref().map(|id| format!("id: {id}\n")).unwrap_or_default();
            Bytes::from(format!("{id}event: {}\ndata: {}\n\n", self.name, self.text.as_str()))
        };
        self.event.get_or_init(build).clone()
    }

    /// What it counts in a queue.
    pub fn bytes(&self) -> usize {
        self.text.len()
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
