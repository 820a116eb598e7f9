//! Everybody comes back: a gateway with 10,000 open streams is killed, or told to stop, and starts
//! again over the same directory and port. An alert goes on the log while nobody serves. Each
//! client resumes from its position and must be told that nothing is missing, and get that alert,
//! once.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ours::{Home, How};
use crate::report::{Row, Table, median};
use crate::server::Cores;
use crate::talker::Talker;

const SOCKETS: usize = 10_000;
/// Times that everybody comes back as fast as the server lets them; the median counts.
const ROUNDS: usize = 3;

/// Runs it.
pub fn run(table: &mut Table) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut home = Home { sockets: SOCKETS, dir: dir.path().to_owned(), port: 0, how: How::Plain };
    let mut server = Talker::ours(&home, Cores::First)?;
    home.port = server.word("port")?.parse()?;
    home.how = How::Late;
    let (address, count) = (format!("127.0.0.1:{}", home.port), SOCKETS.to_string());
    let mut clients = Talker::this("1", &["returning", &address, &count])?;
    clients.word("ready")?;
    everybody_is_alerted(&mut server, &mut clients)?;
    let before = Lost::now()?;

    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        server.kill()?;
        clients.word("away")?;
        let missed;
        (server, missed) = started(&home)?;
        clients.say("come")?;
        let back = Back::of(&mut clients, &missed)?;
        eprintln!("  called: the last of {SOCKETS} was live after {:.3} s", back.last);
        rates.push(SOCKETS as f64 / back.last);
    }
    let name = format!("streams back: {SOCKETS} after kill -9");
    let row = Row::new(format!("{name}, resumed a second"), median(&mut rates), "/s");
    table.add(row.at_least(10_000.0));

    clients.say("polite")?;
    server.kill()?;
    let missed;
    (server, missed) = started(&home)?;
    table.add(spread(&format!("{name}, by their wait"), &mut clients, &missed)?);

    server.say("stop")?;
    server.word("stopped")?;
    server.ended()?;
    let missed;
    (server, missed) = started(&home)?;
    let name = format!("streams back: {SOCKETS} after a stop, by their wait");
    table.add(spread(&name, &mut clients, &missed)?);

    let lost = Lost::now()?;
    let overflows = (lost.overflows - before.overflows) as f64;
    table.add(Row::new("streams back: ListenOverflows", overflows, "").at_most(0.0));
    let drops = (lost.drops - before.drops) as f64;
    table.add(Row::new("streams back: ListenDrops", drops, "").at_most(0.0));
    drop(clients);
    drop(server);
    Ok(())
}

/// An alert that everybody gets, so that everybody has a position of before.
fn everybody_is_alerted(server: &mut Talker, clients: &mut Talker) -> Result<()> {
    server.say("log")?;
    server.word("logged")?;
    clients.word("got")?;
    Ok(())
}

/// The server once more, and the alert that was logged before it served.
fn started(home: &Home) -> Result<(Talker, String)> {
    let mut server = Talker::ours(home, Cores::First)?;
    let missed = server.word("logged")?;
    server.word("port")?;
    Ok((server, missed))
}

/// Over how long those came back who wait as long as the server asked them to.
fn spread(name: &str, clients: &mut Talker, missed: &str) -> Result<Row> {
    let Back { first, middle, last, refused } = Back::of(clients, missed)?;
    let took = last - first;
    eprintln!(
        "  {name}: the first after {first:.3} s, half after {middle:.3} s, the last after \
         {last:.3} s, {:.0} a second, {refused} connections refused",
        SOCKETS as f64 / took
    );
    Ok(Row::new(format!("{name}, first to last"), took, "s"))
}

/// When they were back: seconds since they were cut off, or called.
struct Back {
    first: f64,
    middle: f64,
    last: f64,
    refused: u64,
}

impl Back {
    /// Waits for everybody, who must have got what they missed.
    fn of(clients: &mut Talker, missed: &str) -> Result<Self> {
        clients.say(&format!("back {missed}"))?;
        let line = clients.word("back")?;
        let words: Vec<&str> = line.split(' ').collect();
        let [first, middle, last, recovered, once, refused] = words[..] else {
            anyhow::bail!("`{line}` is not six numbers")
        };
        let all = SOCKETS.to_string();
        ensure!((recovered, once) == (&all, &all), "{recovered} recovered, {once} got it once");
        let [first, middle, last] = [first.parse()?, middle.parse()?, last.parse()?];
        Ok(Self { first, middle, last, refused: refused.parse()? })
    }
}

/// Connections that the kernel lost because a listener was full.
struct Lost {
    overflows: u64,
    drops: u64,
}

impl Lost {
    fn now() -> Result<Self> {
        let text = std::fs::read_to_string(Path::new("/proc/net/netstat"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next().context("names")?, lines.next().context("values")?);
        let of = |name: &str| -> Result<u64> {
            let mut pairs = names.split_whitespace().zip(values.split_whitespace());
            let found = pairs.find(|(found, _)| *found == name).context("a counter")?;
            Ok(found.1.parse()?)
        };
        Ok(Self { overflows: of("ListenOverflows")?, drops: of("ListenDrops")? })
    }
}
