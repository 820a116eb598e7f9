//! Centrifugo: every client connects without a token and subscribes to one channel, in its JSON
//! protocol; alerts are published by its HTTP interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::program::{Alerted, Program, Publisher, free_port};
use crate::alerts::FRAME_BYTES;
use crate::server::Room;
use crate::tongue::{Opening, Tongue};

pub const PROGRAM: Program = Program {
    variable: "LOA_CENTRIFUGO",
    name: "centrifugo",
    version: "version",
    how_to_get: "no `centrifugo` is here \
        (go install github.com/centrifugal/centrifugo/v6@v6.9.1); \
        LOA_CENTRIFUGO names the program where it is not on the path",
};

pub const TONGUE: Tongue = Tongue {
    opening: Opening::Said(
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"alerts\"}}",
        "\"id\":2,\"subscribe\"",
    ),
    alert_bytes: AROUND.len() + FRAME_BYTES,
};

/// What is around an alert.
const AROUND: &str = r#"{"push":{"channel":"alerts","pub":{"data":}}}"#;
/// Of its HTTP interface.
const KEY: &str = "bench";

/// A connection to its HTTP interface.
pub struct Interface(BufReader<TcpStream>);

/// Starts it, as it comes but for who may subscribe, for the path that all clients of this bench
/// ask for, that it asks nobody whether he is still there, since the clients answer nothing, and
/// that it tells nobody of its use.
pub fn start(room: Room<'_>) -> Result<Alerted<Interface>> {
    let (file, port) = (room.dir.join("centrifugo.json"), free_port()?);
    let who = json!({ "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true });
    let settings = json!({
        "http_server": { "address": "127.0.0.1", "port": port },
        "http_api": { "key": KEY },
        "websocket": { "handler_prefix": "/v1/stream" },
        "client": { "allow_anonymous_connect_without_token": true, "ping_interval": "1h" },
        "channel": { "without_namespace": who },
        "usage_stats": { "disabled": true },
    });
    std::fs::write(&file, settings.to_string())?;
    let running = PROGRAM.start(&["--config", &file.display().to_string()], port, room)?;
    let stream = TcpStream::connect(running.address())?;
    stream.set_nodelay(true)?;
    Ok(running.alerted_by(Interface(BufReader::new(stream))))
}

impl Publisher for Interface {
    fn publish(&mut self, count: usize) -> Result<()> {
        // With its quotation marks as long as the others' payload.
        let data = "x".repeat(FRAME_BYTES - 2);
        let body = json!({ "channel": "alerts", "data": data }).to_string();
        let length = body.len();
        let request = format!(
            "POST /api/publish HTTP/1.1\r\nhost: loa\r\nx-api-key: {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        for _ in 0..count {
            self.0.get_mut().write_all(request.as_bytes())?;
            self.answer()?;
        }
        Ok(())
    }
}

impl Interface {
    /// Reads the answer to a publication, which must be that it is published.
    fn answer(&mut self) -> Result<()> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(self.0.read_line(&mut head)? > 0, "it hung up after `{head}`");
        }
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let mut body = vec![0; length.context("a length")?.1.parse()?];
        self.0.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        ensure!(head.starts_with("HTTP/1.1 200") && body.contains("\"result\""), "{head}{body}");
        Ok(())
    }
}
