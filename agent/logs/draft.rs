//! The batch being written: texts and rows are appended, files are numbered as they come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Row};
use crate::mark::Facts;
use crate::spool::line;

/// A batch is finished at so many bytes of text …
pub(crate) const BATCH_BYTES: usize = 512 << 10;
/// … or records …
const ROWS_MAX: usize = 32_768;
/// … or files …
const FILES_MAX: usize = 32_768;
/// … or givers of records of the spool …
const FACTS_MAX: usize = 4_096;
/// … or when its first record has waited so long.
const WAIT: Duration = Duration::from_millis(250);

/// When a batch is finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Of its text.
    pub(crate) bytes: usize,
    /// How long its first record waits for others.
    pub(crate) wait: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            bytes: BATCH_BYTES,
            wait: WAIT,
        }
    }
}

#[derive(Default)]
pub(crate) struct Draft {
    size: Size,
    batch: Batch,
    /// The reader's number of each file, in the order of the batch's marks.
    files: Vec<Held>,
    numbers: HashMap<usize, u16>,
    /// The file touched last, and its number: lines of a file come in runs.
    last: Option<(usize, u16)>,
    /// Likewise of a file's records with these facts, as they stand in its lines.
    givers: HashMap<Box<str>, HashMap<usize, u16>>,
    begun: Option<Instant>,
}

/// What a mark of the batch is to be made of.
pub(crate) struct Held {
    /// The reader's number of the file.
    pub(crate) file: usize,
    pub(crate) facts: Option<Arc<Facts>>,
}

impl Draft {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// The number of a file in this batch. Its watermark will be in the batch, with or without records.
    pub(crate) fn touch(&mut self, file: usize, now: Instant) -> u16 {
        self.begun.get_or_insert(now);
        if let Some((_, number)) = self.last.filter(|(last, _)| *last == file) {
            return number;
        }
        let number = match self.numbers.get(&file) {
            Some(number) => *number,
            None => {
                let number = self.hold(file, None);
                self.numbers.insert(file, number);
                number
            }
        };
        self.last = Some((file, number));
        number
    }

    /// Likewise for a file's records with these facts; none when they cannot be read.
    pub(crate) fn touch_as(&mut self, file: usize, raw: &str, now: Instant) -> Option<u16> {
        self.begun.get_or_insert(now);
        let known = self.givers.get(raw).and_then(|numbers| numbers.get(&file));
        if let Some(number) = known {
            return Some(*number);
        }
        let facts = Arc::new(line::facts(raw)?);
        let number = self.hold(file, Some(facts));
        self.givers.entry(raw.into()).or_default().insert(file, number);
        Some(number)
    }

    fn hold(&mut self, file: usize, facts: Option<Arc<Facts>>) -> u16 {
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push(Held { file, facts });
        number
    }

    /// The number of an id that a record's source has given it.
    pub(crate) fn give(&mut self, id: &str) -> u32 {
        self.batch.ids.push(id.into());
        u32::try_from(self.batch.ids.len()).unwrap_or(0)
    }

    pub(crate) fn touches(&self, file: usize) -> bool {
        self.numbers.contains_key(&file)
    }

    /// Appends a record. `length` is that of the whole text, of which `text` may be the front.
    pub(crate) fn push(&mut self, row: Row, text: &[u8], length: u64) {
        let batch = &mut self.batch;
        if !batch.rows.is_empty() {
            batch.text.push(b'\n');
        }
        batch.text.extend_from_slice(text);
        if length > text.len() as u64 {
            // Not in the middle of a letter.
            let torn = text
                .iter()
                .rev()
                .take(3)
                .take_while(|byte| **byte & 0xc0 == 0x80)
                .count();
            let lead = text.len().checked_sub(torn + 1).and_then(|at| text.get(at));
            if torn > 0 || lead.is_some_and(|byte| *byte >= 0xc0) {
                let keep = batch.text.len() - (torn + usize::from(lead.is_some_and(|byte| *byte >= 0xc0)));
                batch.text.truncate(keep);
            }
            let marker = format!("… [cut, the line has {length} bytes]");
            batch.text.extend_from_slice(marker.as_bytes());
        }
        batch.rows.push(Row {
            end: u32::try_from(batch.text.len()).unwrap_or(u32::MAX),
            ..row
        });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.text.len() >= self.size.bytes
            || self.batch.rows.len() >= ROWS_MAX
            || self.files.len() >= FILES_MAX
            || self.givers.len() >= FACTS_MAX
    }

    /// When it is to be handed on even if it is not full.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + self.size.wait)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Hands out the batch, whose marks are still to be filled in, and its files. `spare` is memory for the next one.
    pub(crate) fn finish(&mut self, spare: Option<Batch>) -> (Batch, Vec<Held>) {
        self.numbers.clear();
        self.last = None;
        self.givers.clear();
        self.begun = None;
        let batch = std::mem::replace(&mut self.batch, spare.unwrap_or_default());
        (batch, std::mem::take(&mut self.files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_says_so_and_ends_on_a_whole_letter() {
        let mut draft = Draft::default();
        let text = "ab€€".as_bytes();
        for keep in 2..=8 {
            draft.push(Row::default(), &text[..keep], 100);
        }
        let (batch, _) = draft.finish(None);
        let text = String::from_utf8(batch.text).expect("letters are whole");
        let cut: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once('…'))
            .map(|(front, _)| front)
            .collect();
        assert_eq!(cut.len(), 7);
        assert!(cut.iter().all(|front| "ab€€".starts_with(front)));
        assert!(text.contains("100 bytes"));
    }
}
