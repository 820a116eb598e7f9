//! Live websockets: one table of them, and one thread that reads them all, flushes what a socket
//! did not take at first, and keeps their times. A stream has no task, no timer and no buffer of
//! its own; whoever offers a frame writes it at once (see [`outbox`](crate::gateway::outbox)).
//!
//! ```text
//! ws (handshake, hello) ─→ Sockets::seat ─→ table ─→ frames in ─→ session ─→ ack, places
//! hub ─→ outbox ─→ Line (─→ TLS) ─→ socket       └─→ pings, slow readers, goodbyes
//! ```
//!
//! A stream leaves the table when its client has closed, is gone, or did not answer a close frame
//! in time; then its slot is free again.

mod line;
mod seat;
mod table;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Poll, Token, Waker};
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;
use crate::gateway::deliveries::Deliveries;
use crate::gateway::hub::{Conn, Hub};
use crate::gateway::rfc6455::{Decoder, Event};
use crate::gateway::session::Session;
use crate::http::limits::Slot;
use crate::http::tls::Wire;

pub use line::{Line, PIECE_BYTES};
use seat::Seat;
use table::Table;

/// The token of the door; seats have those below.
const DOOR: Token = Token(usize::MAX);

/// The table's door: what others want of it. Clones share it.
#[derive(Clone, Debug)]
pub struct Sockets {
    shared: Arc<Shared>,
}

/// What every stream needs of the others: each holds one reference to it.
#[derive(Debug)]
struct Shared {
    door: Arc<Door>,
    hub: Hub,
    deliveries: Deliveries,
}

/// The thread's part, not yet running.
#[derive(Debug)]
pub struct Reader {
    poll: Poll,
    door: Arc<Door>,
}

#[derive(Debug)]
struct Door {
    knocks: Mutex<Knocks>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Knocks {
    notices: Vec<Notice>,
    /// The reader comes to the door by itself, soon: it need not be woken. While many enter, waking
    /// it for each would cost as much as seating it.
    attended: bool,
}

/// What is wanted of the table.
#[derive(Debug)]
enum Notice {
    /// A stream comes in, and this came with its hello.
    Enter(Box<Seat>, Vec<Event>),
    /// A stream is to be closed.
    Closing(Sitting),
    /// What a stream asked for is done.
    Done(Sitting),
    /// The socket of a stream takes no more.
    Stuck(Sitting),
}

/// A stream and its seat, which by now may be another's.
#[derive(Clone, Copy, Debug)]
struct Sitting {
    seat: u32,
    conn: u64,
}

/// A stream that was let in, about to be seated.
#[derive(Debug)]
pub struct Guest {
    /// What it is to the hub.
    pub conn: Arc<Conn>,
    /// Its connection.
    pub wire: Wire,
    /// How far its client's frames were read.
    pub decoder: Decoder,
    /// What came after the hello.
    pub early: Vec<Event>,
    /// Its state.
    pub session: Session,
    /// Its place in the limits.
    pub slot: Option<Slot>,
}

/// A table and its door.
pub fn open(hub: Hub, deliveries: Deliveries) -> io::Result<(Sockets, Reader)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), DOOR)?;
    let door = Arc::new(Door { knocks: Mutex::default(), waker });
    let shared = Shared { door: Arc::clone(&door), hub, deliveries };
    Ok((Sockets { shared: Arc::new(shared) }, Reader { poll, door }))
}

impl Sockets {
    /// Seats a stream: from now on its outbox writes to its socket.
    pub fn seat(&self, guest: Guest) -> io::Result<()> {
        let line = Line::new(guest.wire, guest.conn.id(), self.clone())?;
        guest.conn.outbox().attach(line);
        let seat = Seat::new(guest.conn, guest.decoder, guest.session);
        let seat = Box::new(seat.holding(guest.slot));
        self.shared.door.knock(Notice::Enter(seat, guest.early));
        Ok(())
    }
}

impl Reader {
    /// Reads the streams until the token is cancelled, and then until they have said goodbye.
    pub async fn run(self, gateway: Gateway, stop: CancellationToken) -> io::Result<()> {
        let door = Arc::clone(&self.door);
        // A runtime that ends without a drain drops this future, and must not wait for the thread.
        let abandoned = CancellationToken::new();
        let _guard = abandoned.clone().drop_guard();
        let stopped = stop.clone();
        let table = tokio::task::spawn_blocking(move || {
            Table::new(self.poll, self.door, gateway).run(&stopped, &abandoned)
        });
        stop.cancelled().await;
        door.wake();
        table.await.map_err(io::Error::other)?
    }
}

impl Door {
    fn knock(&self, notice: Notice) {
        let mut knocks = self.knocks.lock().unwrap_or_else(PoisonError::into_inner);
        knocks.notices.push(notice);
        let wakes = !knocks.attended && knocks.notices.len() == 1;
        drop(knocks);
        if wakes {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(error = %error, "the streams' reader could not be woken");
        }
    }

    /// What is wanted. If anything is, or where the reader says that it `returns`, it must look
    /// again soon.
    fn taken(&self, returns: bool) -> Vec<Notice> {
        let mut knocks = self.knocks.lock().unwrap_or_else(PoisonError::into_inner);
        knocks.attended = returns || !knocks.notices.is_empty();
        std::mem::take(&mut knocks.notices)
    }
}
