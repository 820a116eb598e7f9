//! The least a server can do: accept, shake hands, and write one prepared frame to every socket in
//! a loop. What it costs is the kernel's.

use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::alerts::FRAME_BYTES;
use crate::client::nanos;
use crate::report::cpu_seconds;
use crate::server::{anon_kb, settle};

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until the standard input ends.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("port {}", listener.local_addr()?.port());
    let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let accepted = Arc::clone(&sockets);
    std::thread::spawn(move || -> Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
                head.push(byte[0]);
            }
            stream.write_all(ANSWER)?;
            stream.set_nonblocking(true)?;
            accepted.lock().expect("no panic").push(stream);
        }
    });
    let mut frame = vec![0x81, 126];
    frame.extend((FRAME_BYTES as u16).to_be_bytes());
    frame.resize(4 + FRAME_BYTES, b'x');
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some(count) = line.strip_prefix("alert ") else {
            println!("memory {}", anon_kb("self")?);
            continue;
        };
        let sockets = sockets.lock().expect("no panic");
        let (began, before) = (nanos()?, cpu_seconds()?);
        for _ in 0..count.parse()? {
            for mut socket in sockets.iter() {
                let _ = socket.write(&frame);
            }
        }
        settle();
        println!("went {began} {}", cpu_seconds()? - before);
    }
    Ok(())
}
