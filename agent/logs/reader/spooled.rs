//! The files of the spool: read one after the other, each no further than it is on the disk for good.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::settle::Verdict;
use super::{Outlet, Reader};
use crate::folders::FolderId;
use crate::mark::{Form, Inode};
use crate::spool::{self, Kept, News};
use crate::tail::{End, Origin, Tail, open};

/// No folder is looked into for them: the spool itself says which files there are.
const NO_FOLDER: FolderId = FolderId::MAX;

/// What of the spool is followed.
#[derive(Default)]
pub(super) struct Spooled {
    news: Option<News>,
    files: BTreeMap<u64, File>,
}

struct File {
    /// The reader's number of it.
    file: usize,
    is_closed: bool,
}

impl<O: Outlet> Reader<O> {
    /// Reads the spool as well.
    pub(crate) fn follow(&mut self, news: News) {
        self.spooled.news = Some(news);
    }

    pub(super) fn look_at_spool(&mut self, now: Instant) {
        let Some(files) = self.spooled.news.as_mut().and_then(News::take) else {
            return;
        };
        let here: std::collections::BTreeSet<u64> = files.iter().map(|kept| kept.number).collect();
        let gone = self
            .spooled
            .files
            .extract_if(.., |number, _| !here.contains(number));
        for (_, File { file, .. }) in gone.collect::<Vec<_>>() {
            self.drop_spooled(file, now);
        }
        for kept in files {
            let file = match self.spooled.files.get_mut(&kept.number) {
                Some(known) => {
                    known.is_closed = kept.is_closed;
                    known.file
                }
                None => match self.admit_spooled(kept, now) {
                    Ok(file) => file,
                    Err(error) => {
                        let path = self.spool_path(kept.number);
                        if self.board.trouble(&path, &error.to_string()) {
                            tracing::warn!(%error, path = %path.display(), "a spool file cannot be read; it is tried again");
                        }
                        // Those behind it wait, so that all are read in their order.
                        if let Some(news) = &mut self.spooled.news {
                            news.forget();
                        }
                        break;
                    }
                },
            };
            if let Some(tail) = self.tail(file) {
                tail.limit = kept.bytes;
                if tail.look(now) {
                    self.wake(file);
                }
            }
        }
        self.settle_spool();
    }

    fn spool_path(&self, number: u64) -> std::path::PathBuf {
        let folder = self.spooled.news.as_ref().map(News::folder);
        spool::path(folder.unwrap_or(std::path::Path::new("")), number)
    }

    fn admit_spooled(&mut self, kept: Kept, now: Instant) -> io::Result<usize> {
        let path = self.spool_path(kept.number);
        let file = open(&path)?;
        let inode = Inode::of(&file.metadata()?);
        let (mark, generation) = self.recall(&file, inode, true)?;
        let base = path.parent().unwrap_or(&path).to_string_lossy().into_owned();
        let origin = Origin {
            form: Form::Spool,
            source: "spool".into(),
            base: base.into(),
            path: path.to_string_lossy().into(),
            folder: NO_FOLDER,
            name: path.file_name().unwrap_or_default().to_owned(),
            inode,
            generation,
            facts: None,
        };
        let mut tail = match &mark {
            Some(mark) => Tail::resume(file, origin, mark, now)?,
            None => Tail::new(file, origin, 0, now)?,
        };
        tail.limit = kept.bytes;
        tail.look(now);
        if mark.is_none() {
            self.new_files.push(tail.mark([None; 3], false));
        }
        self.board.fine(&path);
        let file = self.enter(tail, now);
        let is_closed = kept.is_closed;
        self.spooled.files.insert(kept.number, File { file, is_closed });
        Ok(file)
    }

    /// Every sink has it: the file is no more, and need not be remembered.
    fn drop_spooled(&mut self, file: usize, now: Instant) {
        let base = self.tail(file).map(|tail| Arc::clone(&tail.base));
        if let Some(source) = base.and_then(|base| self.sources.get_mut(&base)) {
            source.queue.retain(|queued| *queued != file);
        }
        self.end(file, End::Gone, now);
    }

    /// The first file that is not read to its end is the one to look at.
    fn settle_spool(&mut self) {
        let file = self.spooled.files.values().next().map(|first| first.file);
        let base = file
            .and_then(|file| self.tail(file))
            .map(|tail| Arc::clone(&tail.base));
        let first = base
            .and_then(|base| self.sources.get(&base))
            .and_then(|source| source.queue.front().copied());
        if let Some(first) = first {
            self.settling.insert(first);
            self.wake(first);
        }
    }

    /// A file that is closed is followed by the next one at once: its end was on the disk before that was begun.
    pub(super) fn judge_spooled(&self, file: usize, read: bool) -> Verdict {
        let tail = self.tails.get(file).and_then(Option::as_ref);
        let source = tail.and_then(|tail| self.sources.get(&tail.base));
        let is_first = source.is_some_and(|source| source.queue.front() == Some(&file));
        let is_closed = self
            .spooled
            .files
            .values()
            .any(|known| known.file == file && known.is_closed);
        match (is_first && is_closed, read) {
            (false, _) => Verdict::Stay,
            (true, false) => Verdict::Wait,
            (true, true) => Verdict::Next,
        }
    }
}
