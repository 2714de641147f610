//! How much is kept, and for how long.

use std::time::Duration;

use serde::Deserialize;

/// The embedded sample store.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether samples are kept, or only the last value of each series.
    pub history: History, // history: full
    /// How much is kept on disk, and for how long.
    pub retention: Retention, // retention: { time: 15d, size: 10GiB }
    /// Most series held at a time; new ones beyond it are refused and counted.
    pub series_max: usize,
    /// Most series of one target, so that one that has lost its senses does not take the room of all others. Not meant for the
    /// objects of a cluster, which are one target.
    pub target_series_max: usize,
    /// Most memory that samples may take, in bytes; beyond it the oldest blocks of the largest targets go
    /// first. Labels and index come on top, about 400 bytes a series, or 140 without history.
    pub memory_bytes_max: usize,
    /// Memory of the whole process, in bytes, beyond which new series are refused: at nine tenths of it those of scraped
    /// targets and of writers, at 95 % those of machines as well, and beyond it all. 0 is nine tenths of the limit of the
    /// cgroup, and no budget where there is no limit.
    pub budget_bytes: u64,
    /// Most labels a series may have, its name among them.
    pub labels_max: usize,
    /// Longest label name, in bytes.
    pub label_name_bytes_max: usize,
    /// Longest label value, in bytes; longer help texts are cut to it.
    pub label_value_bytes_max: usize,
    /// Most exemplars held at a time, in memory only, about 150 bytes each; the oldest give way, and 0 keeps none.
    /// Without history none are kept.
    pub exemplars_max: usize,
    /// How long a commit may wait until it is safe from a power failure.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub wal_sync_interval: Duration, // wal_sync_interval: 1s
    /// Most bytes of write-ahead log on disk; beyond it the oldest segment goes, and with it what a restart
    /// could have read from it.
    pub wal_bytes_max: u64,
}

/// Whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Age of the newest sample of a block.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub time: Duration,
    /// Bytes of all blocks together; 0 is no limit.
    #[serde(deserialize_with = "model::text::size::deserialize")]
    pub size: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            time: Duration::from_hours(15 * 24),
            size: 10 << 30,
        }
    }
}

/// What is kept of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Every sample for the retention, also across restarts.
    #[default]
    Full,
    /// The last value of each series, in memory only.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            history: History::Full,
            retention: Retention::default(),
            series_max: 1_000_000,
            target_series_max: 250_000,
            memory_bytes_max: 256 << 20,
            budget_bytes: 0,
            labels_max: 64,
            label_name_bytes_max: 512,
            label_value_bytes_max: 4096,
            exemplars_max: 20_000,
            wal_sync_interval: Duration::from_secs(1),
            wal_bytes_max: 1 << 30,
        }
    }
}

impl Config {
    pub(crate) fn exemplars_max(&self) -> usize {
        match self.history {
            History::Full => self.exemplars_max,
            History::None => 0,
        }
    }

    /// How long a series without samples is remembered.
    pub(crate) fn memory(&self) -> Duration {
        const LAST_VALUES: Duration = Duration::from_hours(1);
        match self.history {
            History::Full => self.retention.time,
            History::None => LAST_VALUES,
        }
    }
}
