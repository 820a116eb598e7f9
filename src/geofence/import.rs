//! Boundaries of an operator's own in the data directory: the only I/O of this room.
//!
//! `geofences/manifest.json` names the file of boundaries beside it by its digest. Each is written
//! to a temporary file, synced and renamed, the manifest last: a crash leaves the old boundaries or
//! the new ones, and a file that was changed by hand is noticed rather than believed.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::ids::Vintage;
use crate::geofence::check::{Report, check};
use crate::geofence::{City, Error, present_vintage};

/// Largest file taken: the whole country unsimplified is about 150 MB.
const FILE_MAX: u64 = 256 << 20;

/// What is installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the file it came from, without its folders.
    pub source: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// When it was installed.
    pub imported_at: Timestamp,
    /// The vintage of its codes.
    pub vintage: Vintage,
    /// How many units it holds.
    pub units: usize,
}

/// Reads a file of boundaries, no larger than is sane.
pub fn read_file(path: &Path) -> Result<String, Error> {
    let size = fs::metadata(path).map_err(|error| Error::file(path, error))?.len();
    if size > FILE_MAX {
        let reason = format!("the file has {size} bytes, the limit is {FILE_MAX}");
        return Err(Error::invalid(path.display().to_string(), reason));
    }
    fs::read_to_string(path).map_err(|error| Error::file(path, error))
}

/// Checks a file and installs it; one with errors is refused and nothing changes.
pub fn import(file: &Path, data_dir: &Path, now: Timestamp) -> Result<(Manifest, Report), Error> {
    let text = read_file(file)?;
    let report = check(&text)?;
    if !report.errors().is_empty() {
        return Err(Error::Refused(Box::new(report)));
    }
    // Built once before it is installed: what cannot be loaded is not installed.
    let city = City::from_geojson(&text)?;
    let source = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let manifest = Manifest {
        source: source.unwrap_or_default(),
        sha256: digest(&text),
        imported_at: now,
        vintage: present_vintage(),
        units: city.units().len(),
    };
    let folder = folder(data_dir);
    fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
    let described = serde_json::to_vec_pretty(&manifest).expect("plain fields serialise");
    let before = self::manifest(data_dir).ok().flatten();
    replace(&boundaries_path(data_dir, &manifest), text.as_bytes())?;
    replace(&manifest_path(data_dir), &described)?;
    if let Some(before) = before.filter(|before| before.sha256 != manifest.sha256) {
        // Nothing refers to it any more; should it stay, it is only disk.
        fs::remove_file(boundaries_path(data_dir, &before)).ok();
    }
    Ok((manifest, report))
}

/// The manifest of what is installed; None when nothing is.
pub fn manifest(data_dir: &Path) -> Result<Option<Manifest>, Error> {
    let path = manifest_path(data_dir);
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Error::invalid(path.display().to_string(), error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// The installed boundaries' text; None when nothing is installed.
pub(crate) fn installed(data_dir: &Path) -> Result<Option<String>, Error> {
    let Some(manifest) = manifest(data_dir)? else { return Ok(None) };
    let path = boundaries_path(data_dir, &manifest);
    let text = read_file(&path)?;
    if digest(&text) != manifest.sha256 {
        let reason = "differs from its manifest; import the boundaries again";
        return Err(Error::invalid(path.display().to_string(), reason));
    }
    Ok(Some(text))
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("geofences")
}

fn boundaries_path(data_dir: &Path, manifest: &Manifest) -> PathBuf {
    folder(data_dir).join(format!("boundaries-{:.16}.geojson", manifest.sha256))
}

fn manifest_path(data_dir: &Path) -> PathBuf {
    folder(data_dir).join("manifest.json")
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces a file so that a crash leaves the old or the new one, never half of either.
fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| Error::file(path, error))
}
