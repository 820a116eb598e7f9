//! The keys and certificates of a simulation, made at its start and gone with it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Names the servers answer to.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate authority.
pub type Issuer = CertifiedIssuer<'static, KeyPair>;

/// What the two servers and their clients need.
pub struct Credentials {
    /// Ends TLS, ALPN `h2`.
    pub tls: ServerConfig,
    /// The root to trust.
    pub ca_pem: String,
    /// It signs the servers' certificates.
    pub issuer: Issuer,
    /// Apple's .p8 key.
    pub apns: KeyPair,
    /// A push certificate with its key for each app, PEM.
    pub certificates: Vec<String>,
    /// The service account's RSA key.
    pub google: KeyPair,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// `userId`, where Apple's push certificates name their app.
const USER_ID: [u64; 7] = [0, 9, 2342, 19_200_300, 100, 1, 1];

/// Makes everything, with a push certificate for each app; the RSA key takes some hundred
/// milliseconds.
pub fn make(topics: &[String]) -> Result<Credentials, Error> {
    let issuer = issuer()?;
    let certificates = topics.iter().map(|topic| push_certificate(topic, &issuer));
    Ok(Credentials {
        tls: tls(&issuer)?,
        ca_pem: issuer.pem(),
        apns: KeyPair::generate()?,
        certificates: certificates.collect::<Result<_, _>>()?,
        google: KeyPair::generate_for(&PKCS_RSA_SHA256)?,
        issuer,
    })
}

/// A certificate authority of its own.
pub fn issuer() -> Result<Issuer, Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.distinguished_name.push(DnType::CommonName, "Loa simulator");
    Ok(CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?)
}

/// The server side of TLS, with a new certificate of an authority.
pub fn tls(issuer: &Issuer) -> Result<ServerConfig, Error> {
    let mut leaf = CertificateParams::new(NAMES.map(str::to_owned))?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone())?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![leaf.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}

fn push_certificate(
    topic: &str,
    ca: &CertifiedIssuer<'_, KeyPair>,
) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.distinguished_name.push(DnType::CommonName, format!("Apple Push Services: {topic}"));
    params.distinguished_name.push(DnType::CustomDnType(USER_ID.to_vec()), topic);
    let key = KeyPair::generate()?;
    Ok(params.signed_by(&key, ca)?.pem() + &key.serialize_pem())
}
