//! The records of a file as the shipping code makes them, a batch at a time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use model::Timestamp;
use prometheus::Registry;

use super::Subject;
use crate::account::{Account, Metrics};
use crate::batch::Row;
use crate::config::Config;
use crate::draft::{Draft, Size};
use crate::lines::{At, Lines};
use crate::mark::FileMark;
use crate::multiline::{QUIET, Which};
use crate::plan::Planner;
use crate::redact::Redaction;
use crate::source::{Source, container_base, is_copy};

/// Records compared at a time.
const RECORDS_MAX: usize = 1_000;

/// A record of one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) offset: u64,
    /// Where it begins, counted from 1.
    pub(super) line: u64,
    pub(super) row: Row,
}

impl Record {
    /// Whether the sink has acknowledged all up to it and it itself.
    pub(super) fn is_done(&self, mark: &FileMark) -> bool {
        let done = mark.done.get(usize::from(self.row.stream));
        done.is_some_and(|done| self.offset < *done)
    }
}

/// Reads the files one after the other.
pub(super) struct Records<'a> {
    group: &'a [Subject],
    line_bytes_max: usize,
    making: Lines,
    planner: Planner,
    /// Of the file that is being read, and what is open in it.
    source: Source,
    base: Arc<str>,
    draft: Draft,
    reading: Option<Reading>,
    /// Which file is being read.
    file: usize,
    /// Of each file, so far.
    lines: Vec<u64>,
    /// Beginnings of lines of which no record has been made yet.
    begun: Vec<Begun>,
}

struct Reading {
    file: BufReader<File>,
    offset: u64,
}

struct Begun {
    file: usize,
    offset: u64,
    line: u64,
}

impl<'a> Records<'a> {
    pub(super) fn open(group: &'a [Subject], config: &Config) -> Result<Self, String> {
        let line_bytes_max = config.line_bytes_max;
        // What is counted here is nobody's account.
        let account = Account::new(&Metrics::new(&Registry::new()), "verify");
        Ok(Self {
            group,
            line_bytes_max,
            making: Lines::new(Arc::new(account), Redaction::default(), line_bytes_max),
            planner: Planner::new(config, None),
            source: Source::default(),
            base: "".into(),
            draft: Draft::new(Size::default()),
            reading: None,
            file: 0,
            lines: vec![0; group.len()],
            begun: Vec::new(),
        })
    }

    /// The next records, in the order of their files and places; none at the end. A line that is still being written and a
    /// record that is not finished are none yet.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Record>>, String> {
        let mut lines = 0;
        while lines < RECORDS_MAX && !self.draft.is_full() {
            match self.line() {
                Ok(true) => lines += 1,
                Ok(false) => break,
                Err(error) => {
                    let path = self
                        .group
                        .get(self.file)
                        .map(|subject| subject.path.display().to_string());
                    return Err(format!("{}: {error}", path.unwrap_or_default()));
                }
            }
        }
        let (batch, files) = self.draft.finish(None);
        let mut records: Vec<Record> = batch
            .rows
            .iter()
            .filter_map(|row| {
                let file = files.get(usize::from(row.file))?.file;
                let begun = |begun: &Begun| (begun.file, begun.offset);
                let place = self.begun.binary_search_by_key(&(file, row.offset), begun).ok()?;
                Some(Record {
                    file,
                    offset: row.offset,
                    line: self.begun.get(place)?.line,
                    row: *row,
                })
            })
            .collect();
        records.sort_unstable_by_key(|record| (record.file, record.offset));
        self.forget();
        Ok((lines > 0 || !records.is_empty()).then_some(records))
    }

    /// Of each file, how many whole lines it has.
    pub(super) fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// Keeps only what an open record may begin at.
    fn forget(&mut self) {
        let source = &self.source;
        self.begun
            .retain(|begun| source.open_in(begun.file).contains(&Some(begun.offset)));
    }

    /// Takes one line; false when no file has another.
    fn line(&mut self) -> io::Result<bool> {
        loop {
            let Some(subject) = self.group.get(self.file) else {
                self.end_what_is_quiet()?;
                return Ok(false);
            };
            if self.base != subject.mark.base {
                // Of another start of the container, or another file.
                self.making.end(&mut self.draft, &mut self.source, Which::All);
                let facts = subject.mark.facts.as_deref();
                self.base = Arc::clone(&subject.mark.base);
                self.source = Source::default();
                self.source.plan = self.planner.plan(subject.mark.form, &self.base, facts);
            }
            if self.reading.is_none() {
                self.reading = Some(Reading {
                    file: BufReader::with_capacity(256 << 10, File::open(&subject.path)?),
                    offset: 0,
                });
            }
            let Some(reading) = &mut self.reading else {
                return Ok(false);
            };
            let Some((line, length)) = reading.line(self.line_bytes_max)? else {
                self.reading = None;
                self.file += 1;
                continue;
            };
            let offset = reading.offset;
            reading.offset += length + 1;
            let number = self.lines.get_mut(self.file).map_or(0, |lines| {
                *lines += 1;
                *lines
            });
            self.begun.push(Begun {
                file: self.file,
                offset,
                line: number,
            });
            let now = Instant::now();
            let at = At {
                file: self.file,
                number: self.draft.touch(self.file, now),
                form: subject.mark.form,
                offset,
                skip: [0; 3],
                now: Timestamp(0),
                plan: Arc::clone(&self.source.plan),
            };
            (self.making.now, self.making.running) = (Timestamp(0), now);
            self.making
                .take(&mut self.draft, &mut self.source, &at, &line, length);
            return Ok(true);
        }
    }

    /// A record of several lines at the end of the last file is one, when nothing has come to it for a while.
    fn end_what_is_quiet(&mut self) -> io::Result<()> {
        let Some(last) = self.group.last() else {
            return Ok(());
        };
        let age = fs::metadata(&last.path)?
            .modified()?
            .elapsed()
            .unwrap_or_default();
        if age >= QUIET {
            let late = Instant::now() + QUIET;
            self.making
                .end(&mut self.draft, &mut self.source, Which::Quiet(late));
        }
        Ok(())
    }
}

impl Reading {
    /// The front of the next whole line, and its length; none where there is no more.
    fn line(&mut self, bytes_max: usize) -> io::Result<Option<(Vec<u8>, u64)>> {
        let mut line = Vec::new();
        let mut front = (&mut self.file).take(bytes_max as u64 + 1);
        front.read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
            let length = line.len() as u64;
            return Ok(Some((line, length)));
        }
        // The rest of a line that is too long, without keeping it.
        let mut length = line.len() as u64;
        loop {
            let rest = self.file.fill_buf()?;
            if rest.is_empty() {
                return Ok(None);
            }
            let (used, is_end) = match memchr::memchr(b'\n', rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), false),
            };
            self.file.consume(used);
            length += used as u64 - u64::from(is_end);
            if is_end {
                line.truncate(bytes_max);
                return Ok(Some((line, length)));
            }
        }
    }
}

/// Files of one container, oldest first: by restart, and what was rotated away before what is written.
pub(super) fn container_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = name_of(&path);
        let Some(base) = container_base(&name).filter(|_| !is_copy(&name)) else {
            continue;
        };
        let restart: u32 = base.trim_end_matches(".log").parse().unwrap_or(0);
        files.push(((restart, base == name, name.clone()), path));
    }
    files.sort_unstable();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Folders in a folder; none when it is not there.
pub(super) fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
