//! Redis with a replica, behind a wire that leads to whichever is the primary: what Sentinels, a
//! virtual address or a managed service do for clients.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::stage::{LOOK, PATIENCE};
use crate::support::kept::{Kept, unsignalled};
use crate::support::port::free_port;
use crate::support::redis::cli;
use crate::support::wire::{Wire, lasts};

/// Two servers and the wire.
pub struct Stores {
    /// What everybody connects to.
    pub wire: Wire,
    /// What the replica copies the primary over.
    pub copies: Wire,
    servers: [Option<Kept>; 2],
    ports: [u16; 2],
    primary: usize,
    dir: PathBuf,
}

impl Stores {
    /// Starts both; the second copies the first.
    pub async fn start(dir: &Path) -> Self {
        let ports = [free_port(), free_port()];
        let (wire, copies) = (Wire::to(ports[0]).await, Wire::to(ports[0]).await);
        let (servers, dir) = ([None, None], dir.to_owned());
        let mut stores = Self { wire, copies, servers, ports, primary: 0, dir };
        stores.spawn(0);
        stores.spawn(1);
        stores.answers(0).await;
        stores.answers(1).await;
        stores.follow().await;
        stores
    }

    fn spawn(&mut self, index: usize) {
        let port = self.ports[index].to_string();
        let dir = self.dir.join(format!("redis-{index}"));
        std::fs::create_dir_all(&dir).expect("a directory");
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--appendonly", "yes"];
        let sync = ["--repl-diskless-sync-delay", "0", "--save", ""];
        let arguments = arguments.iter().chain(&sync).map(OsStr::new);
        let arguments = arguments.chain([OsStr::new("--dir"), dir.as_os_str()]);
        let log = self.dir.join(format!("redis-{index}.log"));
        let (env, first) = unsignalled();
        let arguments = first.into_iter().chain([OsStr::new("redis-server")]).chain(arguments);
        let kept = Kept::start(env, arguments, &[], &log);
        self.servers[index] = Some(kept);
    }

    async fn answers(&self, index: usize) {
        self.until(|stores| cli(stores.ports[index], &["PING"]) == "PONG").await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "Redis does not come up");
            lasts(LOOK).await;
        }
    }

    /// Makes the other one the primary's replica and waits until it has everything.
    async fn follow(&self) {
        let [primary, replica] = [self.ports[self.primary], self.ports[1 - self.primary]];
        if self.copies.leads_to() != primary {
            self.copies.lead_to(primary);
        }
        cli(replica, &["REPLICAOF", "127.0.0.1", &self.copies.port.to_string()]);
        self.copied().await;
    }

    /// Waits until the replica has everything.
    pub async fn copied(&self) {
        let [primary, replica] = [self.ports[self.primary], self.ports[1 - self.primary]];
        let linked = |_: &Self| cli(replica, &["INFO", "replication"]).contains("link_status:up");
        self.until(linked).await;
        let seen = |_: &Self| cli(primary, &["WAIT", "1", "1000"]) == "1";
        self.until(seen).await;
    }

    /// Whether the replica knows that it does not reach the primary.
    pub fn is_alone(&self) -> bool {
        let replica = self.ports[1 - self.primary];
        cli(replica, &["INFO", "replication"]).contains("master_link_status:down")
    }

    /// kill -9 of the primary.
    pub fn kill_primary(&mut self) {
        self.servers[self.primary].take().expect("it runs").kill();
    }

    /// Starts the primary again over what it left.
    pub async fn restart_primary(&mut self) {
        self.spawn(self.primary);
        self.answers(self.primary).await;
    }

    /// Waits until the replica follows again.
    pub async fn settled(&self) {
        self.follow().await;
    }

    /// Makes the replica the primary, and leads everybody there.
    pub fn fail_over(&mut self) {
        self.primary = 1 - self.primary;
        cli(self.ports[self.primary], &["REPLICAOF", "NO", "ONE"]);
        self.wire.lead_to(self.ports[self.primary]);
    }

    /// Starts the one that was killed as a replica of the other.
    pub async fn restart_replica(&mut self) {
        self.spawn(1 - self.primary);
        self.answers(1 - self.primary).await;
        self.follow().await;
    }

    /// Lets the primary take no more than it holds, for a while: every write is refused.
    pub async fn full_for(&self, time: Duration) {
        let port = self.ports[self.primary];
        cli(port, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        cli(port, &["CONFIG", "SET", "maxmemory", "1mb"]);
        lasts(time).await;
        cli(port, &["CONFIG", "SET", "maxmemory", "0"]);
    }

    /// Lets the primary's file take nothing more for a while: every write is refused.
    pub async fn disk_full_for(&self, time: Duration) {
        let server = self.servers[self.primary].as_ref().expect("it runs");
        server.fill_disk(true);
        lasts(time).await;
        server.fill_disk(false);
    }

    /// Whether the primary refused a command with this error.
    pub fn refused(&self, code: &str) -> bool {
        let said = cli(self.ports[self.primary], &["INFO", "errorstats"]);
        said.contains(&format!("errorstat_{code}:"))
    }
}
