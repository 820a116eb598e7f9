//! The neutral client: it opens sockets, then counts frames. It answers nothing and decodes no
//! more than lengths, so that it weighs alike on every server.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use loa::geofence::{BUILTIN_CITY, City};
use loa::simulator::citizens::{Mix, Population};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

/// Frames with less are pings and the like.
pub const ALERT_BYTES_MIN: usize = 400;
/// What a websocket begins with.
pub const REQUEST: &[u8] = b"GET /v1/stream HTTP/1.1\r\nhost: loa\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Sockets opened at once.
const OPENING: usize = 16;

/// The people whose devices the sockets are.
pub fn people(sockets: usize) -> Result<Population> {
    let mix = Mix { apns: 0, fcm: 0, second_place: 0, ..Mix::default() };
    Ok(Population::new(&City::builtin(BUILTIN_CITY)?, sockets as u32, (4, mix)))
}

struct Socket {
    stream: TcpStream,
    /// Of the frame that is being read: its head, and what is left of its payload.
    head: Vec<u8>,
    left: usize,
    is_alert: bool,
    alerts: usize,
    /// Payload of the last alert.
    bytes: usize,
}

/// Opens so many sockets, says `ready SECONDS`, and then `got NUMBER NANOSECONDS BYTES` whenever
/// the last of them (but for those that read nothing) has got its next alert.
pub fn hold(address: &str, sockets: usize, slow: usize, hello: bool) -> Result<()> {
    let began = Instant::now();
    let people = if hello { Some(people(sockets)?) } else { None };
    let mut all = open_all(sockets, |index| open(address, people.as_ref(), index))?;
    println!("ready {}", began.elapsed().as_secs_f64());
    let reading = all.split_off(slow);
    count(reading)
}

/// Opens so many of something, each by its number, in some threads.
pub fn open_all<T: Send>(count: usize, open: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let own =
        |worker: usize| -> Result<Vec<T>> { (worker..count).step_by(OPENING).map(&open).collect() };
    let own = &own;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..OPENING).map(|worker| scope.spawn(move || own(worker))).collect();
        let mut all = Vec::with_capacity(count);
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??);
        }
        Ok(all)
    })
}

fn open(address: &str, people: Option<&Population>, index: usize) -> Result<Socket> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(REQUEST)?;
    // In few reads: the client must not be what limits how many are opened a second.
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "the server refused");
    }
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    if let Some(people) = people {
        stream.write_all(&hello(people, index, None)?)?;
        while !whole(&mut reader)?.starts_with(br#"{"type":"live""#) {}
    }
    stream.set_nonblocking(true)?;
    let mut socket =
        Socket { stream, head: Vec::new(), left: 0, is_alert: false, alerts: 0, bytes: 0 };
    socket.take(reader.buffer());
    Ok(socket)
}

/// The frame of somebody's hello.
pub fn hello(people: &Population, index: usize, position: Option<&str>) -> Result<Vec<u8>> {
    let (device, secret) = (people.id(index as u32), people.secret(index as u32));
    let mut hello = json!({"type": "hello", "device": device, "secret": secret.reveal()});
    if let Some(position) = position {
        hello["position"] = position.into();
    }
    let hello = hello.to_string();
    // Masked with zeros, which is a mask.
    let length = u16::try_from(hello.len()).context("a short hello")?;
    let mut frame = match length {
        0..=125 => vec![0x81, 0x80 | length as u8],
        _ => [&[0x81, 0x80 | 126], &length.to_be_bytes()[..]].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(hello.as_bytes());
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

fn count(mut sockets: Vec<Socket>) -> Result<()> {
    let mut poll = Poll::new()?;
    for (index, socket) in sockets.iter().enumerate() {
        let descriptor = socket.stream.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry().register(&mut source, Token(index), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; 64 << 10];
    // How many sockets have got so many alerts.
    let all = sockets.len();
    let mut reached = vec![all];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let socket = &mut sockets[event.token().0];
            loop {
                let before = socket.alerts;
                match socket.stream.read(&mut scratch) {
                    Ok(0) => bail!("a socket was closed after {} alerts", socket.alerts),
                    Ok(count) => socket.take(&scratch[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
                for number in before + 1..=socket.alerts {
                    if reached.len() <= number {
                        reached.push(0);
                    }
                    reached[number] += 1;
                    if reached[number] == all {
                        println!("got {number} {} {}", nanos()?, socket.bytes);
                        io::stdout().flush()?;
                    }
                }
            }
        }
    }
}

impl Socket {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                self.alerts += usize::from(self.left == 0 && self.is_alert);
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let length = match self.head.as_slice() {
                [_, short @ 0..=125] => usize::from(*short),
                [_, 126, high, low] => usize::from(u16::from_be_bytes([*high, *low])),
                _ => continue,
            };
            self.head.clear();
            (self.left, self.is_alert) = (length, length >= ALERT_BYTES_MIN);
            self.bytes = if self.is_alert { length } else { self.bytes };
        }
    }
}

/// Nanoseconds that processes can compare.
pub fn nanos() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}
