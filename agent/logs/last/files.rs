//! The last lines straight from a pod's files, as the kubelet keeps them: `<namespace>_<pod>_<uid>/<container>/<n>.log`.
//!
//! Each folder is opened from the one above it and no link is followed, so that a pod that can write there leads nobody out.
//! Where reading begins in the middle, the first record of each stream is left out: a secret cut in two is not known as one.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{Level, LogRecord, Tail, TailQuery};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};

use super::{Ground, Wanted};
use crate::cri;
use crate::join::{Group, Join};
use crate::level;
use crate::source::{container_base, is_copy};
use crate::time::Recent;

/// Of one container, from its newest files backwards.
const CONTAINER_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 4;
/// Containers of one answer.
const CONTAINERS_MAX: usize = 16;

/// A folder with a container's files.
struct Container {
    folder: OwnedFd,
    path: PathBuf,
    source: String,
}

/// A file, newest last when sorted: by restart, and the one that is written behind those rotated away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    restart: u32,
    is_live: bool,
    name: String,
}

/// Bytes from the end of a file, or all of it.
struct Piece {
    path: String,
    start: u64,
    bytes: Vec<u8>,
}

/// Whether there is such a pod here.
pub(super) fn knows(ground: &Ground, query: &TailQuery) -> bool {
    containers(ground, query).is_ok_and(|all| !all.is_empty())
}

pub(super) fn read(ground: &Ground, query: &TailQuery, until: Instant) -> io::Result<Tail> {
    let mut tail = Tail::default();
    for container in containers(ground, query)? {
        tail.known = true;
        if Instant::now() >= until {
            tail.cut = true;
            break;
        }
        let (pieces, is_whole) = pieces(ground, &container, until)?;
        tail.cut |= !is_whole;
        records(ground, query, &container, &pieces, is_whole, &mut tail.lines);
    }
    Ok(tail)
}

fn containers(ground: &Ground, query: &TailQuery) -> io::Result<Vec<Container>> {
    let mut found = Vec::new();
    if ground.containers.as_os_str().is_empty() {
        return Ok(found);
    }
    // The root is the configuration's, and may be a link.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match openat(CWD, ground.containers.as_path(), flags, Mode::empty()) {
        Ok(root) => root,
        Err(rustix::io::Errno::NOENT) => return Ok(found),
        Err(error) => return Err(error.into()),
    };
    for pod in names(&root)? {
        let mut parts = pod.split('_');
        let (Some(namespace), Some(name), Some(uid), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let is_asked = uid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && query.has(&format!("{namespace}/{name}/{}", query.container));
        if !is_asked {
            continue;
        }
        let Some(folder) = below(&root, &pod) else {
            continue;
        };
        for container in names(&folder)? {
            let source = format!("{namespace}/{name}/{container}");
            if !query.has(&source) || container.starts_with('.') || found.len() >= CONTAINERS_MAX {
                continue;
            }
            if let Some(folder) = below(&folder, &container) {
                let path = ground.containers.join(&pod).join(&container);
                found.push(Container { folder, path, source });
            }
        }
    }
    Ok(found)
}

/// A real folder of this name; none if it is a link, or gone.
fn below(folder: &OwnedFd, name: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).ok()
}

fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let name = OsStr::from_bytes(CStr::to_bytes(entry?.file_name())).to_owned();
        // Neither the kubelet nor we write others.
        if let Some(name) = name.to_str().filter(|name| !matches!(*name, "." | "..")) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The ends of a container's newest files, oldest first, and whether they are all that the container has said.
fn pieces(ground: &Ground, container: &Container, until: Instant) -> io::Result<(Vec<Piece>, bool)> {
    let mut files: Vec<Name> = Vec::new();
    let mut are_more = false;
    for name in names(&container.folder)? {
        let Some(base) = container_base(&name) else {
            continue;
        };
        let restart = base.trim_end_matches(".log").parse().unwrap_or(0);
        if is_copy(&name) {
            // Its lines are older than any that are read here.
            are_more = true;
            continue;
        }
        files.push(Name {
            restart,
            is_live: base == name,
            name,
        });
    }
    files.sort_unstable();
    let (mut pieces, mut left) = (Vec::new(), CONTAINER_BYTES_MAX);
    let mut is_whole = !are_more && files.len() <= 1;
    for file in files.iter().rev().take(FILES_MAX) {
        let path = container.path.join(&file.name);
        if left == 0 || Instant::now() >= until || is_excluded(ground, &path) {
            is_whole = false;
            break;
        }
        // Behind a hole nothing is known to follow.
        let Some(piece) = piece(container, file, &path, left)? else {
            is_whole = false;
            break;
        };
        left -= (piece.bytes.len() as u64).min(left);
        let is_torn = piece.start > 0;
        pieces.push(piece);
        if is_torn {
            is_whole = false;
            break;
        }
    }
    pieces.reverse();
    Ok((pieces, is_whole))
}

fn is_excluded(ground: &Ground, path: &Path) -> bool {
    let mut globs = ground.exclude.iter();
    globs.any(|glob| path.ancestors().any(|above| glob.matches(above)))
}

/// The last `most` bytes of a file; none if it is no plain file, or gone.
fn piece(container: &Container, file: &Name, path: &Path, most: u64) -> io::Result<Option<Piece>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(opened) = openat(&container.folder, file.name.as_str(), flags, Mode::empty()) else {
        return Ok(None);
    };
    let stat = fstat(&opened)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    let start = length.saturating_sub(most);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    let opened = File::from(opened);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match opened.read_at(rest, start + filled as u64)? {
            // It was cut while it was read.
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(Some(Piece {
        path: path.display().to_string(),
        start,
        bytes,
    }))
}

/// Makes records of the pieces, which follow one another.
fn records(
    ground: &Ground,
    query: &TailQuery,
    container: &Container,
    pieces: &[Piece],
    is_whole: bool,
    lines: &mut Vec<LogRecord>,
) {
    let wanted = Wanted::new(query);
    let mut join = Join::default();
    // Per stream, whether a record is known to begin at the next line.
    let mut begins = [is_whole; 2];
    let mut add = |group: &Group, path: &str| {
        let text = ground.clean(&group.text);
        let level = level::of_line(&group.text).unwrap_or(Level::Info);
        let is_asked = (query.from..=query.to).contains(&group.time)
            && query.level.is_none_or(|least| level >= least)
            && wanted.has(&text);
        if is_asked {
            lines.push(LogRecord {
                time: group.time,
                level,
                source: container.source.as_str().into(),
                stream: match group.stream {
                    2 => "stderr",
                    _ => "stdout",
                }
                .into(),
                text,
                file: path.into(),
                offset_bytes: group.files.first().map_or(0, |(_, offset)| *offset),
            });
        }
    };
    let mut recent = Recent::default();
    for (nth, piece) in pieces.iter().enumerate() {
        let mut at = 0;
        let mut is_first = piece.start > 0;
        // What stands behind the last line feed is still being written.
        while let Some(length) = piece.bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line = piece.bytes.get(at..at + length).unwrap_or_default();
            let offset = piece.start + at as u64;
            at += length + 1;
            // The rest of a line whose front was not read.
            if std::mem::take(&mut is_first) {
                continue;
            }
            let Some(parsed) = cri::parse(line, &mut recent) else {
                continue;
            };
            let Some(begins) = begins.get_mut(usize::from(parsed.stream.number()) - 1) else {
                continue;
            };
            if !std::mem::replace(begins, *begins || !parsed.partial) {
                continue;
            }
            let length = parsed.message.len() as u64;
            if let Some(group) = join.add(&parsed, length, nth, offset, ground.line_bytes_max) {
                let first = group.files.first().and_then(|(nth, _)| pieces.get(*nth));
                add(
                    &group,
                    first.map_or(piece.path.as_str(), |first| first.path.as_str()),
                );
            }
        }
    }
}
