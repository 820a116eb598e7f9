//! A Redis Cluster of three primaries on the loopback, and Sentinels that fail over.

use std::process::Command;
use std::time::{Duration, Instant};

use loa::store::redis::settings::Layout;
use loa::store::redis::{Redis, Settings};

use crate::support::port::free_port;
use crate::support::process::eventually;
use crate::support::redis::{Server, cli};

/// Three primaries that share the slots.
pub async fn cluster() -> (Vec<Server>, Settings) {
    let servers: Vec<_> = (0..3).map(|_| Server::start(&["--cluster-enabled", "yes"])).collect();
    let addresses: Vec<_> =
        servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    let made = create.output().expect("redis-cli starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    for server in &servers {
        let whole = || server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        eventually(async || whole().then_some(())).await;
    }
    let urls = servers.iter().map(Server::url).collect();
    let settings = Settings::single(servers[0].url());
    (servers, Settings { layout: Layout::Cluster(urls), ..settings })
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_spread_over_a_cluster_and_feeds_are_heard_across() {
    let (servers, settings) = cluster().await;
    let redis = Redis::open(&settings).await.expect("open");
    for tag in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let key = redis.keys(tag).key("value");
        redis.ask::<()>(redis::cmd("SET").arg(&key).arg(tag)).await.expect("set");
        let found: String = redis.ask(redis::cmd("GET").arg(&key)).await.expect("get");
        assert_eq!(found, tag);
        let counter = redis.keys(tag).key("counter");
        let mut feed = redis.follow(&counter).await.expect("a feed");
        let raise = loa::store::redis::Script::new(super::RAISE);
        redis.run::<u64>(&raise.call().key(&counter)).await.expect("raised");
        feed.wait_for(|known| *known == 1).await.expect("it is open");
    }
    let held = |server: &Server| server.cli(&["DBSIZE"]).parse::<u32>().expect("a number");
    assert!(servers.iter().all(|server| held(server) > 0), "each primary has some");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_promoted_replica() {
    let mut primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let follows = || replica.cli(&["INFO", "replication"]).contains("master_link_status:up");
    eventually(async || follows().then_some(())).await;
    let sentinel = Sentinel::start(primary.port).await;
    let layout = Layout::Sentinel { sentinels: vec![sentinel.url()], master_name: "city".into() };
    let settings = Settings { layout, ..Settings::single(primary.url()) };
    let settings = Settings { patience: Duration::from_secs(30), ..settings };
    let redis = Redis::open(&settings).await.expect("open");
    assert_eq!(super::put(&redis, "before").await.expect("put"), "before");
    primary.kill();
    let began = Instant::now();
    assert_eq!(super::put(&redis, "after").await.expect("put"), "after");
    println!("failed over in {:?}", began.elapsed());
    assert_eq!(replica.cli(&["GET", "loa:{t}:value"]), "after");
}

/// A Sentinel of one vote.
struct Sentinel {
    child: std::process::Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    async fn start(primary: u16) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a directory"), free_port());
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor city 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds city 500\nsentinel failover-timeout city 5000\n",
            dir.path().display()
        );
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdout(std::process::Stdio::null());
        let child = command.spawn().expect("redis-server starts");
        let sentinel = Self { child, port, _dir: dir };
        let knows = || cli(port, &["SENTINEL", "replicas", "city"]).contains("127.0.0.1");
        eventually(async || knows().then_some(())).await;
        sentinel
    }

    fn url(&self) -> url::Url {
        format!("redis://127.0.0.1:{}", self.port).parse().expect("an address")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
