//! One live websocket as the table holds it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::close::Close;
use crate::gateway::frame::Frame;
use crate::gateway::hub::Conn;
use crate::gateway::outbox::Outgoing;
use crate::gateway::rfc6455::{self, Broken, Decoder, Event};
use crate::gateway::session::{Session, Tick};
use crate::gateway::wire::FromClient;
use crate::http::limits::Slot;

/// Time for the close frame to go out, and for the client's own to come back.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Reads of one socket before the others have their turn.
const READS_MAX: usize = 4;

/// A stream in the table.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) conn: Arc<Conn>,
    decoder: Decoder,
    session: Session,
    /// What the client asks for is done one after the other: what waits for that, if anything.
    #[expect(clippy::box_collection, reason = "nearly no seat has any: a word, not four")]
    asked: Option<Box<VecDeque<FromClient>>>,
    /// Whether something is being done.
    busy: bool,
    /// The client's frames make no sense any more: what comes is thrown away.
    deaf: bool,
    /// The kernel tells when its socket can take more.
    pub(super) watches_room: bool,
    /// The close frame is out: the client's own is waited for until then.
    leaving: Option<Instant>,
    _slot: Option<Slot>,
}

/// What becomes of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    Stays,
    /// There was more to read than its share.
    Unread,
    /// It is free.
    Leaves,
}

impl Seat {
    pub(super) fn new(conn: Arc<Conn>, decoder: Decoder, session: Session) -> Self {
        Self {
            conn,
            decoder,
            session,
            asked: None,
            busy: false,
            deaf: false,
            watches_room: false,
            leaving: None,
            _slot: None,
        }
    }

    /// With its place in the limits, which is free again once the seat is.
    pub(super) fn holding(self, slot: Option<Slot>) -> Self {
        Self { _slot: slot, ..self }
    }

    /// When [`Seat::tick`] is to be asked next.
    pub(super) fn deadline(&self, write: Duration) -> Instant {
        let stuck = self.conn.outbox().stuck().map(|since| since + write);
        let session = self.session.deadline();
        self.leaving.unwrap_or_else(|| stuck.map_or(session, |stuck| stuck.min(session)))
    }

    /// Takes what came with the hello.
    pub(super) fn begin(&mut self, early: Vec<Event>) -> Fate {
        match self.heard(early, None) {
            Fate::Stays if self.may_hold_words() => Fate::Unread,
            fate => fate,
        }
    }

    pub(super) fn may_hold_words(&self) -> bool {
        self.conn.outbox().on_line(|line| line.may_hold_words()).unwrap_or(false)
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Fate {
        for _ in 0..READS_MAX {
            let read = self.conn.outbox().on_line(|line| line.read(scratch));
            let count = match read.unwrap_or(Ok(0)) {
                Ok(0) => return Fate::Leaves,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Fate::Stays,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Fate::Leaves,
            };
            self.session.heard(Instant::now());
            if self.deaf {
                continue;
            }
            let mut events = Vec::new();
            let broken = self.decoder.feed(&scratch[..count], &mut events).err();
            if self.heard(events, broken) == Fate::Leaves {
                return Fate::Leaves;
            }
        }
        Fate::Unread
    }

    fn heard(&mut self, events: Vec<Event>, broken: Option<Broken>) -> Fate {
        for event in events {
            if let Event::Close(code) = event {
                // The client's own close, or its answer to ours.
                if self.leaving.is_none() {
                    let echo = Frame::control(rfc6455::close(code, ""));
                    self.conn.outbox().push(Outgoing::plain(echo));
                }
                return Fate::Leaves;
            }
            if self.conn.outbox().why().is_none()
                && let Err(close) = self.hear(event)
            {
                self.conn.outbox().close(close);
            }
        }
        if let Some(broken) = broken {
            self.deaf = true;
            self.conn.outbox().close(broken.into());
        }
        Fate::Stays
    }

    fn hear(&mut self, event: Event) -> Result<(), Close> {
        match event {
            Event::Text(text) => match self.session.read(&text)? {
                FromClient::Hello(_) | FromClient::Pong {} => {}
                asked => self.asked.get_or_insert_default().push_back(asked),
            },
            Event::Ping(payload) => {
                self.session.count()?;
                let pong = Frame::control(rfc6455::pong(&payload));
                self.conn.outbox().push(Outgoing::plain(pong));
            }
            Event::Pong => self.session.count()?,
            Event::Binary => return Err(Close::Protocol),
            Event::Close(_) => {}
        }
        Ok(())
    }

    /// The next thing to do for the client, unless one is being done.
    pub(super) fn next_asked(&mut self) -> Option<FromClient> {
        if self.busy || self.leaving.is_some() {
            return None;
        }
        let next = self.asked.as_mut()?.pop_front();
        self.busy = next.is_some();
        if next.is_none() {
            self.asked = None;
        }
        next
    }

    /// What was asked for is done.
    pub(super) fn done(&mut self) {
        self.busy = false;
    }

    /// What the time asks for; a ping of the hub's if it is that.
    pub(super) fn tick(&mut self, now: Instant, write: Duration) -> (Fate, bool) {
        if let Some(until) = self.leaving {
            return (if now >= until { Fate::Leaves } else { Fate::Stays }, false);
        }
        if self.conn.outbox().stuck().is_some_and(|since| now >= since + write) {
            self.conn.outbox().close(Close::Slow);
            return (Fate::Stays, false);
        }
        match self.session.tick(now) {
            Tick::Wait => (Fate::Stays, false),
            Tick::Ping => (Fate::Stays, true),
            Tick::Close(close) => {
                self.conn.outbox().close(close);
                (Fate::Stays, false)
            }
        }
    }

    /// Says why it is closed; whether this was the first time.
    pub(super) fn leave(&mut self, reconnect_ms: u64) -> bool {
        if self.leaving.is_some() {
            return false;
        }
        let close = self.conn.outbox().why().unwrap_or(Close::Internal);
        self.conn.outbox().farewell(Frame::goodbye(close, reconnect_ms));
        if self.deaf && self.conn.outbox().is_empty() {
            // An answer could not be understood: the end of the connection must do.
            self.conn.outbox().on_line(|line| line.hang_up());
        }
        self.leaving = Some(Instant::now() + CLOSE_WITHIN);
        true
    }

    /// Whether it has been said why it is closed.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }
}

impl From<Broken> for Close {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Protocol => Self::Framing,
            Broken::Utf8 => Self::Utf8,
            Broken::TooLarge => Self::TooLarge,
        }
    }
}
