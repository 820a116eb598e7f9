//! From files to what a handshake needs. Whatever is wrong is said with the key of the setting.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};

use crate::config::secret::Secret;
use crate::http::tls::certificate::{Validity, validity};
use crate::http::tls::{ClientCertificates, Settings};

/// The largest file read: a chain is some 6 KB, a bundle of authorities some 200.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Error {
    /// The setting.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// What the files hold, ready for handshakes.
pub struct Loaded {
    pub config: Arc<ServerConfig>,
    /// When the certificate holds no longer.
    pub ends: Timestamp,
}

/// What the settings' files hold, unread.
#[derive(Clone)]
pub struct Texts {
    certificate: Vec<u8>,
    key: Secret,
    client_ca: Option<Vec<u8>>,
}

impl Texts {
    /// Reads them.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let Some(file) = &settings.certificate_file else {
            return Err(wrong("certificate_file", "must be set, a key alone is no TLS"));
        };
        let key = Secret::resolve("key", settings.key.as_ref(), settings.key_file.as_deref());
        Ok(Self {
            certificate: bytes("certificate_file", file)?,
            key: key.map_err(|error| wrong("key_file", error))?,
            client_ca: match &settings.client_ca_file {
                Some(file) => Some(bytes("client_ca_file", file)?),
                None => None,
            },
        })
    }

    /// Tells them from others, and says nothing of them.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let key = self.key.expose().as_bytes();
        let authorities = self.client_ca.as_deref().unwrap_or_default();
        for text in [&self.certificate, key, authorities] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        hasher.finalize().into()
    }

    /// What they mean.
    pub fn load(&self, settings: &Settings, now: Timestamp) -> Result<Loaded, Error> {
        let chain = certificates("certificate_file", &self.certificate)?;
        let ends = holding(&chain[0], now)?.ends;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| wrong("key_file", "holds no private key (PEM)"))?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("certificate_file", error))?;
        let builder = match (settings.client_certificates, &self.client_ca) {
            (ClientCertificates::Off, _) | (_, None) => builder.with_no_client_auth(),
            (_, Some(authorities)) => {
                builder.with_client_cert_verifier(verifier(authorities, provider)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(misfit)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if settings.client_certificates == ClientCertificates::Off {
            config.ticketer = Ticketer::new().map_err(|error| wrong("key_file", error))?;
        } else {
            // A resumed session would carry a certificate on that nobody looked at again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Loaded { config: Arc::new(config), ends })
    }
}

/// Reads the files and what they mean.
pub fn load(settings: &Settings, now: Timestamp) -> Result<Loaded, Error> {
    Texts::read(settings)?.load(settings, now)
}

fn wrong(key: &'static str, why: impl ToString) -> Error {
    Error { key, why: why.to_string() }
}

fn bytes(key: &'static str, file: &Path) -> Result<Vec<u8>, Error> {
    let fail = |why: String| wrong(key, format!("{}: {why}", file.display()));
    let size = fs::metadata(file).map_err(|error| fail(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(fail(format!("{size} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    fs::read(file).map_err(|error| fail(error.to_string()))
}

fn certificates(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(chain) if chain.is_empty() => Err(wrong(key, "holds no certificate (PEM)")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(wrong(key, error)),
    }
}

/// When the certificate holds, if it holds now.
fn holding(certificate: &[u8], now: Timestamp) -> Result<Validity, Error> {
    let unread = || wrong("certificate_file", "the certificate's dates cannot be read");
    let validity = validity(certificate).ok_or_else(unread)?;
    let Validity { begins, ends } = validity;
    if now > ends {
        return Err(wrong("certificate_file", format!("the certificate expired at {ends}")));
    }
    if now < begins {
        let why = format!("the certificate does not hold before {begins}");
        return Err(wrong("certificate_file", why));
    }
    Ok(validity)
}

fn verifier(
    authorities: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in certificates("client_ca_file", authorities)? {
        roots.add(authority).map_err(|error| wrong("client_ca_file", error))?;
    }
    // Citizens share the socket with agencies: who presents nothing comes in, and no further than
    // what needs no certificate.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| wrong("client_ca_file", error))
}

fn misfit(error: rustls::Error) -> Error {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            wrong("key_file", "the key is not that of certificate_file")
        }
        rustls::Error::InvalidCertificate(_) => wrong("certificate_file", error),
        error => wrong("key_file", error),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pair(until: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    }

    #[test]
    fn wrong_settings_are_refused_by_the_name_of_the_key() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("written");
            Some(dir.path().join(name))
        };
        let (good, old, other) = (pair(2090), pair(2021), pair(2090));
        let (certificate, key) = (put("good.pem", &good.0), put("good.key", &good.1));
        let expired = put("old.pem", &old.0);
        let whole = Settings {
            certificate_file: certificate.clone(),
            key_file: key.clone(),
            ..Settings::default()
        };
        let now = Timestamp::from_second(1_800_000_000).expect("an instant");
        let found = |settings: &Settings| {
            let mut found = settings.problems();
            found.extend(settings.check(now).err().map(|error| error.to_string()));
            found
        };
        assert_eq!(found(&whole), [""; 0]);
        let absent = Some(dir.path().join("absent"));
        let asks = ClientCertificates::Required;
        let of = |certificate_file: &Option<_>, key_file: &Option<_>| Settings {
            certificate_file: certificate_file.clone(),
            key_file: key_file.clone(),
            ..Settings::default()
        };
        let cases = [
            (of(&certificate, &None), "key_file: `key` or `key_file`"),
            (of(&None, &key), "certificate_file: must be set"),
            (of(&absent, &key), "certificate_file: "),
            (of(&certificate, &absent), "key_file: "),
            (of(&key, &key), "certificate_file: holds no certificate"),
            (of(&certificate, &certificate), "key_file: holds no private key"),
            (of(&certificate, &put("other.key", &other.1)), "key_file: the key is not that"),
            (of(&expired, &put("old.key", &old.1)), "certificate_file: the certificate expired"),
            (Settings { client_certificates: asks, ..whole.clone() }, "client_ca_file: must be"),
            (Settings { client_ca_file: certificate, ..whole.clone() }, "client_certificates: "),
            (Settings { handshakes_max: 0, ..whole }, "handshakes_max: "),
        ];
        for (settings, wanted) in cases {
            let found = found(&settings);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(wanted), "{wanted}: {found:?}");
            assert!(!found[0].contains("BEGIN"), "{found:?}");
        }
    }
}
