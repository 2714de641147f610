//! `meta.json`: what a block is, where it came from, and how much is in it.
//!
//! The format is the one of prometheus/prometheus tsdb/docs/format/README.md; fields of others are read over.

use std::path::Path;

use model::{TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error};
use crate::ulid::Ulid;

pub(crate) const FILE: &str = "meta.json";
const VERSION: u32 = 1;

/// Times with `start <= time < end`, as blocks have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Span {
    #[must_use]
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether any whole millisecond is in both.
    #[must_use]
    pub fn meets(self, range: TimeRange) -> bool {
        self.start <= range.until && self.end.0.saturating_sub(1) > range.after.0
    }

    pub(crate) fn length(self) -> i64 {
        self.end.0.saturating_sub(self.start.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    pub ulid: Ulid,
    /// Of the first sample, or before it.
    pub min_time: Timestamp,
    /// After the last sample.
    pub max_time: Timestamp,
    #[serde(default)]
    pub stats: Stats,
    pub compaction: Compaction,
    pub version: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Compaction {
    /// How often the samples have been written: 1 when they came from memory.
    pub level: u32,
    /// The blocks of level 1 that are in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// Another has all of it: it may go.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks it was made of; it takes their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    pub ulid: Ulid,
    pub min_time: Timestamp,
    pub max_time: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(truth: &bool) -> bool {
    !*truth
}

impl Meta {
    /// Of a block whose samples come from memory.
    pub(crate) fn new(ulid: Ulid, span: Span) -> Self {
        Self {
            ulid,
            min_time: span.start,
            max_time: span.end,
            stats: Stats::default(),
            compaction: Compaction {
                level: 1,
                sources: vec![ulid],
                ..Compaction::default()
            },
            version: VERSION,
        }
    }

    /// Of a block that takes the place of others; there is at least one.
    pub(crate) fn merged(ulid: Ulid, parents: &[&Self]) -> Self {
        let start = parents.iter().map(|meta| meta.min_time).min().unwrap_or_default();
        let end = parents.iter().map(|meta| meta.max_time).max().unwrap_or_default();
        let all = || parents.iter().map(|meta| &meta.compaction);
        let mut sources: Vec<Ulid> = all().flat_map(|compaction| compaction.sources.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        let mut hints = all().next().map(|first| first.hints.clone()).unwrap_or_default();
        // What is said of a part is not said of the whole.
        hints.retain(|hint| all().all(|compaction| compaction.hints.contains(hint)));
        let parent = |meta: &&Self| Parent {
            ulid: meta.ulid,
            min_time: meta.min_time,
            max_time: meta.max_time,
        };
        let level = all().map(|compaction| compaction.level).max().unwrap_or_default();
        Self {
            compaction: Compaction {
                level: level.saturating_add(1),
                sources,
                parents: parents.iter().map(parent).collect(),
                hints,
                ..Compaction::default()
            },
            ..Self::new(ulid, Span { start, end })
        }
    }

    #[must_use]
    pub fn span(&self) -> Span {
        Span {
            start: self.min_time,
            end: self.max_time,
        }
    }

    /// Of the block in a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        /// Ours is about 500 bytes and 100 for every parent and source.
        const BYTES_MAX: u64 = 16 << 20;
        let path = folder.join(FILE);
        let bytes = match std::fs::metadata(&path) {
            Ok(about) if about.len() > BYTES_MAX => return Err(Error::broken(&path, "too long")),
            Ok(_) => std::fs::read(&path).at("reading", &path)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::broken(&path, "is missing"));
            }
            Err(error) => return Err(error).at("reading", &path),
        };
        let meta: Self =
            serde_json::from_slice(&bytes).map_err(|error| Error::broken(&path, error.to_string()))?;
        if meta.version != VERSION {
            return Err(Error::broken(
                &path,
                format!("version {} is not known", meta.version),
            ));
        }
        if meta.max_time < meta.min_time {
            return Err(Error::broken(&path, "ends before it begins"));
        }
        Ok(meta)
    }

    /// As Prometheus lays it out.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, tabs);
        if let Err(error) = self.serialize(&mut serializer) {
            // Nothing in it can fail, and memory is no disk.
            tracing::error!(%error, "a block's meta.json does not serialize");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_of_two_takes_the_place_of_both() {
        let ulid = |chance| Ulid::new(Timestamp(1), chance);
        let span = |start, end| Span {
            start: Timestamp(start),
            end: Timestamp(end),
        };
        let (a, b) = (Meta::new(ulid(1), span(0, 10)), Meta::new(ulid(2), span(10, 20)));
        let both = Meta::merged(ulid(3), &[&a, &b]);
        assert_eq!(both.span(), span(0, 20));
        assert_eq!(both.compaction.level, 2);
        assert_eq!(both.compaction.sources, [ulid(1), ulid(2)]);
        assert_eq!(both.compaction.parents.len(), 2);
        let again = Meta::merged(ulid(4), &[&both, &a]);
        assert_eq!(again.compaction.level, 3);
        assert_eq!(again.compaction.sources, [ulid(1), ulid(2)]);
    }

    #[test]
    fn fields_of_others_are_read_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = r#"{"ulid":"01ARZ3NDEKTSV4RRFFQ69G5FAV","minTime":0,"maxTime":10,"stats":{"numSeries":2},
            "compaction":{"level":1,"sources":["01ARZ3NDEKTSV4RRFFQ69G5FAV"]},"version":1,"thanos":{"labels":{}}}"#;
        std::fs::write(folder.path().join(FILE), text).expect("written");
        let meta = Meta::read(folder.path()).expect("read");
        assert_eq!(meta.stats.num_series, 2);
        std::fs::write(
            folder.path().join(FILE),
            text.replace("\"version\":1", "\"version\":2"),
        )
        .expect("written");
        let error = Meta::read(folder.path()).expect_err("not known").to_string();
        assert!(error.ends_with("meta.json: version 2 is not known"), "{error}");
    }

    #[test]
    fn a_block_meets_a_question_that_begins_before_its_last_millisecond() {
        let span = Span {
            start: Timestamp(10),
            end: Timestamp(20),
        };
        let range = |after, until| TimeRange {
            after: Timestamp(after),
            until: Timestamp(until),
        };
        assert!(span.meets(range(18, 30)) && !span.meets(range(19, 30)));
        assert!(span.meets(range(0, 10)) && !span.meets(range(0, 9)));
        assert!(span.meets(TimeRange::ALL));
    }
}
