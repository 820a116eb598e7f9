//! TLS, certificates of both sides, SCRAM and PLAIN against the real broker, with certificates of
//! the test's own.

use loa::bus::kafka::{Mechanism, Sasl, Tls};
use loa::bus::{Bus, Settings};
use loa::clock::Clock;
use loa::config::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{TOPIC, open};
use crate::bus::{record, take};
use crate::support::kafka::Kafka;

/// An authority's certificate, and the keys with the certificates it signed, of a broker and of us.
fn certificates() -> (String, [String; 2]) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.distinguished_name.push(DnType::CommonName, "the test's authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    let signed = ["localhost", "loa"].map(|name| {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate = certificate.signed_by(&key, &authority).expect("a certificate");
        format!("{}{}", key.serialize_pem(), certificate.pem())
    });
    (authority.pem(), signed)
}

/// A broker with one more listener, at `localhost` and the port that is answered.
async fn secured(protocol: &str, more: &[(&str, String)]) -> (Kafka, u16) {
    let secure = crate::support::port::free_port();
    let listen = format!(
        "PLAIN://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},\
         SECURE://127.0.0.1:{secure}"
    );
    let advertise = format!("PLAIN://127.0.0.1:{{port}},SECURE://localhost:{secure}");
    let map = format!("PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:{protocol}");
    let mut settings = vec![
        ("listeners", listen),
        ("advertised.listeners", advertise),
        ("listener.security.protocol.map", map),
        ("ssl.keystore.type", "PEM".to_owned()),
    ];
    settings.extend(more.iter().cloned());
    (Kafka::start(1, &settings).await, secure)
}

/// A node writes, reads and commits.
async fn works(cluster: &loa::bus::kafka::Settings) {
    let bus = open(cluster).await;
    bus.publish(TOPIC, vec![record("a", "1")]).await.expect("published");
    let mut consumer = bus.consumer("route", &[TOPIC]).await.expect("joined");
    let taken = take(&mut consumer, 1).await;
    consumer.commit(taken[0].position.next()).await.expect("committed");
    bus.close().await.expect("closed");
}

/// No topic is to be seen: the node waits, it does not start.
async fn waits(cluster: loa::bus::kafka::Settings) {
    let settings = Settings::kafka(cluster);
    let opened = Bus::open(&settings, Clock::System);
    let opened = tokio::time::timeout(std::time::Duration::from_secs(3), opened).await;
    assert!(opened.is_err(), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_speaks_tls_and_proves_itself_with_scram_or_plain() {
    let (authority, [broker, _]) = certificates();
    let dir = tempfile::tempdir().expect("a directory");
    let (ca, keystore) = (dir.path().join("ca.pem"), dir.path().join("broker.pem"));
    std::fs::write(&ca, authority).expect("written");
    std::fs::write(&keystore, broker).expect("written");
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_loa=\"loa-secret\";";
    let more = [
        ("ssl.keystore.location", keystore.display().to_string()),
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
        ("listener.name.secure.scram-sha-256.sasl.jaas.config", scram.to_owned()),
        ("listener.name.secure.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        ("listener.name.secure.plain.sasl.jaas.config", plain.to_owned()),
    ];
    let (kafka, port) = secured("SASL_SSL", &more).await;
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let mut cluster = kafka.topics().await;
        cluster.brokers = vec![format!("localhost:{port}")];
        cluster.tls = Some(Tls { ca_file: Some(ca.clone()), ..Tls::default() });
        cluster.sasl = Some(Sasl {
            mechanism,
            username: "loa".to_owned(),
            password: Some(Secret::new("loa-secret")),
            password_file: None,
        });
        works(&cluster).await;
        cluster.sasl.as_mut().expect("given").password = Some(Secret::new("wrong"));
        waits(cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_proves_itself_with_a_certificate_of_its_own() {
    let (authority, [broker, ours]) = certificates();
    let dir = tempfile::tempdir().expect("a directory");
    let [ca, keystore, own] = ["ca.pem", "broker.pem", "own.pem"].map(|name| dir.path().join(name));
    std::fs::write(&ca, authority).expect("written");
    std::fs::write(&keystore, broker).expect("written");
    std::fs::write(&own, ours).expect("written");
    let more = [
        ("ssl.keystore.location", keystore.display().to_string()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", ca.display().to_string()),
        ("listener.name.secure.ssl.client.auth", "required".to_owned()),
    ];
    let (kafka, port) = secured("SSL", &more).await;
    let mut cluster = kafka.topics().await;
    cluster.brokers = vec![format!("localhost:{port}")];
    let tls = Tls { ca_file: Some(ca), ..Tls::default() };
    let certificate_file = Some(own.clone());
    cluster.tls = Some(Tls { certificate_file, key_file: Some(own), ..tls.clone() });
    works(&cluster).await;
    cluster.tls = Some(tls);
    waits(cluster).await;
}
