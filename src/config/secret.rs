//! Secrets in settings: given inline or as the path of a file, never shown in logs or dumps.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// What is shown instead of a secret.
const REDACTED: &str = "[redacted]";
/// The largest secret file read: a service account's key file is 2.5 KB.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the setting nor its `_file` twin is there.
    #[error("`{name}` or `{name}_file` must be set")]
    Missing {
        /// The setting.
        name: &'static str,
    },
    /// Both are there, so which one counts is anybody's guess.
    #[error("`{name}` and `{name}_file` must not both be set")]
    Both {
        /// The setting.
        name: &'static str,
    },
    /// The file cannot be used.
    #[error("`{name}_file` {path}: {why}")]
    File {
        /// The setting.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A secret text. Its Debug and serde forms hide it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; for use, never for display.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret of a setting `name` that may be given inline or by file.
    pub fn resolve(
        name: &'static str,
        inline: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Self, Error> {
        match (inline, file) {
            (Some(secret), None) => Ok(secret.clone()),
            (None, Some(path)) => {
                read(path).map(Self).map_err(|why| Error::File { name, path: path.to_owned(), why })
            }
            (None, None) => Err(Error::Missing { name }),
            (Some(_), Some(_)) => Err(Error::Both { name }),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_MAX_BYTES {
        return Err(format!("{size} bytes, at most {FILE_MAX_BYTES} are read"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_in_debug_or_json() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
    }

    #[test]
    fn exactly_one_of_inline_and_file_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "from file").unwrap();
        let inline = Secret::new("inline");
        let ask = |inline, file| Secret::resolve("key", inline, file);
        assert_eq!(ask(Some(&inline), None).unwrap().expose(), "inline");
        assert_eq!(ask(None, Some(path.as_path())).unwrap().expose(), "from file");
        assert!(matches!(ask(Some(&inline), Some(&path)), Err(Error::Both { name: "key" })));
        assert!(matches!(ask(None, None), Err(Error::Missing { name: "key" })));
        assert!(matches!(ask(None, Some(dir.path())), Err(Error::File { .. })));
    }
}
