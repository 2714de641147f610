//! Name and version of the operating system, from `os-release`.

use std::collections::HashMap;
use std::path::Path;

use super::{At, Collector, Trouble};
use crate::family::Family;
use crate::file::{Buffer, File, ReadError};
use crate::known::Emit;

/// Keys of `os-release`, and the labels of `INFO` that they become.
const KEYS: [&str; 12] = [
    "BUILD_ID",
    "ID",
    "ID_LIKE",
    "IMAGE_ID",
    "IMAGE_VERSION",
    "NAME",
    "PRETTY_NAME",
    "VARIANT",
    "VARIANT_ID",
    "VERSION",
    "VERSION_CODENAME",
    "VERSION_ID",
];
const LABELS: &[&str; KEYS.len()] = &[
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

static INFO: Family = Family::gauge("node_os_info", "Words of os-release; always 1.", LABELS);
static VERSION: Family = Family::gauge(
    "node_os_version",
    "Version up to its second part.",
    &["id", "id_like", "name"],
);
static SUPPORT_END: Family = Family::gauge(
    "node_os_support_end_timestamp_seconds",
    "Day on which support ends.",
    &[],
);

pub(crate) struct Os {
    files: Release,
}

/// `/etc/os-release`, or what the distribution ships.
pub(crate) struct Release([File; 2]);

impl Release {
    pub(crate) fn new(rootfs: &Path) -> Self {
        // An upgrade replaces the file, so that a kept descriptor would show the old one for ever.
        Self(["etc/os-release", "usr/lib/os-release"].map(|path| File::passing(rootfs.join(path))))
    }

    pub(crate) fn read(&mut self, buffer: &mut Buffer) -> Result<HashMap<String, String>, ReadError> {
        let [first, second] = &mut self.0;
        match first.read(buffer) {
            Err(error) if error.is_absent() => second.read(buffer).map(|text| parse(&text)),
            other => other.map(|text| parse(&text)),
        }
    }
}

impl Os {
    pub(crate) fn new(rootfs: &Path) -> Self {
        Self {
            files: Release::new(rootfs),
        }
    }
}

impl Collector for Os {
    fn name(&self) -> &'static str {
        "os"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let release = self.files.read(at.buffer)?;
        let word = |key: &str| release.get(key).map_or("", String::as_str);
        emit.put(&INFO, &KEYS.map(word), 1.0);
        if let Some(version) = leading(word("VERSION_ID")).filter(|version| *version > 0.0) {
            emit.put(&VERSION, &[word("ID"), word("ID_LIKE"), word("NAME")], version);
        }
        if let Some(end) = seconds(word("SUPPORT_END")) {
            emit.put(&SUPPORT_END, &[], end);
        }
        Ok(())
    }
}

/// `KEY=value` lines as a shell reads them: quotes, backslashes, comments.
pub(crate) fn parse(text: &str) -> HashMap<String, String> {
    let assigned = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        (!key.starts_with('#')).then(|| (key.trim().to_owned(), unquoted(value)))
    };
    text.lines().filter_map(assigned).collect()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    if let Some(literal) = value.strip_prefix('\'') {
        return literal.split('\'').next().unwrap_or_default().to_owned();
    }
    let (inner, quoted) = match value.strip_prefix('"') {
        Some(inner) => (inner, true),
        None => (value, false),
    };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            '"' if quoted => break,
            other => plain.push(other),
        }
    }
    plain
}

/// `12`, `22.04`, the `2023.7` of `2023.7.20260101`.
fn leading(version: &str) -> Option<f64> {
    let mut dots = 0;
    let is_part = |letter: &char| {
        dots += usize::from(*letter == '.');
        letter.is_ascii_digit() || (*letter == '.' && dots == 1)
    };
    let start: String = version.chars().take_while(is_part).collect();
    start.parse().ok()
}

/// Midnight of a day such as `2029-06-30`, in Unix time.
fn seconds(day: &str) -> Option<f64> {
    let mut parts = day.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(days as f64 * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unquoted() {
        let release = parse(include_str!("../fixtures/root/etc/os-release"));
        let word = |key: &str| release.get(key).map(String::as_str);
        assert_eq!(word("PRETTY_NAME"), Some("Example \"Linux\" 12 (quiet)"));
        assert_eq!(word("ID"), Some("example"));
        assert_eq!(word("VERSION_ID"), Some("12.3.4"));
        assert_eq!(word("BUILD_ID"), Some("it's"));
        assert_eq!(word("#NOT"), None);
    }

    #[test]
    fn versions_and_days_become_numbers() {
        assert_eq!(leading("12.3.4"), Some(12.3));
        assert_eq!(leading("12"), Some(12.0));
        assert_eq!(leading("rolling"), None);
        assert_eq!(seconds("2029-06-30"), Some(1_877_472_000.0));
        assert_eq!(seconds("2000-02-29"), Some(951_782_400.0));
        assert_eq!(seconds("1970-01-01"), Some(0.0));
        assert_eq!(seconds("soon"), None);
    }
}
