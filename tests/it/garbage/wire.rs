//! Requests that are wrong as such: too large, cut off, slow, of the wrong kind, to nowhere.

use std::time::Duration;

use crate::support::client::raw;

use super::*;

/// By then a limit of one or two seconds has ended every request, also on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

fn head(served: &Served, rest: &str) -> String {
    format!(
        "POST /v1/alerts HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/cap+xml\r\n{rest}\r\n",
        served.address, served.key
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_the_limit_are_refused_however_they_come() {
    let served = node();
    still_warns(&served, "before-the-large").await;
    let before = served.resident_kib();
    let large = vec![b' '; (1 << 20) + 1];
    let mut client = Client::new(served.address);
    for (path, kind) in [
        ("/v1/alerts", "application/cap+xml"),
        ("/v1/alerts", "application/json"),
        ("/v1/notices", "application/json"),
        ("/v1/status-changes", "application/json"),
        ("/v1/devices", "application/json"),
    ] {
        let answer = post(&mut client, &served, (path, kind), large.clone()).await;
        explained(&answer, path);
        assert_eq!((answer.status.as_u16(), answer.problem()), (413, "too_large".into()), "{path}");
    }
    // Without a length: pieces until the limit is passed.
    let chunked = head(&served, "transfer-encoding: chunked\r\n");
    let mut pieces = vec![chunked.into_bytes()];
    for _ in 0..24 {
        let mut piece = b"10000\r\n".to_vec();
        piece.extend(vec![b'a'; 0x1_0000]);
        piece.extend(b"\r\n");
        pieces.push(piece);
    }
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let heard = raw(served.address, &pieces, (false, WITHIN)).await.expect("closed");
    // A connection that is closed under what is still being sent may lose the answer.
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 413 "), "{heard}");
    still_warns(&served, "after-the-large").await;
    let grown = served.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_cut_requests_are_ended_within_their_limits() {
    let served = node();
    let address = served.address;
    let begun = format!("POST /v1/alerts HTTP/1.1\r\nhost: {address}\r\nx-slow: ");
    let waiting = head(&served, "content-length: 1000\r\n");
    let waiting = [waiting.as_bytes(), b"<alert"].concat();
    let nothing: &[u8] = b"";
    // Each stays open until the node closes it, and the node does so in time.
    let slow = [
        ("nothing at all", nothing, ""),
        ("half a preface", b"PRI * HT", ""),
        ("half a request line", b"POST /v1", ""),
        ("half a head", begun.as_bytes(), ""),
        ("half a body", waiting.as_slice(), "HTTP/1.1 408 "),
    ];
    let slow = slow.map(|(about, bytes, expected)| async move {
        let heard = raw(address, &[bytes], (false, WITHIN)).await;
        let heard = heard.unwrap_or_else(|error| panic!("{about}: {error}"));
        assert!(heard.contains(expected), "{about}: {heard}");
        assert!(!heard.contains("HTTP/1.1 5"), "{about}: {heard}");
        if !expected.is_empty() {
            assert!(heard.contains("application/problem+json"), "{about}: {heard}");
            assert!(heard.contains("request_timeout"), "{about}: {heard}");
        }
    });
    futures_util::future::join_all(slow).await;
    for bytes in [nothing, begun.as_bytes(), waiting.as_slice()] {
        let heard = raw(address, &[bytes], (true, WITHIN)).await.expect("closed");
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard}");
    }
    still_warns(&served, "after-the-slow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused() {
    let served = node();
    let huge_head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    let many = (0..100).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let many = format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    let twice = head(&served, "content-length: 5\r\ncontent-length: 6\r\n");
    let smuggled = head(&served, "content-length: 5\r\ntransfer-encoding: identity\r\n");
    let cases: [(&str, &[u8]); 8] = [
        ("no words", b"\x00\x01\x02\x03\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("a bad header", b"GET / HTTP/1.1\r\nhost a\r\n\r\n"),
        ("a huge head", huge_head.as_bytes()),
        ("many headers", many.as_bytes()),
        ("two lengths", twice.as_bytes()),
        ("a strange encoding", smuggled.as_bytes()),
    ];
    for (about, bytes) in cases {
        let heard = raw(served.address, &[bytes], (true, WITHIN)).await;
        let heard = heard.unwrap_or_else(|error| panic!("{about}: {error}"));
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{about}: {heard}");
    }
    still_warns(&served, "after-the-nonsense").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_kinds_methods_and_paths_are_named() {
    let served = node();
    let mut client = Client::new(served.address);
    for kind in ["text/plain", "application/octet-stream", "", "multipart/form-data", "xml"] {
        let answer = post(&mut client, &served, ("/v1/alerts", kind), "<alert/>").await;
        explained(&answer, kind);
        assert_eq!(answer.status, 415, "{kind}");
    }
    let bearer = format!("Bearer {}", served.key);
    let headers = [(AUTHORIZATION, bearer.as_str())];
    for (method, path) in [
        (Method::PUT, "/v1/alerts"),
        (Method::DELETE, "/v1/notices"),
        (Method::PATCH, "/v1/status-changes"),
        (Method::POST, "/healthz"),
        (Method::GET, "/v1/notices"),
    ] {
        let answer = client.ask((method, path), &headers, "").await.expect("an answer");
        explained(&answer, path);
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.headers.contains_key("allow"), "{path}");
    }
    for path in [
        "/v1",
        "/v2/alerts",
        "/v1/alerts/",
        "//",
        "/v1/alerts/../../etc/passwd",
        "/%00",
        "/%ff",
        "/v1/alerts/%ff",
        "/v1/alerts/%2e%2e",
        "/v1/publications//funnel",
        "/index.php",
        "/v1/publications/x/funnel",
        "/v1/cap/x.xml",
        "/v1/dead-letters/x/y/redrive",
        "/v1/dead-letters?partition=-1",
        "/v1/dead-letters?partition=4000000000",
        "/v1/alerts/active?lat=x",
        "/v1/units?x=%ff",
        "/v1/inbox",
        "/v1/me",
        "/v1/stream",
    ] {
        let answer = client.ask((Method::GET, path), &headers, "").await.expect("an answer");
        if !answer.status.is_success() {
            explained(&answer, path);
        }
    }
    still_warns(&served, "after-the-wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_wide_and_broken_texts_are_refused() {
    let served = node();
    let mut client = Client::new(served.address);
    let deep = "[".repeat(200_000);
    let objects = "{\"a\":".repeat(100_000);
    let closed = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{{\"changes\":[{}]}}", vec!["{}"; 200_000].join(","));
    let elements = "<a>".repeat(200_000);
    let invalid = b"{\"identifier\":\"\xff\xfe\xc3\x28\"}".to_vec();
    let surrogate = br#"{"identifier":"\ud800"}"#.to_vec();
    let json = [
        deep.into_bytes(),
        objects.into_bytes(),
        closed.into_bytes(),
        wide.into_bytes(),
        invalid,
        surrogate,
        Vec::new(),
        b"null".to_vec(),
        b"{\"identifier\":1e999}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
    ];
    for (index, body) in json.into_iter().enumerate() {
        for path in ["/v1/alerts", "/v1/notices", "/v1/status-changes", "/v1/devices"] {
            let kind = (path, "application/json");
            let answer = post(&mut client, &served, kind, body.clone()).await;
            let about = format!("{path} {index}");
            explained(&answer, &about);
            assert!(!answer.json()["errors"].as_array().expect("named").is_empty(), "{about}");
        }
    }
    let xml = [elements.into_bytes(), Vec::new(), b"\xff\xfe<".to_vec(), b"<alert".to_vec()];
    for (index, body) in xml.into_iter().enumerate() {
        let kind = ("/v1/alerts", "application/cap+xml");
        let answer = post(&mut client, &served, kind, body).await;
        explained(&answer, &format!("XML {index}"));
    }
    still_warns(&served, "after-the-deep").await;
}
