//! One kept connection to the node, as plain as the others' clients: a request is written at once,
//! and the kernel wakes the thread that waits for its answer. No runtime is asked on the way, whose
//! threads are the node's here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::stage::Stage;

/// More than the head of any answer.
const HEAD_MAX: usize = 16 << 10;

/// The connection.
pub struct Line {
    stream: TcpStream,
    host: String,
    key: String,
    read: Vec<u8>,
}

impl Line {
    /// To a node, as its agency.
    pub fn to(stage: &Stage) -> Result<Self> {
        let address = stage.node.address;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (host, key) = (address.to_string(), stage.key().to_owned());
        Ok(Self { stream, host, key, read: Vec::new() })
    }

    /// Posts something that is answered with 200: the answer, and the time from the request to the
    /// whole of it.
    pub fn post(&mut self, path: &str, content: &str, body: &str) -> Result<(Vec<u8>, Duration)> {
        let (host, key, length) = (&self.host, &self.key, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: {content}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.read.clear();
        let began = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        let head = loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            ensure!(self.read.len() < HEAD_MAX, "an answer without an end to its head");
            self.more()?;
        };
        let words = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
        let length = words.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("an answer of a known length")?.trim().parse()?;
        while self.read.len() < head + length {
            self.more()?;
        }
        let took = began.elapsed();
        let answer = self.read.split_off(head);
        ensure!(words.starts_with("http/1.1 200 "), "{words}{}", String::from_utf8_lossy(&answer));
        Ok((answer, took))
    }

    fn more(&mut self) -> Result<()> {
        let mut part = [0; HEAD_MAX];
        let count = self.stream.read(&mut part)?;
        ensure!(count > 0, "the node closed the connection");
        self.read.extend_from_slice(&part[..count]);
        Ok(())
    }
}
