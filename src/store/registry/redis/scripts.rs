//! The registry's scripts.

use crate::store::redis::Script;
use crate::store::registry::SUBJECT_DEVICES_MAX;

/// All of them.
#[derive(Debug)]
pub struct Scripts {
    /// Changes devices.
    pub apply: Script,
    /// The entries of a page of a range.
    pub page: Script,
    /// A page of a range, with its records as they were at that moment.
    pub scan: Script,
    /// The feed of changes.
    pub changes: Script,
    /// Devices by id, number, subject or Seq.
    pub look: Script,
    /// The lease on late joiners and their cursor.
    pub lease: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let bound = format!("local SUBJECT_DEVICES_MAX = {SUBJECT_DEVICES_MAX}\n");
        Self {
            apply: Script::new(bound + include_str!("apply.lua")),
            page: Script::new(concat!(include_str!("first.lua"), include_str!("page.lua"))),
            scan: Script::new(concat!(include_str!("first.lua"), include_str!("scan.lua"))),
            changes: Script::new(include_str!("changes.lua")),
            look: Script::new(include_str!("look.lua")),
            lease: Script::new(include_str!("lease.lua")),
        }
    }
}
