//! A place in a body, and the readings that move it on.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use model::Kind;

use super::{Example, Format, Key, Keys, Meta, Pairs, ParseError, Series, number};

/// What begins at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Comment,
    Sample,
    End,
}

#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    format: Format,
    /// Where the exemplar of the value begins that was read last, and where its line ends.
    example: Option<(usize, usize)>,
}

impl<'a> Cursor<'a> {
    /// `text` as [`super::body`] gives it.
    #[must_use]
    pub fn new(text: &'a str, format: Format) -> Self {
        Self {
            text,
            at: 0,
            format,
            example: None,
        }
    }

    /// Skips empty lines.
    ///
    /// # Errors
    /// A sample with blanks before its name.
    pub fn start(&mut self) -> Result<Start, ParseError> {
        loop {
            let line = self.at;
            self.blanks();
            match self.byte() {
                None => return Ok(Start::End),
                Some(b'\n') => self.at += 1,
                Some(b'#') => return Ok(Start::Comment),
                Some(_) if self.at > line => return Err(self.mistake(line, "blanks before a name")),
                Some(_) => return Ok(Start::Sample),
            }
        }
    }

    /// The comment that stands here, as a whole line, and the cursor behind it.
    pub fn comment(&mut self) -> Comment<'a> {
        let at = self.at;
        self.at = self.line_end();
        Comment {
            text: self.text,
            at,
            end: self.at,
            format: self.format,
        }
    }

    /// Whether the series of this key stands here; if so, the cursor is behind it.
    pub fn take(&mut self, key: &Key, keys: &Keys) -> bool {
        let end = self.at + key.bytes();
        let Some(text) = self.text.get(self.at..end) else {
            return false;
        };
        // A series in braces ends where it ends; a bare name might go on. Most lines that are others are told by this.
        let ends = text.ends_with('}') || matches!(self.text.as_bytes().get(end), Some(b' ' | b'\t'));
        let is_it = ends && keys.of(text) == *key;
        if is_it {
            self.at = end;
        }
        is_it
    }

    /// Goes back to an earlier place.
    pub fn back_to(&mut self, earlier: &Self) {
        self.at = earlier.at;
    }

    /// The series that stands here; `pairs` are emptied and filled with its labels.
    ///
    /// # Errors
    /// A name is missing, wrong or repeated, or a quote or brace is not closed.
    pub fn series(&mut self, pairs: &mut Pairs<'a>) -> Result<Series<'a>, ParseError> {
        pairs.clear();
        let begin = self.at;
        let mut name = self.word(|letter| letter == b':').map(Cow::Borrowed);
        let mut end = self.at;
        self.blanks();
        if self.byte() == Some(b'{') {
            self.at += 1;
            self.pairs(&mut name, pairs)?;
            end = self.at;
        } else if name.is_none() {
            return Err(self.mistake(begin, "a metric name is missing"));
        } else if self.at == end {
            return Err(self.mistake(
                end,
                "a value is missing, or this letter cannot be in a metric name",
            ));
        } else {
            self.at = end;
        }
        let name = name.ok_or_else(|| self.mistake(begin, "the braces name no metric"))?;
        let key = self.text.get(begin..end).unwrap_or_default();
        Ok(Series { name, key })
    }

    /// The value that follows, and its time in milliseconds if it has one; the cursor is at the next line.
    ///
    /// # Errors
    /// One of them is no number, or something stands behind them.
    pub fn value(&mut self) -> Result<(f64, Option<i64>), ParseError> {
        self.blanks();
        let (begin, word) = self.token();
        let value = match number::parse(word) {
            Some(value) => value,
            None if word.is_empty() => return Err(self.mistake(begin, "a value is missing")),
            None => return Err(self.mistake(begin, format!("{:?} is no value", clipped(word)))),
        };
        self.blanks();
        self.example = None;
        if self.ends() {
            return Ok((value, None));
        }
        let time = self.time()?;
        self.blanks();
        if self.ends() {
            return Ok((value, Some(time)));
        }
        Err(self.mistake(self.at, "more than a value and a time"))
    }

    /// The exemplar of the value that was read last, if it has one.
    ///
    /// # Errors
    /// What stands there is none.
    pub fn example(&self) -> Result<Option<Example<'a>>, ParseError> {
        let Some((at, end)) = self.example else {
            return Ok(None);
        };
        let mut rest = Self {
            text: self.text.get(..end).unwrap_or_default(),
            at,
            format: self.format,
            example: None,
        };
        rest.blanks();
        if rest.byte() != Some(b'{') {
            return Err(rest.mistake(rest.at, "an exemplar begins with its labels in braces"));
        }
        rest.at += 1;
        // Taken already, so that a quoted word alone is a mistake.
        let (mut name, mut pairs) = (Some(Cow::Borrowed("")), Pairs::new());
        rest.pairs(&mut name, &mut pairs)?;
        rest.blanks();
        let (begin, word) = rest.token();
        let value = number::parse(word)
            .ok_or_else(|| rest.mistake(begin, format!("{:?} is no value of an exemplar", clipped(word))))?;
        rest.blanks();
        let time = if rest.newline() { None } else { Some(rest.time()?) };
        rest.blanks();
        if time.is_some() && !rest.newline() {
            return Err(rest.mistake(rest.at, "more than labels, a value and a time"));
        }
        Ok(Some(Example { pairs, value, time }))
    }

    /// In milliseconds.
    fn time(&mut self) -> Result<i64, ParseError> {
        let (begin, word) = self.token();
        let (time, unit) = match self.format {
            Format::Text => (word.parse().ok(), "milliseconds"),
            Format::OpenMetrics => {
                let seconds = number::parse(word).filter(|seconds| seconds.is_finite());
                (seconds.map(|seconds| (seconds * 1000.0) as i64), "seconds")
            }
        };
        time.ok_or_else(|| self.mistake(begin, format!("{:?} is no time in {unit}", clipped(word))))
    }

    /// Steps over the line's end, and an exemplar in front of it.
    fn ends(&mut self) -> bool {
        if self.format == Format::OpenMetrics && self.byte() == Some(b'#') {
            let end = self.line_end();
            self.example = Some((self.at + 1, end));
            self.at = end;
        }
        self.newline()
    }

    /// The pairs up to the closing brace, the metric's name among them when it is quoted.
    fn pairs(&mut self, name: &mut Option<Cow<'a, str>>, pairs: &mut Pairs<'a>) -> Result<(), ParseError> {
        loop {
            self.blanks();
            let at = self.at;
            let label = match self.byte() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => self.quoted()?,
                Some(_) => match self.word(|_| false) {
                    Some(word) => Cow::Borrowed(word),
                    None => return Err(self.mistake(at, "a label name is missing")),
                },
                None => return Err(self.mistake(at, "a brace is not closed")),
            };
            let is_quoted = self.text.as_bytes().get(at) == Some(&b'"');
            self.blanks();
            if self.byte() == Some(b'=') {
                self.at += 1;
                self.blanks();
                if self.byte() != Some(b'"') {
                    return Err(self.mistake(self.at, "a label value begins with a quote"));
                }
                let value = self.quoted()?;
                if label.is_empty() {
                    return Err(self.mistake(at, "a label name is empty"));
                }
                if label == model::labels::METRIC_NAME || pairs.iter().any(|(known, _)| *known == label) {
                    return Err(self.mistake(at, format!("label {:?} comes twice", clipped(&label))));
                }
                pairs.push((label, value));
            } else if is_quoted && name.is_none() && !label.is_empty() {
                *name = Some(label);
            } else {
                return Err(self.mistake(self.at, "a label has no value"));
            }
            self.blanks();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                Some(_) => return Err(self.mistake(self.at, "a comma or a brace is missing")),
                None => return Err(self.mistake(self.at, "a brace is not closed")),
            }
        }
    }

    /// From the quote at the cursor to the next one that is not escaped.
    fn quoted(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let bytes = self.text.as_bytes();
        let begin = self.at + 1;
        let mut at = begin;
        loop {
            let found = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest));
            let Some(found) = found.map(|found| at + found) else {
                return Err(self.mistake(self.at, "a quote is not closed"));
            };
            if bytes.get(found) == Some(&b'"') {
                self.at = found + 1;
                return Ok(unescaped(self.text.get(begin..found).unwrap_or_default(), true));
            }
            at = found + 2;
        }
    }

    /// A name as it stands without quotes.
    fn word(&mut self, extra: impl Fn(u8) -> bool) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_letter = |letter: u8| letter.is_ascii_alphabetic() || letter == b'_' || extra(letter);
        if !rest.first().is_some_and(|first| is_letter(*first)) {
            return None;
        }
        let length = rest
            .iter()
            .take_while(|letter| is_letter(**letter) || letter.is_ascii_digit())
            .count();
        let word = self.text.get(self.at..self.at + length);
        self.at += length;
        word
    }

    /// Everything up to a blank or the line's end.
    fn token(&mut self) -> (usize, &'a str) {
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin..).unwrap_or_default();
        self.at += rest
            .iter()
            .take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
            .count();
        (begin, self.text.get(begin..self.at).unwrap_or_default())
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Steps over the line's end, which the last line may lack.
    fn newline(&mut self) -> bool {
        match self.byte() {
            None => true,
            Some(b'\n') => {
                self.at += 1;
                true
            }
            Some(_) => false,
        }
    }

    fn line_end(&self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at + memchr(b'\n', rest).unwrap_or(rest.len())
    }

    /// Something is wrong at the cursor.
    #[must_use]
    pub fn mistake_here(&self, message: &str) -> ParseError {
        self.mistake(self.at, message)
    }

    #[cold]
    fn mistake(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text.as_bytes(), at, message)
    }
}

/// A line that begins with `#`.
#[derive(Clone, Copy, Debug)]
pub struct Comment<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    format: Format,
}

impl<'a> Comment<'a> {
    #[must_use]
    pub fn line(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    /// Whether it says that nothing comes after it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.format == Format::OpenMetrics && self.line() == "# EOF"
    }

    /// What it says about a family; most comments say nothing.
    ///
    /// # Errors
    /// It begins like a `HELP`, `TYPE` or `UNIT` and is none.
    pub fn meta(&self) -> Result<Option<Meta<'a>>, ParseError> {
        let mut rest = Cursor {
            text: self.text.get(..self.end).unwrap_or_default(),
            at: self.at + 1,
            format: self.format,
            example: None,
        };
        rest.blanks();
        let word = rest.token().1;
        let is_open = self.format == Format::OpenMetrics;
        match word {
            "HELP" | "TYPE" => {}
            "UNIT" if is_open => {}
            _ => return Ok(None),
        }
        rest.blanks();
        let at = rest.at;
        let family = match rest.byte() {
            Some(b'"') => Some(rest.quoted()?),
            _ => rest.word(|letter| letter == b':').map(Cow::Borrowed),
        };
        let family = family.filter(|family| !family.is_empty());
        let family = family.ok_or_else(|| rest.mistake(at, format!("{word} without a metric name")))?;
        if !matches!(rest.byte(), None | Some(b' ' | b'\t')) {
            return Err(rest.mistake(rest.at, "this letter cannot be in a metric name"));
        }
        if word == "HELP" {
            // One blank divides; what else there is belongs to the text.
            let help = rest.text.get(rest.at + 1..).unwrap_or_default();
            return Ok(Some(Meta::Help {
                family,
                help: unescaped(help, is_open),
            }));
        }
        if word == "UNIT" {
            rest.blanks();
            let unit = rest.token().1;
            return Ok(Some(Meta::Unit { family, unit }));
        }
        rest.blanks();
        let (at, kind) = rest.token();
        let (kind, suffix) = kind_of(kind, self.format)
            .ok_or_else(|| rest.mistake(at, format!("{:?} is no type", clipped(kind))))?;
        rest.blanks();
        match rest.byte() {
            None => Ok(Some(Meta::Type { family, kind, suffix })),
            Some(_) => Err(rest.mistake(rest.at, "more than a type")),
        }
    }
}

/// What text format 0.0.4 has no word for becomes the nearest that it has.
fn kind_of(word: &str, format: Format) -> Option<(Kind, Option<&'static str>)> {
    let is_open = format == Format::OpenMetrics;
    Some(match word {
        "counter" if is_open => (Kind::Counter, Some("total")),
        "counter" => (Kind::Counter, None),
        "gauge" => (Kind::Gauge, None),
        "histogram" => (Kind::Histogram, None),
        "summary" => (Kind::Summary, None),
        "untyped" if !is_open => (Kind::Unknown, None),
        "info" if is_open => (Kind::Gauge, Some("info")),
        "stateset" if is_open => (Kind::Gauge, None),
        "unknown" | "gaugehistogram" if is_open => (Kind::Unknown, None),
        _ => return None,
    })
}

/// `\\`, `\n` and, within quotes, `\"`; every other backslash stands for itself.
fn unescaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('\\') => plain.push('\\'),
            Some('"') if quotes => plain.push('"'),
            other => {
                plain.push('\\');
                plain.extend(other);
            }
        }
    }
    Cow::Owned(plain)
}

fn clipped(word: &str) -> String {
    word.chars().take(40).collect()
}
