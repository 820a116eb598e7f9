//! Other servers, alerted beside ours over the same sockets. Each is a file that says how it is
//! started, how its clients open a socket, and how it is alerted; one that is not here is named.

mod centrifugo;
mod nats;
mod program;
mod uws;

use anyhow::Result;

use crate::server::{Room, Server};
use crate::tongue::{PLAIN, Tongue};

/// Somebody else's server.
#[derive(Clone, Copy)]
pub enum Peer {
    /// npm's `uwebsockets`.
    Uws,
    /// `nats-server`, by its websocket.
    Nats,
    /// Centrifugo.
    Centrifugo,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Uws, Self::Nats, Self::Centrifugo];

    /// Those that are here; what the others take to be here is said.
    pub fn present() -> Vec<Self> {
        let mut present = Self::ALL.to_vec();
        present.retain(|peer| match peer.missing() {
            Some(how) => {
                eprintln!("sockets: THE ROWS OF {} ARE MISSING: {how}", peer.name());
                false
            }
            None => true,
        });
        present
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uws => "uWebSockets",
            Self::Nats => "NATS",
            Self::Centrifugo => "Centrifugo",
        }
    }

    /// How much of its time ours may take.
    pub fn share(self) -> f64 {
        match self {
            Self::Uws => 0.85,
            Self::Nats | Self::Centrifugo => 1.0 / 3.0,
        }
    }

    /// What its clients have to know.
    pub fn tongue(self) -> &'static Tongue {
        match self {
            Self::Uws => &PLAIN,
            Self::Nats => &nats::TONGUE,
            Self::Centrifugo => &centrifugo::TONGUE,
        }
    }

    /// Starts it.
    pub fn start(self, room: Room<'_>) -> Result<Box<dyn Server>> {
        Ok(match self {
            Self::Uws => Box::new(uws::start(room.cores)?),
            Self::Nats => Box::new(nats::start(room)?),
            Self::Centrifugo => Box::new(centrifugo::start(room)?),
        })
    }

    /// How to get it, where it is not here.
    fn missing(self) -> Option<&'static str> {
        match self {
            Self::Uws => uws::missing(),
            Self::Nats => nats::PROGRAM.missing(),
            Self::Centrifugo => centrifugo::PROGRAM.missing(),
        }
    }
}
