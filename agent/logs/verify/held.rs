//! What a sink holds of records: by their ids elsewhere, by file and offset in local segments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use model::outside::Client;

use super::records::Record;
use super::{Subject, inode};
use crate::batch::{Batch, Row};
use crate::mark::{FileId, FileMark, Form, Print};
use crate::opensearch::{self, Counts};
use crate::segment::frame::{Frame, Kind};
use crate::segment::list;
use crate::segment::read::Reader;
use crate::sink::document::{Documents, Style};
use crate::source;

/// Bytes of a file's front that go into the id of one that nobody has read.
const FRONT_BYTES: usize = 64;

/// Where it is asked.
pub(super) enum Held<'a> {
    Here(Kept),
    Elsewhere(&'a opensearch::Config, Box<net::Reach>, Arc<dyn Client>),
}

impl Held<'_> {
    /// Lets what was taken a moment ago be found.
    pub(super) async fn refresh(&self) -> Result<(), String> {
        match self {
            Self::Here(_) => Ok(()),
            Self::Elsewhere(config, reach, client) => Counts::new(config, reach, &**client).refresh().await,
        }
    }

    /// How often each of the records is there.
    pub(super) async fn counts(
        &self,
        ids: &[String],
        group: &[Subject],
        records: &[&Record],
    ) -> Result<Vec<u32>, String> {
        match self {
            Self::Here(kept) => Ok(records
                .iter()
                .map(|record| {
                    let file = group.get(record.file).map(|subject| subject.mark.id);
                    file.map_or(0, |file| kept.count(file, record.offset))
                })
                .collect()),
            Self::Elsewhere(config, reach, client) => {
                let counts = Counts::new(config, reach, &**client).of(ids).await?;
                Ok(ids
                    .iter()
                    .map(|id| counts.get(id).copied().unwrap_or(0))
                    .collect())
            }
        }
    }
}

/// The ids of records.
pub(super) struct Ids {
    batch: Batch,
    host: String,
}

impl Ids {
    pub(super) fn new(group: &[Subject], host: &str) -> Self {
        Self {
            batch: Batch {
                marks: group.iter().map(|subject| subject.mark.clone()).collect(),
                ..Batch::default()
            },
            host: host.to_owned(),
        }
    }

    pub(super) fn of(&self, records: &[&Record]) -> Vec<String> {
        let style = Style {
            says_id: true,
            reads_fields: false,
            says_place: false,
            host: &self.host,
        };
        let documents = Documents::new(&self.batch, style);
        let id = |record: &&Record| {
            let row = Row {
                file: u16::try_from(record.file).unwrap_or(u16::MAX),
                given: 0,
                ..record.row
            };
            documents.id(&row).text().into_owned()
        };
        records.iter().map(id).collect()
    }
}

/// Offsets of the records in local segments, of the files that are asked for, and those that are there again.
pub(super) struct Kept {
    once: HashSet<(FileId, u64)>,
    again: HashMap<(FileId, u64), u32>,
}

impl Kept {
    pub(super) fn read(folder: &Path, wanted: &HashSet<FileId>) -> io::Result<Self> {
        let mut kept = Self {
            once: HashSet::new(),
            again: HashMap::new(),
        };
        frames(folder, |frame, kind| {
            let marks = frame.marks().unwrap_or_default();
            if kind != Kind::Records || !marks.iter().any(|mark| wanted.contains(&mark.id)) {
                return;
            }
            for nth in 0..frame.rows() {
                let row = frame.row(nth);
                let Some(mark) = marks.get(usize::from(row.file)) else {
                    continue;
                };
                let place = (mark.id, row.offset);
                if wanted.contains(&mark.id) && !kept.once.insert(place) {
                    *kept.again.entry(place).or_insert(1) += 1;
                }
            }
        })?;
        Ok(kept)
    }

    fn count(&self, file: FileId, offset: u64) -> u32 {
        let place = (file, offset);
        match self.again.get(&place) {
            Some(count) => *count,
            None => u32::from(self.once.contains(&place)),
        }
    }
}

/// The newest mark of each file that a sink knows.
pub(super) fn marks(folder: &Path) -> io::Result<Vec<FileMark>> {
    let mut newest: BTreeMap<FileId, FileMark> = BTreeMap::new();
    frames(folder, |frame, _| {
        for mark in frame.marks().unwrap_or_default() {
            newest.insert(mark.id, mark);
        }
    })?;
    Ok(newest.into_values().collect())
}

fn frames(folder: &Path, mut each: impl FnMut(&Frame, Kind)) -> io::Result<()> {
    let mut frame = Frame::default();
    for segment in list(folder)? {
        let reader = match Reader::open(&segment.path) {
            // Retention can remove a segment between listing and opening it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let Some(mut reader) = reader else { continue };
        while let Some(header) = reader.header()? {
            if !reader.body(reader.at, &header, &mut frame)? {
                break;
            }
            each(&frame, header.kind);
            reader.skip(&header);
        }
    }
    Ok(())
}

/// What a sink knows of the content that this file has now.
pub(super) fn mark_of(path: &Path, marks: &[FileMark]) -> io::Result<Option<FileMark>> {
    let (file, inode) = (File::open(path)?, inode(path)?);
    let mut known = Vec::new();
    for mark in marks.iter().filter(|mark| mark.facts.is_none() && !mark.copy) {
        if mark.is_of(&file, inode)? {
            known.push(mark);
        }
    }
    // The same inode begun anew is the later content.
    Ok(known.into_iter().max_by_key(|mark| mark.generation).cloned())
}

/// Of a file that nobody has read: as it would be when it is first seen.
pub(super) fn unknown(path: &Path, form: Form) -> io::Result<FileMark> {
    let (file, inode) = (File::open(path)?, inode(path)?);
    let mut front = [0; FRONT_BYTES];
    let length = file.read_at(&mut front, 0)?;
    let name: Arc<str> = path.display().to_string().into();
    Ok(FileMark {
        id: inode.id(0, front.get(..length).unwrap_or_default()),
        form,
        source: source::name(form, path),
        base: Arc::clone(&name),
        path: name,
        inode,
        generation: 0,
        head: Print::default(),
        read: 0,
        check: Print::default(),
        done: [0; 3],
        copy: false,
        packed: false,
        gone: false,
        facts: None,
        days: crate::days::Days::default(),
    })
}
