//! Files that were packed after rotation: passed over once their content is proven read, and else read from where
//! reading stood in the file they were made of.
//!
//! Whoever packs a file removes it afterwards. While it is followed it is read to its end all the same; only what was
//! packed while nobody looked has to be found in the packed file. Its records have the ids they would have had.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{FILES_MAX, Outlet, Reader};
use crate::folders::{Entry, FolderId};
use crate::mark::{FileMark, Form, Inode};
use crate::source;
use crate::tail::{Origin, Phase, Tail, open};
use crate::unpack;

/// A file that cannot be unpacked may still be being packed; one that has not changed for so long is not.
const UNFINISHED: Duration = Duration::from_secs(60);

/// What a packed file is to what we have read.
enum Content {
    /// All of it has been or is being read elsewhere, or was never asked for; this mark says so already.
    Read(Option<FileMark>),
    /// It was read up to the place that this mark has, or not at all, and has so many bytes in all.
    Unread(Option<FileMark>, u64),
    /// It cannot be told yet.
    Unknown,
}

impl<O: Outlet> Reader<O> {
    /// Takes in a packed file; false when it cannot be decided yet.
    pub(super) fn admit_packed(
        &mut self,
        id: FolderId,
        entry: &Entry,
        path: &Path,
        now: Instant,
    ) -> io::Result<bool> {
        let meta = fs::metadata(path)?;
        let inode = Inode::of(&meta);
        if !meta.is_file() || self.is_followed(inode, id, path, &entry.name, now) {
            return Ok(true);
        }
        if self.by_inode.len() >= FILES_MAX {
            return Ok(true);
        }
        let Some((form, base)) = self.base_of_packed(entry, path) else {
            return Ok(true);
        };
        if meta.len() == 0 {
            // Nothing is packed in nothing: it is only being made.
            return Ok(false);
        }
        let file = open(path)?;
        let known = self.recall_packed(inode);
        let remembered = known.clone();
        let content = match known {
            Some(mark) if mark.copy => self.content_of_known(&file, mark, path),
            Some(mark) => unpack::length_of(&file, &mark).map(|length| match length {
                Some(length) => Content::Unread(Some(mark), length),
                None => Content::Read(Some(mark)),
            }),
            None => self.content(&file, inode, &base, path, now),
        };
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                if let Some(mark) = remembered {
                    self.put_back(mark, now);
                }
                if !is_damage(&error) {
                    return Err(error);
                }
                let quiet = meta.modified().ok().and_then(|modified| modified.elapsed().ok());
                if error.kind() == ErrorKind::UnexpectedEof && quiet.is_none_or(|quiet| quiet < UNFINISHED) {
                    return Ok(false);
                }
                info!(%error, path = %path.display(), "not a file packed by gzip, or a damaged one; not read");
                return Ok(true);
            }
        };
        let (source, facts) = source::whose(form, Path::new(&*base));
        let origin = Origin {
            form,
            source,
            base,
            path: path.to_string_lossy().into(),
            folder: id,
            name: entry.name.clone(),
            inode,
            generation: 0,
            facts,
        };
        match content {
            Content::Unknown => return Ok(false),
            Content::Read(mark) => self.enter_read(file, origin, mark.as_ref(), now)?,
            Content::Unread(mark, length) => self.enter_unpacked(file, origin, mark, length, now)?,
        }
        Ok(true)
    }

    /// What its lines are, and the name their writer has used.
    fn base_of_packed(&self, entry: &Entry, path: &Path) -> Option<(Form, Arc<str>)> {
        let name = entry.name.to_str()?;
        let (form, base) = match (entry.form, &entry.rotated_from) {
            (Some(Form::Cri), _) => (Form::Cri, source::container_base(name)?),
            (_, Some(base)) => (Form::Plain, base.as_str()),
            (Some(Form::Plain), None) => (Form::Plain, name.strip_suffix(source::PACKED)?),
            _ => return None,
        };
        Some((form, path.with_file_name(base).to_string_lossy().into()))
    }

    /// The mark that an earlier run has left of the packed file itself.
    fn recall_packed(&mut self, inode: Inode) -> Option<FileMark> {
        let marks = self.orphans.get_mut(&inode.ino)?;
        let at = marks.iter().position(|(mark, _)| {
            (mark.packed || mark.copy) && mark.inode.ino == inode.ino && mark.inode.born == inode.born
        })?;
        Some(marks.swap_remove(at).0)
    }

    /// What could not be read now is tried again, and has to be found again then.
    fn put_back(&mut self, mark: FileMark, now: Instant) {
        self.orphans.entry(mark.inode.ino).or_default().push((mark, now));
    }

    /// Of one that an earlier run has known as the copy of a file that it followed: it may have died before it had read that
    /// file to its end, and the file has gone meanwhile.
    fn content_of_known(&mut self, file: &File, known: FileMark, path: &Path) -> io::Result<Content> {
        let is_missing = |mark: &FileMark| !mark.packed && !mark.copy && is_near(mark, path);
        if !self.orphans.values().flatten().any(|(mark, _)| is_missing(mark)) {
            return Ok(Content::Read(Some(known)));
        }
        let front = unpack::front(file)?;
        Ok(match self.recall_unpacked(file, &front, path)? {
            Some((mark, length)) if !mark.copy && length > mark.resume_bytes() => {
                self.gone.push(FileMark { gone: true, ..known });
                Content::Unread(Some(mark), length)
            }
            Some((mark, _)) => {
                self.gone.push(FileMark { gone: true, ..mark });
                Content::Read(Some(known))
            }
            None => Content::Read(Some(known)),
        })
    }

    fn content(
        &mut self,
        file: &File,
        inode: Inode,
        base: &Arc<str>,
        path: &Path,
        now: Instant,
    ) -> io::Result<Content> {
        let front = unpack::front(file)?;
        if front.is_empty() {
            return Ok(Content::Read(None));
        }
        if let Some(source) = self.sources.get(base) {
            let is_gone = source.heads.iter().any(|head| head.is_front_of(&front))
                || source.ended.iter().any(|head| head.is_front(&front));
            let followed = source.files.iter().copied().find(|file| {
                let tail = self.tails.get(*file).and_then(Option::as_ref);
                tail.is_some_and(|tail| tail.front().is_front(&front))
            });
            if let Some(followed) = followed {
                // If we die before it is read, its mark says which one it was.
                self.draft.touch(followed, now);
                if let Some(tail) = self.tail(followed).filter(|tail| tail.phase != Phase::Live) {
                    tail.packed_name = path.file_name().map(ToOwned::to_owned);
                }
                return Ok(Content::Read(None));
            }
            if is_gone {
                return Ok(Content::Read(None));
            }
            if source.join.is_open() && self.has_begun(base) && self.is_passed(base, path) {
                // What is open goes on in a younger file than this one.
                return Ok(Content::Unknown);
            }
        }
        if let Some((mark, length)) = self.recall_unpacked(file, &front, path)? {
            return Ok(match mark.copy || length <= mark.resume_bytes() {
                true => {
                    self.gone.push(FileMark { gone: true, ..mark });
                    Content::Read(None)
                }
                false => Content::Unread(Some(mark), length),
            });
        }
        // Made and packed while nobody looked; or older than our first start, and not asked for.
        if inode.born == 0 || inode.born / 1_000_000 < self.first_start.0 {
            return Ok(Content::Read(None));
        }
        Ok(Content::Unread(None, unpack::length(file)?))
    }

    /// Whether lines of a source have been read in this run.
    fn has_begun(&self, base: &Arc<str>) -> bool {
        let source = self.sources.get(base);
        let front = source.and_then(|source| self.tails.get(*source.queue.front()?)?.as_ref());
        front.is_some_and(|tail| tail.last.is_some())
    }

    /// Whether the file that is being read was written after what is in this packed one. If not, it is the turn of the packed one
    /// before any that is younger, and what is open may go on in it.
    fn is_passed(&self, base: &Arc<str>, path: &Path) -> bool {
        let front = self.sources.get(base).and_then(|source| source.queue.front());
        let front = front.and_then(|front| self.tails.get(*front)?.as_ref());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        front.is_some_and(|front| front.is_younger_than(&name, written_at(path)))
    }

    /// The mark of the file that this one was made of, which is no more, and how much that file had.
    fn recall_unpacked(
        &mut self,
        file: &File,
        front: &[u8],
        path: &Path,
    ) -> io::Result<Option<(FileMark, u64)>> {
        let mut found = None;
        'marks: for (ino, marks) in &self.orphans {
            for (nth, (mark, _)) in marks.iter().enumerate() {
                let may_be = !mark.packed
                    && mark.form != Form::Spool
                    && is_near(mark, path)
                    && mark.head.is_front_of(front);
                let length = match may_be {
                    true if mark.copy => Some(0),
                    true => unpack::length_of(file, mark)?,
                    false => None,
                };
                if let Some(length) = length {
                    found = Some((*ino, nth, length));
                    break 'marks;
                }
            }
        }
        Ok(found.and_then(|(ino, nth, length)| {
            let marks = self.orphans.get_mut(&ino)?;
            Some((marks.swap_remove(nth).0, length))
        }))
    }

    /// It is known from now on, in order not to be read.
    fn enter_read(
        &mut self,
        file: File,
        origin: Origin,
        mark: Option<&FileMark>,
        now: Instant,
    ) -> io::Result<()> {
        let mut tail = Tail::new(file, origin, 0, now)?;
        if let Some(mark) = mark {
            tail.id = mark.id;
        }
        tail.make_copy();
        tail.phase = Phase::Rotated(now);
        self.enter(tail, now);
        Ok(())
    }

    fn enter_unpacked(
        &mut self,
        file: File,
        mut origin: Origin,
        mark: Option<FileMark>,
        length: u64,
        now: Instant,
    ) -> io::Result<()> {
        let from = mark.as_ref().map_or(0, FileMark::resume_bytes);
        if let Some(mark) = &mark {
            (origin.form, origin.base) = (mark.form, Arc::clone(&mark.base));
        }
        let (path, unread) = (Arc::clone(&origin.path), length.saturating_sub(from));
        if unread > self.config.pinned_bytes_max {
            warn!(path = %path, bytes = unread, "packed log file not read: unpacked it takes more room than logs.pinned_bytes_max");
            self.account.shed.inc_by(unread);
            return self.enter_read(file, origin, mark.as_ref(), now);
        }
        let unpacked = unpack::unpack(&file, from, self.folders.own());
        let (unpacked, length) = match unpacked {
            Ok(unpacked) => unpacked,
            Err(error) => {
                if let Some(mark) = mark {
                    self.put_back(mark, now);
                }
                return Err(error);
            }
        };
        info!(path = %path, bytes = unread, "lines that were packed before they were read are read now");
        let is_new = mark.is_none();
        let mut tail = match &mark {
            Some(mark) => Tail::resume(unpacked, origin, mark, now)?,
            None => Tail::new(unpacked, origin, 0, now)?,
        };
        tail.packed = Some(length);
        tail.written = written_at(Path::new(&*path));
        tail.phase = Phase::Rotated(now);
        tail.look(now);
        if is_new {
            tail.begin();
        }
        self.enter(tail, now);
        Ok(())
    }
}

/// When what is in a packed file was last written to: who packs keeps the time of what he packs.
fn written_at(path: &Path) -> i64 {
    fs::metadata(path).map_or(i64::MAX, |meta| {
        meta.mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(meta.mtime_nsec())
    })
}

/// Whether a file was in the folder of this path.
fn is_near(mark: &FileMark, path: &Path) -> bool {
    let folder = path.parent();
    [&mark.path, &mark.base]
        .iter()
        .any(|name| Path::new(&***name).parent() == folder)
}

/// Whether what was read is no whole packed file, which reading it again does not change.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData
    )
}
