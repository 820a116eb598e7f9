//! What cores that sleep cost a figure, and how to have them not sleep.
//!
//! A virtual processor that has nothing to do is given back to its host, and comes again when the
//! host has one for it: tens of microseconds later, or hundreds. What two threads do in turn, such
//! as a publisher and the log's writer, takes that much longer at each turn, and what waits for a
//! disk does at each of its answers. `LOA_BENCH_AWAKE=1` has a process of the idle class
//! (`SCHED_IDLE`) on each core, which runs when nothing else does, so that cores are awake as those
//! of a machine of one's own are. It pauses all the time, so as to leave what a core shares with
//! its neighbour to that one.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Tells such a process what it is.
const JOB: &str = "LOA_BENCH_AWAKE_CORE";

/// Whether this process is one.
pub fn job() -> bool {
    std::env::var_os(JOB).is_some()
}

/// Does nothing, until whoever began it has ended, however that was.
pub fn keep_awake() -> ! {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    loop {
        std::hint::spin_loop();
    }
}

/// Keeps all cores awake as long as it is there.
pub struct Awake(Vec<Child>);

impl Awake {
    /// If it is asked for.
    pub fn if_wanted() -> Result<Self> {
        let mut awake = Self(Vec::new());
        if std::env::var_os("LOA_BENCH_AWAKE").is_some_and(|value| value == "1") {
            let program = std::env::current_exe()?;
            for core in 0..std::thread::available_parallelism()?.get() {
                let mut child = Command::new("chrt");
                child.args(["-i", "0", "taskset", "-c", &core.to_string()]).arg(&program);
                child.env(JOB, "1").stdin(Stdio::piped());
                awake.0.push(child.spawn().context("chrt, of Debian's util-linux")?);
            }
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
