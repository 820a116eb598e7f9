//! The program's allocator, which counts here what is asked of it. What SQLite and aws-lc allocate
//! in C goes past it.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mimalloc::MiMalloc;

/// Threads that count apart, so that they do not wait for each other; more share.
const SLOTS: usize = 64;

/// Counts, and leaves the rest to mimalloc.
pub struct Counting;

/// What a thread asked for, on cache lines of its own.
#[repr(align(128))]
struct Slot {
    calls: AtomicU64,
    bytes: AtomicU64,
}

static COUNTS: [Slot; SLOTS] =
    [const { Slot { calls: AtomicU64::new(0), bytes: AtomicU64::new(0) } }; SLOTS];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What was allocated so far, by every thread. What is freed is not taken off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    /// How often.
    pub calls: u64,
    /// How many bytes; what grows counts by what was added.
    pub bytes: u64,
}

impl Allocated {
    /// Until now.
    pub fn now() -> Self {
        COUNTS.iter().fold(Self::default(), |sum, slot| Self {
            calls: sum.calls + slot.calls.load(Ordering::Relaxed),
            bytes: sum.bytes + slot.bytes.load(Ordering::Relaxed),
        })
    }
}

impl Sub for Allocated {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { calls: self.calls - before.calls, bytes: self.bytes - before.bytes }
    }
}

fn count(bytes: usize) {
    // A thread that is ending has no slot of its own any more.
    let slot = MINE.try_with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS);
        }
        mine.get()
    });
    let slot = &COUNTS[slot.unwrap_or_default()];
    slot.calls.fetch_add(1, Ordering::Relaxed);
    slot.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every call goes to mimalloc as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are mimalloc's.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}
