//! The keys and certificates of a simulation, made at its start and gone with it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

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
    /// The service account's RSA key.
    pub google: KeyPair,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes everything; the RSA key takes some hundred milliseconds.
pub fn make() -> Result<Credentials, Error> {
    let issuer = issuer()?;
    Ok(Credentials {
        tls: tls(&issuer)?,
        ca_pem: issuer.pem(),
        issuer,
        apns: KeyPair::generate()?,
        google: KeyPair::generate_for(&PKCS_RSA_SHA256)?,
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
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}
