//! How the log is set up.

use std::path::PathBuf;

use serde::Deserialize;

/// The log's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The data directory; the log is `log.db` in it.
    #[serde(skip)]
    pub dir: PathBuf,
    /// Mebibytes that may wait for the writer before publishers wait themselves, 32..=1024. Below
    /// 32 the largest call could never pass.
    pub queue_mib: u32,
    /// Hours after which a group that does not commit no longer keeps old records from being
    /// deleted, so that a forgotten group cannot fill the disk.
    pub pinned_hours_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dir: PathBuf::new(), queue_mib: 64, pinned_hours_max: 24 * 14 }
    }
}

impl Settings {
    /// The defaults, in a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }
}
