//! A process of this bench that is spoken to by lines.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::ours::Home;
use crate::server::{Cores, Server, Went};

/// The process; it is killed when this is dropped.
pub struct Talker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    /// A server of ours.
    pub fn ours(home: &Home, cores: Cores) -> Result<Self> {
        let (sockets, dir, port) =
            (home.sockets.to_string(), home.dir.display().to_string(), home.port.to_string());
        Self::this(cores.list(), &["ours", &sockets, &dir, &port, home.how.word()])
    }

    /// This program again, for another job, on some cores.
    pub fn this(cores: &str, job: &[&str]) -> Result<Self> {
        let own = std::env::current_exe()?.display().to_string();
        Self::start(cores, &[&[own.as_str()], job].concat())
    }

    /// A program, on some cores.
    pub fn start(cores: &str, words: &[&str]) -> Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", cores])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("piped")?;
        let output = BufReader::new(child.stdout.take().context("piped")?).lines();
        Ok(Self { child, input, output })
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// What follows a word on the next line.
    pub fn word(&mut self, word: &str) -> Result<String> {
        let line = self.output.next().with_context(|| format!("it ended before `{word}`"))??;
        let rest = line.strip_prefix(word).with_context(|| format!("`{line}`, not `{word}`"))?;
        Ok(rest.trim().to_owned())
    }

    /// Its memory, when it has done what a word asks for.
    fn memory_after(&mut self, word: &str) -> Result<f64> {
        self.say(word)?;
        Ok(self.word("memory")?.parse()?)
    }
}

impl Server for Talker {
    fn address(&mut self) -> Result<String> {
        Ok(format!("127.0.0.1:{}", self.word("port")?))
    }

    fn memory_kb(&mut self) -> Result<f64> {
        self.memory_after("memory")
    }

    fn warm_kb(&mut self) -> Result<f64> {
        self.memory_after("warm")
    }

    fn alert(&mut self, count: usize) -> Result<()> {
        self.say(&format!("alert {count}"))
    }

    fn went(&mut self) -> Result<Went> {
        let went = self.word("went")?;
        let (began, cpu) = went.split_once(' ').context("two numbers")?;
        Ok(Went { began: began.parse()?, cpu: cpu.parse()? })
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
