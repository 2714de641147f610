//! The batch being written: texts and rows are appended, files are numbered as they come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Row};

/// A batch is finished at so many bytes of text …
pub(crate) const BATCH_BYTES: usize = 512 << 10;
/// … or records …
const ROWS_MAX: usize = 32_768;
/// … or files …
const FILES_MAX: usize = 32_768;
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
    files: Vec<usize>,
    numbers: HashMap<usize, u16>,
    begun: Option<Instant>,
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
        if let Some(number) = self.numbers.get(&file) {
            return *number;
        }
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push(file);
        self.numbers.insert(file, number);
        number
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
    }

    /// When it is to be handed on even if it is not full.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + self.size.wait)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Hands out the batch, whose marks are still to be filled in, and its files. `spare` is memory for the next one.
    pub(crate) fn finish(&mut self, spare: Option<Batch>) -> (Batch, Vec<usize>) {
        self.numbers.clear();
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
