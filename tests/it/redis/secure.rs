//! Users with access lists, and TLS with certificates of the city's own.

use std::path::PathBuf;

use loa::config::secret::Secret;
use loa::store::redis::{Redis, Settings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::port::free_port;
use crate::support::redis::Server;

#[tokio::test]
async fn a_user_needs_no_more_than_its_own_keys() {
    let server = Server::start(&[]);
    let rights = ["~loa:*", "&loa:*", "+@all", "-@dangerous", "+info"];
    let user = [&["ACL", "SETUSER", "city", "on", ">sesame"][..], &rights[..]].concat();
    assert_eq!(server.cli(&user), "OK");
    assert_eq!(server.cli(&["ACL", "SETUSER", "default", "off"]), "OK");
    let settings = Settings {
        username: Some("city".into()),
        password: Some(Secret::new("sesame")),
        ..Settings::single(server.url())
    };
    let redis = Redis::open(&settings).await.expect("open");
    assert_eq!(super::put(&redis, "mine").await.expect("put"), "mine");
    let mut feed = redis.follow("loa:{t}:counter").await.expect("a feed");
    let raise = loa::store::redis::Script::new(super::RAISE);
    redis.run::<u64>(&raise.call().key("loa:{t}:counter")).await.expect("raised");
    feed.wait_for(|known| *known == 1).await.expect("it is open");
    let theirs = redis.ask::<()>(redis::cmd("SET").arg("other").arg(1)).await;
    assert!(theirs.expect_err("not ours").to_string().contains("permission"));
    let wrong = Settings { password: Some(Secret::new("guess")), ..settings };
    let refused = Redis::open(&wrong).await.expect_err("another password");
    assert!(!refused.to_string().contains("guess"), "{refused}");
}

#[tokio::test]
async fn tls_with_an_authority_and_a_certificate_of_the_citys_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    let put = |name: &str, text: String| {
        std::fs::write(file(name), text).expect("written");
        file(name).display().to_string()
    };
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "the city's authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = put("ca.pem", params.self_signed(&key).expect("signed").pem());
    let issuer = Issuer::new(params, key);
    let mine = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("an address");
        let signed = params.signed_by(&key, &issuer).expect("signed");
        let certificate = put(&format!("{name}.pem"), signed.pem());
        (certificate, put(&format!("{name}.key"), key.serialize_pem()))
    };
    let (server_cert, server_key) = mine("server");
    let (node_cert, node_key) = mine("node");
    let port = free_port().to_string();
    let _server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &server_cert,
        "--tls-key-file",
        &server_key,
        "--tls-ca-cert-file",
        &authority,
    ]);
    let url = format!("rediss://127.0.0.1:{port}").parse().expect("an address");
    let settings = Settings {
        ca_file: Some(PathBuf::from(&authority)),
        identity: Some((node_cert.into(), node_key.into())),
        patience: std::time::Duration::from_secs(3),
        ..Settings::single(url)
    };
    let redis = Redis::open(&settings).await.expect("open");
    assert_eq!(super::put(&redis, "sealed").await.expect("put"), "sealed");
    let unknown = Settings { ca_file: None, ..settings };
    assert!(Redis::open(&unknown).await.is_err(), "nobody knows who signed it");
}
