//! TLS and SCRAM against the real broker, with certificates of the test's own.

use loa::bus::kafka::{Mechanism, Sasl, Tls};
use loa::bus::{Bus, Settings};
use loa::clock::Clock;
use loa::config::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{TOPIC, open};
use crate::bus::{record, take};
use crate::support::kafka::Kafka;

/// An authority's certificate, and the broker's key with the certificate it signed.
fn certificates() -> (String, String) {
    let mut authority = CertificateParams::new([]).expect("parameters");
    authority.distinguished_name.push(DnType::CommonName, "the test's authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let broker = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    let broker = broker.signed_by(&key, &authority).expect("a certificate");
    (authority.pem(), format!("{}{}", key.serialize_pem(), broker.pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_speaks_tls_and_proves_itself_with_scram() {
    let (authority, broker) = certificates();
    let dir = tempfile::tempdir().expect("a directory");
    let (ca, keystore) = (dir.path().join("ca.pem"), dir.path().join("broker.pem"));
    std::fs::write(&ca, authority).expect("written");
    std::fs::write(&keystore, broker).expect("written");
    let listen = "PLAIN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
                  SECURE://127.0.0.1:{secure}";
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let secure = crate::support::kafka::free_port();
    let listen = listen.replace("{secure}", &secure.to_string());
    let advertise = format!("PLAIN://127.0.0.1:{{port}},SECURE://localhost:{secure}");
    let kafka = Kafka::start(
        1,
        &[
            ("listeners", listen),
            ("advertised.listeners", advertise),
            (
                "listener.security.protocol.map",
                "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL".to_owned(),
            ),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", keystore.display().to_string()),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
            ("listener.name.secure.scram-sha-256.sasl.jaas.config", jaas.to_owned()),
            ("listener.name.secure.scram-sha-512.sasl.jaas.config", jaas.to_owned()),
        ],
    )
    .await;
    let mut cluster = kafka.topics().await;
    cluster.brokers = vec![format!("localhost:{secure}")];
    cluster.tls = Some(Tls { ca_file: Some(ca), ..Tls::default() });
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        cluster.sasl = Some(Sasl {
            mechanism,
            username: "loa".to_owned(),
            password: Some(Secret::new("loa-secret")),
            password_file: None,
        });
        let bus = open(&cluster).await;
        bus.publish(TOPIC, vec![record("a", "1")]).await.expect("published");
        let mut consumer = bus.consumer("route", &[TOPIC]).await.expect("joined");
        let taken = take(&mut consumer, 1).await;
        consumer.commit(taken[0].position.next()).await.expect("committed");
        bus.close().await.expect("closed");
    }
    // With another password no topic is to be seen: the node waits, it does not start.
    cluster.sasl.as_mut().expect("given").password = Some(Secret::new("wrong"));
    let settings = Settings::kafka(cluster);
    let opened = Bus::open(&settings, Clock::System);
    let opened = tokio::time::timeout(std::time::Duration::from_secs(3), opened).await;
    assert!(opened.is_err(), "{opened:?}");
}
