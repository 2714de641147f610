//! Words and numbers of the kernel's tables, and what is wrong when they are not there.

use std::fmt;

/// A table that is not as the kernel writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// From 1.
    line: usize,
    why: String,
}

impl Malformed {
    pub(crate) fn new(line: usize, why: impl Into<String>) -> Self {
        Self {
            line,
            why: why.into(),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Lines with their number from 1, empty ones left out.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(nth, line)| (nth + 1, line))
}

/// The words of one line, taken one after the other.
pub(crate) struct Words<'a> {
    line: usize,
    rest: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: usize, text: &'a str) -> Self {
        Self {
            line,
            rest: text.split_ascii_whitespace(),
        }
    }

    pub(crate) fn next(&mut self) -> Option<&'a str> {
        self.rest.next()
    }

    pub(crate) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.rest.next();
        }
    }

    pub(crate) fn word(&mut self) -> Result<&'a str, Malformed> {
        self.next()
            .ok_or_else(|| Malformed::new(self.line, "ends too early"))
    }

    pub(crate) fn number(&mut self) -> Result<f64, Malformed> {
        let word = self.word()?;
        number(self.line, word)
    }

    pub(crate) fn hex(&mut self) -> Result<f64, Malformed> {
        let word = self.word()?;
        hex(self.line, word)
    }
}

/// A whole number, or one with a fraction.
pub(crate) fn number(line: usize, word: &str) -> Result<f64, Malformed> {
    if let Ok(whole) = word.parse::<u64>() {
        return Ok(whole as f64);
    }
    // Not "inf" or "nan", which a kernel never writes.
    word.parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| Malformed::new(line, format!("{:?} is no number", clipped(word))))
}

pub(crate) fn hex(line: usize, word: &str) -> Result<f64, Malformed> {
    u64::from_str_radix(word, 16)
        .map(|whole| whole as f64)
        .map_err(|_| Malformed::new(line, format!("{:?} is no hexadecimal number", clipped(word))))
}

/// A file that holds one number, `0x1003` among them.
pub(crate) fn single(text: &str) -> Result<f64, Malformed> {
    let word = text.trim();
    match word.strip_prefix("0x") {
        Some(digits) => hex(1, digits),
        None => number(1, word),
    }
}

fn clipped(word: &str) -> String {
    word.chars().take(40).collect()
}
