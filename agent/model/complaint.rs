//! A mistake in something a person wrote: where, what, what to do.

use std::fmt;

/// Printed as `file:line:column: message`, the line with a caret under the place, and a suggestion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaint {
    /// Path as the person gave it; empty when the text has no file.
    pub file: String,
    /// From 1; 0 when the place is not known.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    /// The source line, when it is known.
    pub excerpt: Option<String>,
    /// What to do about it, for example `did you mean "scrape_interval"?`.
    pub suggestion: Option<String>,
}

impl Complaint {
    /// Points into `text`, whose line it excerpts.
    #[must_use]
    pub fn at(file: &str, text: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let excerpt = line
            .checked_sub(1)
            .and_then(|nth| text.lines().nth(nth))
            .map(str::to_owned);
        Self {
            file: file.to_owned(),
            line,
            column,
            message: message.into(),
            excerpt,
            suggestion: None,
        }
    }

    /// Without a place.
    #[must_use]
    pub fn about(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        let gap = if self.file.is_empty() && self.line == 0 {
            ""
        } else {
            " "
        };
        write!(f, "{gap}{}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let (excerpt, before) = around(excerpt, self.column.saturating_sub(1));
            let caret = " ".repeat(before);
            write!(
                f,
                "\n  {number} | {excerpt}\n  {} | {caret}^",
                " ".repeat(number.len())
            )?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  {suggestion}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

/// Most characters of a line that are shown on either side of the place.
const SHOWN: usize = 100;

/// The part of a line around a place, and how many characters stand before the place in it.
fn around(line: &str, place: usize) -> (String, usize) {
    let start = place.saturating_sub(SHOWN);
    let mut part: String = line.chars().skip(start).take(2 * SHOWN).collect();
    if line.chars().nth(start + 2 * SHOWN).is_some() {
        part.push('…');
    }
    if start == 0 {
        (part, place)
    } else {
        (format!("…{part}"), place - start + 1)
    }
}

/// The known word nearest to `word`, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tolerance = word.chars().count().div_ceil(3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance with swaps of neighbours counted once, case ignored.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let width = right.len() + 1;
    let mut table = vec![0usize; (left.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    for row in 0..=left.len() {
        for column in 0..width {
            let cost = if row == 0 || column == 0 {
                row + column
            } else {
                let same = left[row - 1] == right[column - 1];
                let mut best = (table[at(row - 1, column)] + 1)
                    .min(table[at(row, column - 1)] + 1)
                    .min(table[at(row - 1, column - 1)] + usize::from(!same));
                let swapped = row > 1
                    && column > 1
                    && left[row - 1] == right[column - 2]
                    && left[row - 2] == right[column - 1];
                if swapped {
                    best = best.min(table[at(row - 2, column - 2)] + 1);
                }
                best
            };
            table[at(row, column)] = cost;
        }
    }
    table.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_points_at_its_place() {
        let complaint = Complaint::at("a.yaml", "x: 1\nscrap: 2\n", 2, 1, "unknown key \"scrap\"")
            .suggest("did you mean \"scrape\"?");
        let text = "a.yaml:2:1: unknown key \"scrap\"\n  2 | scrap: 2\n    | ^\n  did you mean \"scrape\"?";
        assert_eq!(complaint.to_string(), text);
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let line = format!("{}here{}", "a".repeat(500), "b".repeat(500));
        let text = Complaint::at("a.yaml", &line, 1, 501, "wrong").to_string();
        let mut lines = text.lines().skip(1);
        let (excerpt, caret) = (lines.next().unwrap(), lines.next().unwrap());
        let at = caret.chars().position(|letter| letter == '^').unwrap();
        assert!(
            excerpt.chars().skip(at).collect::<String>().starts_with("here"),
            "{text}"
        );
        assert!(excerpt.chars().count() < 250);
    }

    #[test]
    fn the_nearest_word_is_a_slip_away_or_none() {
        assert_eq!(
            nearest("scrape_intervall", ["scrape_interval", "timeout"]),
            Some("scrape_interval")
        );
        assert_eq!(nearest("rtae", ["rate", "irate"]), Some("rate"));
        assert_eq!(nearest("zebra", ["rate", "sum"]), None);
    }
}
