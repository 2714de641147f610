//! Opens blocks that belong to another process, perhaps at work in their folder: nothing there is changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Clock;

use crate::error::{At, Error};
use crate::folder::{Blocks, Limits};
use crate::read::block::Block;
use crate::ulid::Ulid;

/// Who compacts is slower than who opens, so that one look more is mostly enough.
const LOOKS_MAX: u32 = 10;

impl Blocks {
    /// As [`Self::open`], for reading only: nothing is made, removed or set aside. Also given is why each block that
    /// could not be opened is left out. What comes from here is not to be written to or maintained.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be listed.
    pub fn look(folder: &Path, clock: Arc<dyn Clock>) -> Result<(Self, Vec<Error>), Error> {
        let limits = Limits {
            retention: Duration::MAX,
            bytes_max: None,
        };
        let blocks = Self::empty(folder, limits, clock);
        let mut looks = 0;
        let (mut opened, failed) = loop {
            looks += 1;
            let there = list(folder)?;
            let (opened, failed) = open_all(&there);
            // What has gone meanwhile is in a block that may not have been there yet.
            if looks == LOOKS_MAX || list(folder)? == there {
                break (opened, failed);
            }
        };
        opened.sort_by_key(|block| (block.meta.min_time, block.meta.ulid));
        *blocks.all.write() = opened;
        Ok((blocks, failed))
    }
}

fn list(folder: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(folder).at("listing", folder)? {
        let path = entry.at("listing", folder)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.parse::<Ulid>().is_ok()) && path.is_dir() {
            paths.insert(path);
        }
    }
    Ok(paths)
}

fn open_all(paths: &BTreeSet<PathBuf>) -> (Vec<Arc<Block>>, Vec<Error>) {
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for path in paths {
        match Block::open(path) {
            Ok(block) => opened.push(Arc::new(block)),
            Err(error) => failed.push(error),
        }
    }
    (opened, failed)
}
