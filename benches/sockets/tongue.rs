//! What a client has to know of a server: how a socket is opened that will be alerted, and how long
//! an alert is. Everything else is the same for all.

use std::io::Read;

use anyhow::{Context, Result, bail};
use loa::simulator::citizens::Population;
use serde_json::json;

/// Frames with less are pings and the like, where a frame is one alert.
const ALERT_BYTES_MIN: usize = 400;

/// Nothing is said, and a frame is one alert.
pub const PLAIN: Tongue = Tongue { opening: Opening::Silent, alert_bytes: ALERT_BYTES_MIN };

/// What differs between servers.
pub struct Tongue {
    /// What is said on a fresh websocket.
    pub opening: Opening,
    /// Of a frame's payload, for each alert in it: a server may put several into one frame.
    pub alert_bytes: usize,
}

/// What is said on a fresh websocket.
pub enum Opening {
    /// Nothing.
    Silent,
    /// Whose device it is; answered, at last, by `live`.
    Hello,
    /// The same by everybody, and what the frame has in it that answers the last of it.
    Said(&'static str, &'static str),
}

impl Tongue {
    /// How many alerts are in a frame.
    pub fn alerts(&self, length: usize) -> usize {
        length / self.alert_bytes
    }
}

/// The frame of somebody's hello.
pub fn hello(people: &Population, index: usize, position: Option<&str>) -> Result<Vec<u8>> {
    let (device, secret) = (people.id(index as u32), people.secret(index as u32));
    let mut hello = json!({"type": "hello", "device": device, "secret": secret.reveal()});
    if let Some(position) = position {
        hello["position"] = position.into();
    }
    frame(&hello.to_string())
}

/// A client's frame of a text.
pub fn frame(text: &str) -> Result<Vec<u8>> {
    // Masked with zeros, which is a mask.
    let length = u16::try_from(text.len()).context("a short text")?;
    let mut frame = match length {
        0..=125 => vec![0x81, 0x80 | length as u8],
        _ => [&[0x81, 0x80 | 126], &length.to_be_bytes()[..]].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    Ok(frame)
}

/// The payload of the next frame.
pub fn whole(reader: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    let length = match head[1] {
        126 => {
            reader.read_exact(&mut head)?;
            usize::from(u16::from_be_bytes(head))
        }
        127 => bail!("a long frame"),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    Ok(payload)
}
