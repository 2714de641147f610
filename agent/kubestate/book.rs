//! What is known of the objects of one kind: of each its series and their values, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Object, Observe, SeriesRef};
use parking_lot::Mutex;
use prometheus::IntCounter;

use crate::draft::{Allowed, Desk, Draft, Entry};
use crate::kinds::Reader;

#[derive(Default)]
pub(crate) struct Book {
    here: HashMap<Box<str>, Known>,
    /// Number of the list that was read last, or is being read.
    list: u32,
    /// All objects have been listed once.
    pub(crate) is_whole: bool,
    /// Nothing has been heard for long: what is known is not told.
    pub(crate) is_doubtful: bool,
    /// The store no longer knows the series: all objects are to be told once more.
    is_forgotten: bool,
    /// Series that the store refused.
    pub(crate) refused: u64,
    /// The last object that could not be read, with the reason.
    pub(crate) mistake: Option<String>,
}

struct Known {
    list: u32,
    entries: Box<[Entry]>,
}

impl Book {
    pub(crate) fn is_told(&self) -> bool {
        self.is_whole && !self.is_doubtful
    }

    pub(crate) fn count(&self) -> usize {
        self.here.len()
    }

    /// Adds all there is to a column.
    pub(crate) fn copy(&self, series: &mut Vec<SeriesRef>, values: &mut Vec<f64>) {
        for entry in self.here.values().flat_map(|known| &known.entries) {
            if let Some(known) = entry.series {
                series.push(known);
                values.push(entry.value);
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        self.here.clear();
        self.is_whole = false;
        self.is_forgotten = true;
    }
}

/// Writes into the book what the watch says.
pub(crate) struct Writer {
    pub(crate) desk: Arc<Desk>,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) reader: Reader,
    pub(crate) labels: Vec<String>,
    pub(crate) annotations: Vec<String>,
    pub(crate) unread: IntCounter,
    pub(crate) unread_values: IntCounter,
}

fn key(object: &Object<'_>) -> Box<str> {
    format!("{}/{}", object.namespace, object.name).into()
}

impl Observe for Writer {
    fn begun(&mut self) {
        let mut book = self.book.lock();
        book.list = book.list.wrapping_add(1);
        book.is_forgotten = false;
    }

    fn here(&mut self, object: &Object<'_>) {
        let mut book = self.book.lock();
        let (key, list) = (key(object), book.list);
        let before: &[Entry] = book.here.get(&key).map_or(&[], |known| &known.entries);
        let allowed = Allowed {
            labels: &self.labels,
            annotations: &self.annotations,
        };
        let mut draft = Draft::new(&self.desk, &allowed, before);
        let read = self.reader.read(object.text, &mut draft);
        let (mistakes, mistake) = draft.mistakes();
        let entries = draft.done();
        if let Some(why) = mistake {
            self.unread_values.inc_by(mistakes);
            tracing::debug!(object = &*key, why, "a value cannot be read");
            book.mistake = Some(format!("{key}: {why}"));
        }
        match read {
            Ok(()) => {
                book.refused += entries.iter().filter(|entry| entry.series.is_none()).count() as u64;
                book.here.insert(key, Known { list, entries });
            }
            Err(error) => {
                self.unread.inc();
                let said = format!("{key}: {error}");
                tracing::warn!(object = &*key, %error, "an object cannot be read");
                book.mistake = Some(said);
                // What was known of it no longer holds.
                book.here.remove(&key);
            }
        }
    }

    fn gone(&mut self, object: &Object<'_>) {
        self.book.lock().here.remove(&key(object));
    }

    fn whole(&mut self) {
        let mut book = self.book.lock();
        let list = book.list;
        book.here.retain(|_, known| known.list == list);
        book.here.shrink_to_fit();
        book.is_whole = true;
    }

    fn doubtful(&mut self, is_doubtful: bool) {
        self.book.lock().is_doubtful = is_doubtful;
    }

    fn wants_all(&mut self) -> bool {
        self.book.lock().is_forgotten
    }
}
