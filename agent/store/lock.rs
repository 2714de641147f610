//! One process for a folder of samples: the kernel lets go of the lock also after `kill -9`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use crate::store::OpenError;

/// As in Prometheus: one that is started on our folder while we run is refused, and so are we while it runs.
const FILE: &str = "lock";

/// Makes the folder and takes it, for as long as the file is open.
///
/// # Errors
/// [`OpenError::InUse`], or the folder cannot be made or written.
pub(crate) fn take(folder: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(folder).map_err(|source| OpenError::new(folder, source))?;
    let path = folder.join(FILE);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|source| OpenError::new(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(OpenError::new(&path, source)),
    }
}
