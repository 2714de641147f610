//! Files on their way out: rotated, moved away or deleted. None is let go before it was read to its end and nothing
//! more can be expected; a last line without a line feed is a line then.

use std::time::{Duration, Instant};

use super::{Outlet, Reader};
use crate::mark::Form;
use crate::tail::{End, Filled, Phase};

/// What is to be done with a file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask again in a moment.
    Wait,
    /// Nothing to settle until something happens to it.
    Stay,
    /// All of it is read: its last line is whole.
    Finished,
    /// Likewise, and the source's next file is due.
    Next,
    /// Likewise, and it need not be open any more.
    Close,
    /// Likewise, and it is let go.
    End(End),
}

impl<O: Outlet> Reader<O> {
    pub(super) fn settle(&mut self, now: Instant) {
        for file in self.settling.clone() {
            if self.outbox.is_some() {
                return;
            }
            let verdict = self.judge(file, now);
            self.carry_out(file, verdict, now);
            if self.draft.is_full() {
                self.seal();
                self.deliver();
            }
        }
    }

    fn judge(&mut self, file: usize, now: Instant) -> Verdict {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return Verdict::Stay;
        };
        let grown = tail.look(now);
        let read = tail.file.is_none() || (tail.at_end && !tail.dirty && !grown);
        if grown {
            self.wake(file);
        }
        let Some(tail) = self.tails.get(file).and_then(Option::as_ref) else {
            return Verdict::Stay;
        };
        let quiet = now.saturating_duration_since(tail.quiet_since());
        let Some(source) = self.sources.get(&tail.base) else {
            return Verdict::Stay;
        };
        if tail.form == Form::Spool {
            return self.judge_spooled(file, read);
        }
        if tail.form == Form::Cri && source.queue.contains(&file) {
            return self.judge_in_queue(file, read, quiet);
        }
        match tail.phase {
            Phase::Live => Verdict::Stay,
            _ if !read => Verdict::Wait,
            Phase::Deleted(_) if quiet >= self.pace.quiet => Verdict::End(End::Gone),
            // It may only have moved to where we do not look, or the configuration does not name it any more.
            Phase::Away(_) if quiet >= self.pace.quiet => Verdict::End(match tail.file {
                Some(_) => End::Released,
                None => End::Gone,
            }),
            Phase::Rotated(_) if quiet >= self.pace.close => Verdict::Close,
            Phase::Rotated(_) if quiet >= self.pace.quiet && tail.unread() > 0 && self.is_replaced(file) => {
                Verdict::Finished
            }
            _ => Verdict::Wait,
        }
    }

    /// Of a container's files only the last one may still be written to, and for a moment the one before it.
    fn judge_in_queue(&self, file: usize, read: bool, quiet: Duration) -> Verdict {
        let tail = self.tails.get(file).and_then(Option::as_ref);
        let source = tail.and_then(|tail| self.sources.get(&tail.base));
        let (Some(tail), Some(source)) = (tail, source) else {
            return Verdict::Stay;
        };
        if source.queue.front() != Some(&file) {
            return Verdict::Stay;
        }
        let followers = source.queue.len() - 1;
        let done = match followers {
            0 => quiet >= self.pace.quiet,
            1 => quiet >= self.pace.quiet_container,
            _ => true,
        };
        match tail.phase {
            Phase::Live | Phase::Rotated(_) if followers == 0 => Verdict::Stay,
            _ if !read || !done => Verdict::Wait,
            _ if followers > 0 => Verdict::Next,
            Phase::Away(_) => Verdict::End(End::Released),
            _ => Verdict::End(End::Gone),
        }
    }

    /// Whether another file has the name that this one had.
    fn is_replaced(&self, file: usize) -> bool {
        let Some(tail) = self.tails.get(file).and_then(Option::as_ref) else {
            return false;
        };
        self.sources.get(&tail.base).is_some_and(|source| {
            source.files.iter().any(|other| {
                let other = self.tails.get(*other).and_then(Option::as_ref);
                other.is_some_and(|other| other.phase == Phase::Live)
            })
        })
    }

    fn carry_out(&mut self, file: usize, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Wait => {}
            Verdict::Stay => drop(self.settling.remove(&file)),
            Verdict::Finished => self.finish_line(file, now),
            Verdict::Close => {
                if self.is_replaced(file) {
                    self.finish_line(file, now);
                }
                self.close(file);
            }
            Verdict::Next => {
                self.finish_line(file, now);
                self.next_file(file, now);
            }
            Verdict::End(how) => {
                if how == End::Gone {
                    self.finish_line(file, now);
                    self.flush_last(file);
                    // Only what could not be read is left here.
                    let unread = self.tail(file).map_or(0, |tail| tail.unread());
                    self.account.unread_at_unlink.inc_by(unread);
                }
                self.end(file, how, now);
            }
        }
    }

    /// Makes a line of what stands behind the last line feed.
    fn finish_line(&mut self, file: usize, now: Instant) {
        let line_bytes_max = self.config.line_bytes_max;
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return;
        };
        if let Ok(Filled::Long { from, bytes, length }) = tail.fill_rest(&mut self.buffer, line_bytes_max) {
            // A failed read leaves the rest unread; it is counted when the file goes.
            _ = self.take_long(file, from, bytes, length, false, now);
        }
    }

    /// Ends the open records of a source whose last file goes.
    fn flush_last(&mut self, file: usize) {
        let last = self
            .tails
            .get(file)
            .and_then(Option::as_ref)
            .filter(|tail| !tail.copy)
            .and_then(|tail| self.sources.get(&tail.base))
            .is_some_and(|source| source.queue.iter().all(|queued| *queued == file));
        if last {
            self.flush_open(file);
        }
    }

    pub(super) fn next_file(&mut self, file: usize, now: Instant) {
        let Some(tail) = self.tails.get(file).and_then(Option::as_ref) else {
            return;
        };
        let phase = tail.phase;
        let next = self.sources.get_mut(&tail.base).and_then(|source| {
            source.queue.pop_front();
            source.queue.front().copied()
        });
        if let Some(next) = next {
            self.settling.insert(next);
            self.wake(next);
        }
        match phase {
            Phase::Deleted(_) => self.end(file, End::Gone, now),
            Phase::Away(_) => self.end(file, End::Released, now),
            _ => self.close(file),
        }
    }

    /// Gives the descriptor back; the file is opened again if it should be written to after all.
    fn close(&mut self, file: usize) {
        let Some(tail) = self.tails.get_mut(file).and_then(Option::as_mut) else {
            return;
        };
        self.settling.remove(&file);
        // Without inotify nobody would tell that it is written to, so it stays open.
        if tail.form == Form::Spool || tail.packed.is_some() || self.folders.is_watched(tail.folder) {
            tail.file = None;
        }
    }
}
