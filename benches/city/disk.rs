//! The disk's own limit: appends to a preallocated file, one `fdatasync` each.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

const PREALLOCATED_BYTES: usize = 16 << 20;

/// A preallocated file.
pub struct Bare {
    file: File,
    at: usize,
}

impl Bare {
    /// Makes the file, zeroed and synchronised.
    pub fn preallocate(dir: &Path) -> Result<Self> {
        let path = dir.join("bare");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        file.write_all_at(&vec![0; PREALLOCATED_BYTES], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes bytes, synchronises, and answers how long that took.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Duration> {
        if self.at + bytes.len() > PREALLOCATED_BYTES {
            self.at = 0;
        }
        let start = Instant::now();
        self.file.write_all_at(bytes, self.at as u64)?;
        self.file.sync_data()?;
        self.at += bytes.len();
        Ok(start.elapsed())
    }
}
