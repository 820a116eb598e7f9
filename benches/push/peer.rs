//! A provider that accepts everything: HTTP/2 over TLS, as little as can be.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::Response;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::BufWriter;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Prints its port and the root to trust, then serves until it is killed.
pub async fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &ca)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    println!("{}\n{}END", listener.local_addr()?.port(), ca.pem());
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that goes away ends its connection; nothing else is to be said of it.
            let _ = connection(tcp, acceptor).await;
        });
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(tcp).await?;
    let mut http = server::Builder::new()
        .max_concurrent_streams(1000)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake::<_, Bytes>(BufWriter::with_capacity(WRITE_BUFFER_BYTES, tls))
        .await?;
    while let Some(request) = http.accept().await {
        let (request, respond) = request?;
        tokio::spawn(async move {
            let _ = answer(request.into_body(), respond).await;
        });
    }
    Ok(())
}

async fn answer(mut body: RecvStream, mut respond: SendResponse<Bytes>) -> Result<()> {
    while let Some(chunk) = body.data().await {
        body.flow_control().release_capacity(chunk?.len())?;
    }
    respond.send_response(Response::new(()), true)?;
    Ok(())
}
