//! Keys: `prefix:{tag}:part:part`. What stands in braces decides the slot of a Redis Cluster, so
//! everything with one tag lies on one primary and one script may touch it.

use std::fmt::{Display, Write};

/// How long the mark of a call is kept, in milliseconds: far longer than anybody asks again.
pub const MARK_MS: u64 = 600_000;

/// Builds the keys of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    stem: String,
}

impl Keys {
    /// Keys of a tag: a word of ours, or an id whose alphabet has no braces.
    pub fn new(prefix: &str, tag: &str) -> Self {
        Self { stem: format!("{prefix}:{{{tag}}}:") }
    }

    /// What every key of the tag begins with, the last colon included; scripts that compute keys
    /// get it as an argument.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// A key of one part.
    pub fn key(&self, part: impl Display) -> String {
        let mut key = self.stem.clone();
        write!(key, "{part}").expect("a String takes everything");
        key
    }

    /// A key of two parts.
    pub fn pair(&self, first: impl Display, second: impl Display) -> String {
        self.key(format_args!("{first}:{second}"))
    }

    /// A key that is one call's own: a script that finds it there knows that it was this call, and
    /// that its answer was lost.
    pub fn mark(&self) -> String {
        self.pair("mark", format_args!("{:016x}", rand::random::<u64>()))
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn a_tag_stands_in_braces_once() {
        let keys = Keys::new("loa", "reg");
        assert_eq!(keys.key("seq"), "loa:{reg}:seq");
        assert_eq!(keys.pair("d", 7), "loa:{reg}:d:7");
        assert_eq!(keys.stem(), "loa:{reg}:");
    }
}
