//! The keys and certificates of a simulation, made at its start and gone with it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// Names the servers answer to.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// What the two servers and their clients need.
pub struct Credentials {
    /// Ends TLS, ALPN `h2`.
    pub acceptor: TlsAcceptor,
    /// The root to trust.
    pub ca_pem: String,
    /// Apple's .p8 key.
    pub apns: KeyPair,
    /// The service account's RSA key.
    pub google: KeyPair,
}

/// Makes everything; the RSA key takes some hundred milliseconds.
pub fn make() -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.distinguished_name.push(DnType::CommonName, "Loa simulator");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut leaf = CertificateParams::new(NAMES.map(str::to_owned))?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Credentials {
        acceptor: TlsAcceptor::from(Arc::new(tls)),
        ca_pem: ca.pem(),
        apns: KeyPair::generate()?,
        google: KeyPair::generate_for(&PKCS_RSA_SHA256)?,
    })
}
