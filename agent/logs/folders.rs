//! The folders that are looked into, and what each is looked into for.
//!
//! Every glob is a row of names below a root; a folder has a place in one or more of those rows. Folders are watched
//! before they are listed, so nothing slips in between.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::config::Config;
use crate::glob::{Glob, name_matches};
use crate::mark::Form;
use crate::watch::{Event, Watcher};

/// Folders looked into at most; more are said and left out.
const FOLDERS_MAX: usize = 32_768;
/// `**` goes no deeper.
const DEPTH_MAX: usize = 16;

pub(crate) type FolderId = usize;

/// A glob with the form of the files it finds.
struct Pattern {
    glob: Glob,
    form: Form,
}

/// How far down a pattern a folder is: its files and folders match `names[depth]`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    pattern: usize,
    depth: usize,
}

pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    watch: Option<i32>,
    /// Whether inotify sees all that happens here: not on filesystems that others write to as well.
    local: bool,
    places: Vec<Place>,
    /// Files followed here, by name; the number is the reader's.
    pub(crate) names: HashMap<OsString, usize>,
    /// To be listed in this turn.
    changed: bool,
    /// To be listed once more at the next regular look: the clock of a filesystem is coarse.
    again: bool,
    /// Whether it has been listed before, so that what is new in it is new.
    pub(crate) listed: bool,
    modified: (i64, i64),
}

/// A name in a folder that matters.
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) ino: u64,
    pub(crate) symlink: bool,
    /// Set when a pattern asks for it.
    pub(crate) form: Option<Form>,
    /// The name a pattern asks for, when this looks like a plain file of that name after rotation.
    pub(crate) rotated_from: Option<String>,
}

pub(crate) struct Folders {
    patterns: Vec<Pattern>,
    exclude: Vec<Glob>,
    own: PathBuf,
    folders: Vec<Option<Folder>>,
    by_path: HashMap<PathBuf, FolderId>,
    by_watch: HashMap<i32, FolderId>,
    watcher: Option<Watcher>,
    said_full: bool,
    said_unwatched: bool,
}

impl Folders {
    /// `own` is the agent's own data, which is never read.
    pub(crate) fn new(config: &Config, own: &Path) -> Self {
        let watcher = Watcher::new()
            .inspect_err(|error| warn!(%error, "no inotify, log files are looked at every second instead"))
            .ok();
        let mut folders = Self {
            patterns: Vec::new(),
            exclude: Vec::new(),
            own: fs::canonicalize(own).unwrap_or_else(|_| own.to_owned()),
            folders: Vec::new(),
            by_path: HashMap::new(),
            by_watch: HashMap::new(),
            watcher,
            said_full: false,
            said_unwatched: false,
        };
        folders.configure(config);
        folders
    }

    pub(crate) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.watcher.as_ref().map(Watcher::descriptor)
    }

    /// As on a machine that has no inotify.
    #[cfg(test)]
    pub(crate) fn blind(&mut self) {
        self.watcher = None;
        for folder in self.folders.iter_mut().flatten() {
            folder.watch = None;
        }
    }

    /// Forgets all folders and begins again from the roots.
    pub(crate) fn configure(&mut self, config: &Config) {
        for folder in 0..self.folders.len() {
            self.remove(folder);
        }
        self.patterns.clear();
        self.exclude = config.exclude.iter().map(|glob| Glob::new(glob)).collect();
        if !config.enabled {
            return;
        }
        self.patterns.extend(config.files.iter().map(|glob| Pattern {
            glob: Glob::new(glob),
            form: Form::Plain,
        }));
        if !config.containers.as_os_str().is_empty() {
            self.patterns.push(Pattern {
                glob: Glob {
                    root: config.containers.clone(),
                    names: ["*_*_*", "*", "*.log*"].map(str::to_owned).to_vec(),
                },
                form: Form::Cri,
            });
        }
        if !config.docker.as_os_str().is_empty() {
            self.patterns.push(Pattern {
                glob: Glob {
                    root: config.docker.clone(),
                    names: ["*", "*-json.log*"].map(str::to_owned).to_vec(),
                },
                form: Form::Cri,
            });
        }
    }

    pub(crate) fn get(&self, id: FolderId) -> Option<&Folder> {
        self.folders.get(id)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: FolderId) -> Option<&mut Folder> {
        self.folders.get_mut(id)?.as_mut()
    }

    pub(crate) fn is_watched(&self, id: FolderId) -> bool {
        self.get(id).is_some_and(|folder| folder.watch.is_some())
    }

    /// Whether every folder is watched; if not, files must be looked at more often.
    pub(crate) fn all_watched(&self) -> bool {
        self.folders.iter().flatten().all(|folder| folder.watch.is_some())
    }

    /// The agent's own data.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// Whether a path is never read, because it or a folder above it is excluded or our own.
    pub(crate) fn is_excluded(&self, path: &Path) -> bool {
        path.starts_with(&self.own)
            || self
                .exclude
                .iter()
                .any(|glob| path.ancestors().any(|above| glob.matches(above)))
    }

    /// Whether a pattern names this file.
    pub(crate) fn wants(&self, path: &Path) -> bool {
        self.patterns.iter().any(|pattern| pattern.glob.matches(path))
    }

    /// Takes what inotify has seen. `on_modified` gets the reader's number of each file written to; true when
    /// everything must be looked at.
    pub(crate) fn events(&mut self, mut on_modified: impl FnMut(usize)) -> bool {
        let Some(watcher) = &self.watcher else {
            return false;
        };
        let (folders, by_watch, mut lost) = (&mut self.folders, &mut self.by_watch, false);
        watcher.drain(|event| {
            let (watch, name) = match event {
                Event::Lost => return lost = true,
                Event::Ended { watch } => {
                    watcher.remove(watch);
                    let folder = by_watch
                        .remove(&watch)
                        .and_then(|id| folders.get_mut(id)?.as_mut());
                    if let Some(folder) = folder {
                        folder.watch = None;
                        folder.changed = true;
                    }
                    return;
                }
                Event::Names { watch } => (watch, None),
                Event::Modified { watch, name } => (watch, Some(name)),
            };
            let folder = by_watch.get(&watch).and_then(|id| folders.get_mut(*id)?.as_mut());
            match (folder, name) {
                (Some(folder), Some(name)) => {
                    if let Some(file) = folder.names.get(&name) {
                        on_modified(*file);
                    }
                }
                (Some(folder), None) => folder.changed = true,
                (None, _) => {}
            }
        });
        lost
    }

    /// The regular look: roots that have come up, and folders whose content changed unseen; of those that are watched
    /// only a part in each `round`. `all` is for when nothing is known.
    pub(crate) fn survey(&mut self, round: usize, all: bool) {
        let roots: Vec<(PathBuf, usize)> = self
            .patterns
            .iter()
            .enumerate()
            .map(|(nth, pattern)| (pattern.glob.root.clone(), nth))
            .collect();
        for (root, pattern) in roots {
            self.visit(&root, Place { pattern, depth: 0 });
        }
        for (id, folder) in self.folders.iter_mut().enumerate() {
            let Some(folder) = folder else { continue };
            if !all && !folder.again && folder.is_watched() && !is_due(id, round) {
                continue;
            }
            let modified = modified(&folder.path);
            let moved = modified != folder.modified;
            folder.changed |= moved || folder.again || all;
            folder.again = moved;
            folder.modified = modified;
        }
        self.watch_again();
    }

    /// A folder that was moved away and made anew, or whose watch was refused, gets another.
    fn watch_again(&mut self) {
        let Some(watcher) = &self.watcher else { return };
        for (id, folder) in self.folders.iter_mut().enumerate() {
            if let Some(folder) = folder
                && folder.watch.is_none()
                && let Ok(watch) = watcher.add(&folder.path)
            {
                folder.watch = Some(watch);
                folder.changed = true;
                self.by_watch.insert(watch, id);
            }
        }
    }

    /// The folders that are to be listed now.
    pub(crate) fn take_changed(&mut self) -> Vec<FolderId> {
        let folders = self.folders.iter_mut().enumerate();
        folders
            .filter_map(|(id, folder)| std::mem::take(&mut folder.as_mut()?.changed).then_some(id))
            .collect()
    }

    /// Has a folder listed once more, as if for the first time where it was.
    pub(crate) fn list_again(&mut self, id: FolderId, first: bool) {
        if let Some(folder) = self.get_mut(id) {
            folder.changed = true;
            folder.listed &= !first;
        }
    }

    /// Lists a folder: goes into the folders below that a pattern wants, and returns the files.
    pub(crate) fn list(&mut self, id: FolderId) -> io::Result<Vec<Entry>> {
        let Some(folder) = self.get(id) else {
            return Ok(Vec::new());
        };
        let (path, places) = (folder.path.clone(), folder.places.clone());
        let (mut files, mut below) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let mut file = Entry {
                name,
                ino: entry.ino(),
                symlink: kind.is_symlink(),
                form: None,
                rotated_from: None,
            };
            for place in &places {
                self.place(*place, &mut file, kind, &mut below, &path);
            }
            if !kind.is_dir() {
                files.push(file);
            }
        }
        for (path, place) in below {
            if !self.is_excluded(&path) {
                self.visit(&path, place);
            }
        }
        Ok(files)
    }

    /// What one name in a folder is to one of the folder's places.
    fn place(
        &self,
        place: Place,
        entry: &mut Entry,
        kind: FileType,
        below: &mut Vec<(PathBuf, Place)>,
        folder: &Path,
    ) {
        let Some(pattern) = self.patterns.get(place.pattern) else {
            return;
        };
        let names = &pattern.glob.names;
        let mut depth = place.depth;
        while names.get(depth).is_some_and(|name| name == "**") {
            // Folder links are not followed here: they may lead in a circle.
            if kind.is_dir() && folder.components().count() < DEPTH_MAX {
                below.push((folder.join(&entry.name), Place { depth, ..place }));
            }
            depth += 1;
        }
        let Some(wanted) = names.get(depth).map(|wanted| wanted.as_bytes()) else {
            return;
        };
        let fits = name_matches(wanted, entry.name.as_bytes());
        if depth + 1 == names.len() {
            if fits {
                entry.form = entry.form.or(Some(pattern.form));
            } else if pattern.form == Form::Plain && kind.is_file() {
                entry.rotated_from = rotated_from(&entry.name, wanted).or(entry.rotated_from.take());
            }
        } else if fits && (kind.is_dir() || kind.is_symlink()) {
            let depth = depth + 1;
            below.push((folder.join(&entry.name), Place { depth, ..place }));
        }
    }

    fn visit(&mut self, path: &Path, place: Place) {
        if let Some(id) = self.open(path)
            && let Some(folder) = self.get_mut(id)
            && !folder.places.contains(&place)
        {
            folder.places.push(place);
            folder.changed = true;
        }
    }

    /// The folder at a path, watched from now on; none when there is no such folder or there are too many.
    pub(crate) fn open(&mut self, path: &Path) -> Option<FolderId> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        let path = fs::canonicalize(path).ok().filter(|path| path.is_dir())?;
        if let Some(id) = self.by_path.get(&path) {
            return Some(*id);
        }
        if self.by_path.len() >= FOLDERS_MAX {
            if !std::mem::replace(&mut self.said_full, true) {
                warn!(
                    folders = FOLDERS_MAX,
                    "too many folders of logs, the rest is not read"
                );
            }
            return None;
        }
        let id = match self.folders.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.folders.push(None);
                self.folders.len() - 1
            }
        };
        let watch = self.watcher.as_ref().and_then(|watcher| {
            let added = watcher.add(&path);
            if let Err(error) = &added
                && !std::mem::replace(&mut self.said_unwatched, true)
            {
                warn!(%error, path = %path.display(), "folder cannot be watched, it is looked at every second instead");
            }
            added.ok()
        });
        if let Some(watch) = watch {
            self.by_watch.insert(watch, id);
        }
        self.by_path.insert(path.clone(), id);
        if let Some(place) = self.folders.get_mut(id) {
            let modified = modified(&path);
            *place = Some(Folder {
                local: is_local(&path),
                path,
                watch,
                places: Vec::new(),
                names: HashMap::new(),
                changed: true,
                again: true,
                listed: false,
                modified,
            });
        }
        Some(id)
    }

    /// Stops looking into a folder; returns the files that were followed there.
    pub(crate) fn remove(&mut self, id: FolderId) -> Vec<usize> {
        let Some(folder) = self.folders.get_mut(id).and_then(Option::take) else {
            return Vec::new();
        };
        self.by_path.remove(&folder.path);
        if let Some(watch) = folder.watch {
            self.by_watch.remove(&watch);
            if let Some(watcher) = &self.watcher {
                watcher.remove(watch);
            }
        }
        folder.names.into_values().collect()
    }
}

impl Folder {
    fn is_watched(&self) -> bool {
        self.watch.is_some() && self.local
    }
}

/// When names in a folder last changed.
fn modified(folder: &Path) -> (i64, i64) {
    fs::metadata(folder).map_or((0, 0), |meta| (meta.mtime(), meta.mtime_nsec()))
}

/// Whether a watched folder or file is to be looked at in this round, each being so in one of six.
pub(crate) fn is_due(number: usize, round: usize) -> bool {
    (number + round).is_multiple_of(6)
}

/// Filesystems that only this machine writes to, by their magic numbers: ext, XFS, Btrfs, tmpfs, ZFS, F2FS, bcachefs
/// and overlays of them.
fn is_local(path: &Path) -> bool {
    const LOCAL: [i64; 8] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x2fc1_2fc1,
        0xf2f5_2010,
        0xca45_1a4e,
        0x794c_7630,
    ];
    rustix::fs::statfs(path).is_ok_and(|stat| {
        LOCAL
            .iter()
            .any(|magic| i128::from(stat.f_type) == i128::from(*magic))
    })
}

/// `app.log` of `app.log.1` or `app.log-20240301`, when that is a wanted name.
fn rotated_from(name: &OsStr, wanted: &[u8]) -> Option<String> {
    let name = name.to_str()?;
    name.match_indices(['.', '-'])
        .filter_map(|(at, _)| name.get(..at))
        .find(|base| !base.is_empty() && name_matches(wanted, base.as_bytes()))
        .map(str::to_owned)
}
