//! What cores that sleep cost a figure, and how to have them not sleep.
//!
//! A virtual processor that has nothing to do is given back to its host, and comes again when the
//! host has one for it: tens of microseconds later, or hundreds. What two threads do in turn, such
//! as a publisher and the log's writer, takes that much longer at each turn, and what waits for a
//! disk does at each of its answers. `LOA_BENCH_AWAKE=1` has a loop of the idle class
//! (`SCHED_IDLE`) on each core, which runs when nothing else does, so that cores are awake as those
//! of a machine of one's own are.

use std::process::{Child, Command};

use anyhow::{Context, Result};

/// Ends with the benchmark, also if that is killed.
const LOOP: &str =
    "while kill -0 $PPID; do n=0; while [ $n -lt 100000 ]; do n=$((n + 1)); done; done 2>/dev/null";

/// Keeps all cores awake as long as it is there.
pub struct Awake(Vec<Child>);

impl Awake {
    /// If it is asked for.
    pub fn if_wanted() -> Result<Self> {
        let mut awake = Self(Vec::new());
        if std::env::var_os("LOA_BENCH_AWAKE").is_some_and(|value| value == "1") {
            for core in 0..std::thread::available_parallelism()?.get() {
                let core = core.to_string();
                let mut child = Command::new("chrt");
                child.args(["-i", "0", "taskset", "-c", &core, "sh", "-c", LOOP]);
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
