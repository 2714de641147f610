//! `skopos own`: gives a folder that root has made to the user as whom an agent runs.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// Gives `folder` and all that is in it to them; the folder itself last, so that one that belongs to them is known to be done.
///
/// # Errors
/// The path that could not be given away, and why.
pub fn own(folder: &Path, user: u32, group: u32) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    let is_theirs = |path: &Path| -> io::Result<bool> {
        let meta = fs::symlink_metadata(path)?;
        Ok((meta.uid(), meta.gid()) == (user, group))
    };
    if is_theirs(folder).map_err(at(folder))? {
        return Ok(());
    }
    let mut folders = vec![folder.to_owned()];
    let mut nth = 0;
    while let Some(next) = folders.get(nth).cloned() {
        nth += 1;
        for entry in fs::read_dir(&next).map_err(at(&next))? {
            let entry = entry.map_err(at(&next))?;
            let path = entry.path();
            if entry.file_type().map_err(at(&path))?.is_dir() {
                folders.push(path);
            } else {
                lchown(&path, Some(user), Some(group)).map_err(at(&path))?;
            }
        }
    }
    // The innermost first.
    for folder in folders.iter().rev() {
        lchown(folder, Some(user), Some(group)).map_err(at(folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_in_a_folder_is_theirs_and_nothing_that_a_link_leads_to() {
        if !rustix::process::geteuid().is_root() {
            // Nobody else may give files away.
            return;
        }
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("logs/deep")).unwrap();
        fs::write(data.join("logs/deep/file"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), data.join("link")).unwrap();
        own(&data, 65_532, 0).unwrap();
        for path in ["", "logs", "logs/deep", "logs/deep/file", "link"] {
            let meta = fs::symlink_metadata(data.join(path)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (65_532, 0), "{path}");
        }
        assert_eq!(fs::metadata(elsewhere.path()).unwrap().uid(), 0);
        // Done already: what somebody else has put there since stays theirs.
        fs::write(data.join("later"), "x").unwrap();
        own(&data, 65_532, 0).unwrap();
        assert_eq!(fs::metadata(data.join("later")).unwrap().uid(), 0);
        own(&folder.path().join("new"), 65_532, 0).unwrap();
        let (path, _) = own(Path::new("/proc/skopos"), 1, 1).unwrap_err();
        assert_eq!(path, Path::new("/proc/skopos"));
    }
}
