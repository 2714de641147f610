//! What the log asks of a disk, so that a test can own one that fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Files in one folder. Names given are whole paths.
pub trait Disk: Send + Sync {
    /// Makes the folder, and lists the files in it with their sizes.
    ///
    /// # Errors
    /// The disk's own.
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// From the start of a file.
    ///
    /// # Errors
    /// The disk's own.
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// A new file, whose name survives a power failure.
    ///
    /// # Errors
    /// The disk's own; also when there is such a file.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>>;

    /// Cuts a file.
    ///
    /// # Errors
    /// The disk's own.
    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()>;

    /// # Errors
    /// The disk's own; a missing file is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that grows.
pub trait Append: Send {
    /// # Errors
    /// The disk's own; a part may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// All that was appended survives a power failure once this returns.
    ///
    /// # Errors
    /// The disk's own; nothing is known of what was appended since the last time.
    fn sync(&mut self) -> io::Result<()>;
}

/// The system's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        fs::create_dir_all(folder)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() {
                files.push((entry.path(), about.len()));
            }
        }
        Ok(files)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(BufReader::with_capacity(256 << 10, File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let sync = |folder: &Path| File::open(folder)?.sync_all();
        match path.parent().map_or(Ok(()), sync) {
            Ok(()) => Ok(Box::new(file)),
            // Else the next try would find a file of that name.
            Err(error) => self.remove(path).and(Err(error)),
        }
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length_bytes)?;
        file.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
