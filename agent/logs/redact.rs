//! Takes out of lines what nobody should find there: tokens, card numbers, mail addresses, and what a configuration names.
//!
//! Done before a line is kept or sent anywhere. What stands in its place says which rule it was; a line is never dropped for it.

use std::borrow::Cow;

use prometheus::IntCounterVec;
use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

/// Longest compiled pattern; what needs more would not be quick.
const PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Where a pattern has a group of this name, only that is taken out.
const SECRET: &str = "secret";

/// Rules that come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shipped {
    /// Authorization headers, JWTs, keys of AWS, GitHub and Slack, values of `password=`, `token:` and the like.
    Tokens,
    /// Numbers of 13 to 19 digits whose check digit is right.
    Cards,
    Emails,
}

/// A rule of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Stands in the line in place of what is taken out: `[redacted:<name>]`.
    pub name: String,
    /// What is taken out; a group `(?P<secret>…)` narrows it down to that part.
    pub regex: String,
}

/// All rules, in order.
#[derive(Default)]
pub(crate) struct Redaction {
    rules: Vec<Rule>,
}

/// Whether something that looks like it is it.
type Judge = fn(&[u8]) -> bool;

struct Rule {
    name: String,
    regex: Regex,
    mask: Vec<u8>,
    has_group: bool,
    judge: Option<Judge>,
}

impl Redaction {
    /// # Errors
    /// A sentence that names the pattern and what is wrong with it.
    pub(crate) fn new(shipped: &[Shipped], patterns: &[Pattern]) -> Result<Self, String> {
        let mut rules = Vec::new();
        for rule in shipped {
            let (name, regexes, judge): (_, &[&str], Option<Judge>) = match rule {
                Shipped::Tokens => ("token", TOKENS, None),
                Shipped::Cards => ("card", &[r"\b[0-9](?:[ -]?[0-9]){12,18}\b"], Some(is_card)),
                Shipped::Emails => (
                    "email",
                    &[r"[A-Za-z0-9._%+-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z]{2,}\b"],
                    None,
                ),
            };
            for regex in regexes {
                rules.push(Rule::new(name, regex, judge)?);
            }
        }
        for pattern in patterns {
            let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            if pattern.name.is_empty() || !pattern.name.chars().all(fit) {
                return Err(format!(
                    "logs.redact_patterns: name {:?} is not of letters, digits, '-' and '_'",
                    pattern.name
                ));
            }
            rules.push(Rule::new(&pattern.name, &pattern.regex, None)?);
        }
        Ok(Self { rules })
    }

    /// The text without what the rules name. Borrowed when nothing was found, as in most lines.
    pub(crate) fn of<'t>(&self, text: &'t [u8], counts: &IntCounterVec, sink: &str) -> Cow<'t, [u8]> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.rules {
            let mut found = 0;
            if let Some(changed) = rule.apply(&text, &mut found) {
                text = Cow::Owned(changed);
                counts
                    .with_label_values(&[sink, rule.name.as_str()])
                    .inc_by(found);
            }
        }
        text
    }

    /// The same, for who only looks: nothing is counted.
    pub(crate) fn hide<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.rules {
            if let Some(changed) = rule.apply(&text, &mut 0) {
                text = Cow::Owned(changed);
            }
        }
        text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// What is wrong with a regular expression, on one line: the error draws the place over several, and its last one says it.
pub(crate) fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl Rule {
    fn new(name: &str, regex: &str, judge: Option<Judge>) -> Result<Self, String> {
        let built = RegexBuilder::new(regex)
            .unicode(true)
            .size_limit(PROGRAM_BYTES_MAX)
            .build();
        let regex =
            built.map_err(|error| format!("logs.redact_patterns: {name}: {regex:?}: {}", why(&error)))?;
        if regex.is_match(b"") {
            return Err(format!(
                "logs.redact_patterns: {name}: {:?} matches where nothing is, and so everywhere",
                regex.as_str()
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            mask: format!("[redacted:{name}]").into_bytes(),
            has_group: regex.capture_names().flatten().any(|group| group == SECRET),
            regex,
            judge,
        })
    }

    /// The changed text, if anything was found.
    fn apply(&self, text: &[u8], found: &mut u64) -> Option<Vec<u8>> {
        if !self.regex.is_match(text) {
            return None;
        }
        let mut replace = |captures: &Captures<'_>| self.replacement(captures, found);
        let changed = self.regex.replace_all(text, &mut replace).into_owned();
        (*found > 0).then_some(changed)
    }

    fn replacement(&self, captures: &Captures<'_>, found: &mut u64) -> Vec<u8> {
        let Some(whole) = captures.get(0) else {
            return Vec::new();
        };
        if self.judge.is_some_and(|judge| !judge(whole.as_bytes())) {
            return whole.as_bytes().to_vec();
        }
        let secret = if self.has_group {
            captures.name(SECRET)
        } else {
            Some(whole)
        };
        let Some(secret) = secret.filter(|secret| !is_masked(secret.as_bytes())) else {
            return whole.as_bytes().to_vec();
        };
        *found += 1;
        let (from, until) = (secret.start() - whole.start(), secret.end() - whole.start());
        let bytes = whole.as_bytes();
        let mut text = bytes.get(..from).unwrap_or_default().to_vec();
        text.extend_from_slice(&self.mask);
        text.extend_from_slice(bytes.get(until..).unwrap_or_default());
        text
    }
}

/// What an earlier rule has put there.
fn is_masked(text: &[u8]) -> bool {
    text.starts_with(b"[redacted")
}

/// From the most certain to what is named by its key only.
const TOKENS: &[&str] = &[
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    r"(?i)\b(?:bearer|basic)\s+(?P<secret>[a-z0-9._~+/=-]{8,})",
    r#"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)["']?\s*[=:]\s*["']?(?P<secret>[^\s"',;&\[\]{}]{4,})"#,
];

/// The check digit of card numbers (Luhn, ISO/IEC 7812-1).
fn is_card(number: &[u8]) -> bool {
    let digits = number.iter().rev().filter(|byte| byte.is_ascii_digit());
    let sum: u32 = digits
        .enumerate()
        .map(|(nth, digit)| {
            let digit = u32::from(digit - b'0');
            match nth % 2 {
                0 => digit,
                _ => digit * 2 % 10 + digit * 2 / 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use telemetry::metrics::counters;

    use super::*;

    fn counts() -> IntCounterVec {
        counters(&Registry::new(), "x_total", "x", &["sink", "rule"])
    }

    fn all() -> Redaction {
        Redaction::new(&[Shipped::Tokens, Shipped::Cards, Shipped::Emails], &[]).unwrap()
    }

    fn redacted(text: &str) -> String {
        String::from_utf8(all().of(text.as_bytes(), &counts(), "s").into_owned()).unwrap()
    }

    #[test]
    fn secrets_are_taken_out_and_their_keys_stay() {
        for (text, want) in [
            (
                "Authorization: Bearer abcdef0123456789",
                "Authorization: Bearer [redacted:token]",
            ),
            (
                r#"{"password":"hunter22","user":"a"}"#,
                r#"{"password":"[redacted:token]","user":"a"}"#,
            ),
            ("api_key=AbCd1234&x=1", "api_key=[redacted:token]&x=1"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted:token] used"),
            (
                "token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1",
                "token=[redacted:token]",
            ),
            (
                "paid with 4111 1111 1111 1111 today",
                "paid with [redacted:card] today",
            ),
            (
                "mail from ann.b+c@mail.example.org, thanks",
                "mail from [redacted:email], thanks",
            ),
        ] {
            assert_eq!(redacted(text), want);
        }
    }

    #[test]
    fn what_only_looks_alike_stays() {
        for text in [
            "order 4111111111111112 shipped",
            "took=1234567890123ms trace=00000000000000000000000000000001",
            "password: ***",
            "a@b",
            "the basic idea",
        ] {
            assert_eq!(redacted(text), text);
        }
        assert!(matches!(
            all().of(b"nothing here", &counts(), "s"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn rules_of_a_configuration_come_after_and_are_counted() {
        let pattern = |name: &str, regex: &str| Pattern {
            name: name.to_owned(),
            regex: regex.to_owned(),
        };
        let counts = counts();
        let patterns = [
            pattern("customer", r"customer=(?P<secret>\d+)"),
            pattern("host", r"db-\d+"),
        ];
        let redaction = Redaction::new(&[], &patterns).unwrap();
        let text = redaction
            .of(b"customer=123 on db-1 and db-2", &counts, "s")
            .into_owned();
        assert_eq!(
            text,
            b"customer=[redacted:customer] on [redacted:host] and [redacted:host]"
        );
        assert_eq!(counts.with_label_values(&["s", "host"]).get(), 2);
        for (name, regex) in [("x", "("), ("x", "a*"), ("a b", "x"), ("", "x")] {
            let wrong = Redaction::new(&[], &[pattern(name, regex)]).err().unwrap();
            assert!(wrong.starts_with("logs.redact_patterns: "), "{wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_read_all_the_same() {
        let text = all()
            .of(b"\xff\xfe token=abcdef \xff", &counts(), "s")
            .into_owned();
        assert_eq!(text, b"\xff\xfe token=[redacted:token] \xff");
    }
}
