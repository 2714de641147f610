//! What is found in the folder when it is opened, and how blocks come into the list and leave it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::durable;
use crate::error::{At, Error};
use crate::folder::Blocks;
use crate::meta::Meta;
use crate::read::block::Block;
use crate::ulid::Ulid;
use crate::write::UNFINISHED;

/// What is about to go has this behind its name, as in Prometheus.
const GOING: &str = ".tmp-for-deletion";

impl Blocks {
    pub(crate) fn start(&self) -> Result<(), Error> {
        // Empty, and beside the blocks: without it `promtool tsdb dump` does not begin.
        let log = self.folder.join("wal");
        std::fs::create_dir_all(&log).at("making", &log)?;
        let mut opened = Vec::new();
        for entry in std::fs::read_dir(&self.folder).at("listing", &self.folder)? {
            let path = entry.at("listing", &self.folder)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if is_leftover(name) {
                said("a block that was not finished stays", durable::remove(&path));
            } else if let Some(ulid) = name.parse().ok().filter(|_| path.is_dir()) {
                opened.extend(self.open_one(&path, ulid));
            }
        }
        opened.sort_by_key(|block| (block.meta.min_time, block.meta.ulid));
        *self.all.write() = opened;
        self.remove_replaced();
        self.tend_aside();
        Ok(())
    }

    fn open_one(&self, path: &Path, ulid: Ulid) -> Option<Arc<Block>> {
        let error = match Block::open(path) {
            Ok(block) if block.meta.ulid == ulid => return Some(Arc::new(block)),
            Ok(block) => Error::broken(
                path,
                format!("is named otherwise in its meta.json: {}", block.meta.ulid),
            ),
            Err(error) => error,
        };
        if error.stays() {
            self.set_aside(path, &error);
        } else {
            self.tally.unreadable.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "a block cannot be read and is left out");
        }
        None
    }

    /// Puts a new block among the others; those whose place it takes go.
    pub(crate) fn adopt(&self, block: Block) {
        let mut all = self.all.write();
        let key = |meta: &Meta| (meta.min_time, meta.ulid);
        let at = all.partition_point(|known| key(&known.meta) < key(&block.meta));
        all.insert(at, Arc::new(block));
        drop(all);
        self.remove_replaced();
    }

    /// A crash comes between a new block and the end of those it was made of; this is the same step again.
    pub(crate) fn remove_replaced(&self) {
        let all = self.all.read();
        let replaced = |block: &&Arc<Block>| {
            block.meta.compaction.deletable || all.iter().any(|other| replaces(&other.meta, &block.meta))
        };
        let gone: Vec<Ulid> = all.iter().filter(replaced).map(|block| block.meta.ulid).collect();
        drop(all);
        self.remove(&gone);
    }

    /// Takes blocks from the list and from the disk. Who reads them goes on.
    pub(crate) fn remove(&self, ulids: &[Ulid]) {
        let mut gone: Vec<Arc<Block>> = Vec::new();
        self.all.write().retain(|block| {
            let stays = !ulids.contains(&block.meta.ulid);
            if !stays {
                gone.push(block.clone());
            }
            stays
        });
        for block in gone {
            self.tally
                .foreign_chunks
                .fetch_add(block.foreign_chunks(), Ordering::Relaxed);
            let going = beside(&block.folder, GOING);
            let removed = durable::rename(&block.folder, &going).and_then(|()| durable::remove(&going));
            said("a block that is no longer kept stays on disk", removed);
        }
    }
}

/// Whether one says that it was made of the other, and can have been.
fn replaces(new: &Meta, old: &Meta) -> bool {
    let named = new
        .compaction
        .parents
        .iter()
        .any(|parent| parent.ulid == old.ulid);
    let covers = new.min_time <= old.min_time && old.max_time <= new.max_time;
    named && covers && new.ulid != old.ulid && new.compaction.level > old.compaction.level
}

fn is_leftover(name: &str) -> bool {
    let stem = name.strip_suffix(UNFINISHED).or_else(|| name.strip_suffix(GOING));
    stem.is_some_and(|stem| stem.parse::<Ulid>().is_ok())
}

pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The next start tries again.
pub(crate) fn said(what: &str, done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, "{what}");
    }
}
