//! Records that other rooms of this process hand over: into the spool, from where every sink reads them.
//!
//! Records and the place behind them are one append, so that a `kill -9` neither loses nor doubles one.

use std::sync::Arc;

use model::{BoxFuture, KeepNotes, Note, NotePlace};

use crate::mark::Facts;
use crate::spool::{Place, Record, Spool};

#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) spool: Spool,
    pub(crate) line_bytes_max: usize,
}

impl KeepNotes for Notes {
    fn keep(&self, notes: Vec<Note>, place: Option<NotePlace>) -> BoxFuture<'_, Result<(), String>> {
        let mut records: Vec<Record> = notes.into_iter().map(record).collect();
        if let (Some(last), Some(NotePlace { input, at })) = (records.last_mut(), place) {
            last.place = Some(Place { input, at });
        }
        Box::pin(async move {
            if records.is_empty() {
                return Ok(());
            }
            let kept = self.spool.append_whole(&records, self.line_bytes_max).await;
            kept.map_err(|error| error.to_string())
        })
    }

    fn place(&self, input: &str) -> Option<String> {
        self.spool.place(input)
    }
}

fn record(note: Note) -> Record {
    Record {
        nanos: note.nanos,
        facts: Arc::new(Facts::new(&note.source, note.facts)),
        level: Some(note.level),
        id: Some(note.id),
        text: note.text.into_bytes(),
        ..Record::default()
    }
}
