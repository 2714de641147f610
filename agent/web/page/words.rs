//! Numbers, names and sentences as people read them.

use model::view::{Alert, Rule};
use model::{Labels, labels, text};

use super::when::Wall;

/// Three digits that carry, thousands grouped.
pub(super) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return text::float::go(value);
    }
    let (sign, size) = (if value < 0.0 { "−" } else { "" }, value.abs());
    if size >= 1e15 || (size > 0.0 && size < 1e-3) {
        // Three digits that carry are enough for people here, too.
        let short = format!("{value:.2e}").parse().unwrap_or(value);
        return text::float::go(short);
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

/// `1 file as it grows`, `4 files as they grow`.
pub(super) fn growing(number: usize, one: &str) -> String {
    let they = if number == 1 { "it grows" } else { "they grow" };
    format!("{} as {they}", count(number, one))
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

/// When a pending alert fires: `at 12:05 if it lasts`.
pub(super) fn due(rule: &Rule, alert: &Alert, wall: &Wall) -> String {
    match rule.datapoints {
        Some((m, n)) => format!("once it was true in {m} of {n} evaluations"),
        None => format!("at {} if it lasts", wall.minute(alert.active_at + rule.hold)),
    }
}

/// What is not there is shown as a dash.
pub(super) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// The label that says best where something is: a mount point before a device before an instance.
pub(super) fn place(labels: &Labels) -> Option<&str> {
    const TELLING: [&str; 13] = [
        "mountpoint",
        "pod",
        "path",
        "file",
        "device",
        "receiver",
        "rule_group",
        "source",
        "name",
        "interface",
        "reason",
        "instance",
        "job",
    ];
    // Of AWS: a target group before its load balancer, a cluster before the number of its broker.
    let dimensions = labels.iter().filter(|(name, _)| name.starts_with("dimension_"));
    let resource = dimensions.last().map(|(_, value)| value);
    let known = resource.or_else(|| TELLING.iter().find_map(|name| labels.get(name)));
    known.or_else(|| {
        let dull = [labels::METRIC_NAME, labels::ALERT_NAME, "severity"];
        labels
            .iter()
            .find(|(name, _)| !dull.contains(name))
            .map(|(_, value)| value)
    })
}

/// Where one of several is: its place, and what tells it from others of the same place: `vm cpu 0`.
pub(super) fn apart(one: &Labels, all: &[&Labels]) -> String {
    let here = place(one).unwrap_or_default();
    let same: Vec<&&Labels> = all
        .iter()
        .filter(|other| place(other).unwrap_or_default() == here)
        .collect();
    let tells = |name: &str, value: &str| same.iter().any(|other| other.value(name) != value);
    let mut words = vec![here.to_owned()];
    for (name, value) in one
        .iter()
        .filter(|(name, value)| *value != here && tells(name, value))
    {
        words.push(format!("{name} {value}"));
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
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
    fn several_of_one_place_are_told_apart() {
        let alert = |cpu: &str, device: &str| {
            Labels::from_pairs([
                ("alertname", "A"),
                ("instance", "vm"),
                ("cpu", cpu),
                ("device", device),
            ])
        };
        let (first, second) = (alert("0", ""), alert("1", ""));
        assert_eq!(apart(&first, &[&first, &second]), "vm cpu 0");
        assert_eq!(apart(&first, &[&first]), "vm");
        let (sda, sdb) = (alert("", "sda"), alert("", "sdb"));
        assert_eq!(apart(&sda, &[&sda, &sdb]), "sda");
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
