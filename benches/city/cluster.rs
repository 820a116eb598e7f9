//! What a device costs in the shape of a cluster, log on Kafka and stores on Redis, with a hundred
//! thousand, a million and five million of them: CPU of a node that routes, scans and sends alone,
//! of Redis, of Kafka, and the time that passes. The providers are a process of their own.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use loa::simulator::citizens::{Mix, Population};
use loa::store::redis::{Redis, Settings};

use crate::kafka::Kafka;
use crate::outside::Outside;
use crate::report::{Row, Table, cpu_seconds, cpu_seconds_of};
use crate::stage::{Heat, Servers, Stage};

const SIZES: [u32; 2] = [100_000, 1_000_000];
const FULL: u32 = 5_000_000;
/// How much more a device may cost among ten times as many.
const CONSTANT: f64 = 1.2;
/// How long Redis may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a device cost, in microseconds.
struct Cost {
    node: f64,
    redis: f64,
    kafka: f64,
    wall: f64,
}

/// Runs it.
pub async fn run(table: &mut Table, full: bool) -> Result<()> {
    let kafka = Kafka::start(1, &[]).await;
    let mut before: Option<Cost> = None;
    for size in SIZES.into_iter().chain(full.then_some(FULL)) {
        let cost = broadcast(size, &kafka).await?;
        let name = |what: &str| format!("cluster: {what} a device, {} k devices", size / 1000);
        let rows = [("CPU of the node", cost.node), ("CPU of Redis", cost.redis)];
        let peers = before.as_ref().map(|before| [before.node, before.redis]);
        for (index, (what, figure)) in rows.into_iter().enumerate() {
            let row = Row::new(name(what), figure, "us");
            table.add(match peers {
                Some(peers) => row.peer(peers[index]).at_most(CONSTANT),
                None => row,
            });
        }
        // The broker works by the record, of which a device makes none: no ratio is promised.
        table.add(Row::new(name("CPU of Kafka"), cost.kafka, "us"));
        table.add(Row::new(name("time"), cost.wall, "us"));
        before = Some(cost);
    }
    Ok(())
}

async fn broadcast(size: u32, kafka: &Kafka) -> Result<Cost> {
    let server = Server::start().await?;
    let outside = Outside::start().await?;
    let servers = Servers { redis: server.settings.clone(), kafka: kafka.topics().await };
    let mut stage = Stage::over(outside.settings()?, Some(servers)).await?;
    let units = stage.units();
    let mix = Mix { apns: 350, fcm: 650, second_place: 0, ..Mix::default() };
    let people = Population::new(&stage.node.parts.city, size, (5, mix));
    let (empty, began) = (server.told("memory", "used_memory").await?, Instant::now());
    stage.register((0..size).map(move |index| people.device(index))).await?;
    let bytes = (server.told("memory", "used_memory").await? - empty) / f64::from(size);
    eprintln!("{size} devices loaded in {:.1?}, {bytes:.0} bytes each", began.elapsed());
    // The first opens connections and fetches tokens; it goes to few.
    let warm = stage.publish(Heat::Hot, &units[..3]).await?;
    stage.quiet(warm.id).await?;
    let (node, redis) = (cpu_seconds()?, server.cpu().await?);
    let (broker, began) = (cpu_seconds_of(&kafka.pid(0))?, Instant::now());
    let alert = stage.publish(Heat::Hot, &units).await?;
    stage.quiet(alert.id).await?;
    let each = |seconds: f64| seconds * 1e6 / f64::from(size);
    let cost = Cost {
        wall: each(began.elapsed().as_secs_f64()),
        node: each(cpu_seconds()? - node),
        redis: each(server.cpu().await? - redis),
        kafka: each(cpu_seconds_of(&kafka.pid(0))? - broker),
    };
    let funnel = stage.node.parts.ledger.funnel(alert.id).await?;
    ensure!(funnel.total.accepted == u64::from(size), "not everyone: {:?}", funnel.total);
    stage.strike().await?;
    outside.end().await?;
    Ok(cost)
}

/// A Redis of our own, with nothing on disk; killed when dropped.
struct Server {
    settings: Settings,
    redis: Redis,
    child: Child,
}

impl Server {
    async fn start() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no"]).stdout(Stdio::null());
        let child = command.spawn().context("redis-server (Debian: redis-server)")?;
        let settings = Settings::single(format!("redis://127.0.0.1:{port}").parse()?);
        let began = Instant::now();
        loop {
            match Redis::open(&settings).await {
                Ok(redis) => return Ok(Self { settings, redis, child }),
                Err(error) => ensure!(began.elapsed() < PATIENCE, "Redis does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A number that it tells of itself.
    async fn told(&self, section: &str, name: &str) -> Result<f64> {
        let info: String = self.redis.ask(redis::cmd("INFO").arg(section)).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {name}"))?.trim().parse()?)
    }

    /// Seconds of CPU so far.
    async fn cpu(&self) -> Result<f64> {
        Ok(self.told("cpu", "used_cpu_user").await? + self.told("cpu", "used_cpu_sys").await?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
