//! Reads a script into its commands.

use std::time::Duration;

use model::{Labels, Timestamp, text};
use regex::Regex;

use super::ScriptError;
use super::series::{self, Item};
use crate::literal;

pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Check>),
}

pub(super) struct Load {
    pub(super) step: Duration,
    pub(super) series: Vec<(Labels, Vec<Item>)>,
    /// Classic histograms are to be kept as native ones too.
    pub(super) with_native: bool,
}

/// An evaluation and what is expected of it.
#[derive(Default)]
pub(super) struct Check {
    pub(super) line: usize,
    pub(super) expr: String,
    pub(super) span: Times,
    /// For an instant evaluation, that the answer is a range vector with these times.
    pub(super) range_vector: Option<Times>,
    pub(super) ordered: bool,
    pub(super) fail: Option<Wanted>,
    pub(super) warn: Vec<Wanted>,
    pub(super) info: Vec<Wanted>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) string: Option<String>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<(Labels, Vec<Item>)>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// None for an instant.
    pub(super) step: Option<Duration>,
}

pub(super) enum Wanted {
    Anything,
    Exactly(String),
    Like(Regex),
}

impl Wanted {
    pub(super) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(wanted) => text == wanted,
            Self::Like(regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anything => f.write_str("any"),
            Self::Exactly(text) => write!(f, "{text:?}"),
            Self::Like(regex) => write!(f, "like {:?}", regex.as_str()),
        }
    }
}

/// Trimmed lines with their numbers; comments count as empty.
struct Lines<'t> {
    lines: std::iter::Peekable<Box<dyn Iterator<Item = (usize, &'t str)> + 't>>,
}

pub(super) fn commands(script: &str) -> Result<Vec<Command>, ScriptError> {
    let numbered = script.split('\n').enumerate().map(|(nth, line)| {
        let line = line.trim();
        (nth + 1, if line.starts_with('#') { "" } else { line })
    });
    let numbered: Box<dyn Iterator<Item = (usize, &str)>> = Box::new(numbered);
    let mut lines = Lines {
        lines: numbered.peekable(),
    };
    let mut commands = Vec::new();
    while let Some((line, text)) = lines.lines.next() {
        if text.is_empty() {
            continue;
        }
        let (word, rest) = split_word(text);
        let word = word.to_ascii_lowercase();
        let command = match word.split_once('_').map_or(word.as_str(), |(first, _)| first) {
            "clear" => Command::Clear,
            "load" => Command::Load(lines.load(line, &word, rest)?),
            "eval" => Command::Eval(Box::new(lines.check(line, &word, rest)?)),
            _ => {
                return Err(wrong(
                    line,
                    format!("unknown command {word:?}, expected clear, load or eval"),
                ));
            }
        };
        commands.push(command);
    }
    Ok(commands)
}

impl<'t> Lines<'t> {
    /// The next line of a body, which ends at an empty one.
    fn body(&mut self) -> Option<(usize, &'t str)> {
        self.lines.next().filter(|(_, text)| !text.is_empty())
    }

    fn load(&mut self, line: usize, word: &str, rest: &str) -> Result<Load, ScriptError> {
        let with_native = match word {
            "load" => false,
            "load_with_nhcb" => true,
            _ => return Err(wrong(line, format!("unknown command {word:?}"))),
        };
        let step = duration(line, rest)?;
        let mut all = Vec::new();
        while let Some((line, text)) = self.body() {
            all.push(series::line(text).map_err(|why| wrong(line, why))?);
        }
        Ok(Load {
            step,
            series: all,
            with_native,
        })
    }

    fn check(&mut self, line: usize, word: &str, rest: &str) -> Result<Check, ScriptError> {
        let mut check = Check {
            line,
            ..Check::default()
        };
        match word.strip_prefix("eval").unwrap_or_default() {
            "" => {}
            "_fail" => check.fail = Some(Wanted::Anything),
            "_warn" => check.warn.push(Wanted::Anything),
            "_info" => check.info.push(Wanted::Anything),
            "_ordered" => check.ordered = true,
            _ => return Err(wrong(line, format!("unknown command {word:?}"))),
        }
        let (kind, rest) = split_word(rest);
        match kind {
            "instant" => {
                let (at, after) = split_word(rest);
                check.expr = rest.to_owned();
                if at == "at" {
                    let (time, expr) = split_word(after);
                    check.span.start = moment(line, time)?;
                    expr.clone_into(&mut check.expr);
                }
                check.span.end = check.span.start;
            }
            "range" => (check.span, check.expr) = times(line, rest)?,
            _ => {
                return Err(wrong(
                    line,
                    format!("unknown evaluation {kind:?}, expected instant or range"),
                ));
            }
        }
        while let Some((line, text)) = self.body() {
            if !check.body_line(line, text)? {
                break;
            }
        }
        Ok(check)
    }
}

impl Check {
    /// One line of the body; false when it is the last.
    fn body_line(&mut self, line: usize, text: &str) -> Result<bool, ScriptError> {
        let (word, rest) = split_word(text);
        match word {
            "expect" => self.expect(line, rest)?,
            "expected_fail_message" => {
                self.fail = Some(Wanted::Exactly(rest.to_owned()));
                return Ok(false);
            }
            "expected_fail_regexp" => {
                self.fail = Some(Wanted::Like(regex(line, rest)?));
                return Ok(false);
            }
            _ => {
                if let Some(number) = number(text) {
                    self.scalar = Some(number);
                    return Ok(false);
                }
                self.series
                    .push(series::line(text).map_err(|why| wrong(line, why))?);
            }
        }
        Ok(true)
    }

    fn expect(&mut self, line: usize, rest: &str) -> Result<(), ScriptError> {
        let (kind, rest) = split_word(rest);
        let wanted = match rest.split_once(':') {
            Some(("msg", text)) => Wanted::Exactly(text.trim().to_owned()),
            Some(("regex", text)) => Wanted::Like(regex(line, text.trim())?),
            _ => Wanted::Anything,
        };
        match kind {
            "ordered" => self.ordered = true,
            "fail" if self.fail.is_some() => return Err(wrong(line, "more than one \"expect fail\"")),
            "fail" => self.fail = Some(wanted),
            "warn" => self.warn.push(wanted),
            "info" => self.info.push(wanted),
            "no_warn" => self.no_warn = true,
            "no_info" => self.no_info = true,
            "string" => {
                let (text, _) = literal::unquote(rest).map_err(|why| wrong(line, why))?;
                self.string = Some(text);
            }
            "range" => {
                let (word, rest) = split_word(rest);
                if word != "vector" {
                    return Err(wrong(line, "expected \"expect range vector from … to … step …\""));
                }
                self.range_vector = Some(times(line, rest)?.0);
            }
            _ => return Err(wrong(line, format!("unknown expectation {kind:?}"))),
        }
        let contradiction =
            (self.no_warn && !self.warn.is_empty()) || (self.no_info && !self.info.is_empty());
        match contradiction {
            true => Err(wrong(
                line,
                "an annotation cannot be expected and forbidden at once",
            )),
            false => Ok(()),
        }
    }
}

/// `from T to T step D`, and what follows.
fn times(line: usize, rest: &str) -> Result<(Times, String), ScriptError> {
    let mut words = rest;
    let mut after = |keyword: &str| {
        let (word, rest) = split_word(words);
        let (value, rest) = split_word(rest);
        words = rest;
        if word == keyword {
            Ok(value)
        } else {
            Err(wrong(line, format!("expected {keyword:?}, found {word:?}")))
        }
    };
    let (from, to, step) = (after("from")?, after("to")?, after("step")?);
    let times = Times {
        start: moment(line, from)?,
        end: moment(line, to)?,
        step: Some(duration(line, step)?),
    };
    Ok((times, words.to_owned()))
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim())
}

fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = text::float::parse(unsigned).or_else(|| {
        let digit = unsigned.starts_with(|first: char| first.is_ascii_digit());
        digit.then(|| literal::number(unsigned)).flatten()
    })?;
    Some(if text.starts_with('-') { -value } else { value })
}

fn duration(line: usize, text: &str) -> Result<Duration, ScriptError> {
    model::text::duration::parse(text).map_err(|why| wrong(line, why))
}

fn moment(line: usize, text: &str) -> Result<Timestamp, ScriptError> {
    match text.strip_prefix('-') {
        Some(before) => Ok(Timestamp(0) - duration(line, before)?),
        None => Ok(Timestamp(0) + duration(line, text)?),
    }
}

fn regex(line: usize, pattern: &str) -> Result<Regex, ScriptError> {
    Regex::new(pattern).map_err(|why| wrong(line, format!("regular expression {pattern:?}: {why}")))
}

fn wrong(line: usize, message: impl Into<String>) -> ScriptError {
    ScriptError {
        line,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_to_its_last_expectation() {
        let script = "load 5m\n  up 0+1x2\n\n# why\neval range from 0 to 1h step 5m rate(up[5m])\n  expect warn msg: x: y\n  {} _ 1\n\nclear\neval_fail instant at 5m up{\n  expected_fail_message no\n";
        let commands = commands(script).unwrap();
        let [
            Command::Load(load),
            Command::Eval(range),
            Command::Clear,
            Command::Eval(fail),
        ] = commands.as_slice()
        else {
            panic!("four commands expected");
        };
        assert_eq!((load.step.as_secs(), load.series.len()), (300, 1));
        assert_eq!(
            (range.line, range.expr.as_str(), range.series.len()),
            (5, "rate(up[5m])", 1)
        );
        assert!(matches!(range.warn.as_slice(), [Wanted::Exactly(text)] if text == "x: y"));
        assert!(matches!(&fail.fail, Some(Wanted::Exactly(text)) if text == "no"));
    }

    #[test]
    fn a_mistake_has_its_line() {
        let line = |script: &str| commands(script).err().map(|error| error.line);
        assert_eq!(line("\nloud 5m\n"), Some(2));
        assert_eq!(line("load 5m\n  up 1x\n"), Some(2));
        assert_eq!(
            line("eval instant at 5m up\n  expect warn\n  expect no_warn\n"),
            Some(3)
        );
    }
}
