//! Another process of the run: this program again, told by the environment what it is to be. It is
//! asked over its standard input, a question a line, and answers over its standard output.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Tells a process what it is to be.
const JOB: &str = "LOA_SOAK_JOB";
/// What it needs for that, as JSON.
const ORDERS: &str = "LOA_SOAK_ORDERS";

/// What this process is to be.
pub fn job() -> Option<String> {
    std::env::var(JOB).ok()
}

/// What it needs for that.
pub fn orders<T: DeserializeOwned>() -> Result<T> {
    Ok(serde_json::from_str(&std::env::var(ORDERS).context(ORDERS)?)?)
}

/// The questions to this process; they end with its standard input.
pub fn questions<T: DeserializeOwned + Send + 'static>() -> mpsc::Receiver<T> {
    let (input, questions) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(Ok(question)) = line.map(|line| serde_json::from_str(&line)) else { return };
            if input.blocking_send(question).is_err() {
                return;
            }
        }
    });
    questions
}

/// Answers.
pub fn answer(answer: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

/// The other process.
pub struct Pipe {
    process: Child,
    input: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Pipe {
    /// Starts it.
    pub fn start(job: &str, orders: &impl Serialize) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(JOB, job)
            .env(ORDERS, serde_json::to_string(orders)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let answers = BufReader::new(process.stdout.take().context("piped")?).lines();
        let input = Some(process.stdin.take().context("piped")?);
        Ok(Self { process, input, answers })
    }

    /// Its id.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("it runs")
    }

    /// Its next answer.
    pub async fn answer<A: DeserializeOwned>(&mut self) -> Result<A> {
        let line = self.answers.next_line().await?.context("a process of the run ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Its answer to a question.
    pub async fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<A> {
        let line = format!("{}\n", serde_json::to_string(question)?);
        self.input.as_mut().context("it was not ended")?.write_all(line.as_bytes()).await?;
        self.answer().await
    }

    /// Ends it: whether it ended well.
    pub async fn end(mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "a process of the run failed: {status}");
        Ok(())
    }
}
