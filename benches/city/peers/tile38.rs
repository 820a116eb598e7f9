//! Tile38: a server of the bench's own, all in memory, asked over its socket.

use std::fmt::Write;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use loa::domain::geo::LatLon;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value, cmd, pipe};
use tempfile::TempDir;

/// Names the program.
const PROGRAM: &str = "LOA_TILE38";
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Devices that are sent before any answer is waited for.
const AT_ONCE: usize = 10_000;

/// A server and its client.
pub struct Tile38 {
    connection: MultiplexedConnection,
    _server: Server,
}

/// Killed when dropped.
struct Server {
    child: Child,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tile38 {
    /// Starts it; none where it is not installed, which is said.
    pub async fn start() -> Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "tile38-server".into());
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "--appendonly", "no"]);
        command.arg("-d").arg(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!(
                    "peers: THE ROWS OF TILE38 ARE MISSING: no `tile38-server` is here. Its \
                     project publishes it; {PROGRAM} names the program where it is not on the path"
                );
                return Ok(None);
            }
            Err(error) => return Err(error).context("tile38-server"),
        };
        let server = Server { child, _dir: dir };
        let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
        // No limit: the peer may take as long as it takes.
        let patient = AsyncConnectionConfig::new().set_response_timeout(None);
        let began = Instant::now();
        let connection = loop {
            match client.get_multiplexed_async_connection_with_config(&patient).await {
                Ok(connection) => break connection,
                Err(error) => ensure!(began.elapsed() < PATIENCE, "Tile38 does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Ok(Some(Self { connection, _server: server }))
    }

    /// Every device as a point.
    pub async fn load(&mut self, points: &[LatLon]) -> Result<()> {
        for (part, points) in points.chunks(AT_ONCE).enumerate() {
            let mut pipe = pipe();
            for (index, point) in points.iter().enumerate() {
                pipe.cmd("SET").arg("devices").arg(part * AT_ONCE + index);
                pipe.arg("POINT").arg(point.lat()).arg(point.lon()).ignore();
            }
            pipe.query_async::<()>(&mut self.connection).await?;
        }
        Ok(())
    }

    /// How many are inside a ring, and how long that took.
    pub async fn count(&mut self, ring: &[LatLon]) -> Result<(u64, Duration)> {
        let mut polygon = String::from(r#"{"type":"Polygon","coordinates":[["#);
        for (index, point) in ring.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(polygon, "{comma}[{},{}]", point.lon(), point.lat())?;
        }
        polygon.push_str("]]}");
        let mut question = cmd("WITHIN");
        question.arg("devices").arg("COUNT").arg("OBJECT").arg(polygon);
        let start = Instant::now();
        let answer: Value = question.query_async(&mut self.connection).await?;
        let took = start.elapsed();
        match answer {
            Value::Int(count) => Ok((count.try_into()?, took)),
            other => bail!("a count was expected: {other:?}"),
        }
    }
}
