//! A TCP road between a client and a server that a test can close and open again.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// A road to one server on loopback; its own port stays the same.
pub struct Road {
    to: SocketAddr,
    port: u16,
    traffic: JoinSet<()>,
}

impl Road {
    /// An open road to the port of a URL.
    pub async fn to(url: &Url) -> Self {
        let to = (Ipv4Addr::LOCALHOST, url.port().expect("a port")).into();
        let mut road = Self { to, port: 0, traffic: JoinSet::new() };
        road.open().await;
        road
    }

    /// Where clients connect.
    pub fn url(&self) -> Url {
        Url::parse(&format!("https://127.0.0.1:{}", self.port)).expect("an address and a port")
    }

    /// Cuts every connection and takes no more.
    pub async fn close(&mut self) {
        self.traffic.shutdown().await;
    }

    /// Takes connections again.
    pub async fn open(&mut self) {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.expect("the port is free");
        self.port = listener.local_addr().expect("bound").port();
        self.traffic.spawn(carry(listener, self.to));
    }
}

async fn carry(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                // Ends when either side does; the test looks at what came through.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
