//! Files and folders that survive a power failure once these have returned.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{At, Error};

/// The entries of a folder, not what is in them.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .at("syncing", folder)
}

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut out = Out::create(path)?;
    out.put(bytes)?;
    out.close().map(drop)
}

/// A new name, safe. Both have the same parent.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).at("renaming", from)?;
    to.parent().map_or(Ok(()), sync_folder)
}

/// A folder with all that is in it; that it is gone already is no error.
pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.at("removing", folder),
    }
}

/// A file being written from front to back.
pub(crate) struct Out {
    path: PathBuf,
    file: BufWriter<File>,
    pub(crate) bytes: u64,
}

impl Out {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create_new(path).at("creating", path)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(256 << 10, file),
            bytes: 0,
        })
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).at("writing", &self.path)
    }

    /// Zeros up to a multiple of `align`, which is small.
    pub(crate) fn pad(&mut self, align: usize) -> Result<(), Error> {
        let over = (self.bytes % align as u64) as usize;
        let zeros = if over == 0 { 0 } else { align - over };
        self.put([0; 16].get(..zeros).unwrap_or_default())
    }

    /// All of it is safe then; the name is once the folder is synced. Gives the path back.
    pub(crate) fn close(self) -> Result<PathBuf, Error> {
        let Self { path, file, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).at("writing", &path)?;
        Ok(path)
    }

    /// All of it can be read, and nothing more: for what is needed for a moment only.
    pub(crate) fn close_unsynced(self) -> Result<PathBuf, Error> {
        let Self { path, mut file, .. } = self;
        file.flush().at("writing", &path)?;
        Ok(path)
    }
}
