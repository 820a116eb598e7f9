//! The socket of one live stream, bare or under TLS of our own. Its outbox has it: whoever offers a
//! frame writes it at once, on whatever thread; the table's thread alone reads.
//!
//! Under TLS a piece of a frame becomes a record, and what the socket does not take of a record
//! waits in the session: one record of at most [`PIECE_BYTES`] and the answers of the protocol
//! itself, and nothing else, for a record is only made when the one before is out. So the outbox
//! has the same bounds and learns the same things: a frame counts as written when its last byte is
//! on the socket.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use rustls::ServerConnection;

use crate::gateway::outbox::Outgoing;
use crate::gateway::sockets::{Notice, Sitting, Sockets};
use crate::http::tls::Wire;

/// What one TLS record takes of a frame, or of a few small ones.
pub const PIECE_BYTES: usize = 8 << 10;

/// The socket of one stream.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    /// Where its stream sits, once it does.
    pub(super) seat: Option<u32>,
    conn: u64,
    session: Option<Session>,
    sockets: Sockets,
}

/// TLS over it.
#[derive(Debug)]
struct Session {
    connection: Box<ServerConnection>,
    /// A record is made whose last byte has not been counted as written.
    owes: bool,
}

impl Line {
    /// Takes a connection over from the runtime.
    pub(super) fn new(wire: Wire, conn: u64, sockets: Sockets) -> io::Result<Self> {
        let (stream, connection) = wire.into_parts();
        // It does not block, and is left so.
        let stream = stream.into_std()?;
        let session = connection.map(|connection| Session { connection, owes: false });
        Ok(Self { stream, seat: None, conn, session, sockets })
    }

    /// Writes what the socket takes now, and says how much; asked again, it must be given what
    /// follows. An error means that the client is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(session) = &mut self.session {
            return session.write(&self.stream, bytes);
        }
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    /// Sends what the protocol itself has to say and could not say before.
    pub fn flush(&mut self) -> io::Result<()> {
        self.session.as_mut().map_or(Ok(()), |session| session.flush(&self.stream).map(|_| ()))
    }

    /// Reads once, as [`Read::read`] on a socket that does not block. `Interrupted`: something
    /// came that is not the client's words; there may be more.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.session {
            Some(session) => session.read(&self.stream, into),
            None => self.stream.read(into),
        }
    }

    /// Whether words of the client may lie in the session already, of which the kernel says
    /// nothing.
    pub(super) fn may_hold_words(&self) -> bool {
        self.session.is_some()
    }

    /// Says under TLS that nothing more comes, so that the end cannot be taken for a cut.
    pub(super) fn part(&mut self) {
        if let Some(session) = &mut self.session {
            session.connection.send_close_notify();
            // The socket may be full or gone: the end of the connection must do.
            let _ = session.flush(&self.stream);
        }
    }

    /// Ends our half of the connection.
    pub(super) fn hang_up(&mut self) {
        self.part();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// A frame was written whole: the ledger hears of it if it delivers something.
    pub fn has_written(&self, outgoing: Outgoing) {
        if let Some(delivers) = outgoing.delivers.filter(|delivers| delivers.device.is_some()) {
            let shared = &self.sockets.shared;
            shared.deliveries.written(delivers, shared.hub.now());
        }
    }

    /// The stream is to be closed.
    pub fn closing(&self) {
        self.knock(Notice::Closing);
    }

    /// The socket takes no more.
    pub fn stuck(&self) {
        self.knock(Notice::Stuck);
    }

    /// Says something of the stream at the table; one that has no seat is asked when it gets one.
    fn knock(&self, notice: impl FnOnce(Sitting) -> Notice) {
        if let Some(seat) = self.seat {
            self.sockets.shared.door.knock(notice(Sitting { seat, conn: self.conn }));
        }
    }
}

impl AsRawFd for Line {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Session {
    fn write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.flush(stream)? {
            taken += usize::from(mem::take(&mut self.owes));
            let rest = &bytes[taken..];
            if rest.is_empty() {
                break;
            }
            let sealed = self.connection.writer().write(&rest[..rest.len().min(PIECE_BYTES)])?;
            // The last byte counts once the record is out: until then the frame is not written,
            // and it has begun (no frame is a single byte).
            taken += sealed.checked_sub(1).ok_or(ErrorKind::WriteZero)?;
            self.owes = true;
        }
        Ok(taken)
    }

    /// Whether nothing waits any more.
    fn flush(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn read(&mut self, mut stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        match self.connection.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if self.connection.read_tls(&mut stream)? == 0 {
            return Ok(0);
        }
        let heard = self.connection.process_new_packets();
        // An alert, or the answer to a change of keys.
        self.flush(stream)?;
        heard.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        match self.connection.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }
}
