//! What is said of metric families: with each series in 2.0, in messages of their own in 1.0.

use std::sync::Arc;

use hashbrown::HashMap;
use model::Kind;
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::decode::one::Metadata;

const FAMILIES_MAX: usize = 20_000;
const BYTES_MAX: usize = 4 << 20;

/// What is said of one series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) kind: Kind,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
}

impl Said<'_> {
    /// Tells sayings apart; 0 is nothing said.
    pub(crate) fn mark(&self) -> u32 {
        if self.kind == Kind::Unknown && self.help.is_empty() && self.unit.is_empty() {
            return 0;
        }
        let hash = xxh3_64(self.help.as_bytes()) ^ xxh3_64(self.unit.as_bytes()).rotate_left(7);
        // The two lowest values mean something else.
        ((hash ^ (hash >> 32)) as u32 ^ self.kind as u32).max(2)
    }
}

/// The family that a series of this name and type belongs to.
pub(crate) fn family(name: &str, kind: Kind) -> &str {
    let parts: &[&str] = match kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    parts
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name)
}

/// The same for all names that one family's metadata may speak of.
pub(crate) fn stem(name: &str) -> u32 {
    let parts = ["_bucket", "_sum", "_count", "_total"];
    let stem = parts
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name);
    xxh3_64(stem.as_bytes()) as u32
}

/// What one sender of 1.0 has said.
#[derive(Default)]
pub(crate) struct Families {
    known: HashMap<Box<str>, Known>,
    bytes: usize,
}

struct Known {
    kind: Kind,
    help: Arc<str>,
    unit: Arc<str>,
}

impl Families {
    /// True if that is news; what has no room is forgotten at once.
    pub(crate) fn hear(&mut self, said: &Metadata<'_>) -> bool {
        if let Some(known) = self.known.get(said.family)
            && known.kind == said.kind
            && *known.help == *said.help
            && *known.unit == *said.unit
        {
            return false;
        }
        let bytes = said.family.len() + said.help.len() + said.unit.len();
        let full = self.bytes + bytes > BYTES_MAX || self.known.len() >= FAMILIES_MAX;
        if full || said.family.is_empty() {
            return false;
        }
        let known = Known {
            kind: said.kind,
            help: said.help.into(),
            unit: said.unit.into(),
        };
        self.bytes += bytes;
        if let Some(old) = self.known.insert(said.family.into(), known) {
            self.bytes -= said.family.len() + old.help.len() + old.unit.len();
        }
        true
    }

    pub(crate) fn of(&self, name: &str) -> Said<'_> {
        let exact = self.known.get(name);
        let found = exact.or_else(|| {
            ["_bucket", "_sum", "_count", "_total"].iter().find_map(|part| {
                let known = self.known.get(name.strip_suffix(part)?)?;
                let belongs = match known.kind {
                    Kind::Histogram => *part != "_total",
                    Kind::Summary => matches!(*part, "_sum" | "_count"),
                    Kind::Counter => *part == "_total",
                    Kind::Gauge | Kind::Unknown => false,
                };
                belongs.then_some(known)
            })
        });
        found.map_or_else(Said::default, |known| Said {
            kind: known.kind,
            help: &known.help,
            unit: &known.unit,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
