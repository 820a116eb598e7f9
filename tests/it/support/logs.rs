//! The log of every node of this process at debug level, looked through for what may never stand in
//! it: push addresses, devices' secrets and the words of alerts and reports that the tests use.
//! Whatever test stops a node after a line held one of them fails.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::EnvFilter;

/// Stands in every secret and text that a test makes up to look for it.
pub const MARK: &str = "loa-marker-5d1c";

/// Texts of the support code: the population's tokens (FCM's and browsers', then Apple's), the
/// words of its alerts, what a device authenticates with, and a test's own.
const NEVER: [&str; 6] = [
    "simulated-",
    "0000000000000000000000000000000000000000",
    "Ng\u{1ead}p s\u{e2}u",
    "Deep flooding",
    "Loa-Device",
    MARK,
];

/// Lines, those that hold what may not be there, and whether anything was seen at all.
#[derive(Default)]
struct Seen {
    lines: u64,
    bad: Vec<String>,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen { lines: 0, bad: Vec::new() });

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        seen.lines += 1;
        if NEVER.iter().any(|never| text.contains(never)) {
            seen.bad.push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens from now on, to nodes that run and to those to come.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = EnvFilter::new("loa=debug");
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        log.with_writer(|| Writer).try_init().expect("no other log is installed");
    });
}

/// How many lines there were; fails if one held what may not be there.
pub fn clean() -> u64 {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(seen.bad.is_empty(), "what no log may hold is in {:#?}", seen.bad);
    seen.lines
}
