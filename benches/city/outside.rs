//! The simulated providers in a process of their own (this program again), so that a node's CPU and
//! memory are its alone. Watched, they say when they had accepted a publication's pushes.

use std::process::Stdio;

use anyhow::{Context, Result};
use jiff::Timestamp;
use loa::channel;
use loa::domain::ids::PublicationId;
use loa::simulator::providers::{Options, Providers};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use url::Url;

use crate::known::Known;
use crate::stage::Arrivals;

/// Tells the process that it is to be the providers, and whether it is watched.
const JOB: &str = "LOA_BENCH_PROVIDERS";
const WATCHED: &str = "watched";
/// The devices whose times are told, as shares of all: first, median, 99th and last.
pub const SHARES: [f64; 4] = [0.0, 0.5, 0.99, 1.0];

/// A question: when were so many pushes of a publication accepted?
#[derive(Serialize, Deserialize)]
struct Question {
    publication: PublicationId,
    count: usize,
}

/// Whether this process was started as the providers.
pub fn job() -> bool {
    std::env::var_os(JOB).is_some()
}

/// The providers, until the standard input ends.
pub async fn provide() -> Result<()> {
    let providers = Providers::start(Options::default()).await?;
    let known = Known::of(&providers);
    // Who never asks does not pay for the watching.
    let arrivals = Arrivals::default();
    if std::env::var(JOB).is_ok_and(|job| job == WATCHED) {
        arrivals.watch(&providers);
    }
    println!("{}", serde_json::to_string(&known)?);
    let (input, mut questions) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if input.blocking_send(line).is_err() {
                break;
            }
        }
    });
    while let Some(line) = questions.recv().await {
        let Question { publication, count } = serde_json::from_str(&line?)?;
        arrivals.reach(publication, count).await?;
        let all = arrivals.take(publication);
        let at = SHARES.map(|share| all[(share * (all.len() - 1) as f64).round() as usize]);
        println!("{}", serde_json::to_string(&at)?);
    }
    providers.stop().await;
    Ok(())
}

/// The providers in a process of their own.
pub struct Outside {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
    known: Known,
}

impl Outside {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        Self::as_job("unwatched").await
    }

    /// Starts it, to be asked when it accepted what.
    pub async fn watched() -> Result<Self> {
        Self::as_job(WATCHED).await
    }

    async fn as_job(job: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(JOB, job)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut answers = BufReader::new(process.stdout.take().context("piped")?).lines();
        let line = answers.next_line().await?.context("the providers ended")?;
        Ok(Self { process, answers, known: serde_json::from_str(&line)? })
    }

    /// How a node reaches them.
    pub fn settings(&self) -> Result<channel::Settings> {
        self.known.clone().settings()
    }

    /// Where browsers' push addresses lead.
    pub fn webpush(&self) -> Url {
        self.known.webpush.clone()
    }

    /// Waits for so many pushes of a publication: when the devices of [`SHARES`] were reached.
    pub async fn reached(
        &mut self,
        publication: PublicationId,
        count: usize,
    ) -> Result<[Timestamp; SHARES.len()]> {
        let question = serde_json::to_string(&Question { publication, count })?;
        let input = self.process.stdin.as_mut().context("piped")?;
        input.write_all(format!("{question}\n").as_bytes()).await?;
        let line = self.answers.next_line().await?.context("the providers ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Ends it.
    pub async fn end(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}
