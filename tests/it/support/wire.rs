//! A wire between clients and a server on loopback that a test can cut, slow down, and lead to
//! another server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes carried at once.
const PIECE: usize = 64 * 1024;

/// A wire; cut for good when dropped.
pub struct Wire {
    /// Where clients connect.
    pub port: u16,
    how: watch::Sender<How>,
    carrier: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct How {
    /// The server's port.
    to: u16,
    open: bool,
    /// What each piece waits before it goes on.
    delay: Duration,
    /// How often all connections were cut.
    cuts: u64,
}

impl Wire {
    /// An open wire to a port of loopback.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let own = listener.local_addr().expect("bound").port();
        let how = How { to: port, open: true, delay: Duration::ZERO, cuts: 0 };
        let (how, seen) = watch::channel(how);
        Self { port: own, how, carrier: tokio::spawn(carry(listener, seen)) }
    }

    /// Where clients connect.
    pub fn end(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The server's port.
    pub fn leads_to(&self) -> u16 {
        self.how.borrow().to
    }

    /// Cuts every connection; new ones are closed at once.
    pub fn cut(&self) {
        self.how.send_modify(|how| (how.open, how.cuts) = (false, how.cuts + 1));
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.how.send_modify(|how| how.open = true);
    }

    /// Makes every piece of either direction wait.
    pub fn slow(&self, delay: Duration) {
        self.how.send_modify(|how| how.delay = delay);
    }

    /// Leads new connections to another port, and cuts those to the one before.
    pub fn lead_to(&self, port: u16) {
        self.how.send_modify(|how| (how.to, how.cuts) = (port, how.cuts + 1));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.carrier.abort();
        self.how.send_modify(|how| (how.open, how.cuts) = (false, how.cuts + 1));
    }
}

async fn carry(listener: TcpListener, how: watch::Receiver<How>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut how = how.clone();
        let now = *how.borrow();
        if !now.open {
            continue;
        }
        tokio::spawn(async move {
            let carried = both_ways(client, now.to, how.clone());
            tokio::select! {
                () = carried => {}
                _ = how.wait_for(|how| how.cuts != now.cuts) => {}
            }
        });
    }
}

async fn both_ways(client: TcpStream, to: u16, how: watch::Receiver<How>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    // What is small must not wait for more.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = one_way(from_client, to_server, &how) => {}
        () = one_way(from_server, to_client, &how) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, how: &watch::Receiver<How>) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let delay = how.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

/// Lets a fault last, or time pass between two looks from outside at processes that tell nobody.
pub async fn lasts(time: Duration) {
    tokio::time::sleep(time).await;
}
