//! Dead letters: records that a sink will never take, kept on disk with the reason, as lines of JSON.
//!
//! Two files of a fixed size; when the newer one is full the older one goes. On the disk before the watermark moves.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Refusal;

const FILE_BYTES_MAX: u64 = 32 << 20;

#[derive(Debug, Serialize)]
pub(crate) struct Letter {
    #[serde(flatten)]
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) status: u16,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) document: Box<RawValue>,
}

/// Where a record was to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    Index { index: String },
    Stream { group: String, stream: String },
}

impl Letter {
    pub(crate) fn new(place: Place, id: String, refusal: &Refusal, document: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&document).into_owned();
        // It is JSON always; if it were not, it would be kept as text.
        let document = RawValue::from_string(text.clone()).or_else(|_| to_raw_value(&text));
        Self {
            place,
            id,
            status: refusal.status,
            kind: refusal.kind.clone(),
            reason: refusal.why.clone(),
            document: document.unwrap_or_default(),
        }
    }
}

/// Ids of all letters that are kept in a sink's folder.
pub(crate) fn ids(folder: &Path) -> io::Result<HashSet<String>> {
    #[derive(Deserialize)]
    struct Only {
        id: String,
    }
    let path = Letters::new(folder).path;
    let mut ids = HashSet::new();
    for path in [path.with_extension("ndjson.1"), path] {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for line in BufReader::new(file).split(b'\n') {
            // The last one may be half written.
            if let Ok(letter) = serde_json::from_slice::<Only>(&line?) {
                ids.insert(letter.id);
            }
        }
    }
    Ok(ids)
}

pub(crate) struct Letters {
    path: PathBuf,
}

impl Letters {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("dead-letters.ndjson"),
        }
    }

    /// Adds letters; on the disk when it returns. After an error all of them may be added again.
    pub(crate) fn add(&self, letters: &[Letter]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut bytes, letter)?;
            bytes.push(b'\n');
        }
        let mut file = self.open()?;
        if file.metadata()?.len() + bytes.len() as u64 > FILE_BYTES_MAX {
            drop(file);
            std::fs::rename(&self.path, self.path.with_extension("ndjson.1"))?;
            file = self.open()?;
        }
        file.write_all(&bytes)?;
        file.sync_data()
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_with_their_reason_and_never_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let letters = Letters::new(folder.path());
        let refusal = Refusal {
            status: 400,
            kind: "mapper_parsing_exception".to_owned(),
            why: "no number".to_owned(),
        };
        let document = format!("{{\"message\":\"{}\"}}", "x".repeat(1 << 20));
        for _ in 0..100 {
            let place = Place::Index { index: "i".into() };
            let letter = Letter::new(place, "1".into(), &refusal, document.clone().into_bytes());
            letters.add(&[letter]).unwrap();
        }
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("dead-letters.ndjson") <= FILE_BYTES_MAX);
        assert!(size("dead-letters.ndjson.1") <= FILE_BYTES_MAX);
        let text = std::fs::read_to_string(folder.path().join("dead-letters.ndjson")).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&line["type"], &line["reason"]),
            (&"mapper_parsing_exception".into(), &"no number".into())
        );
        assert_eq!(line["index"], "i");
    }

    #[test]
    fn a_letter_says_which_stream_it_was_for_and_keeps_what_is_no_json() {
        let place = Place::Stream {
            group: "/g".into(),
            stream: "s".into(),
        };
        let letter = Letter::new(place, "1".into(), &Refusal::default(), b"{not json".to_vec());
        let line = serde_json::to_value(&letter).unwrap();
        assert_eq!((&line["group"], &line["stream"]), (&"/g".into(), &"s".into()));
        assert_eq!(line["document"], "{not json");
    }
}
