//! Client certificates of agencies' programs: checked where they are presented, and needed by the
//! keys that are bound to one.

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use loa::domain::agency::Jurisdiction;
use loa::domain::audit::Verdict;
use loa::domain::fingerprint::Fingerprint;
use loa::http::tls::ClientCertificates;
use loa::store::audit::Filter;
use serde_json::json;

use super::door::leaves_a_line;
use super::node;
use crate::support::node::{TestNode, agency};
use crate::support::process::eventually;
use crate::support::tls::{Authority, Client, Pair};

/// A node that asks for certificates, its authority for them, and a certificate with its key.
struct Mutual {
    test: TestNode,
    client: Client,
    programs: Authority,
    own: Pair,
    bound: String,
    free: String,
}

async fn mutual(ask: ClientCertificates) -> Mutual {
    let programs = Authority::new();
    let file = programs.file();
    let (test, authority) = node(|tls| {
        tls.client_certificates = ask;
        tls.client_ca_file = Some(file);
    })
    .await;
    let free = agency(&test.node, "pc07", Jurisdiction::unlimited()).await.expect("a key");
    let own = programs.signs("desk", 2090);
    let certificate = Some(Fingerprint::of(&own.der));
    let (agencies, id) = (&test.node.parts.agencies, "pc07".parse().expect("an id"));
    let life = (Timestamp::now(), None);
    let bound = agencies.add_bound_key(&id, "bound", life, certificate).await.expect("made");
    let bound = bound.expose().to_owned();
    Mutual { client: authority.client(), test, programs, own, bound, free }
}

impl Mutual {
    /// Status and code of a publication's dry run, with a key over a connection.
    async fn tries(&self, client: &Client, key: &str) -> (u16, String) {
        let body = Bytes::from(crate::ingest::alert_json("mutual").to_string());
        let credentials = format!("Bearer {key}");
        let path = "/v1/alerts?dry_run=true";
        let body = Some(("application/json", body));
        let asked = (Method::POST, path, Some(credentials.as_str()), body);
        let answer = client.ask(self.test.node.address, asked).await.expect("an answer");
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), code)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_opens_nothing_without_its_certificate() {
    let mutual = mutual(ClientCertificates::Optional).await;
    let (bare, own) = (mutual.client.clone(), mutual.client.with(&mutual.own));
    let other = mutual.client.with(&mutual.programs.signs("other", 2090));
    let refused = (401, "certificate_required".to_owned());
    let fine = (200, String::new());
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        for alpn in ["h2", "http/1.1"] {
            let over =
                |client: &Client| Client { alpn, versions: versions.clone(), ..client.clone() };
            assert_eq!(mutual.tries(&over(&own), &mutual.bound).await, fine);
            assert_eq!(mutual.tries(&over(&bare), &mutual.bound).await, refused);
            assert_eq!(mutual.tries(&over(&other), &mutual.bound).await, refused);
            // A key that is bound to none needs none, and bears one.
            assert_eq!(mutual.tries(&over(&bare), &mutual.free).await, fine);
            assert_eq!(mutual.tries(&over(&other), &mutual.free).await, fine);
        }
    }
    let line = eventually(async || {
        let filter =
            Filter { actor: Some("pc07/bound".to_owned()), limit: 100, ..Filter::default() };
        let links = mutual.test.node.parts.trail.audit().list(filter).await.expect("read");
        let code = Verdict::Refused { code: "certificate_required".to_owned() };
        links.into_iter().find(|link| link.entry.verdict == code)
    })
    .await;
    assert_eq!(line.entry.object, "POST /v1/alerts");
    mutual.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_and_expired_ones_do_not_get_in() {
    let mutual = mutual(ClientCertificates::Optional).await;
    let strangers = Authority::new();
    let wrong = [strangers.signs("desk", 2090), mutual.programs.signs("expired", 2021)];
    for pair in &wrong {
        for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
            let client = Client { versions, ..mutual.client.with(pair) };
            let asked = (Method::GET, "/v1/units", None, None);
            let answer = client.ask(mutual.test.node.address, asked).await;
            assert!(answer.is_err(), "{answer:?}");
        }
    }
    leaves_a_line(&mutual.test, "certificate_required").await;
    mutual.test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_certificates_are_required_no_key_is_taken_without_one_and_citizens_need_none() {
    let mutual = mutual(ClientCertificates::Required).await;
    let own = mutual.client.with(&mutual.own);
    let refused = (401, "certificate_required".to_owned());
    assert_eq!(mutual.tries(&mutual.client, &mutual.free).await, refused);
    assert_eq!(mutual.tries(&own, &mutual.free).await.0, 200);
    assert_eq!(mutual.tries(&own, &mutual.bound).await.0, 200);
    let body = Some(("application/json", Bytes::from(json!({"places": []}).to_string())));
    let asked = (Method::POST, "/v1/devices", None, body);
    let answer = mutual.client.ask(mutual.test.node.address, asked).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    mutual.test.stop().await;
}
