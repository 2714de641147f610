//! An entry of the journal as a record of the spool, and the place behind it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::Level;
use xxhash_rust::xxh3::xxh3_128;

use super::config::Priority;
use super::export::Entry;
use crate::mark::Facts;
use crate::spool::{Place, Record};

/// Names under which a record says who has written it, and the fields of the journal that do.
const FACTS: [(&str, &str); 10] = [
    ("unit", "_SYSTEMD_UNIT"),
    ("user_unit", "_SYSTEMD_USER_UNIT"),
    ("identifier", "SYSLOG_IDENTIFIER"),
    ("pid", "_PID"),
    ("host", "_HOSTNAME"),
    ("boot_id", "_BOOT_ID"),
    ("transport", "_TRANSPORT"),
    ("container_name", "CONTAINER_NAME"),
    ("container_id", "CONTAINER_ID"),
    ("image", "IMAGE_NAME"),
];

/// Where an entry stands among those of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position<'a> {
    /// Of whoever counts: one for each journal.
    pub(crate) sequence: &'a str,
    pub(crate) number: u64,
}

impl<'a> Position<'a> {
    /// As a cursor says it; none when it does not.
    pub(crate) fn of(cursor: &'a str) -> Option<Self> {
        let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name));
        Some(Self {
            sequence: part("s=")?,
            number: u64::from_str_radix(part("i=")?, 16).ok()?,
        })
    }

    /// How many entries lie between this one and a later one; none when they are not counted together.
    pub(crate) fn missing_before(self, later: Position<'_>) -> Option<u64> {
        (self.sequence == later.sequence && later.number > self.number)
            .then(|| later.number - self.number - 1)
    }
}

/// None when the entry does not say when it was written.
pub(crate) fn record(entry: &Entry, input: &'static str) -> Option<Record> {
    let micros: i64 = entry.text("__REALTIME_TIMESTAMP").parse().ok()?;
    let cursor = entry.text("__CURSOR");
    let more = FACTS.map(|(name, field)| (name, entry.text(field).to_owned()));
    let text = entry.bytes("MESSAGE").unwrap_or_default();
    Some(Record {
        nanos: micros.saturating_mul(1_000),
        facts: Arc::new(Facts::new(source(entry), more)),
        stream: 0,
        level: level(entry),
        id: Some(id(micros, cursor)),
        text: text.to_vec(),
        bytes: Some(entry.message_bytes),
        place: Some(Place {
            input,
            at: cursor.to_owned(),
        }),
    })
}

/// Short name shown with the record.
fn source(entry: &Entry) -> &str {
    let names = ["_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"].map(|name| entry.text(name));
    names
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or("journal")
}

/// What a program writes to its standard output has the priority `info` whatever it says: then the text tells.
fn level(entry: &Entry) -> Option<Level> {
    let priority = Priority::of(entry)?;
    match priority {
        Priority::Info if entry.text("_TRANSPORT") == "stdout" => None,
        Priority::Emerg | Priority::Alert | Priority::Crit => Some(Level::Fatal),
        Priority::Err => Some(Level::Error),
        Priority::Warning => Some(Level::Warn),
        Priority::Notice | Priority::Info => Some(Level::Info),
        Priority::Debug => Some(Level::Debug),
    }
}

/// Time first, so that OpenSearch finds quickly that it has no such id; then what names the entry in any journal.
fn id(micros: i64, cursor: &str) -> String {
    let mut bytes = [0; 24];
    let (front, rest) = bytes.split_at_mut(8);
    front.copy_from_slice(&micros.to_be_bytes());
    rest.copy_from_slice(&xxh3_128(cursor.as_bytes()).to_be_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::export::{Export, Item};
    use super::*;

    /// An entry of these fields, with a cursor and a time.
    pub(crate) fn entry(fields: &[(&str, &str)]) -> Entry {
        let mut text = "__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1700000000123456\n".to_owned();
        for (name, value) in fields {
            text.push_str(&format!("{name}={value}\n"));
        }
        text.push('\n');
        let mut found = None;
        Export::new(1 << 20).push(text.as_bytes(), |item| match item {
            Item::Entry(entry) => found = Some(entry),
            Item::Malformed => panic!("{text}"),
        });
        found.unwrap()
    }

    #[test]
    fn a_record_says_what_its_entry_says() {
        let fields = [
            ("_SYSTEMD_UNIT", "kubelet.service"),
            ("SYSLOG_IDENTIFIER", "kubelet"),
            ("PRIORITY", "3"),
            ("_TRANSPORT", "syslog"),
            ("_PID", "12"),
            ("_HOSTNAME", "node-1"),
            ("MESSAGE", "no room"),
        ];
        let record = record(&entry(&fields), "journal").unwrap();
        assert_eq!(record.nanos, 1_700_000_000_123_456_000);
        assert_eq!(&*record.facts.source, "kubelet.service");
        assert_eq!(
            (record.facts.said("pid"), record.facts.said("host")),
            (Some("12"), Some("node-1"))
        );
        assert_eq!(record.facts.said("image"), None);
        assert_eq!(
            (record.level, record.text.as_slice()),
            (Some(Level::Error), &b"no room"[..])
        );
        assert_eq!(record.place.unwrap().at, "s=a;i=1");
        assert_eq!(record.id.unwrap().len(), 32);
    }

    #[test]
    fn a_text_from_standard_output_tells_its_level_itself() {
        let of = |priority: &str, transport: &str| {
            level(&entry(&[("PRIORITY", priority), ("_TRANSPORT", transport)]))
        };
        assert_eq!(of("6", "stdout"), None);
        assert_eq!(of("4", "stdout"), Some(Level::Warn));
        assert_eq!(of("6", "kernel"), Some(Level::Info));
        assert_eq!(of("2", "kernel"), Some(Level::Fatal));
        assert_eq!(of("9", "kernel"), None);
    }

    #[test]
    fn entries_of_one_journal_are_counted_and_those_of_two_are_not() {
        let of = |cursor| Position::of(cursor).unwrap();
        let known = of("s=a;i=1f;b=c");
        assert_eq!(known.missing_before(of("s=a;i=20;b=d")), Some(0));
        assert_eq!(known.missing_before(of("s=a;i=30")), Some(16));
        assert_eq!(known.missing_before(of("s=a;i=1f")), None);
        assert_eq!(known.missing_before(of("s=b;i=30")), None);
        assert_eq!(Position::of("17"), None);
    }
}
