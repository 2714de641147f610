//! Reads YAML strictly: a mistake is a [`Complaint`] with file, line, column, excerpt and suggestion.
//!
//! An empty document is an empty map, and a key with nothing after it may stand for its default
//! ([`null_default`]), both as in Prometheus.

use model::Complaint;
use model::complaint::nearest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Error;
pub use serde_saphyr::Spanned;

/// `file` is the name as the person gave it, for the complaint only.
///
/// # Errors
/// The first mistake in the document.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Complaint> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = if is_blank(text) { "{}" } else { text };
    serde_saphyr::from_str(source).map_err(|error| complain(file, text, &error))
}

/// A document as text, such that [`read`] and other readers find the same in it: what another one could take for a number or a
/// flag is quoted. Empty for what has no form in YAML.
pub fn write<T: Serialize>(value: &T) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// For `#[serde(deserialize_with = "yaml::null_default")]`: `groups:` with nothing after it is its default.
///
/// # Errors
/// What reading `T` gives.
pub fn null_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A complaint about a value that was read with its place.
#[must_use]
pub fn complain_at<T>(file: &str, text: &str, place: &Spanned<T>, message: impl Into<String>) -> Complaint {
    let (line, column) = position(place.referenced.line(), place.referenced.column());
    Complaint::at(file, text, line, column, message)
}

fn is_blank(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn position(line: u64, column: u64) -> (usize, usize) {
    (
        usize::try_from(line).unwrap_or(0),
        usize::try_from(column).unwrap_or(0),
    )
}

fn complain(file: &str, text: &str, error: &Error) -> Complaint {
    let bare = error.without_snippet();
    let message = match bare {
        Error::SerdeUnknownField { field, .. } => format!("unknown key {field:?}"),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            format!("{variant:?} is not one of {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("key {field:?} is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("key {key:?} is there twice"),
        other => reworded(plain(&other.to_string())),
    };
    let complaint = match bare.location() {
        Some(place) => {
            let (line, column) = position(place.line(), place.column());
            Complaint::at(file, text, line, column, message)
        }
        None => Complaint::about(file, message),
    };
    match bare {
        Error::SerdeUnknownField { field, expected, .. } => complaint.suggest(suggestion(field, expected)),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => match nearest(variant, expected.iter().copied()) {
            Some(near) => complaint.suggest(format!("did you mean {near:?}?")),
            None => complaint,
        },
        _ => complaint,
    }
}

/// The parser's first line, without the place that the complaint already has.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let end = line
        .find(" at line ")
        .or_else(|| line.find(" (at line "))
        .unwrap_or(line.len());
    let start = match line.strip_prefix("line ").and_then(|rest| rest.find(": ")) {
        Some(colon) if colon < end => "line ".len() + colon + 2,
        _ => 0,
    };
    line.get(start..end).unwrap_or(line).to_owned()
}

/// The library's words for programmers, in words for whoever wrote the file.
fn reworded(message: String) -> String {
    const WORDS: [(&str, &str); 4] = [
        (
            "expected mapping start",
            "keys with values are expected here (a mapping), not a single value or a list",
        ),
        ("expected sequence start", "a list is expected here"),
        ("cannot deserialize null into string", "a value is missing here"),
        (
            "multiple YAML documents detected",
            "the file holds more than one YAML document; keep the first",
        ),
    ];
    let known = WORDS.iter().find(|(theirs, _)| message.contains(theirs));
    known.map_or(message, |(_, ours)| (*ours).to_owned())
}

fn suggestion(field: &str, expected: &[&'static str]) -> String {
    match nearest(field, expected.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if expected.is_empty() => "no keys are known here".to_owned(),
        None => format!("known keys here: {}", expected.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        scrape_interval: Duration,
        #[serde(deserialize_with = "null_default")]
        groups: Vec<Group>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Group {
        name: String,
        limit: Option<u32>,
    }

    fn complaint(text: &str) -> String {
        read::<Config>("a.yaml", text)
            .map_or_else(|complaint| complaint.to_string(), |config| format!("{config:?}"))
    }

    #[test]
    fn an_empty_document_and_an_empty_key_are_defaults() {
        for text in ["", "# nothing\n", "---\n", "groups:\n", "{}"] {
            assert_eq!(read::<Config>("a.yaml", text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_placed_and_mended() {
        let text = complaint("groups:\n  - name: a\n    limt: 3\n");
        assert!(text.starts_with("a.yaml:3:5: unknown key \"limt\"\n"), "{text}");
        assert!(text.contains("  3 |     limt: 3\n    |     ^"), "{text}");
        assert!(text.ends_with("did you mean \"limit\"?"), "{text}");
    }

    #[test]
    fn a_wrong_type_says_what_was_expected_and_where() {
        let text = complaint("scrape_interval: soon\n");
        assert!(
            text.starts_with("a.yaml:1:18: not a duration: \"soon\"; write for example 15s"),
            "{text}"
        );
        let text = complaint("groups:\n  - name: a\n    limit: many\n");
        assert!(text.starts_with("a.yaml:3:12: "), "{text}");
    }

    #[test]
    fn a_wrong_shape_is_said_in_words_of_the_file() {
        let text = complaint("groups:\n  - 5\n");
        assert!(text.contains("keys with values are expected here"), "{text}");
        let text = complaint("groups: { a: 1 }\n");
        assert!(text.contains("a list is expected here"), "{text}");
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let long = "many words ".repeat(40);
        let texts = [
            "yes",
            "no",
            "on",
            "~",
            "null",
            "1",
            "0x1f",
            "1e3",
            "1_000",
            "22:00",
            "1:30:00",
            "2026-11-27",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "",
            " a",
            "a ",
            "a\nb",
            "a\n",
            "\n",
            "<secret>",
            "{{ .x }}",
            "[a]",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "'",
            "\"",
            "\\",
            "a=\"b\"",
            "=",
            "<<",
            ".5",
            "+1",
            "é\u{7}",
            "\t",
            long.as_str(),
            "true",
            "y",
            "N",
            "?",
            "? a",
            "---",
            "...",
            "|",
            ">",
            "a\n  b\n c\n",
            "0123456789abcdef",
            "123e4567",
            ".inf",
            ".nan",
            "0o7",
            "07",
        ];
        let written = write(&texts.to_vec());
        let found: Vec<String> = read("a.yaml", &written).unwrap();
        assert_eq!(found, texts, "{written}");
        let map: std::collections::BTreeMap<&str, i32> = texts.iter().map(|text| (*text, 1)).collect();
        let written = write(&map);
        let found: std::collections::BTreeMap<String, i32> = read("a.yaml", &written).unwrap();
        assert_eq!(found.len(), texts.len(), "{written}");
    }

    #[test]
    fn broken_yaml_is_placed() {
        let text = complaint("groups: [\n");
        assert!(text.starts_with("a.yaml:"), "{text}");
        let text = complaint("groups: []\ngroups: []\n");
        assert!(text.contains("\"groups\" is there twice"), "{text}");
    }
}
