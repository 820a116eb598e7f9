//! TLS of the node's own on its faces: who gets in, who is turned away, and what goes over it.

mod door;
mod mutual;
mod streams;

use bytes::Bytes;
use http::{Method, StatusCode};
use loa::http::tls::Settings;
use serde_json::json;

use crate::desk::{House, PASSWORD};
use crate::support::node::{AlertXml, CENTRE, TestNode};
use crate::support::tls::Authority;

/// A node under TLS, and who signed for it.
async fn node(change: impl FnOnce(&mut Settings)) -> (TestNode, Authority) {
    let authority = Authority::new();
    let mut tls = authority.face();
    change(&mut tls);
    let node = TestNode::with(|config| config.http.tls = Some(tls)).await;
    (node, authority)
}

#[tokio::test]
async fn every_face_answers_over_http_1_and_2_and_tls_1_2_and_1_3() {
    let (test, authority) = node(|_| {}).await;
    let key = format!("Bearer {}", test.key);
    let faces = [
        ("/healthz", None, 200),
        ("/metrics", None, 200),
        ("/v1/units", None, 200),
        ("/v1/console/publications", Some(key.as_str()), 200),
        ("/v1/alerts/01890a5d-ac96-774b-bcce-b302099a8057", Some(key.as_str()), 404),
        ("/v1/me", None, 401),
        ("/plain", None, 200),
    ];
    for alpn in ["h2", "http/1.1", ""] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = support_client(&authority, alpn, version);
            for (path, credentials, status) in faces {
                let asked = (Method::GET, path, credentials, None);
                let answer = client.ask(test.node.address, asked).await.expect("an answer");
                let said = (alpn, version.version, path, answer.text());
                assert_eq!(answer.status.as_u16(), status, "{said:?}");
                let strict = answer.headers.get("strict-transport-security").expect("told");
                assert_eq!(strict, "max-age=31536000");
            }
            let xml = AlertXml::hot(&format!("tls-{alpn}-{:?}", version.version), CENTRE).render();
            let body = Some(("application/cap+xml", Bytes::from(xml)));
            let asked = (Method::POST, "/v1/alerts", Some(key.as_str()), body);
            let answer = client.ask(test.node.address, asked).await.expect("an answer");
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        }
    }
    test.stop().await;
}

fn support_client(
    authority: &Authority,
    alpn: &'static str,
    version: &'static rustls::SupportedProtocolVersion,
) -> crate::support::tls::Client {
    crate::support::tls::Client { alpn, versions: vec![version], ..authority.client() }
}

#[tokio::test]
async fn a_session_over_our_own_tls_has_a_cookie_for_tls_alone() {
    let (test, authority) = node(|_| {}).await;
    let test = House::over(test).await.test;
    let body = json!({"person": "lan", "password": PASSWORD}).to_string();
    let body = Some(("application/json", Bytes::from(body)));
    let asked = (Method::POST, "/v1/console/login", None, body);
    let answer = authority.client().ask(test.node.address, asked).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let cookie = answer.headers["set-cookie"].to_str().expect("ASCII");
    assert!(cookie.contains("; Secure"), "{cookie}");
    test.stop().await;
}
