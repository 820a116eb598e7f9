//! The table of live websockets and the thread that sits at it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;
use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Hub;
use crate::gateway::outbox::Outgoing;
use crate::gateway::rfc6455::{self, Event};
use crate::gateway::sockets::seat::{Fate, Seat};
use crate::gateway::sockets::{DOOR, Door, Notice, Sitting};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1_024;
/// How often the seats' times are looked at: what is due may be this late.
const ROUND: Duration = Duration::from_millis(100);
/// How soon the door is looked at again, until nobody was there for as long.
const SOON: Duration = Duration::from_millis(2);
/// What one read takes; shared by all seats.
const SCRATCH_BYTES: usize = 16 << 10;
/// Nothing is due.
const NEVER: u64 = u64::MAX;

pub(super) struct Table {
    poll: Poll,
    door: Arc<Door>,
    gateway: Gateway,
    seats: Vec<Option<Box<Seat>>>,
    /// When each seat is to be looked at, in milliseconds of this table: a row of numbers, so that
    /// a round does not touch what every seat holds.
    due: Vec<u64>,
    free: Vec<u32>,
    /// Seats with more to read than was their share.
    unread: VecDeque<usize>,
    began: Instant,
    rounded: Instant,
    /// When somebody was at the door last.
    visited: Instant,
    scratch: Vec<u8>,
}

impl Table {
    pub(super) fn new(poll: Poll, door: Arc<Door>, gateway: Gateway) -> Self {
        let now = Instant::now();
        Self {
            poll,
            door,
            gateway,
            seats: Vec::new(),
            due: Vec::new(),
            free: Vec::new(),
            unread: VecDeque::new(),
            began: now,
            rounded: now,
            visited: now,
            scratch: vec![0; SCRATCH_BYTES],
        }
    }

    /// Until one token is cancelled and every stream has left, or the other is.
    pub(super) fn run(
        mut self,
        stop: &CancellationToken,
        abandoned: &CancellationToken,
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut calm = ROUND;
        loop {
            let wait = if self.unread.is_empty() { calm } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() != DOOR {
                    let ended = event.is_read_closed() || event.is_error();
                    let readable = event.is_readable() || ended;
                    self.attend(event.token().0, readable, event.is_writable());
                }
            }
            for index in std::mem::take(&mut self.unread) {
                self.attend(index, true, false);
            }
            let now = Instant::now();
            let expects = now < self.visited + SOON;
            let notices = self.door.taken(expects);
            if !notices.is_empty() {
                self.visited = now;
            }
            calm = if expects || !notices.is_empty() { SOON } else { ROUND };
            for notice in notices {
                self.notice(notice);
            }
            if stop.is_cancelled() {
                self.close_all();
                if self.free.len() == self.seats.len() {
                    return Ok(());
                }
            }
            if abandoned.is_cancelled() {
                return Ok(());
            }
            if now >= self.rounded + ROUND {
                self.rounded = now;
                self.round(now);
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Enter(seat, early) => self.enter(seat, early),
            Notice::Closing(sitting) => self.with(sitting, leave),
            Notice::Done(sitting) => self.with(sitting, |seat, _| seat.done()),
            Notice::Stuck(sitting) => self.stuck(sitting),
        }
    }

    /// Does something with the seat of a connection, if it has it still.
    fn with(&mut self, Sitting { seat, conn }: Sitting, work: impl FnOnce(&mut Seat, &Hub)) {
        let index = seat as usize;
        let seat = self.seats[index].as_mut().filter(|seat| seat.conn.id() == conn);
        let Some(seat) = seat else { return };
        work(seat, self.gateway.hub());
        self.settle(index, Fate::Stays);
    }

    /// The socket of a stream takes no more: it is of interest when it does again.
    fn stuck(&mut self, Sitting { seat: number, conn }: Sitting) {
        let index = number as usize;
        let Some(seat) = &mut self.seats[index] else { return };
        if seat.conn.id() == conn {
            watch_room(self.poll.registry(), seat, index);
            self.settle(index, Fate::Stays);
        }
    }

    fn enter(&mut self, mut seat: Box<Seat>, early: Vec<Event>) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.due.push(NEVER);
            self.seats.len() as u32 - 1
        });
        let index = number as usize;
        let registry = self.poll.registry();
        let listed = seat.conn.outbox().on_line(|line| {
            line.seat = Some(number);
            registry.register(&mut SourceFd(&line.as_raw_fd()), Token(index), Interest::READABLE)
        });
        let fate = match listed.unwrap_or(Ok(())) {
            Ok(()) => seat.begin(early),
            Err(error) => {
                tracing::warn!(error = %error, "a stream could not be read");
                Fate::Leaves
            }
        };
        // Closed or stuck before it had a seat, nobody could say so; and the protocol of TLS may
        // have something to send of its own.
        if seat.conn.outbox().stuck().is_some() || seat.may_hold_words() {
            watch_room(registry, &mut seat, index);
        }
        if seat.conn.outbox().why().is_some() {
            leave(&mut seat, self.gateway.hub());
        }
        self.seats[index] = Some(seat);
        self.settle(index, fate);
    }

    fn attend(&mut self, index: usize, readable: bool, writable: bool) {
        let Some(seat) = self.seats.get_mut(index).and_then(Option::as_mut) else { return };
        if writable {
            seat.conn.outbox().flush();
        }
        let fate = if readable { seat.read(&mut self.scratch) } else { Fate::Stays };
        self.settle(index, fate);
    }

    /// After anything happened at a seat: what it asks for, what is due, whether it is free.
    fn settle(&mut self, index: usize, fate: Fate) {
        if fate == Fate::Leaves {
            return self.free(index);
        }
        let write = self.gateway.hub.settings().write();
        let Some(seat) = &mut self.seats[index] else { return };
        if let Some(asked) = seat.next_asked() {
            let conn = Arc::clone(&seat.conn);
            let sitting = Sitting { seat: index as u32, conn: conn.id() };
            let (gateway, door) = (self.gateway.clone(), Arc::clone(&self.door));
            self.gateway.life.job("stream message", async move {
                gateway.act(&conn, asked).await;
                door.knock(Notice::Done(sitting));
            });
        }
        self.due[index] = ms(self.began, seat.deadline(write));
        if fate == Fate::Unread {
            self.unread.push_back(index);
        }
    }

    fn free(&mut self, index: usize) {
        let Some(seat) = self.seats[index].take() else { return };
        self.due[index] = NEVER;
        self.free.push(index as u32);
        if !seat.is_leaving() {
            self.gateway.hub.leave(&seat.conn);
        }
        if let Some(mut line) = seat.conn.outbox().detach() {
            line.part();
            // With the line the descriptor closes, and leaves the kernel's list.
        }
    }

    fn round(&mut self, now: Instant) {
        let (now_ms, write) = (ms(self.began, now), self.gateway.hub.settings().write());
        for index in 0..self.due.len() {
            if self.due[index] > now_ms {
                continue;
            }
            let Some(seat) = &mut self.seats[index] else { continue };
            let (fate, ping) = seat.tick(now, write);
            if ping {
                // Ours carries the position; the protocol's own is answered by every library
                // without being asked.
                self.gateway.hub.ping(&seat.conn);
                seat.conn.outbox().push(Outgoing::plain(Frame::control(rfc6455::ping())));
            }
            self.settle(index, fate);
        }
    }

    fn close_all(&mut self) {
        for seat in self.seats.iter().flatten() {
            seat.conn.outbox().close(Close::Shutdown);
        }
    }
}

/// Lets the kernel tell when a socket can take more. Not before it could not: each new socket can,
/// and would be told of at once.
fn watch_room(registry: &Registry, seat: &mut Seat, index: usize) {
    if std::mem::replace(&mut seat.watches_room, true) {
        return;
    }
    let both = Interest::READABLE | Interest::WRITABLE;
    let listed = seat
        .conn
        .outbox()
        .on_line(|line| registry.reregister(&mut SourceFd(&line.as_raw_fd()), Token(index), both));
    if let Some(Err(error)) = listed {
        // It is closed as slow when its time is over.
        tracing::warn!(error = %error, "a stream that takes no more cannot be watched");
    }
}

/// Tells a stream that is closed why, and lets the hub forget it.
fn leave(seat: &mut Seat, hub: &Hub) {
    if seat.leave(hub.settings().reconnect_ms) {
        hub.leave(&seat.conn);
    }
}

fn ms(began: Instant, at: Instant) -> u64 {
    at.duration_since(began).as_millis() as u64
}
