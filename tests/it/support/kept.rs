//! Processes that end with the tests' own, however that ends, although nothing drops them: each has
//! a keeper that kills it when the pipe from here closes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

const KEEPER: &str = "\"$@\" & child=$!; echo $child; read _; kill -9 $child; wait";
/// Removes a directory once the processes in it are gone.
const SWEEPER: &str = "read _; sleep 3; rm -rf \"$1\"";

/// A process with its keeper; killed when dropped.
#[derive(Debug)]
pub struct Kept {
    keeper: Option<(Child, ChildStdin)>,
    pid: String,
}

impl Kept {
    /// Starts a program; its standard error goes to the end of a file.
    pub fn start<'a>(
        program: &Path,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        settings: &[(&str, String)],
        log: &Path,
    ) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(program).args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOA_")) {
            command.env_remove(name);
        }
        command.envs(settings.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut keeper = command.spawn().expect("a shell");
        let pipe = keeper.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(keeper.stdout.take().expect("a pipe")).lines();
        let pid = lines.next().expect("a line").expect("a pid");
        // Read to the end, or the process would wait for the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { keeper: Some((keeper, pipe)), pid }
    }

    /// No file of it takes anything more, or all do again: what a full disk is for a process, by
    /// the kernel's limit for its files instead of a file system that needs root. It must have
    /// been started by [`unsignalled`].
    pub fn fill_disk(&self, full: bool) {
        let limit = if full { "--fsize=0:unlimited" } else { "--fsize=unlimited" };
        let limited = Command::new("prlimit").args(["--pid", &self.pid, limit]).status();
        assert!(limited.expect("prlimit (Debian: util-linux)").success());
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.is_ok_and(|text| !text.contains("State:\tZ"))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(&self.pid).status();
        assert!(sent.expect("kill").success(), "process {} runs", self.pid);
    }

    /// kill -9, and waits for its end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((mut keeper, pipe)) = self.keeper.take() {
            drop(pipe);
            let _ = keeper.wait();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.end();
    }
}

/// What starts a program so that a limit for its files is an error to it, as a full disk is, and
/// not a signal that ends it. The program and its arguments follow.
pub fn unsignalled() -> (&'static Path, [&'static OsStr; 1]) {
    (Path::new("env"), [OsStr::new("--ignore-signal=XFSZ")])
}

/// Has a directory removed when this process ends.
pub fn sweep(dir: &Path) {
    let mut command = Command::new("sh");
    command.args(["-c", SWEEPER, "sh"]).arg(dir).stdin(Stdio::piped());
    // Its pipe is closed when this process ends, and not before.
    std::mem::forget(command.spawn().expect("a shell"));
}
