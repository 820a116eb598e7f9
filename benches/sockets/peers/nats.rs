//! NATS: `nats-server` with its websocket, spoken to in its client protocol: every client
//! subscribes to one subject, and one connection more publishes to it.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use anyhow::Result;

use super::program::{Alerted, Program, Publisher, free_port};
use crate::alerts::FRAME_BYTES;
use crate::client::converse;
use crate::server::Room;
use crate::tongue::{Opening, Tongue, frame};

pub const PROGRAM: Program = Program {
    variable: "LOA_NATS",
    name: "nats-server",
    version: "--version",
    how_to_get: "no `nats-server` is here \
        (go install github.com/nats-io/nats-server/v2@v2.15.2, or Debian's package nats-server); \
        LOA_NATS names the program where it is not on the path",
};

/// The answer to its `PING` says that the server has read what comes before.
pub const TONGUE: Tongue = Tongue {
    opening: Opening::Said(
        "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB alerts 1\r\nPING\r\n",
        "PONG\r\n",
    ),
    alert_bytes: AROUND.len() + FRAME_BYTES,
};

/// What is around an alert.
const AROUND: &str = "MSG alerts 1 672\r\n\r\n";
/// What a publisher's connection begins with.
const PUBLISHES: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";

/// A connection that publishes.
pub struct Connection(BufReader<TcpStream>);

/// Starts it, as it comes but for the websocket, and that it asks nobody whether he is still there:
/// the clients answer nothing.
pub fn start(room: Room<'_>) -> Result<Alerted<Connection>> {
    let (file, port) = (room.dir.join("nats.conf"), free_port()?);
    let settings = format!(
        "listen: \"127.0.0.1:-1\"\n\
         ping_interval: \"1h\"\n\
         websocket {{ listen: \"127.0.0.1:{port}\", no_tls: true }}\n"
    );
    std::fs::write(&file, settings)?;
    let running = PROGRAM.start(&["-c", &file.display().to_string()], port, room)?;
    let first = frame(PUBLISHES)?;
    let connection = converse(&running.address(), Some((&first[..], "PONG\r\n")))?;
    Ok(running.alerted_by(Connection(connection)))
}

impl Publisher for Connection {
    fn publish(&mut self, count: usize) -> Result<()> {
        let payload = "x".repeat(FRAME_BYTES);
        let one = frame(&format!("PUB alerts {FRAME_BYTES}\r\n{payload}\r\n"))?;
        Ok(self.0.get_mut().write_all(&one.repeat(count))?)
    }
}
