//! Numbers and names as people read them: with a unit, never with more digits than they carry.

use std::time::Duration;

use model::text;
use model::view::{Headroom, Rule};
use model::{Labels, labels};

/// Narrow no-break space between a number and its sign.
const THIN: char = '\u{202f}';

/// What a number counts, as far as an expression gives it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// 0 to 1, shown as per cent.
    Share,
    Percent,
    Bytes,
    BytesPerSecond,
    Seconds,
    /// Whatever it is, a plain number.
    Plain,
}

impl Unit {
    /// Guesses from the names in an expression and the number it is compared with. A wrong guess would
    /// mislead, so in doubt it is a plain number.
    pub(super) fn of(expr: &str, threshold: Option<f64>) -> Self {
        let rated = ["rate(", "increase(", "deriv(", "delta("]
            .iter()
            .any(|name| expr.contains(name));
        let divided = expr.contains('/');
        let small = threshold.is_none_or(|threshold| threshold.abs() <= 1.0);
        let hundred = ["100 *", "* 100", "100*", "*100"]
            .iter()
            .any(|text| expr.contains(text));
        if hundred || expr.contains("_percent") {
            Self::Percent
        } else if small && (expr.contains("_ratio") || (divided && !expr.contains("time()"))) {
            Self::Share
        } else if small && rated && expr.contains("_seconds_total") {
            // Seconds a second: the share of time that was spent so.
            Self::Share
        } else if divided {
            Self::Plain
        } else if expr.contains("_bytes") {
            match (rated, expr.contains("predict_linear(")) {
                (true, false) => Self::BytesPerSecond,
                _ => Self::Bytes,
            }
        } else if (expr.contains("_seconds") || expr.contains("time()")) && !rated {
            Self::Seconds
        } else {
            Self::Plain
        }
    }

    /// `81 %`, `58 MiB`, `50 ms`, `1,146`.
    pub(super) fn write(self, value: f64) -> String {
        if !value.is_finite() {
            return text::float::go(value);
        }
        match self {
            Self::Share => percent(value * 100.0),
            Self::Percent => percent(value),
            Self::Bytes => narrow(&text::bytes(value)),
            Self::BytesPerSecond => format!("{}/s", narrow(&text::bytes(value))),
            Self::Seconds => seconds(value),
            Self::Plain => plain(value),
        }
    }

    /// The natural end of what is a share: 100 %.
    pub(super) fn most(self) -> Option<f64> {
        match self {
            Self::Share => Some(1.0),
            Self::Percent => Some(100.0),
            _ => None,
        }
    }
}

fn percent(value: f64) -> String {
    let digits = if value != 0.0 && value.abs() < 9.95 { 1 } else { 0 };
    let number = format!("{value:.digits$}");
    let number = number.strip_suffix(".0").unwrap_or(&number);
    format!("{}{THIN}%", if number == "-0" { "0" } else { number })
}

fn narrow(sized: &str) -> String {
    sized.replacen(".0 ", " ", 1).replace(' ', &THIN.to_string())
}

fn seconds(value: f64) -> String {
    let (sign, size) = (if value < 0.0 { "−" } else { "" }, value.abs());
    let spoken = if size == 0.0 {
        "0 s".to_owned()
    } else if size < 1e-3 {
        format!("{} µs", plain(size * 1e6))
    } else if size < 1.0 {
        format!("{} ms", plain(size * 1e3))
    } else if size < 60.0 {
        format!("{} s", plain(size))
    } else {
        text::duration::spoken(Duration::try_from_secs_f64(size).unwrap_or(Duration::MAX))
    };
    format!("{sign}{}", spoken.replacen(' ', &THIN.to_string(), 1))
}

/// Three digits that carry, thousands grouped.
pub(super) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return text::float::go(value);
    }
    let (sign, size) = (if value < 0.0 { "−" } else { "" }, value.abs());
    if size >= 1e15 || (size > 0.0 && size < 1e-3) {
        return text::float::go(value);
    }
    if size >= 100.0 || size.fract() == 0.0 {
        return format!("{sign}{}", text::count(size.round() as u64));
    }
    let digits = if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    let number = format!("{size:.digits$}");
    format!("{sign}{}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// `1 rule`, `26 rules`.
pub(super) fn count(number: usize, one: &str) -> String {
    let grouped = text::count(number as u64);
    if number == 1 {
        format!("{grouped} {one}")
    } else {
        format!("{grouped} {one}s")
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// `syslog, kern.log and 3 more`.
pub(super) fn list_short(names: &[String], most: usize) -> String {
    match names.get(..most) {
        Some(front) if names.len() > most + 1 => {
            format!("{} and {} more", front.join(", "), names.len() - most)
        }
        _ => names.join(", "),
    }
}

/// The label that says best where something is: a mount point before a device before an instance.
pub(super) fn place(labels: &Labels) -> Option<&str> {
    const TELLING: [&str; 12] = [
        "mountpoint",
        "pod",
        "path",
        "file",
        "device",
        "receiver",
        "source",
        "name",
        "room",
        "interface",
        "instance",
        "job",
    ];
    let known = TELLING.iter().find_map(|name| labels.get(name));
    known.or_else(|| {
        let dull = [labels::METRIC_NAME, labels::ALERT_NAME, "severity"];
        labels
            .iter()
            .find(|(name, _)| !dull.contains(name))
            .map(|(_, value)| value)
    })
}

/// `81 %` and `90 %` of one rule's nearest series.
pub(super) fn figures(rule: &Rule, headroom: &Headroom) -> (String, String) {
    let unit = Unit::of(&rule.expr, Some(headroom.threshold));
    (unit.write(headroom.value), unit.write(headroom.threshold))
}

/// `above 90 %`, `below 10 %`: the condition in words.
pub(super) fn condition(op: &str, threshold: &str) -> String {
    match op {
        ">" => format!("above {threshold}"),
        ">=" => format!("from {threshold}"),
        "<" => format!("below {threshold}"),
        "<=" => format!("at most {threshold}"),
        "==" => format!("at {threshold}"),
        _ => format!("other than {threshold}"),
    }
}

/// A log line as it may be shown: colour codes dropped, other control characters made visible.
pub(super) fn clean(line: &str) -> String {
    let mut cleaned = String::with_capacity(line.len());
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' if letters.peek() == Some(&'[') => {
                // A terminal sequence ends with its first letter.
                for inner in letters.by_ref().skip(1) {
                    if inner.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
            '\t' | '\n' => cleaned.push(letter),
            // Characters that turn text around could make a line read as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => cleaned.push('\u{fffd}'),
            '\u{0}'..='\u{1f}' => {
                cleaned.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'));
            }
            '\u{7f}'..='\u{9f}' => cleaned.push('\u{fffd}'),
            _ => cleaned.push(letter),
        }
    }
    cleaned
}

/// At most `most` characters of a text, and how many were left out.
pub(super) fn cut(text: &str, most: usize) -> (&str, usize) {
    match text.char_indices().nth(most) {
        Some((at, _)) => {
            let (head, tail) = text.split_at(at);
            (head, tail.chars().count())
        }
        None => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_without_its_unit() {
        let ratio = "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes > 0.9";
        let skew = "abs(node_timex_offset_seconds) > 0.05";
        let rate = "rate(node_pressure_io_waiting_seconds_total[5m]) > 0.2";
        for (expr, threshold, value, text) in [
            (ratio, 0.9, 0.8123, "81 %"),
            (ratio, 0.9, 0.012, "1.2 %"),
            (skew, 0.05, 0.0003, "300 µs"),
            (skew, 0.05, -0.05, "−50 ms"),
            (rate, 0.2, 0.2, "20 %"),
            ("process_resident_memory_bytes > 6e7", 6e7, 60_817_408.0, "58 MiB"),
            (
                "predict_linear(node_filesystem_avail_bytes[1h], 86400) < 0",
                0.0,
                3.5e9,
                "3.3 GiB",
            ),
            ("up == 0", 0.0, 1.0, "1"),
            ("time() - skopos_last_seconds > 60", 60.0, 158.0, "2 min 38 s"),
        ] {
            let unit = Unit::of(expr, Some(threshold));
            assert_eq!(unit.write(value).replace(THIN, " "), text, "{expr}");
        }
    }

    #[test]
    fn plain_numbers_carry_three_digits() {
        let cases = [
            (0.0, "0"),
            (1146.0, "1,146"),
            (0.1234, "0.123"),
            (12.345, "12.3"),
            (2.5, "2.5"),
            (-3.0, "−3"),
        ];
        for (value, text) in cases {
            assert_eq!(plain(value), text);
        }
        assert_eq!(plain(f64::NAN), "NaN");
    }

    #[test]
    fn a_line_cannot_draw_on_the_page_or_turn_it_around() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\u{7}\ta"), "red\u{2407}\ta");
        assert_eq!(clean("a\u{202e}b"), "a\u{fffd}b");
        assert_eq!(cut("äöü", 2), ("äö", 1));
    }

    #[test]
    fn lists_read_as_sentences() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        assert_eq!(list(&names), "a, b, c and d");
        assert_eq!(list_short(&names, 2), "a, b and 2 more");
        assert_eq!(list_short(&names, 3), "a, b, c, d");
    }
}
