//! Several servers that the whole binary shares: a Redis Cluster of three primaries, and a primary
//! with a replica and a Sentinel. They end with this process.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use loa::store::redis::Settings;
use loa::store::redis::settings::Layout;
use url::Url;

use super::{PATIENCE, arguments, cli, keep, prefix, url};
use crate::support::port::free_port;

/// Settings of the shared cluster with a prefix that nobody else has.
pub fn fresh_cluster() -> Settings {
    static CLUSTER: OnceLock<Vec<Url>> = OnceLock::new();
    let urls = CLUSTER.get_or_init(cluster);
    let layout = Layout::Cluster(urls.clone());
    Settings { prefix: prefix(), layout, ..Settings::single(urls[0].clone()) }
}

/// Settings of the shared primary, by way of its Sentinel, with a prefix that nobody else has.
pub fn fresh_sentinel() -> Settings {
    static SENTINEL: OnceLock<Url> = OnceLock::new();
    let sentinel = SENTINEL.get_or_init(sentinel);
    let layout =
        Layout::Sentinel { sentinels: vec![sentinel.clone()], master_name: "city".to_owned() };
    Settings { prefix: prefix(), layout, ..Settings::single(sentinel.clone()) }
}

fn start(port: u16, more: &[&str]) {
    keep(port, |dir| {
        let mut all = arguments(port, dir);
        all.extend(["--save", "", "--appendonly", "no"].iter().map(|&one| one.to_owned()));
        all.extend(more.iter().map(|&one| one.to_owned()));
        all
    });
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn cluster() -> Vec<Url> {
    let ports = [free_port(), free_port(), free_port()];
    for port in ports {
        start(port, &["--cluster-enabled", "yes"]);
    }
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(ports.map(|port| format!("127.0.0.1:{port}")));
    let made = create.arg("--cluster-yes").output().expect("redis-cli starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    for port in ports {
        until("the cluster is whole", || {
            cli(port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
    }
    ports.map(url).into()
}

fn sentinel() -> Url {
    let (primary, replica, sentinel) = (free_port(), free_port(), free_port());
    start(primary, &["--repl-diskless-sync-delay", "0"]);
    start(replica, &["--replicaof", "127.0.0.1", &primary.to_string()]);
    until("the replica follows", || {
        cli(replica, &["INFO", "replication"]).contains("master_link_status:up")
    });
    keep(sentinel, |dir| vec![watch(dir, sentinel, primary), "--sentinel".to_owned()]);
    until("the Sentinel knows the replica", || {
        cli(sentinel, &["SENTINEL", "replicas", "city"]).contains("127.0.0.1")
    });
    url(sentinel)
}

fn watch(dir: &Path, port: u16, primary: u16) -> String {
    let file = dir.join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor city 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds city 30000\n",
        dir.display()
    );
    std::fs::write(&file, text).expect("written");
    file.display().to_string()
}
