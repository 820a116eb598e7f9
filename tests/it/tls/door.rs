//! The handshake: its limits, who is refused, and renewal.

use std::net::SocketAddr;

use http::Method;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::node;
use crate::support::audit::{entries, requests};
use crate::support::citizen::within;
use crate::support::metrics;
use crate::support::node::TestNode;
use crate::support::process::{eventually, run};
use crate::support::tls::{Authority, Client, Pair, replace};

/// Reads to the end of a connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // A connection that is cut with unread bytes ends in a reset.
    let _ = within("the end", stream.read_to_end(&mut read)).await;
    read
}

/// The first message of a handshake, and nothing after it.
async fn begins(client: &Client, to: SocketAddr) -> TcpStream {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(client.config(), name).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("written");
    let mut stream = TcpStream::connect(to).await.expect("open");
    stream.write_all(&hello).await.expect("open");
    // The answer is the sign that the handshake is under way.
    stream.readable().await.expect("open");
    stream
}

/// Waits until the audit has a handshake that was refused with this code.
pub(super) async fn leaves_a_line(test: &TestNode, code: &str) {
    let line = ("a TLS handshake".to_owned(), code.to_owned());
    eventually(async || requests(&entries(test).await).contains_key(&line).then_some(())).await;
}

fn results(result: &str) -> u64 {
    metrics::value(&format!("loa_tls_handshakes_total{{result=\"{result}\"}}"))
}

#[tokio::test]
async fn a_slow_handshake_is_cut_and_the_newcomer_of_its_address_pays() {
    let (test, authority) = node(|tls| {
        tls.handshake_seconds = 2;
        tls.handshakes_per_address = 1;
    })
    .await;
    let (to, client) = (test.node.address, authority.client());
    let mut open = client.connect(to).await.expect("open before");
    let slow = results("slow");
    let mut silent = TcpStream::connect(to).await.expect("open");
    let mut stalled = begins(&client, to).await;
    let turned_away = results("turned_away");
    assert!(client.connect(to).await.is_err(), "two handshakes of one address");
    eventually(async || (results("turned_away") > turned_away).then_some(())).await;
    assert!(rest(&mut silent).await.is_empty());
    rest(&mut stalled).await;
    eventually(async || (results("slow") >= slow + 2).then_some(())).await;
    client.connect(to).await.expect("room again");
    // Whoever was connected noticed nothing.
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: loa\r\nconnection: close\r\n\r\n")
        .await
        .expect("open");
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.expect("an answer and a proper end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    for code in ["request_timeout", "rate_limited"] {
        leaves_a_line(&test, code).await;
    }
    test.stop().await;
}

#[tokio::test]
async fn plain_http_garbage_and_old_tls_are_refused_cleanly() {
    let (test, _authority) = node(|_| {}).await;
    let said = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(test.node.address).await.expect("open");
        stream.write_all(bytes).await.expect("open");
        rest(&mut stream).await
    };
    let plain = said(b"GET /v1/units HTTP/1.1\r\nhost: loa\r\n\r\n").await;
    let plain = String::from_utf8(plain).expect("text");
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("https"), "{plain}");
    assert!(plain.contains("\"code\":\"bad_request\""), "{plain}");
    assert!(said(b"\x00\x01garbage").await.is_empty());
    // A ClientHello of TLS 1.1 (RFC 4346, 7.4.1.2): one suite, and the signatures it takes.
    let mut hello = vec![22, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 1]);
    let alert = said(&hello).await;
    // A fatal alert: protocol_version (70).
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]), "{alert:?}");
    leaves_a_line(&test, "bad_request").await;
    test.stop().await;
}

#[tokio::test]
async fn a_client_that_agrees_on_http_2_and_speaks_otherwise_is_cut() {
    let (test, authority) = node(|_| {}).await;
    let client = Client { alpn: "h2", ..authority.client() };
    let mut stream = client.connect(test.node.address).await.expect("open");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: loa\r\n\r\n").await.expect("open");
    let mut answer = Vec::new();
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{answer:?}");
    let other = Client { alpn: "spdy/3", ..authority.client() };
    assert!(other.connect(test.node.address).await.is_err(), "no protocol in common");
    test.stop().await;
}

/// The certificate that a face shows.
async fn shown(client: &Client, to: SocketAddr) -> Vec<u8> {
    let stream = client.connect(to).await.expect("open");
    let shown = stream.get_ref().1.peer_certificates().expect("shown");
    shown[0].to_vec()
}

#[tokio::test]
async fn renewed_files_are_taken_without_a_restart_and_bad_ones_change_nothing() {
    let (test, authority) = node(|tls| tls.reload_seconds = 1).await;
    let (to, client) = (test.node.address, authority.client());
    let dir = authority.file();
    let at = |end: &str| dir.with_file_name(format!("face.{end}"));
    let der = shown(&client, to).await.into();
    let used = Pair { certificate: at("pem"), key: at("key"), der };
    let renewed = authority.signs("renewed", 2091);
    replace(&used, &renewed);
    eventually(async || (shown(&client, to).await == *renewed.der).then_some(())).await;
    let expired = authority.signs("expired", 2021);
    replace(&used, &expired);
    let failed = || metrics::value("loa_tls_renewal_failed");
    eventually(async || (failed() == 1).then_some(())).await;
    assert_eq!(shown(&client, to).await, *renewed.der);
    let last = authority.signs("last", 2092);
    replace(&used, &last);
    eventually(async || (shown(&client, to).await == *last.der).then_some(())).await;
    eventually(async || (failed() == 0).then_some(())).await;
    let asked = (Method::GET, "/metrics", None, None);
    let answer = client.ask(to, asked).await.expect("an answer");
    assert!(answer.status.is_success());
    test.stop().await;
}

#[test]
fn wrong_tls_settings_end_with_2_and_name_their_key() {
    let authority = Authority::new();
    let (good, expired) = (authority.signs("good", 2090), authority.signs("expired", 2021));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("loa.toml");
    let cases = [
        (Some(&good.certificate), None, 2, "http.tls.key_file"),
        (None, Some(&good.key), 2, "http.tls.certificate_file"),
        (Some(&good.certificate), Some(&expired.key), 2, "http.tls.key_file: the key is not"),
        (Some(&expired.certificate), Some(&expired.key), 2, "the certificate expired"),
        (Some(&dir.path().join("absent")), Some(&good.key), 2, "http.tls.certificate_file"),
        (Some(&good.certificate), Some(&good.key), 0, ""),
    ];
    for (certificate, key, code, reason) in cases {
        let mut text = "[http.tls]\n".to_owned();
        for (name, path) in [("certificate_file", certificate), ("key_file", key)] {
            text += &path.map_or(String::new(), |path| format!("{name} = {path:?}\n"));
        }
        std::fs::write(&file, &text).expect("written");
        let file = file.to_str().expect("UTF-8");
        for command in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            if code == 0 && command[0] == "serve" {
                continue; // it would run
            }
            let done = run(&[command, &["--config", file]].concat());
            assert_eq!(done.code, code, "{text}: {done:?}");
            assert!(done.err.contains(reason), "{text}: {done:?}");
        }
    }
}

#[test]
fn the_key_may_come_by_the_environment_and_plain_faces_beyond_loopback_are_warned_of() {
    let authority = Authority::new();
    let good = authority.signs("good", 2090);
    let warned = |settings: &[(&str, &str)]| {
        let mut command = crate::support::process::loa(&["config", "check", "--json"]);
        let output = command.envs(settings.iter().copied()).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").contains("plain HTTP beyond")
    };
    let everywhere = ("LOA__NODE__LISTEN", "0.0.0.0:8443");
    let key = std::fs::read_to_string(&good.key).expect("a key");
    let certificate = good.certificate.to_str().expect("UTF-8");
    let tls = [("LOA__HTTP__TLS__CERTIFICATE_FILE", certificate), ("LOA__HTTP__TLS__KEY", &key)];
    assert!(warned(&[everywhere]));
    assert!(!warned(&[everywhere, ("LOA__HTTP__TRUSTED_PROXIES", "10.0.0.1")]));
    assert!(!warned(&[everywhere, tls[0], tls[1]]));
    assert!(!warned(&[]));
}
