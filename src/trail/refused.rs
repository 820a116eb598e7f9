//! Refused requests in the audit, so few that no flood can fill it. The first refusal of somebody
//! with a code is written at once; those that follow are counted, and their number is written once
//! a window for as long as they come. Beyond `KINDS_MAX` pairs of strangers in a window only one
//! number for all of them is written; those who are known have their own share.
//!
//! A stranger is named by a keyed hash of their address, with another key each day (UTC): enough to
//! see that it was one, and for whoever has the node's key to find one that they suspect.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::tz::TimeZone;
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::domain::audit::{Act, Actor, hex};
use crate::lifecycle::Lifecycle;
use crate::trail::{Deed, Trail};

/// Refusals that may wait to be counted; further ones are only counted.
const WAITING_MAX: usize = 4_096;
/// Pairs of (who, code) held apart in a window, of strangers and of those who are known.
const KINDS_MAX: usize = 60;
/// Bytes of a hash that tell one address from another.
const HASH_BYTES: usize = 8;

/// A request that was refused before anything came of it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Who asked; a stranger's address where nobody was recognised.
    pub who: Who,
    /// The problem's stable code.
    pub code: &'static str,
    /// What was asked for.
    pub asked: String,
}

/// Who asked.
#[derive(Clone, Debug)]
pub enum Who {
    /// Somebody who is known.
    Known(Actor),
    /// A stranger at an address.
    At(String),
}

/// Where refusals are told. A cheap handle.
#[derive(Clone, Debug)]
pub struct Watch {
    sender: mpsc::Sender<Refused>,
    /// Those that found no room to wait.
    lost: Arc<AtomicU64>,
}

impl Watch {
    /// Tells of one, without waiting.
    pub fn saw(&self, refused: Refused) {
        if self.sender.try_send(refused).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes refusals down until the node stops, each pair once a window.
pub fn start(trail: Trail, key: Vec<u8>, window: Duration, tasks: &Lifecycle) -> Watch {
    let (sender, mut told) = mpsc::channel(WAITING_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let (kinds, lost_here) = (HashMap::new(), Arc::clone(&lost));
    let mut book = Book { trail, key, window, lost: lost_here, kinds, held: [0; 2], others: 0 };
    let stop = tasks.token().clone();
    tasks.service("audit refusals", async move {
        let mut every = tokio::time::interval(window);
        every.tick().await;
        loop {
            tokio::select! {
                Some(refused) = told.recv() => book.take(refused).await,
                _ = every.tick() => book.turn().await,
                () = stop.cancelled() => break,
            }
        }
        while let Ok(refused) = told.try_recv() {
            book.take(refused).await;
        }
        book.turn().await;
        Ok::<(), Infallible>(())
    });
    Watch { sender, lost }
}

/// What was refused in this window.
struct Book {
    trail: Trail,
    key: Vec<u8>,
    window: Duration,
    lost: Arc<AtomicU64>,
    kinds: HashMap<(Actor, &'static str), Kind>,
    /// How many of `kinds` are strangers' and how many are not.
    held: [usize; 2],
    /// Refusals beyond those.
    others: u64,
}

/// One pair of who and code.
struct Kind {
    known: bool,
    /// What the first asked for.
    asked: String,
    /// Refusals that are not written yet.
    more: u64,
}

impl Book {
    async fn take(&mut self, refused: Refused) {
        let Refused { who, code, asked } = refused;
        let (actor, known) = match who {
            Who::Known(actor) => (actor, true),
            Who::At(address) => (self.stranger(&address), false),
        };
        let pair = (actor, code);
        if let Some(kind) = self.kinds.get_mut(&pair) {
            kind.more += 1;
            return;
        }
        let held = &mut self.held[usize::from(known)];
        if *held >= KINDS_MAX {
            self.others += 1;
            return;
        }
        *held += 1;
        self.trail.note(Deed::refused(pair.0.clone(), Act::Request, &asked, code)).await;
        self.kinds.insert(pair, Kind { known, asked, more: 0 });
    }

    /// A window is over: what came again is written, what did not is forgotten.
    async fn turn(&mut self) {
        let seconds = self.window.as_secs();
        self.kinds.retain(|_, kind| kind.more > 0);
        self.held = [0; 2];
        for ((actor, code), kind) in &mut self.kinds {
            self.held[usize::from(kind.known)] += 1;
            let deed = Deed::refused(actor.clone(), Act::Request, &kind.asked, code);
            let count = format!("{} more within {seconds} s", std::mem::take(&mut kind.more));
            self.trail.note(deed.because(Some(count))).await;
        }
        let others = std::mem::take(&mut self.others) + self.lost.swap(0, Ordering::Relaxed);
        if others > 0 {
            let actor = Actor::Unknown { name: "others".to_owned() };
            let deed = Deed::refused(actor, Act::Request, "requests", "refused");
            let count = format!("{others} more within {seconds} s");
            self.trail.note(deed.because(Some(count))).await;
        }
    }

    /// A stranger, by what tells them from others today.
    fn stranger(&self, address: &str) -> Actor {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key");
        let day = self.trail.clock.now().to_zoned(TimeZone::UTC).date();
        mac.update(format!("{day} {address}").as_bytes());
        let hash = mac.finalize().into_bytes();
        Actor::Unknown { name: format!("address:{}", hex(&hash[..HASH_BYTES])) }
    }
}
