//! What an earlier run, or an earlier content, tells about a file that comes up: where to begin in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::admit::Try;
use super::{Outlet, Reader};
use crate::config::ReadFrom;
use crate::mark::{FileMark, Form, Inode};
use crate::tail::Tail;

/// What of an old plain file is read on the first start.
const RECENT_BYTES: u64 = 1 << 20;

/// What a file with the name of a rotated one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinship {
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
    /// The mark an earlier run has left of this file, and the generation of its content.
    ///
    /// Without `named`, a pattern must name the file that it was once.
    pub(super) fn recall(
        &mut self,
        file: &File,
        inode: Inode,
        named: bool,
    ) -> io::Result<(Option<FileMark>, u32)> {
        let Some(marks) = self.orphans.get_mut(&inode.ino) else {
            return Ok((None, 0));
        };
        let mut generation = 0;
        let mut at = 0;
        while let Some((mark, _)) = marks.get(at) {
            if mark.packed || (!named && !self.folders.wants(Path::new(&*mark.base))) {
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
    pub(super) fn kinship(&self, file: &File, inode: Inode, base: &Arc<str>) -> io::Result<Kinship> {
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
    pub(super) fn is_old(&self, form: Form, inode: Inode, how: Try) -> bool {
        let older = if inode.born == 0 {
            self.fresh
        } else {
            inode.born / 1_000_000 < self.first_start.0
        };
        form == Form::Plain && how == Try::FirstListing && older
    }

    /// Where reading of an old file begins: at the beginning of a line.
    pub(super) fn start_of_old(&self, file: &File, length: u64) -> io::Result<u64> {
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

    pub(super) fn forget_orphans(&mut self, now: Instant) {
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
