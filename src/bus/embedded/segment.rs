//! A segment: one file of frames, written with zeros beforehand so that a commit writes over what
//! is there and its `fdatasync` has nothing to write but the frame.
//!
//! It begins with 64 bytes, numbers with their least byte first:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `loa-log1` |
//! | 8 | the segment's number, as its file is named |
//! | 8 | its salt, which each of its frames repeats |
//! | 8, 8 | the numbers of the frames it stands for, if it was rewritten: from, to; else zeros |
//! | 4 | the CRC-32 (IEEE) of all before |
//! | 20 | zeros |
//!
//! and then frame follows frame ([`super::frame`]). A segment ends where the next one's first frame
//! says by its number, or where the zeros begin.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::batch::{Damage, checksum};
use super::index::Index;
use crate::bus::{Error, Result};

/// What stands before the first frame.
pub(super) const HEAD_BYTES: u64 = 64;
const MAGIC: [u8; 8] = *b"loa-log1";
const SUMMED: usize = 40;
/// Zeros written at once.
const ZEROS: usize = 1024 * 1024;

/// A segment's file and what is known of it.
#[derive(Debug)]
pub(super) struct Segment {
    pub path: PathBuf,
    pub number: u64,
    pub salt: u64,
    /// The frames it stands for, if it was rewritten: it may have none of many of them.
    pub rewritten: Option<Range<u64>>,
    pub file: File,
    /// The file's bytes.
    pub size: u64,
    index: RwLock<Index>,
}

/// A segment that is being made: there is nothing of it before it is finished.
#[derive(Debug)]
pub(super) struct Making {
    making: PathBuf,
    segment: Segment,
    is_finished: bool,
}

impl Making {
    /// Begins a segment; `rewritten` names the frames that it will stand for if it is not written
    /// by commits.
    pub fn begin(dir: &Path, number: u64, rewritten: Option<Range<u64>>) -> Result<Self> {
        let making = dir.join(format!("{number:016x}.making"));
        let path = dir.join(format!("{number:016x}.segment"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let (salt, index) = (rand::random(), RwLock::default());
        let file = options.open(&making).map_err(|error| failed(&making, &error))?;
        let segment = Segment { path, number, salt, rewritten, file, size: HEAD_BYTES, index };
        let made = Self { making, segment, is_finished: false };
        let head = head(number, salt, made.segment.rewritten.as_ref());
        made.segment.file.write_all_at(&head, 0).map_err(|error| made.segment.failed(&error))?;
        Ok(made)
    }

    /// Its salt.
    pub fn salt(&self) -> u64 {
        self.segment.salt
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.segment.size
    }

    /// Adds bytes to its end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.segment.file.write_all_at(bytes, self.segment.size);
        written.map_err(|error| self.segment.failed(&error))?;
        self.segment.size += bytes.len() as u64;
        Ok(())
    }

    /// Leaves it on the disk for good, in the place of one of the same number if there is one.
    pub fn finish(mut self, dir: &Path) -> Result<Segment> {
        let finished = || {
            self.segment.file.sync_all()?;
            std::fs::rename(&self.making, &self.segment.path)?;
            File::open(dir)?.sync_all()
        };
        finished().map_err(|error: io::Error| self.segment.failed(&error))?;
        self.is_finished = true;
        Segment::open(&self.segment.path)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.is_finished {
            // Half of a file helps nobody, least of all a full disk.
            let _ = std::fs::remove_file(&self.making);
        }
    }
}

impl Segment {
    /// Makes an empty segment of so many bytes. Takes as long as writing them does.
    pub fn make(dir: &Path, number: u64, size: u64) -> Result<Self> {
        let mut making = Making::begin(dir, number, None)?;
        let zeros = vec![0; ZEROS];
        while making.size() < size {
            let count = (size - making.size()).min(ZEROS as u64);
            making.write(&zeros[..count as usize])?;
        }
        making.finish(dir)
    }

    /// Opens a segment's file; nothing of its frames is known yet.
    pub fn open(path: &Path) -> Result<Self> {
        let storage = |error: io::Error| failed(path, &error);
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(storage)?;
        let size = file.metadata().map_err(storage)?.len();
        let mut bytes = [0; HEAD_BYTES as usize];
        let read = file.read_exact(&mut bytes);
        read.map_err(|_| damaged(path, 0, "it is cut short"))?;
        let u64 = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within it"));
        let sum = checksum(&bytes[..SUMMED]).to_le_bytes();
        if bytes[..8] != MAGIC || bytes[SUMMED..SUMMED + 4] != sum {
            return Err(damaged(path, 0, "it does not begin as a segment does"));
        }
        let (number, salt, rewritten) = (u64(8), u64(16), u64(24)..u64(32));
        let rewritten = Some(rewritten).filter(|frames| !frames.is_empty());
        let index = RwLock::default();
        Ok(Self { path: path.to_owned(), number, salt, rewritten, file, size, index })
    }

    /// Where its records lie.
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to be changed.
    pub fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes pieces one after another at a place, with as few calls as possible. Only the writer
    /// moves the file's own place.
    pub fn write(&self, at: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        let mut pieces = pieces;
        // Nothing, and pieces without bytes, are written without a call.
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            match file.write_vectored(pieces) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut pieces, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Overwrites with zeros from a place on, for good.
    pub fn clear(&self, from: u64) -> Result<()> {
        let zeros = vec![0; ZEROS];
        let mut at = from;
        let mut cleared = || {
            while at < self.size {
                let count = (self.size - at).min(ZEROS as u64);
                self.file.write_all_at(&zeros[..count as usize], at)?;
                at += count;
            }
            self.file.sync_data()
        };
        cleared().map_err(|error: io::Error| self.failed(&error))
    }

    /// Says which file is damaged, and where.
    pub fn damaged(&self, at: u64, what: Damage) -> Error {
        damaged(&self.path, at, what)
    }

    /// Says which file failed.
    pub fn failed(&self, error: &io::Error) -> Error {
        failed(&self.path, error)
    }
}

fn head(number: u64, salt: u64, rewritten: Option<&Range<u64>>) -> [u8; HEAD_BYTES as usize] {
    let mut bytes = [0; HEAD_BYTES as usize];
    let frames = rewritten.cloned().unwrap_or_default();
    bytes[..8].copy_from_slice(&MAGIC);
    for (at, number) in [(8, number), (16, salt), (24, frames.start), (32, frames.end)] {
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    let sum = checksum(&bytes[..SUMMED]);
    bytes[SUMMED..SUMMED + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The segments' files of a directory, in order; what was left half made is removed.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let storage = |error: io::Error| failed(dir, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(storage)? {
        let path = entry.map_err(storage)?.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("segment") => found.push(path),
            Some("making") => std::fs::remove_file(&path).map_err(storage)?,
            // Of a segment that was removed while it was written down.
            Some("index") if !path.with_extension("segment").exists() => remove(&path)?,
            _ => {}
        }
    }
    // Numbers are written with as many digits each.
    found.sort();
    Ok(found)
}

/// Forgets a file for good.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

/// An error of the file system, by what can be done about it.
pub(super) fn failed(path: &Path, error: &io::Error) -> Error {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::StorageFull(what)
        }
        _ => Error::Storage(what),
    }
}

fn damaged(path: &Path, at: u64, what: Damage) -> Error {
    Error::Damaged(format!("{} at byte {at}: {what}", path.display()))
}

/// Reads bytes at a place.
pub(super) fn read(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(into, at)
}
