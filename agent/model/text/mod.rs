//! How values are written: Go's floats, Prometheus' durations, quoted strings, RFC 3339 times.

pub mod duration;
pub mod float;
pub mod histogram;
pub mod size;

/// As Go's `strconv.Quote`, which PromQL prints.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: needs no quotes as a metric name.
#[must_use]
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_word(name, |letter| letter == b'_' || letter == b':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: needs no quotes as a label name.
#[must_use]
pub fn is_legacy_label_name(name: &str) -> bool {
    is_word(name, |letter| letter == b'_')
}

fn is_word(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || extra(first))
        && letters.all(|letter| letter.is_ascii_alphanumeric() || extra(letter))
}

/// `1.5 GiB`, for people.
#[must_use]
pub fn bytes(count: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = count;
    let mut unit = 0;
    while size.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let word = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 || size.abs() >= 100.0 {
        format!("{size:.0} {word}")
    } else {
        format!("{size:.1} {word}")
    }
}

/// `1,146`, for people.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        assert_eq!(quote("a\"b\\c\n"), r#""a\"b\\c\n""#);
    }

    #[test]
    fn people_read_sizes_and_counts() {
        assert_eq!(bytes(3_250_585.0), "3.1 MiB");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
