//! Which files there are: takes in new ones, and notices the old ones' new names.
//!
//! A file is its inode and content. Its name says who writes it, and whether it is the one being written.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use super::{FILES_MAX, Outlet, Reader};
use crate::config::ReadFrom;
use crate::folders::{Entry, FolderId};
use crate::mark::{FileMark, Form, Inode};
use crate::source;
use crate::tail::{End, Origin, Phase, Tail, open};

/// What of an old plain file is read on the first start.
const RECENT_BYTES: u64 = 1 << 20;
/// Files to be tried again at most.
const REFUSED_MAX: usize = 1_000;

/// How a file comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    /// It was there when its folder was first listed.
    FirstListing,
    New,
    /// It could not be taken in, or not decided on, a while ago.
    Again,
}

/// What a file with the name of a rotated one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    /// Older than our first start: it was not asked for.
    Older,
    /// What a copytruncate leaves: its lines have been read.
    Copy,
    /// Made and renamed while nobody looked: all of it is new.
    Missed,
    /// Too short to tell; a copy grows at once.
    Unknown,
}

impl<O: Outlet> Reader<O> {
    /// The regular look at everything, for what inotify did not tell.
    pub(super) fn survey(&mut self, now: Instant, all: bool) {
        self.folders.survey(all);
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
            let (phase, unread) = (tail.phase, tail.look(now));
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
            self.admit(id, entry, now, if first { Try::FirstListing } else { Try::New });
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
            let key = |entry: &Entry| {
                let name = entry.name.to_string_lossy().into_owned();
                let live = source::container_base(&name) == Some(name.as_str());
                (entry.form.is_none(), live, name)
            };
            key(left).cmp(&key(right))
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
        {
            tail.look(now);
            if !matches!(tail.phase, Phase::Deleted(_)) {
                tail.phase = Phase::Away(now);
            }
            self.settling.insert(file);
            self.wake(file);
        }
    }

    /// Takes in a file, unless it is not to be read.
    fn admit(&mut self, id: FolderId, entry: Entry, now: Instant, how: Try) {
        let name = entry.name.to_string_lossy();
        let wanted =
            entry.form.is_some() || entry.rotated_from.is_some() || self.orphans.contains_key(&entry.ino);
        if !wanted
            || source::is_copy(&name)
            || (entry.form == Some(Form::Cri) && source::container_base(&name).is_none())
        {
            return;
        }
        let Some(path) = self.folders.get(id).map(|folder| folder.path.join(&entry.name)) else {
            return;
        };
        if self.folders.is_excluded(&path) {
            return;
        }
        let again = match self.try_admit(id, &entry, path.clone(), now, how) {
            Ok(decided) => !decided,
            // Rotation can unlink a file between listing and opening it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                self.trouble(&path, &error);
                true
            }
        };
        if again && self.refused.len() < REFUSED_MAX {
            self.refused.push((id, entry));
        }
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
                let base = source::container_base(name.to_str().unwrap_or_default()).unwrap_or_default();
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
            (None, None, None) => return Ok(true),
        };
        self.board.fine(&path);
        let origin = Origin {
            form,
            source: source::name(form, Path::new(&*base)),
            base: Arc::clone(&base),
            path: path.to_string_lossy().into(),
            folder: id,
            name: name.clone(),
            inode,
            generation,
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
        self.enter(tail, now);
        Ok(true)
    }

    /// Whether the file is followed already; one that had been lost is found again here.
    fn is_followed(
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

    /// The mark an earlier run has left of this file, and the generation of its content.
    ///
    /// Without `named`, a pattern must name the file that it was once.
    fn recall(&mut self, file: &File, inode: Inode, named: bool) -> io::Result<(Option<FileMark>, u32)> {
        let Some(marks) = self.orphans.get_mut(&inode.ino) else {
            return Ok((None, 0));
        };
        let mut generation = 0;
        let mut at = 0;
        while let Some((mark, _)) = marks.get(at) {
            if !named && !self.folders.wants(Path::new(&*mark.base)) {
                at += 1;
            } else if mark.is_of(file, inode)? {
                let (mark, _) = marks.swap_remove(at);
                generation = mark.generation;
                return Ok((Some(mark), generation));
            } else if mark.inode.born == inode.born && mark.inode.dev == inode.dev {
                // The same file with other content: truncated while nobody looked.
                let (mark, _) = marks.swap_remove(at);
                self.sources
                    .entry(Arc::clone(&mark.base))
                    .or_default()
                    .remember(mark.head);
                generation = generation.max(mark.generation.wrapping_add(1));
                self.account.rewritten.inc();
                self.gone.push(FileMark { gone: true, ..mark });
            } else {
                at += 1;
            }
        }
        Ok((None, generation))
    }

    /// What a file with the name of a rotated one, but without a mark, is to what we have read.
    fn kinship(&self, file: &File, inode: Inode, base: &Arc<str>) -> io::Result<Kinship> {
        if inode.born == 0 || inode.born / 1_000_000 < self.first_start.0 {
            return Ok(Kinship::Older);
        }
        let Some(source) = self.sources.get(base) else {
            return Ok(Kinship::Missed);
        };
        let length = file.metadata()?.len();
        let mut heads = source.heads.clone();
        for other in &source.files {
            heads.extend(self.tails.get(*other).and_then(Option::as_ref).map(Tail::front));
        }
        let mut kinship = Kinship::Missed;
        for head in heads.into_iter().filter(|head| head.bytes > 0) {
            if head.is_of(file, 0)? {
                return Ok(Kinship::Copy);
            }
            if length < u64::from(head.bytes) {
                kinship = Kinship::Unknown;
            }
        }
        Ok(kinship)
    }

    /// Whether a file without a mark is older than our first start here.
    fn is_old(&self, form: Form, inode: Inode, how: Try) -> bool {
        let older = if inode.born == 0 {
            self.fresh
        } else {
            inode.born / 1_000_000 < self.first_start.0
        };
        form == Form::Plain && how == Try::FirstListing && older
    }

    /// Where reading of an old file begins: at the beginning of a line.
    fn start_of_old(&self, file: &File, length: u64) -> io::Result<u64> {
        let from = match self.config.read_from {
            ReadFrom::Beginning => return Ok(0),
            ReadFrom::Recent => length.saturating_sub(RECENT_BYTES),
            ReadFrom::End => length,
        };
        if from == 0 {
            return Ok(0);
        }
        // From one byte earlier, so that a line that begins just there is whole.
        let mut bytes = vec![0; 64 << 10];
        if from == length {
            let early = from.saturating_sub(bytes.len() as u64);
            let count = file.read_at(&mut bytes, early)?;
            let last = memchr::memrchr(b'\n', bytes.get(..count).unwrap_or_default());
            return Ok(last.map_or(length, |last| early + last as u64 + 1));
        }
        let count = file.read_at(&mut bytes, from - 1)?;
        let next = memchr::memchr(b'\n', bytes.get(..count).unwrap_or_default());
        Ok(next.map_or(from, |next| from + next as u64))
    }

    fn enter(&mut self, tail: Tail, now: Instant) {
        let (form, live) = (tail.form, tail.phase == Phase::Live);
        let key = (tail.inode.dev, tail.inode.ino);
        let (base, folder, name) = (Arc::clone(&tail.base), tail.folder, tail.name.clone());
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
        if form == Form::Cri {
            let last = source
                .queue
                .back()
                .and_then(|last| self.tails.get(*last)?.as_ref());
            if !live && last.is_some_and(|last| last.phase == Phase::Live) {
                source.queue.insert(source.queue.len() - 1, file);
            } else {
                source.queue.push_back(file);
            }
            self.settling.extend(source.queue.front());
        }
        if !live {
            self.settling.insert(file);
        }
        // Its mark goes out at once, so that another start decides nothing anew.
        self.draft.touch(file, now);
        self.changed.insert(file);
        self.wake(file);
    }

    fn forget_orphans(&mut self, now: Instant) {
        let forget = self.pace.forget;
        let gone = &mut self.gone;
        self.orphans.retain(|_, marks| {
            marks.retain(|(mark, since)| {
                let keep = now.saturating_duration_since(*since) < forget;
                if !keep {
                    gone.push(FileMark {
                        gone: true,
                        ..mark.clone()
                    });
                }
                keep
            });
            !marks.is_empty()
        });
    }
}
