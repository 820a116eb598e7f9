//! The neutral client: it opens sockets, then counts frames. It answers nothing and decodes no
//! more than lengths, so that it weighs alike on every server.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use loa::geofence::{BUILTIN_CITY, City};
use loa::simulator::citizens::{Mix, Population};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::tongue::{Opening, Tongue, frame, hello, whole};

/// What a websocket begins with.
pub const REQUEST: &[u8] = b"GET /v1/stream HTTP/1.1\r\nhost: loa\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Sockets opened at once.
const OPENING: usize = 16;
/// How long a socket may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

/// The people whose devices the sockets are.
pub fn people(sockets: usize) -> Result<Population> {
    let mix = Mix { apns: 0, fcm: 0, second_place: 0, ..Mix::default() };
    Ok(Population::new(&City::builtin(BUILTIN_CITY)?, sockets as u32, (4, mix)))
}

struct Socket {
    stream: TcpStream,
    /// Of the frame that is being read: its head, what is left of its payload, and its alerts.
    head: Vec<u8>,
    left: usize,
    carried: usize,
    alerts: usize,
    /// Of the last frame with alerts, for each.
    bytes: usize,
}

/// Opens so many sockets, says `ready SECONDS`, and then `got NUMBER NANOSECONDS BYTES` whenever
/// the last of them (but for those that read nothing) has got its next alert.
pub fn hold(address: &str, sockets: usize, slow: usize, tongue: &Tongue) -> Result<()> {
    let began = Instant::now();
    let mut all = match &tongue.opening {
        Opening::Silent => open_all(sockets, |_| open(address, tongue, None))?,
        Opening::Hello => {
            let people = people(sockets)?;
            open_all(sockets, |index| {
                let hello = hello(&people, index, None)?;
                open(address, tongue, Some((&hello[..], r#"{"type":"live""#)))
            })?
        }
        Opening::Said(words, answer) => {
            let words = frame(words)?;
            open_all(sockets, |_| open(address, tongue, Some((&words[..], *answer))))?
        }
    };
    println!("ready {}", began.elapsed().as_secs_f64());
    let reading = all.split_off(slow);
    count(reading, tongue)
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

fn open(address: &str, tongue: &Tongue, said: Option<(&[u8], &str)>) -> Result<Socket> {
    let reader = converse(address, said)?;
    let read = reader.buffer().to_vec();
    let stream = reader.into_inner();
    stream.set_nonblocking(true)?;
    let mut socket = Socket { stream, head: Vec::new(), left: 0, carried: 0, alerts: 0, bytes: 0 };
    socket.take(&read, tongue);
    Ok(socket)
}

/// A fresh websocket on which a frame was said, if any, and answered by one that has some text in
/// it.
pub fn converse(address: &str, said: Option<(&[u8], &str)>) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    // In few reads: the client must not be what limits how many are opened a second.
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "the server refused");
    }
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    if let Some((words, answer)) = said {
        reader.get_mut().write_all(words)?;
        let has_answer =
            |payload: &[u8]| payload.windows(answer.len()).any(|some| some == answer.as_bytes());
        while !has_answer(&whole(&mut reader).with_context(|| format!("no `{answer}`"))?) {}
    }
    Ok(reader)
}

fn count(mut sockets: Vec<Socket>, tongue: &Tongue) -> Result<()> {
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
                    Ok(count) => socket.take(&scratch[..count], tongue),
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
    fn take(&mut self, mut bytes: &[u8], tongue: &Tongue) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                self.alerts += if self.left == 0 { self.carried } else { 0 };
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
            (self.left, self.carried) = (length, tongue.alerts(length));
            self.bytes = length.checked_div(self.carried).unwrap_or(self.bytes);
        }
    }
}

/// Nanoseconds that processes can compare.
pub fn nanos() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}
