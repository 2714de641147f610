//! How far inputs have come that say so in each record: found again at a start, whatever has died.
//!
//! The truth is in the records themselves, where record and place are one append. Before a file of them goes, its places are
//! written beside the spool and synced; so there is none that lives only in a file that is removed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{line, path};

const NAME: &str = "places";
const TITLE: &str = "skopos-places 1\n";

#[derive(Debug, Default)]
pub(super) struct Places {
    now: Kept,
    /// Whether the disk has them apart from the records.
    is_saved: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Of this file and those before it, no record is behind these places.
    file: u64,
    /// By input.
    places: BTreeMap<String, String>,
}

impl Places {
    /// Those that an earlier run has left; `files` are the spool's, with their lengths, the oldest first.
    ///
    /// # Errors
    /// The disk's own, or places of a version that is not known.
    pub(super) fn find(folder: &Path, files: &[(u64, u64)]) -> io::Result<Self> {
        let mut places = Self {
            now: read(folder)?,
            is_saved: true,
        };
        let known = places.now.file;
        for (number, bytes) in files.iter().filter(|(number, _)| *number > known) {
            let file = File::open(path(folder, *number))?.take(*bytes);
            let (mut lines, mut text) = (BufReader::new(file), Vec::new());
            while lines.read_until(b'\n', &mut text)? > 0 {
                if let Some((input, at)) = line::place(&text) {
                    places.put(input, at);
                }
                text.clear();
            }
        }
        Ok(places)
    }

    pub(super) fn get(&self, input: &str) -> Option<&str> {
        self.now.places.get(input).map(String::as_str)
    }

    pub(super) fn put(&mut self, input: String, at: String) {
        self.is_saved = false;
        self.now.places.insert(input, at);
    }

    /// Writes them when there are new ones. `file` is the last one that does not grow any more.
    ///
    /// # Errors
    /// The disk's own; then no file of the spool may go.
    pub(super) fn save(&mut self, folder: &Path, file: u64) -> io::Result<()> {
        if self.is_saved {
            return Ok(());
        }
        self.now.file = self.now.file.max(file);
        let mut text = TITLE.as_bytes().to_vec();
        serde_json::to_writer(&mut text, &self.now)?;
        text.push(b'\n');
        let fresh = folder.join(format!("{NAME}.new"));
        fs::create_dir_all(folder)?;
        let mut written = File::create(&fresh)?;
        written.write_all(&text)?;
        written.sync_all()?;
        fs::rename(&fresh, folder.join(NAME))?;
        File::open(folder)?.sync_all()?;
        self.is_saved = true;
        Ok(())
    }
}

fn read(folder: &Path) -> io::Result<Kept> {
    let path = folder.join(NAME);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error),
    };
    match text.strip_prefix(TITLE.as_bytes()) {
        Some(rest) => match serde_json::from_slice(rest) {
            Ok(kept) => Ok(kept),
            Err(error) => {
                warn!(%error, path = %path.display(), "places of inputs cannot be read; records may come again");
                Ok(Kept::default())
            }
        },
        None => Err(io::Error::other(format!(
            "{} is of another version of Skopos; its inputs would be read again from their beginning",
            path.display()
        ))),
    }
}
