//! PostGIS: a PostgreSQL of the bench's own, asked through one `psql` that stays. Time is what
//! `psql` sees of a query over its socket; no start of a process is in it.

use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use loa::domain::geo::LatLon;
use tempfile::TempDir;

/// Names the folder of PostgreSQL's programs.
const PROGRAMS: &str = "LOA_POSTGRES";
/// Where Debian has them, below a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// What its owner would set for this work on such a machine: memory for all of the table, no
/// compiling of queries that take milliseconds, pages at the price of memory. Losing the table with
/// the power is no matter.
const SETTINGS: [&str; 9] = [
    "shared_buffers=1GB",
    "work_mem=64MB",
    "maintenance_work_mem=512MB",
    "effective_cache_size=8GB",
    "random_page_cost=1.1",
    "jit=off",
    "fsync=off",
    "max_wal_size=4GB",
    "autovacuum=off",
];

/// A server and its client.
pub struct Postgis {
    psql: Psql,
    _server: Server,
}

/// Killed when dropped.
struct Server {
    programs: PathBuf,
    dir: TempDir,
    child: Child,
}

struct Psql {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Postgis {
    /// Starts it; none where it is not installed, which is said.
    pub fn start() -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(absent("no PostgreSQL")) };
        let server = Server::start(programs)?;
        let mut psql = Psql::start(&server)?;
        let known = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'";
        if psql.ask(known)?.0 == "0" {
            return Ok(absent("a PostgreSQL without PostGIS"));
        }
        psql.ask("CREATE EXTENSION postgis")?;
        let version = psql.ask("SELECT version() || ', PostGIS ' || postgis_lib_version()")?.0;
        eprintln!("peers: {version}");
        Ok(Some(Self { psql, _server: server }))
    }

    /// A table with a spatial index, in the index's order, its pages frozen and known.
    pub fn load(&mut self, points: &[LatLon]) -> Result<()> {
        let psql = &mut self.psql;
        psql.ask("CREATE TABLE devices (id integer, at geometry(Point, 4326))")?;
        psql.copy(points)?;
        psql.ask("CREATE INDEX devices_at ON devices USING gist (at)")?;
        psql.ask("CLUSTER devices USING devices_at")?;
        psql.ask("VACUUM (FREEZE, ANALYZE) devices")?;
        Ok(())
    }

    /// How many are inside a ring, and how long that took.
    pub fn count(&mut self, ring: &[LatLon]) -> Result<(u64, Duration)> {
        let points: Vec<String> =
            ring.iter().map(|point| format!("{} {}", point.lon(), point.lat())).collect();
        let polygon = format!("ST_GeomFromText('POLYGON(({}))', 4326)", points.join(","));
        let query = format!("SELECT count(*) FROM devices WHERE ST_Covers({polygon}, at)");
        let (count, took) = self.psql.ask(&query)?;
        Ok((count.parse()?, took))
    }
}

fn absent(what: &str) -> Option<Postgis> {
    eprintln!(
        "peers: THE ROWS OF POSTGIS ARE MISSING: here is {what}. `deploy/setup.sh bench` \
         installs it (Debian: postgresql-postgis); {PROGRAMS} names the folder of its programs"
    );
    None
}

/// The folder of `postgres` and `initdb`: the newest of Debian's, where none is named.
fn programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAMS) {
        return Some(PathBuf::from(named));
    }
    let versions = std::fs::read_dir(DEBIAN).ok()?.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let version = folder.file_name()?.to_str()?.parse::<u32>().ok()?;
        let programs = folder.join("bin");
        programs.join("initdb").exists().then_some((version, programs))
    });
    versions.max_by_key(|(version, _)| *version).map(|(_, programs)| programs)
}

/// A program as a user whom PostgreSQL takes: it refuses root, for whom Debian's `postgres` stands
/// in.
fn unprivileged(program: &Path) -> Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
    Ok(command)
}

fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

impl Server {
    fn start(programs: PathBuf) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        if is_root()? {
            let given = Command::new("chown").arg("postgres:").arg(dir.path()).status()?;
            ensure!(given.success(), "no user `postgres` to give a folder to");
        }
        let data = dir.path().join("data");
        let mut initdb = unprivileged(&programs.join("initdb"))?;
        initdb.arg("-D").arg(&data).args(["-U", "bench", "-A", "trust", "-E", "UTF8"]);
        let made = initdb.args(["--no-locale", "--no-sync"]).current_dir(dir.path()).output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut command = unprivileged(&programs.join("postgres"))?;
        command.arg("-D").arg(&data).arg("-k").arg(dir.path());
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        SETTINGS.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        command.current_dir(dir.path()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("postgres")?;
        let began = Instant::now();
        // The last line of this file says `ready` once it serves.
        let ready = || std::fs::read_to_string(data.join("postmaster.pid"));
        while !ready().is_ok_and(|text| text.contains("ready")) {
            let ended = child.try_wait()?;
            ensure!(ended.is_none() && began.elapsed() < PATIENCE, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { programs, dir, child })
    }

    fn port(&self) -> Result<String> {
        let file = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid"))?;
        Ok(file.lines().nth(3).context("its port")?.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = || -> Result<()> {
            let mut stop = unprivileged(&self.programs.join("pg_ctl"))?;
            stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.dir.path().join("data"));
            ensure!(stop.current_dir(self.dir.path()).status()?.success(), "pg_ctl failed");
            Ok(())
        };
        if let Err(error) = stop() {
            eprintln!("peers: PostgreSQL was not asked to stop: {error:#}");
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Psql {
    fn start(server: &Server) -> Result<Self> {
        // Line by line: what is piped would wait for a full buffer.
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(server.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
        command.args(["-p", &server.port()?, "-U", "bench", "-d", "postgres"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = BufWriter::new(child.stdin.take().context("piped")?);
        let output = BufReader::new(child.stdout.take().context("piped")?).lines();
        writeln!(input, "\\timing on")?;
        Ok(Self { child, input, output })
    }

    /// What a query answers, and how long that took.
    fn ask(&mut self, query: &str) -> Result<(String, Duration)> {
        writeln!(self.input, "{query};")?;
        self.answer()
    }

    fn copy(&mut self, points: &[LatLon]) -> Result<()> {
        writeln!(self.input, "COPY devices FROM STDIN;")?;
        for (id, point) in points.iter().enumerate() {
            writeln!(self.input, "{id}\tSRID=4326;POINT({} {})", point.lon(), point.lat())?;
        }
        writeln!(self.input, "\\.")?;
        self.answer().map(|_| ())
    }

    /// Lines until that of the time.
    fn answer(&mut self) -> Result<(String, Duration)> {
        self.input.flush()?;
        let mut answer = String::new();
        loop {
            let line = self.output.next().context("psql ended")??;
            let Some(time) = line.strip_prefix("Time: ") else {
                answer.push_str(&line);
                continue;
            };
            let ms: f64 = time.split(' ').next().context("milliseconds")?.parse()?;
            return Ok((answer, Duration::from_secs_f64(ms / 1e3)));
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
