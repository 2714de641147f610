//! Which files there are: takes in new ones, and notices the old ones' new names.
//!
//! A file is its inode and content. Its name says who writes it, and whether it is the one being written.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use super::recall::Kinship;
use super::{FILES_MAX, Outlet, Reader};
use crate::folders::{Entry, FolderId, is_due};
use crate::mark::{Form, Inode};
use crate::source;
use crate::tail::{End, Origin, Phase, Tail, open};

/// Files to be tried again at most.
const REFUSED_MAX: usize = 1_000;

/// How a file comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    /// It was there when its folder was first listed.
    FirstListing,
    New,
    /// It could not be taken in, or not decided on, a while ago.
    Again,
}

impl<O: Outlet> Reader<O> {
    /// The regular look at everything, for what inotify did not tell.
    pub(super) fn survey(&mut self, now: Instant, all: bool) {
        self.round = self.round.wrapping_add(1);
        self.folders.survey(self.round, all);
        let rest = if self.folders.all_watched() {
            self.pace.survey
        } else {
            self.pace.survey_unwatched
        };
        self.next_survey = Some(now + rest);
        for (folder, entry) in std::mem::take(&mut self.refused) {
            self.admit(folder, entry, now, Try::Again);
        }
        let (mut lag, mut files) = (0, 0);
        for file in 0..self.tails.len() {
            let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
                continue;
            };
            let look = all || is_due(file, self.round) || !self.folders.is_watched(tail.folder);
            let (phase, unread) = (tail.phase, look && tail.look(now));
            lag += tail.unread();
            files += 1;
            if tail.phase != phase {
                self.settling.insert(file);
            }
            if unread {
                self.wake(file);
            }
        }
        self.account.lag.set(lag as f64);
        self.account.files.set(f64::from(files));
        self.forget_orphans(now);
        self.look_for_danger(now);
    }

    /// Lists the folders in which names have changed, and those that this brings up.
    pub(super) fn look_around(&mut self, now: Instant) {
        loop {
            let changed = self.folders.take_changed();
            if changed.is_empty() {
                return;
            }
            for folder in changed {
                self.look_into(folder, now);
            }
        }
    }

    fn look_into(&mut self, id: FolderId, now: Instant) {
        let Some(path) = self.folders.get(id).map(|folder| folder.path.clone()) else {
            return;
        };
        let entries = match self.folders.list(id) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                for file in self.folders.remove(id) {
                    self.lose(file, now);
                }
                return;
            }
            Err(error) => return self.trouble(&path, &error),
        };
        self.board.fine(&path);
        let Some(folder) = self.folders.get_mut(id) else {
            return;
        };
        let first = !std::mem::replace(&mut folder.listed, true);
        let names = std::mem::take(&mut folder.names);
        let (here, new, away) = self.compare(&path, names, entries, now);
        if let Some(folder) = self.folders.get_mut(id) {
            folder.names = here;
        }
        for file in away {
            self.lose(file, now);
        }
        for entry in new {
            let how = if first { Try::FirstListing } else { Try::New };
            if self.admit(id, entry, now, how) {
                // What it was packed into may not be listed yet, and has to be read before the younger files behind it.
                return self.folders.list_again(id, first);
            }
        }
    }

    /// What was followed in a folder against what is there now: the names that stay, in the order in which they are
    /// to be read the entries that are new, and the files without a name.
    fn compare(
        &mut self,
        folder: &Path,
        names: HashMap<OsString, usize>,
        entries: Vec<Entry>,
        now: Instant,
    ) -> (HashMap<OsString, usize>, Vec<Entry>, Vec<usize>) {
        let inos: HashMap<u64, usize> = names
            .values()
            .filter_map(|file| Some((self.tails.get(*file)?.as_ref()?.inode.ino, *file)))
            .collect();
        let (mut here, mut rest) = (HashMap::new(), Vec::new());
        for entry in entries {
            match inos.get(&entry.ino) {
                Some(file) if names.get(&entry.name) == Some(file) && !entry.symlink => {
                    here.insert(entry.name, *file);
                }
                _ => rest.push(entry),
            }
        }
        let mut named: HashSet<usize> = here.values().copied().collect();
        let mut new = Vec::new();
        for entry in rest {
            match inos.get(&entry.ino) {
                // A second name of a file that still has its first one is no rename.
                Some(file)
                    if !entry.symlink
                        && !named.contains(file)
                        && self.rename(*file, folder, &entry.name, now) =>
                {
                    named.insert(*file);
                    here.insert(entry.name, *file);
                }
                _ => new.push(entry),
            }
        }
        let away = names.into_values().filter(|file| !named.contains(file)).collect();
        // Of containers, rotated files before the one being written; of plain files, the one that we may know first.
        new.sort_unstable_by(|left, right| {
            let (left_name, right_name) = (left.name.to_string_lossy(), right.name.to_string_lossy());
            let key = |entry: &Entry, name| {
                let live = source::container_base(name) == Some(name);
                // A packed file is known by those that are followed.
                (entry.form.is_none(), source::is_packed(name), live)
            };
            key(left, &*left_name)
                .cmp(&key(right, &*right_name))
                .then_with(|| source::age(&left_name).cmp(&source::age(&right_name)))
        });
        (here, new, away)
    }

    /// A followed file has another name. False when it only has the same inode number.
    fn rename(&mut self, file: usize, folder: &Path, name: &OsString, now: Instant) -> bool {
        let path = folder.join(name);
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return false;
        };
        // An open file keeps its inode number; that of a closed one may have been given to another file.
        if tail.file.is_none() && !fs::metadata(&path).is_ok_and(|meta| Inode::of(&meta) == tail.inode) {
            return false;
        }
        tail.name.clone_from(name);
        tail.path = path.to_string_lossy().into();
        tail.phase = match tail.phase {
            _ if tail.path == tail.base => Phase::Live,
            Phase::Rotated(since) => Phase::Rotated(since),
            _ => Phase::Rotated(now),
        };
        self.settling.insert(file);
        self.changed.insert(file);
        true
    }

    /// A followed file has no name where it was looked for.
    pub(super) fn lose(&mut self, file: usize, now: Instant) {
        if let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut)
            && tail.end.is_none()
            && tail.form != Form::Spool
        {
            tail.look(now);
            if !matches!(tail.phase, Phase::Deleted(_)) {
                tail.phase = Phase::Away(now);
            }
            self.settling.insert(file);
            self.wake(file);
        }
    }

    /// Takes in a file, unless it is not to be read. True when it was listed and is there no more.
    fn admit(&mut self, id: FolderId, entry: Entry, now: Instant, how: Try) -> bool {
        let name = entry.name.to_string_lossy();
        let wanted =
            entry.form.is_some() || entry.rotated_from.is_some() || self.orphans.contains_key(&entry.ino);
        if !wanted
            || source::is_copy(&name)
            || (entry.form == Some(Form::Cri) && source::container_base(&name).is_none())
            || (source::is_packed(&name) && entry.symlink)
        {
            return false;
        }
        let is_packed = source::is_packed(&name);
        let Some(path) = self.folders.get(id).map(|folder| folder.path.join(&entry.name)) else {
            return false;
        };
        if self.folders.is_excluded(&path) {
            return false;
        }
        let tried = match is_packed {
            true => self.admit_packed(id, &entry, &path, now),
            false => self.try_admit(id, &entry, path.clone(), now, how),
        };
        let again = match tried {
            Ok(decided) => !decided,
            // Rotation can unlink a file between listing and opening it. A link may lead nowhere for ever.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return !entry.symlink,
            Err(error) => {
                self.trouble(&path, &error);
                true
            }
        };
        if again && self.refused.len() < REFUSED_MAX {
            self.refused.push((id, entry));
        }
        false
    }

    fn trouble(&self, path: &Path, error: &io::Error) {
        if self.board.trouble(path, &error.to_string()) {
            info!(%error, path = %path.display(), "not read");
        }
    }

    /// False when it cannot be decided yet.
    fn try_admit(
        &mut self,
        id: FolderId,
        entry: &Entry,
        path: PathBuf,
        now: Instant,
        how: Try,
    ) -> io::Result<bool> {
        let meta = fs::metadata(&path)?;
        let inode = Inode::of(&meta);
        if !meta.is_file() || self.own_output.contains(&(inode.dev, inode.ino)) {
            return Ok(true);
        }
        let Some((id, path, name)) = self.real(id, &path, entry) else {
            return Ok(true);
        };
        if self.is_followed(inode, id, &path, &name, now) {
            return Ok(true);
        }
        if self.by_inode.len() >= FILES_MAX {
            if !std::mem::replace(&mut self.said_full, true) {
                warn!(files = FILES_MAX, "too many log files, the rest is not read");
            }
            return Ok(true);
        }
        let file = open(&path)?;
        let inode = Inode::of(&file.metadata()?);
        let (mark, generation) = self.recall(&file, inode, entry.form.is_some())?;
        let mut copy = false;
        let (form, base): (Form, Arc<str>) = match (&mark, entry.form, &entry.rotated_from) {
            (Some(mark), ..) => (mark.form, Arc::clone(&mark.base)),
            (None, Some(Form::Plain), _) => (Form::Plain, path.to_string_lossy().into()),
            (None, Some(Form::Cri), _) => {
                let Some(base) = source::container_base(name.to_str().unwrap_or_default()) else {
                    return Ok(true);
                };
                (Form::Cri, path.with_file_name(base).to_string_lossy().into())
            }
            (None, None, Some(base)) => {
                let base = path.with_file_name(base).to_string_lossy().into();
                match self.kinship(&file, inode, &base)? {
                    Kinship::Unknown if how != Try::Again => return Ok(false),
                    Kinship::Older => return Ok(true),
                    Kinship::Copy => copy = true,
                    Kinship::Unknown | Kinship::Missed => {}
                }
                (Form::Plain, base)
            }
            // No pattern asks for files of the spool.
            (None, Some(Form::Spool), _) | (None, None, None) => return Ok(true),
        };
        self.board.fine(&path);
        let (source, facts) = source::whose(form, Path::new(&*base));
        let origin = Origin {
            form,
            source,
            base: Arc::clone(&base),
            path: path.to_string_lossy().into(),
            folder: id,
            name: name.clone(),
            inode,
            generation,
            facts,
        };
        let mut tail = match &mark {
            Some(mark) => Tail::resume(file, origin, mark, now)?,
            None => {
                let start = if self.is_old(form, inode, how) {
                    self.start_of_old(&file, meta.len())?
                } else {
                    0
                };
                Tail::new(file, origin, start, now)?
            }
        };
        if tail.path != tail.base {
            tail.phase = Phase::Rotated(now);
        }
        if copy {
            tail.make_copy();
        }
        tail.look(now);
        if mark.is_none() {
            tail.begin();
        }
        self.enter(tail, now);
        Ok(true)
    }

    /// Whether the file is followed already; one that had been lost is found again here.
    pub(super) fn is_followed(
        &mut self,
        inode: Inode,
        folder: FolderId,
        path: &Path,
        name: &OsString,
        now: Instant,
    ) -> bool {
        let Some(file) = self.by_inode.get(&(inode.dev, inode.ino)).copied() else {
            return false;
        };
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return false;
        };
        if tail.inode != inode {
            // The old file is gone and its inode number was given to this one.
            self.end(file, End::Gone, now);
            return false;
        }
        if matches!(tail.phase, Phase::Away(_)) {
            tail.folder = folder;
            tail.name.clone_from(name);
            tail.path = path.to_string_lossy().into();
            tail.phase = if tail.path == tail.base {
                Phase::Live
            } else {
                Phase::Rotated(now)
            };
            self.settling.insert(file);
            self.changed.insert(file);
            if let Some(folder) = self.folders.get_mut(folder) {
                folder.names.insert(name.clone(), file);
            }
        }
        true
    }

    /// Where a file really lies: a link is followed to its end, and the folder there is watched.
    fn real(&mut self, id: FolderId, path: &Path, entry: &Entry) -> Option<(FolderId, PathBuf, OsString)> {
        if !entry.symlink {
            return Some((id, path.to_owned(), entry.name.clone()));
        }
        let real = fs::canonicalize(path).ok()?;
        if self.folders.is_excluded(&real) {
            return None;
        }
        let folder = self.folders.open(real.parent()?)?;
        let name = real.file_name()?.to_owned();
        Some((folder, real, name))
    }

    pub(super) fn enter(&mut self, tail: Tail, now: Instant) -> usize {
        let (form, live) = (tail.form, tail.phase == Phase::Live);
        let key = (tail.inode.dev, tail.inode.ino);
        let (base, folder, name) = (Arc::clone(&tail.base), tail.folder, tail.name.clone());
        let is_copy = tail.copy;
        let (is_packed, written) = (tail.packed.is_some(), tail.written);
        let file_name = name.to_string_lossy().into_owned();
        let file = match self.free.pop() {
            Some(free) => free,
            None => {
                self.tails.push(None);
                self.tails.len() - 1
            }
        };
        if let Some(place) = self.tails.get_mut(file) {
            *place = Some(tail);
        }
        self.by_inode.insert(key, file);
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.names.insert(name, file);
        }
        let source = self.sources.entry(base).or_default();
        source.files.push(file);
        if form == Form::Spool {
            source.queue.push_back(file);
        } else if form == Form::Cri && !is_copy {
            let last = source
                .queue
                .back()
                .and_then(|last| self.tails.get(*last)?.as_ref());
            if is_packed {
                let younger = source.queue.iter().position(|queued| {
                    let queued = self.tails.get(*queued).and_then(Option::as_ref);
                    queued.is_some_and(|queued| queued.is_younger_than(&file_name, written))
                });
                source.queue.insert(younger.unwrap_or(source.queue.len()), file);
            } else if !live && last.is_some_and(|last| last.phase == Phase::Live) {
                source.queue.insert(source.queue.len() - 1, file);
            } else {
                source.queue.push_back(file);
            }
            self.settling.extend(source.queue.front());
        }
        if !live {
            self.settling.insert(file);
        }
        self.plan_for(file);
        // Its mark goes out at once, so that another start decides nothing anew.
        self.draft.touch(file, now);
        self.changed.insert(file);
        self.wake(file);
        file
    }
}
