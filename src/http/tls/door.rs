//! The handshake and its limits: a time, so many at once, so many of one address. The session that
//! it opens is made of the newest files.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use crate::http::limits::{AddressSlots, ClientAddress};
use crate::http::problem::{Code, MEDIA_TYPE, Problem};
use crate::http::proxies::Proxies;
use crate::http::tls::files::{self, Error, Loaded};
use crate::http::tls::{ClientCertificates, Settings, Wire};
use crate::metrics::{self, Handshake};

/// How a TLS connection begins: the content type of a handshake record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// What a face under TLS needs; shared by its connections.
#[derive(Debug)]
pub struct Door {
    pub(super) config: ArcSwap<ServerConfig>,
    pub(super) settings: Settings,
    slots: Arc<AddressSlots>,
}

impl Door {
    /// A door with what the settings' files hold now.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Arc<Self>, Error> {
        let Loaded { config, ends } = files::load(settings, now)?;
        super::renew::tell(ends, now);
        Ok(Arc::new(Self {
            config: ArcSwap::new(config),
            settings: settings.clone(),
            slots: AddressSlots::new(settings.handshakes_max, settings.handshakes_per_address),
        }))
    }

    /// Whether no API key is taken without a client certificate.
    pub fn keys_need_certificates(&self) -> bool {
        self.settings.client_certificates == ClientCertificates::Required
    }

    /// A connection after its handshake, or how that failed. Both are counted.
    pub async fn enter(&self, stream: TcpStream, peer: SocketAddr) -> Result<Wire, Handshake> {
        let until = Instant::now() + Duration::from_secs(self.settings.handshake_seconds);
        let shaken = match timeout_at(until, self.shake(stream, peer)).await {
            Ok(shaken) => shaken.map_err(|Failed(outcome)| outcome),
            Err(_) => Err(Handshake::Slow),
        };
        metrics::handshake(shaken.as_ref().map_or_else(|outcome| *outcome, |_| Handshake::Done));
        shaken
    }

    async fn shake(&self, mut stream: TcpStream, peer: SocketAddr) -> Result<Wire, Failed> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(Failed(Handshake::Gone));
        }
        if first[0].is_ascii_uppercase() {
            stream.write_all(plain_answer().as_bytes()).await?;
            stream.shutdown().await?;
            return Err(Failed(Handshake::Plain));
        }
        if first[0] != HANDSHAKE {
            return Err(Failed(Handshake::Refused));
        }
        // Reading the first message costs nothing but the connection; what is dear begins after it.
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let address = ClientAddress::of(peer.ip(), None, &Proxies::new(&[]));
        let slot = self.slots.take(address).map_err(|_| Failed(Handshake::TurnedAway))?;
        let stream = begun.into_stream(self.config.load_full()).await?;
        drop(slot);
        Ok(Wire::tls(stream))
    }
}

/// How a handshake failed.
struct Failed(Handshake);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self(match (error.kind(), reason) {
            (_, Some(rustls::Error::InvalidCertificate(_))) => Handshake::Certificate,
            (_, Some(rustls::Error::NoCertificatesPresented)) => Handshake::Certificate,
            (io::ErrorKind::InvalidData, _) => Handshake::Refused,
            _ => Handshake::Gone,
        })
    }
}

/// What somebody is told who speaks plain HTTP to this port.
fn plain_answer() -> String {
    let problem = Problem::new(Code::BadRequest, "this port speaks TLS: ask with https");
    let body = serde_json::to_string(&problem.document()).expect("a document is JSON");
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}
