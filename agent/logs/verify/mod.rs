//! Compares log files with what a sink holds of them: which records are there, which are not, which are there twice.
//!
//! Records are made by the code that ships them, from the file as it is now, so that their ids are those of the sink. Nothing is
//! written and no running process is needed. Memory does not grow with the file.

mod held;
mod records;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Client;
use serde::Serialize;

use self::held::{Held, Ids, Kept};
use self::records::{Record, Records};
use crate::SEGMENTS;
use crate::config::Config;
use crate::mark::{FileMark, Form, Inode};
use crate::sink::letters;

/// Ranges of lines that are listed of one kind.
const RANGES_MAX: usize = 20;

/// What there is to compare with.
pub struct Verify<'a> {
    pub config: &'a Config,
    /// The room's own folder: `<data directory>/logs`.
    pub folder: &'a Path,
    /// This machine's name, which is part of every id.
    pub host: &'a str,
    pub client: Arc<dyn Client>,
}

/// Lines of a file, the first and the last of them, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lines {
    pub first: u64,
    pub last: u64,
}

/// Records of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    pub records: u64,
    /// Where they begin, the first of them.
    pub lines: Vec<Lines>,
    /// Offset of the first one in the file.
    pub first_offset: Option<u64>,
    /// Whether there are more ranges than are listed.
    pub is_full: bool,
}

/// What is said of one file and one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub file: String,
    pub sink: String,
    pub lines: u64,
    pub records: u64,
    /// In the sink, once or more often.
    pub found: u64,
    /// Acknowledged, and not there.
    pub missing: Found,
    /// There more than once.
    pub doubled: Found,
    /// Behind the place reached, and not there yet.
    pub waiting: Found,
    /// Never taken by the sink, and kept as dead letters.
    pub refused: Found,
    /// Nothing was ever read of the file for this sink.
    pub is_unknown: bool,
}

impl Verdict {
    /// Whether every record is there, once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        [&self.missing, &self.doubled, &self.waiting, &self.refused]
            .iter()
            .all(|kind| kind.records == 0)
    }
}

impl Found {
    fn add(&mut self, record: &Record, goes_on: bool) {
        self.records += 1;
        self.first_offset.get_or_insert(record.offset);
        let is_room = self.lines.len() < RANGES_MAX;
        match self.lines.last_mut() {
            Some(range) if goes_on && !self.is_full => range.last = record.line,
            _ if is_room => self.lines.push(Lines {
                first: record.line,
                last: record.line,
            }),
            _ => self.is_full = true,
        }
    }
}

/// A file with what a sink knows of it.
pub(crate) struct Subject {
    pub(crate) path: PathBuf,
    pub(crate) mark: FileMark,
    is_unknown: bool,
    /// Only read because a record of an asked file may begin in it.
    is_asked: bool,
}

impl Verify<'_> {
    /// Names of the sinks that can be compared with.
    #[must_use]
    pub fn sinks(&self) -> Vec<String> {
        let local = self.config.local.then(|| SEGMENTS.to_owned());
        let elsewhere = self.config.opensearch.iter().map(|sink| sink.name.clone());
        local.into_iter().chain(elsewhere).collect()
    }

    /// The files of pods of this name, of one container or all, oldest first.
    ///
    /// # Errors
    /// The folder of container logs cannot be read.
    pub fn files_of(&self, namespace: &str, pod: &str, container: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in records::folders(&self.config.containers)? {
            let name = records::name_of(&folder);
            let mut parts = name.split('_');
            let (Some(of), Some(called)) = (parts.next(), parts.next()) else {
                continue;
            };
            if of != namespace || called != pod {
                continue;
            }
            for inner in records::folders(&folder)? {
                if container.is_empty() || records::name_of(&inner) == container {
                    found.extend(records::container_files(&inner)?);
                }
            }
        }
        Ok(found)
    }

    /// Compares files with one sink.
    ///
    /// # Errors
    /// A sentence: no such sink, a file that cannot be read, or a sink that does not answer.
    pub async fn compare(&self, sink: &str, files: &[PathBuf]) -> Result<Vec<Verdict>, String> {
        let folder = match sink {
            SEGMENTS if self.config.local => self.folder.to_owned(),
            name => self.folder.join(name),
        };
        let marks = held::marks(&folder).map_err(|error| format!("reading {}: {error}", folder.display()))?;
        let mut verdicts = Vec::new();
        let mut asked: Vec<PathBuf> = Vec::new();
        for file in files {
            let path = std::fs::canonicalize(file).map_err(|error| format!("{}: {error}", file.display()))?;
            if !asked.contains(&path) {
                asked.push(path);
            }
        }
        let mut done: HashSet<PathBuf> = HashSet::new();
        for path in &asked {
            if done.contains(path) {
                continue;
            }
            // Container files go together, since records may begin in one and end in the next.
            let group = self.group(path, &asked, &marks)?;
            done.extend(
                group
                    .iter()
                    .filter(|one| one.is_asked)
                    .map(|one| one.path.clone()),
            );
            verdicts.extend(self.one(sink, &folder, &group).await?);
        }
        Ok(verdicts)
    }

    fn group(&self, path: &Path, asked: &[PathBuf], marks: &[FileMark]) -> Result<Vec<Subject>, String> {
        let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let subject = |path: PathBuf, form: Form| {
            let known = held::mark_of(&path, marks).map_err(|error| told(&path, error))?;
            let is_unknown = known.is_none();
            let mark = match known {
                Some(mark) => mark,
                None => held::unknown(&path, form).map_err(|error| told(&path, error))?,
            };
            Ok::<_, String>(Subject {
                is_asked: asked.contains(&path),
                path,
                mark,
                is_unknown,
            })
        };
        let is_container = path.starts_with(&self.config.containers)
            && !self.config.containers.as_os_str().is_empty()
            && crate::source::container_base(&records::name_of(path)).is_some();
        if !is_container {
            return Ok(vec![subject(path.to_owned(), Form::Plain)?]);
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let files = records::container_files(folder).map_err(|error| told(folder, error))?;
        let subjects = files.into_iter().map(|file| subject(file, Form::Cri));
        subjects.collect()
    }

    async fn one(&self, sink: &str, folder: &Path, group: &[Subject]) -> Result<Vec<Verdict>, String> {
        let held: Held<'_> = match self.config.opensearch.iter().find(|known| known.name == sink) {
            Some(entry) => Held::Elsewhere(entry, Box::new(entry.reach()?), Arc::clone(&self.client)),
            None if sink == SEGMENTS && self.config.local => {
                let wanted = group.iter().map(|subject| subject.mark.id).collect();
                let kept = Kept::read(folder, &wanted);
                Held::Here(kept.map_err(|error| format!("reading {}: {error}", folder.display()))?)
            }
            None => {
                return Err(format!(
                    "there is no sink {sink:?} that can be compared with; there are {}",
                    self.sinks().join(", ")
                ));
            }
        };
        let letters = letters::ids(folder).map_err(|error| format!("reading dead letters: {error}"))?;
        let mut verdicts: Vec<Verdict> = group
            .iter()
            .map(|subject| Verdict {
                file: subject.path.display().to_string(),
                sink: sink.to_owned(),
                is_unknown: subject.is_unknown,
                ..Verdict::default()
            })
            .collect();
        let mut kinds: Vec<Option<Kind>> = vec![None; group.len()];
        held.refresh().await?;
        let ids = Ids::new(group, self.host);
        let mut records = Records::open(group, self.config)?;
        while let Some(batch) = records.next()? {
            let asked: Vec<&Record> = batch.iter().filter(|record| is_asked(group, record)).collect();
            let names = ids.of(&asked);
            let counts = held.counts(&names, group, &asked).await?;
            for ((record, name), count) in asked.into_iter().zip(&names).zip(counts) {
                let (Some(verdict), Some(subject), Some(last)) = (
                    verdicts.get_mut(record.file),
                    group.get(record.file),
                    kinds.get_mut(record.file),
                ) else {
                    continue;
                };
                verdict.records += 1;
                verdict.found += u64::from(count > 0);
                let kind = match count {
                    0 if letters.contains(name) => Kind::Refused,
                    0 if record.is_done(&subject.mark) && !subject.is_unknown => Kind::Missing,
                    0 => Kind::Waiting,
                    1 => Kind::Found,
                    _ => Kind::Doubled,
                };
                let goes_on = last.replace(kind) == Some(kind);
                match kind {
                    Kind::Found => {}
                    Kind::Missing => verdict.missing.add(record, goes_on),
                    Kind::Waiting => verdict.waiting.add(record, goes_on),
                    Kind::Refused => verdict.refused.add(record, goes_on),
                    Kind::Doubled => verdict.doubled.add(record, goes_on),
                }
            }
        }
        for (verdict, lines) in verdicts.iter_mut().zip(records.lines()) {
            verdict.lines = *lines;
        }
        let pairs = verdicts.into_iter().zip(group);
        Ok(pairs
            .filter(|(_, subject)| subject.is_asked)
            .map(|(verdict, _)| verdict)
            .collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Found,
    Missing,
    Waiting,
    Refused,
    Doubled,
}

fn is_asked(group: &[Subject], record: &Record) -> bool {
    group.get(record.file).is_some_and(|subject| subject.is_asked)
}

/// The inode of a file by its path.
fn inode(path: &Path) -> io::Result<Inode> {
    Ok(Inode::of(&std::fs::metadata(path)?))
}
