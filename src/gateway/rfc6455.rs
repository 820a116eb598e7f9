//! The websocket's frames (RFC 6455), apart from any socket: bytes in, events out, and frames as
//! bytes. No extensions are agreed on, so every reserved bit is an error.
//!
//! A decoder keeps only what is unfinished: an idle connection holds no buffer. A message of text
//! is checked as UTF-8 while it comes, so a wrong byte ends it at once, also inside a fragment.

use bytes::Bytes;

/// The most a control frame may carry (5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What came from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole message of text.
    Text(String),
    /// A whole message of bytes, which nobody here reads.
    Binary,
    /// A ping, to be answered with its payload.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong,
    /// The client closes; with this code, if it gave one. Nothing that follows counts.
    Close(Option<u16>),
}

/// Why the bytes are no websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame against the protocol (close code 1002).
    Protocol,
    /// Text that is no UTF-8 (close code 1007).
    Utf8,
    /// A message over the limit (close code 1009).
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The frame that is being read.
#[derive(Clone, Copy, Debug)]
struct Open {
    opcode: Opcode,
    fin: bool,
    mask: [u8; 4],
    length: u64,
    read: u64,
}

/// Reads the frames of one client.
#[derive(Debug)]
pub struct Decoder {
    message_max: u32,
    closed: bool,
    /// What has begun and not ended, if anything has.
    unfinished: Option<Box<Unfinished>>,
}

#[derive(Debug, Default)]
struct Unfinished {
    message_max: usize,
    head: [u8; 14],
    head_read: u8,
    open: Option<Open>,
    /// The message whose first frame has come and whose last has not.
    message_of: Option<Opcode>,
    message: Vec<u8>,
    /// How much of the message is known to be UTF-8.
    checked: usize,
    /// Bytes of a message of bytes, which are counted and not kept.
    binary: u64,
    control: Vec<u8>,
    closed: bool,
}

impl Decoder {
    /// A decoder that takes messages up to a size.
    pub fn new(message_max: usize) -> Self {
        let message_max = u32::try_from(message_max).unwrap_or(u32::MAX);
        Self { message_max, closed: false, unfinished: None }
    }

    /// Takes what was read, and adds what it means. After an error nothing more may be fed; what
    /// was whole before it has been added.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        if self.closed {
            return Ok(());
        }
        let mut unfinished = self.unfinished.take().unwrap_or_default();
        unfinished.message_max = self.message_max as usize;
        unfinished.feed(bytes, events)?;
        self.closed = unfinished.closed;
        self.unfinished = (!unfinished.is_at_rest()).then_some(unfinished);
        Ok(())
    }
}

impl Unfinished {
    /// Between two messages, with nothing of the next.
    fn is_at_rest(&self) -> bool {
        self.closed || (self.head_read == 0 && self.open.is_none() && self.message_of.is_none())
    }

    fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        while !self.closed {
            let Some(mut open) = self.open else {
                let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
                bytes = rest;
                self.head[usize::from(self.head_read)] = *first;
                self.head_read += 1;
                self.open = self.begun()?;
                if self.open.is_some() {
                    self.head_read = 0;
                }
                continue;
            };
            let count = (open.length - open.read).min(bytes.len() as u64) as usize;
            let (payload, rest) = bytes.split_at(count);
            bytes = rest;
            self.take(&open, payload)?;
            open.read += count as u64;
            if open.read < open.length {
                self.open = Some(open);
                return Ok(());
            }
            self.open = None;
            events.extend(self.finished(&open)?);
        }
        Ok(())
    }

    /// The frame whose head has been read, if it has.
    fn begun(&mut self) -> Result<Option<Open>, Broken> {
        let (read, head) = (usize::from(self.head_read), self.head);
        if read < 2 {
            return Ok(None);
        }
        let (fin, short) = (head[0] & 0x80 != 0, head[1] & 0x7f);
        let opcode = self.allowed(head[0], head[1])?;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if read < 2 + extended + 4 {
            return Ok(None);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let length = match short {
            126 | 127 => number(&head[2..2 + extended]),
            short => u64::from(short),
        };
        // The shortest form there is (5.2), and no sign bit.
        if (short == 126 && length < 126)
            || (short == 127 && (length < 1 << 16 || length >> 63 != 0))
        {
            return Err(Broken::Protocol);
        }
        let before = self.message.len() as u64 + self.binary;
        if !opcode.is_control() && length.saturating_add(before) > self.message_max as u64 {
            return Err(Broken::TooLarge);
        }
        let mask = [0, 1, 2, 3].map(|index| head[2 + extended + index]);
        if matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.message_of = Some(opcode);
        }
        Ok(Some(Open { opcode, fin, mask, length, read: 0 }))
    }

    /// The opcode of a frame that may come now.
    fn allowed(&self, first: u8, second: u8) -> Result<Opcode, Broken> {
        let opcode = match first & 0x0f {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return Err(Broken::Protocol),
        };
        let (fin, reserved, masked) = (first & 0x80 != 0, first & 0x70, second & 0x80 != 0);
        let in_order = match opcode {
            Opcode::Continuation => self.message_of.is_some(),
            Opcode::Text | Opcode::Binary => self.message_of.is_none(),
            _ => fin && usize::from(second & 0x7f) <= CONTROL_BYTES_MAX,
        };
        if reserved == 0 && masked && in_order { Ok(opcode) } else { Err(Broken::Protocol) }
    }

    fn take(&mut self, open: &Open, payload: &[u8]) -> Result<(), Broken> {
        let plain =
            payload.iter().zip(open.read..).map(|(byte, at)| byte ^ open.mask[at as usize % 4]);
        if open.opcode.is_control() {
            self.control.extend(plain);
        } else if self.message_of == Some(Opcode::Binary) {
            self.binary += payload.len() as u64;
        } else {
            self.message.extend(plain);
            match std::str::from_utf8(&self.message[self.checked..]) {
                Ok(text) => self.checked += text.len(),
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(Broken::Utf8),
            }
        }
        Ok(())
    }

    fn finished(&mut self, open: &Open) -> Result<Option<Event>, Broken> {
        let event = match open.opcode {
            Opcode::Ping => Event::Ping(std::mem::take(&mut self.control)),
            Opcode::Pong => {
                self.control = Vec::new();
                Event::Pong
            }
            Opcode::Close => {
                self.closed = true;
                Event::Close(closing(&std::mem::take(&mut self.control))?)
            }
            _ if !open.fin => return Ok(None),
            _ if self.message_of.take() == Some(Opcode::Binary) => {
                self.binary = 0;
                Event::Binary
            }
            _ => {
                self.checked = 0;
                let text = String::from_utf8(std::mem::take(&mut self.message));
                Event::Text(text.map_err(|_| Broken::Utf8)?)
            }
        };
        Ok(Some(event))
    }
}

impl Opcode {
    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The code of a close frame's payload (5.5.1, 7.4).
fn closing(payload: &[u8]) -> Result<Option<u16>, Broken> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(Broken::Protocol) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    // 1004 to 1006 and 1015 never stand in a frame; the others below 3000 are not given out.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Broken::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| Broken::Utf8)?;
    Ok(Some(code))
}

/// A whole message of text as a server's frame.
pub fn text(message: &str) -> Bytes {
    frame(0x1, message.as_bytes())
}

/// A ping without payload.
pub fn ping() -> Bytes {
    frame(0x9, &[])
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(0xa, payload)
}

/// A close frame with a code and a reason of at most 123 bytes, or an empty one.
pub fn close(code: Option<u16>, reason: &str) -> Bytes {
    let code = code.map(u16::to_be_bytes);
    let payload = [code.as_ref().map_or(&[][..], |code| &code[..]), reason.as_bytes()].concat();
    frame(0x8, &payload)
}

/// How many bytes of a frame of text come before its payload.
pub fn head_bytes(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let length = payload.len();
    let mut frame = Vec::with_capacity(head_bytes(length) + length);
    frame.push(0x80 | opcode);
    match length {
        0..=125 => frame.push(length as u8),
        126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame.into()
}

#[cfg(test)]
mod tests;
