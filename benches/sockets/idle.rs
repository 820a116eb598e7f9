//! Idle websockets under TLS of the gateway's own: a client that opens them, says hello, and holds
//! them without a word.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use loa::simulator::citizens::Population;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{REQUEST, open_all, people};
use crate::tongue::{hello, whole};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Puts a certificate for this machine, with its key, into a directory.
pub fn certify(dir: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(dir.join("face.pem"), own.pem())?;
    Ok(std::fs::write(dir.join("face.key"), key.serialize_pem())?)
}

/// Opens so many sockets, says `ready SECONDS`, and holds them until the standard input ends.
pub fn hold(address: &str, sockets: usize, trusts: &Path) -> Result<()> {
    let began = Instant::now();
    let people = people(sockets)?;
    let certificate = CertificateDer::from_pem_file(trusts.join("face.pem"));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.map_err(|error| anyhow::anyhow!("{error}"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let all = open_all(sockets, |index| open(address, Arc::clone(&config), &people, index))?;
    println!("ready {}", began.elapsed().as_secs_f64());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    ensure!(all.len() == sockets, "{} are open", all.len());
    Ok(())
}

fn open(
    address: &str,
    config: Arc<ClientConfig>,
    people: &Population,
    index: usize,
) -> Result<Stream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").context("a name")?;
    let mut stream = StreamOwned::new(ClientConnection::new(config, name)?, stream);
    stream.write_all(REQUEST)?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read(&mut byte)? == 1, "the server refused");
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(&hello(people, index, None)?)?;
    while !whole(&mut stream)?.starts_with(br#"{"type":"live""#) {}
    Ok(stream)
}
