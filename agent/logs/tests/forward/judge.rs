//! Which records of which sender are in the segments, and how often.

use std::collections::HashMap;
use std::path::Path;

use logs::search;
use model::Timestamp;
use model::view::LogQuery;

/// Text in front of a record's numbers; what stands around it is the sender's.
const MARK: &str = "from ";

#[derive(Default)]
pub(crate) struct Seen {
    counts: HashMap<(usize, usize), usize>,
    /// Texts that are no record of ours.
    pub(crate) strange: usize,
}

pub(crate) fn line(sender: usize, number: usize) -> String {
    format!("{MARK}{sender} nr {number} and some text that makes it as long as a line is")
}

pub(crate) fn read(folder: &Path) -> Seen {
    let query = LogQuery {
        text: String::new(),
        level: None,
        source: String::new(),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        lines_max: usize::MAX,
    };
    let mut seen = Seen::default();
    for record in search(folder, &query).unwrap().lines {
        seen.add(&record.text);
    }
    seen
}

fn parse(text: &str) -> Option<(usize, usize)> {
    let mut words = text.get(text.find(MARK)? + MARK.len()..)?.split(' ');
    let sender = words.next()?.parse().ok()?;
    let number = words.nth(1)?.parse().ok()?;
    text.contains(&line(sender, number)).then_some((sender, number))
}

impl Seen {
    pub(crate) fn add(&mut self, text: &str) {
        match parse(text) {
            Some(key) => *self.counts.entry(key).or_default() += 1,
            None => self.strange += 1,
        }
    }

    /// Of the sender's first so many records.
    pub(crate) fn missing(&self, sender: usize, numbers: usize) -> usize {
        (0..numbers)
            .filter(|number| !self.counts.contains_key(&(sender, *number)))
            .count()
    }

    /// Records more than once, each time beyond the first.
    pub(crate) fn doubled(&self) -> usize {
        self.counts.values().map(|count| count - 1).sum()
    }
}
