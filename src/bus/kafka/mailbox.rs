//! A mailbox of a thread that polls a client: commands, and a call to look again.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// How long a thread sleeps when nobody calls it; librdkafka wants to be polled now and then.
const TICK: Duration = Duration::from_millis(250);

/// Commands for one thread.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    /// `None` once the thread takes no more.
    commands: Mutex<Option<Vec<T>>>,
    thread: OnceLock<Thread>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { commands: Mutex::new(Some(Vec::new())), thread: OnceLock::new() }
    }
}

impl<T> Mailbox<T> {
    /// The calling thread is the one to be woken.
    pub fn attach(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// Adds a command and wakes the thread. Once it takes no more, the command is dropped, and who
    /// waits for its answer learns so.
    pub fn send(&self, command: T) {
        if let Some(commands) = self.lock().as_mut() {
            commands.push(command);
        }
        self.wake();
    }

    /// Wakes the thread; a call made while it is awake is not lost.
    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// All commands that wait.
    pub fn take(&self) -> Vec<T> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes no more.
    pub fn close(&self) {
        let left = self.lock().take();
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<T>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until there is something to do, or for a moment.
    pub fn wait(&self) {
        std::thread::park_timeout(TICK);
    }
}
