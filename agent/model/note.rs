//! Records of rooms that read no files: handed to whoever keeps log lines.
//!
//! What is handed over cannot be read again by whoever keeps it: once it is kept, it is on the disk.

use crate::{BoxFuture, Level};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Since 1970.
    pub nanos: i64,
    pub level: Level,
    /// Short name shown with the record.
    pub source: String,
    /// What a document says beside the text, under names of a closed set: `namespace`, `event.reason` …
    pub facts: Vec<(&'static str, String)>,
    /// The same when it is handed over again: then it is the same document.
    pub id: String,
    pub text: String,
}

/// How far a room has come with what it hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotePlace {
    /// The room's name for it.
    pub input: &'static str,
    /// In its own words.
    pub at: String,
}

/// Whoever keeps records for others.
pub trait KeepNotes: Send + Sync {
    /// When it returns, all of them are on the disk, and the place with the last one.
    ///
    /// # Errors
    /// None of them is: a sentence that says why. They are to be handed over again.
    fn keep(&self, notes: Vec<Note>, place: Option<NotePlace>) -> BoxFuture<'_, Result<(), String>>;

    /// The last place that is on the disk.
    fn place(&self, input: &str) -> Option<String>;
}
