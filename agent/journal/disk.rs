//! The real disk behind [`Files`], below one folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Files;

/// Paths are relative to `root`.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { root: root.into() })
    }

    fn made(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(path)
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.made(path)?;
        let is_new = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        if is_new { sync_folder(&path) } else { Ok(()) }
    }

    fn add(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.made(path)?;
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)?
            .write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let path = self.root.join(path);
        File::open(&path)?.sync_data()?;
        sync_folder(&path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = self.made(path)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        sync_folder(&path)
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.root.join(path))?;
        file.set_len(length_bytes)?;
        file.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(folder.join(entry.file_name()));
            }
        }
        files.sort();
        Ok(files)
    }
}

/// A new name is durable only once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
