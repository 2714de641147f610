//! One pass over the files that have something to read, a buffer each, so that none waits for another.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::{Outlet, Reader};
use crate::account::Loss;
use crate::lines::At;
use crate::mark::Form;
use crate::multiline::Which;
use crate::source::Source;
use crate::tail::{BUFFER_BYTES, End, Filled, Phase, Tail, open};

/// When lines that may belong to a record are there and not read yet.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a file has for the next pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    More,
    Nothing,
}

impl<O: Outlet> Reader<O> {
    pub(super) fn read_all(&mut self, now: Instant) {
        for _ in 0..self.dirty.len() {
            if self.outbox.is_some() {
                return;
            }
            let Some(file) = self.dirty.pop_front() else {
                return;
            };
            if let Some(tail) = self.tail(file) {
                tail.dirty = false;
            }
            let read = self.read(file, now).unwrap_or_else(|error| {
                self.unreadable(file, &error);
                Read::Nothing
            });
            if read == Read::More {
                self.wake(file);
            }
            if self.draft.is_full() {
                self.seal();
                self.deliver();
            }
        }
    }

    fn unreadable(&mut self, file: usize, error: &io::Error) {
        if let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) {
            tail.at_end = true;
            let path = std::path::Path::new(&*tail.path);
            if self.board.trouble(path, &error.to_string()) {
                info!(%error, path = %path.display(), "log file cannot be read");
            }
        }
    }

    fn read(&mut self, file: usize, now: Instant) -> io::Result<Read> {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(Read::Nothing);
        };
        let readable = tail.end.is_none()
            && !tail.copy
            && self
                .sources
                .get(&tail.base)
                .is_some_and(|source| source.admits(file));
        if !readable {
            return Ok(Read::Nothing);
        }
        if self.waits_for_facts(file, now) {
            return Ok(Read::Nothing);
        }
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(Read::Nothing);
        };
        if tail.file.is_none() && !self.reopen(file, now)? {
            return Ok(Read::Nothing);
        }
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(Read::Nothing);
        };
        let line_bytes_max = match tail.form {
            // What is too long for the sinks is cut when it has been read.
            Form::Spool => usize::MAX,
            Form::Plain | Form::Cri => self.config.line_bytes_max,
        };
        let filled = tail.fill(&mut self.buffer, line_bytes_max, now)?;
        let more = match filled {
            Filled::Nothing => !tail.at_end,
            Filled::Rewritten => self.rewritten(file, now)?,
            Filled::Lines { from, until } => self.take_lines(file, from, until, now),
            Filled::Long { from, bytes, length } => {
                self.take_long(file, from, bytes, length, true, now)?;
                true
            }
        };
        Ok(if more { Read::More } else { Read::Nothing })
    }

    /// Takes lines until all are taken or the draft is full; true when there may be more.
    fn take_lines(&mut self, file: usize, from: usize, until: usize, now: Instant) -> bool {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return false;
        };
        let Some(source) = self.sources.get_mut(&tail.base) else {
            return false;
        };
        let data = self.buffer.get(from..until).unwrap_or_default();
        if source.plan.is_excluded() && !source.join.is_open() && source.multiline.due().is_none() {
            let lines = memchr::memchr_iter(b'\n', data).count();
            self.draft.touch(file, now);
            self.account.let_all_go(Loss::Excluded, lines as u64);
            tail.advance(&self.buffer, from, data.len(), true);
            tail.last = Some(self.lines.now);
            self.changed.insert(file);
            return !tail.at_end;
        }
        let mut at = At {
            file,
            number: self.draft.touch(file, now),
            form: tail.form,
            offset: tail.start,
            skip: tail.skip,
            now: self.lines.now,
            plan: Arc::clone(&source.plan),
        };
        let (mut used, mut dated_until) = (0, 0);
        for end in memchr::memchr_iter(b'\n', data) {
            let line = data.get(used..end).unwrap_or_default();
            at.offset = tail.start + used as u64;
            if at.offset >= dated_until {
                (at.now, dated_until) = tail.date(at.offset, self.lines.now);
            }
            self.lines
                .take(&mut self.draft, source, &at, line, line.len() as u64);
            used = end + 1;
            if self.draft.is_full() {
                break;
            }
        }
        self.lines.settle();
        if let Some(due) = source.multiline.due() {
            self.holding.entry(Arc::clone(&tail.base)).or_insert(due);
        }
        let all = used == data.len();
        tail.advance(&self.buffer, from, used, all);
        tail.last = Some(self.lines.now);
        tail.size = tail.size.max(tail.start);
        self.changed.insert(file);
        !all || !tail.at_end
    }

    /// Takes a line that is longer than the buffer, or the unfinished one at the end of a file.
    pub(super) fn take_long(
        &mut self,
        file: usize,
        from: usize,
        bytes: usize,
        length: u64,
        line_feed: bool,
        now: Instant,
    ) -> io::Result<()> {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(());
        };
        if let Some(source) = self.sources.get_mut(&tail.base) {
            let at = At {
                file,
                number: self.draft.touch(file, now),
                form: tail.form,
                offset: tail.start,
                skip: tail.skip,
                now: tail.date(tail.start, self.lines.now).0,
                plan: Arc::clone(&source.plan),
            };
            let line = self.buffer.get(from..from + bytes).unwrap_or_default();
            self.lines.take(&mut self.draft, source, &at, line, length);
            self.lines.settle();
            if let Some(due) = source.multiline.due() {
                self.holding.entry(Arc::clone(&tail.base)).or_insert(due);
            }
        }
        tail.last = Some(self.lines.now);
        self.changed.insert(file);
        self.buffer.truncate(BUFFER_BYTES);
        self.buffer.shrink_to(BUFFER_BYTES);
        tail.advance_long(length, line_feed)
    }

    /// A file was truncated or written anew (copytruncate): from here on it is another one. True when it can be read.
    fn rewritten(&mut self, file: usize, now: Instant) -> io::Result<bool> {
        self.flush_open(file);
        if self.draft.touches(file) {
            // Its records so far go out under its old identity; it is found rewritten again in the next pass.
            self.seal();
            self.deliver();
            return Ok(true);
        }
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(false);
        };
        debug!(path = %tail.path, read = tail.start, "log file was truncated or written anew");
        self.account.rewritten.inc();
        let mark = tail.mark([None; 3], true);
        if let Some(source) = self.sources.get_mut(&tail.base) {
            source.remember(mark.head);
        }
        self.gone.push(mark);
        tail.restart(now)?;
        tail.begin();
        tail.look(now);
        self.draft.touch(file, now);
        self.changed.insert(file);
        Ok(true)
    }

    /// Makes records of what is open in a file's source: nobody will end them.
    pub(super) fn flush_open(&mut self, file: usize) {
        let Some(tail) = self.tails.get(file).and_then(Option::as_ref) else {
            return;
        };
        if let Some(source) = self.sources.get_mut(&tail.base) {
            // Other plain files of this name go on.
            let which = match tail.form {
                Form::Plain => Which::Of(file),
                Form::Cri | Form::Spool => Which::All,
            };
            self.lines.end(&mut self.draft, source, which);
        }
    }

    /// Ends records of several lines to which nothing has come for a while.
    pub(super) fn end_quiet(&mut self, now: Instant) {
        if self.outbox.is_some() || self.holding.values().all(|due| *due > now) {
            return;
        }
        for (base, due) in std::mem::take(&mut self.holding) {
            let Some(source) = self.sources.get_mut(&base) else {
                continue;
            };
            let is_behind = is_behind(&self.tails, source);
            if due <= now && !is_behind {
                self.lines.end(&mut self.draft, source, Which::Quiet(now));
            }
            if let Some(due) = source.multiline.due() {
                let due = if is_behind { due.max(now + LOOK_AGAIN) } else { due };
                self.holding.insert(base, due);
            }
        }
    }

    /// A closed file was written to after all.
    fn reopen(&mut self, file: usize, now: Instant) -> io::Result<bool> {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Ok(false);
        };
        if tail.packed.is_some() {
            return Ok(false);
        }
        let path = Arc::clone(&tail.path);
        let opened = match open(std::path::Path::new(&*path)) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if crate::mark::Inode::of(&opened.metadata()?) != tail.inode {
            return Ok(false);
        }
        tail.file = Some(opened);
        if tail.phase != Phase::Live {
            tail.phase = Phase::Rotated(now);
        }
        self.settling.insert(file);
        Ok(true)
    }

    /// Lets a file go with the next batch.
    pub(super) fn end(&mut self, file: usize, how: End, now: Instant) {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return;
        };
        tail.end = Some(how);
        tail.close();
        let (front, base) = (tail.front(), Arc::clone(&tail.base));
        self.by_inode.remove(&(tail.inode.dev, tail.inode.ino));
        if let Some(folder) = self.folders.get_mut(tail.folder)
            && folder.names.get(&tail.name) == Some(&file)
        {
            folder.names.remove(&tail.name);
        }
        if how == End::Gone
            && let Some(source) = self.sources.get_mut(&base)
        {
            source.remember_ended(front);
        }
        self.settling.remove(&file);
        self.draft.touch(file, now);
    }
}

/// Whether lines are there that may belong to what is open.
fn is_behind(tails: &[Option<Tail>], source: &Source) -> bool {
    let tail = |file: &usize| tails.get(*file).and_then(Option::as_ref);
    source.queue.len() > 1 || source.files.iter().filter_map(tail).any(|tail| tail.dirty)
}
