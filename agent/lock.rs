//! One process for a data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

/// Held as long as the process lives; the kernel lets go of it also after `kill -9`.
pub(crate) struct Lock {
    _file: File,
}

/// Makes the folder and takes it.
///
/// # Errors
/// The folder cannot be made or written, or another process has it.
pub(crate) fn take(folder: &Path) -> anyhow::Result<Lock> {
    let shown = folder.display();
    let advice = "choose another with --data-dir";
    fs::create_dir_all(folder).with_context(|| format!("making the data directory {shown}; {advice}"))?;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"));
    let mut file = file.with_context(|| format!("writing to the data directory {shown}; {advice}"))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        _ = file.read_to_string(&mut holder);
        let holder = holder.trim();
        bail!(
            "the data directory {shown} is in use by another skopos (process {holder}); stop it, or {advice}"
        );
    }
    // Who holds it is for people to read. A full disk is no reason not to start: everything else is kept in memory then.
    let said = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = said {
        tracing::warn!(%error, folder = %shown, "the data directory cannot be written to; free some space");
    }
    Ok(Lock { _file: file })
}
