//! What a source hands the store: one target, one time, a value for each of its series.
//!
//! A source asks once for each series and then commits columns, so that no labels move on the hot path.

use std::sync::Arc;
use std::time::Duration;

use crate::{Exemplar, Histogram, Kind, Labels, NoExemplar, Timestamp};

/// What a provisional stale marker claims: no sample for so long before it.
pub const GAP: Duration = Duration::from_secs(20);

/// A target the store knows. Given out by [`Keep::target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetRef(pub u32);

/// A series the store knows. Given out by [`Keep::series`]; good until its target is retired, or until it has
/// had no sample for the store's retention. A commit counts a ref that is no longer good as `unknown`: the
/// source then asks again for its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u64);

/// Who sends: everything that is read at one time, stale together, silent together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetDesc {
    /// Unique among all targets, for example `node` or `scrape/shop/localhost:8080`.
    pub name: Arc<str>,
    /// Which `/metrics/<page>` shows its last values; none is shown on `/metrics/all` only.
    pub page: Option<&'static str>,
    /// How long after a sample the series still answers; `None` is the reader's own lookback.
    pub staleness: Option<Duration>,
}

/// Whose new series can best be done without when memory runs short: these first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Targets that are scraped, and writers: there is no end to what they may send.
    Guest,
    /// This machine, and what nodes send of theirs.
    Machine,
    /// Skopos about itself, and what rules give: without them nobody is told of anything.
    Own,
}

impl TargetDesc {
    /// By the name, in which each source says what it is of.
    #[must_use]
    pub fn rank(&self) -> Rank {
        const OWN: [&str; 4] = ["rules/", "scrape/skopos/", "node/report", "senders"];
        // Of a writer the place of the node is empty.
        const GUESTS: [&str; 2] = ["scrape/", "remote//"];
        let begins = |all: &[&str]| all.iter().any(|start| self.name.starts_with(start));
        if begins(&OWN) {
            Rank::Own
        } else if begins(&GUESTS) {
            Rank::Guest
        } else {
            Rank::Machine
        }
    }
}

impl TargetDesc {
    /// Whether it may have only as many series as one target may. The objects of a cluster are as many as they are, and all of
    /// them are one target.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        &*self.name != "kube-state"
    }
}

/// What a source says once about a series.
#[derive(Clone, Debug)]
pub struct SeriesDesc {
    /// All labels, `__name__`, `job` and `instance` among them.
    pub labels: Labels,
    pub kind: Kind,
    /// The family this series belongs to, for `# TYPE`: `x` for `x_bucket`, `x_sum` and `x_count` of a histogram.
    pub family: Arc<str>,
    pub help: Arc<str>,
    /// Base unit, empty when there is none.
    pub unit: Arc<str>,
}

/// Whether a column is all that the target has at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// All of it: the store ends what was in the last whole round and is missing in this one.
    Whole,
    /// A part, or a late point: nothing else of the target is touched.
    Part,
    /// Said in the place of a sender that is silent, or by a source that may still change its mind: kept in a small
    /// tail behind the samples proper and read like them. It replaces what was said provisionally for the same time,
    /// and gives way to samples proper: see [`Keep::commit`].
    Provisional,
}

/// One target's values at one time; `series` and `values` are of the same length.
#[derive(Clone, Debug)]
pub struct Column {
    pub target: TargetRef,
    pub time: Timestamp,
    pub round: Round,
    pub series: Vec<SeriesRef>,
    pub values: Vec<f64>,
}

/// Some of a target's series at one time that have native histograms then; of each series one.
#[derive(Clone, Debug)]
pub struct Histograms {
    pub target: TargetRef,
    pub time: Timestamp,
    pub histograms: Vec<(SeriesRef, Arc<Histogram>)>,
}

/// What became of a column: `kept + out_of_order + duplicate + unknown + refused` is its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub kept: usize,
    /// Series this target had not sent before, or not since they last ended.
    pub added: usize,
    /// Series that ended with this round.
    pub ended: usize,
    pub out_of_order: usize,
    pub duplicate: usize,
    /// Refs that this store never gave out.
    pub unknown: usize,
    /// Provisional points beyond what is held of them for one series, and native histograms where none are kept.
    pub refused: usize,
}

/// Where sources commit. Every method returns at once: durability follows within the log's sync interval.
pub trait Keep: Send + Sync {
    /// The same name gives the same target.
    fn target(&self, target: &TargetDesc) -> TargetRef;

    /// The same labels give the same series; a second description replaces the first.
    ///
    /// # Errors
    /// A limit was reached; the refusal is counted and the source goes on without this series.
    fn series(&self, target: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError>;

    /// A sample proper after a provisional point of its series decides about that point: it becomes a sample itself
    /// if the gap that it claims is there (no sample proper for [`GAP`] before it), and is gone if late samples have
    /// filled that gap.
    fn commit(&self, column: Column) -> Kept;

    /// Native histograms of some of a target's series at one time: a part of a round, as [`Round::Part`] is. One that
    /// contradicts itself is `refused`, and where none are kept all of them are.
    fn histograms(&self, column: Histograms) -> Kept {
        Kept {
            refused: column.histograms.len(),
            ..Kept::default()
        }
    }

    /// One of the events that a sample of this series counts. Of each series they come in the order of their times.
    ///
    /// # Errors
    /// It is not kept; where exemplars are kept, that is counted.
    fn exemplar(&self, _series: SeriesRef, _exemplar: Exemplar) -> Result<(), NoExemplar> {
        Err(NoExemplar::Off)
    }

    /// The target is gone: all of its series end at `time`.
    fn retire(&self, target: TargetRef, time: Timestamp);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepError {
    /// The store holds as many series as it may.
    SeriesLimit { limit: usize },
    /// The target holds as many as one target may.
    TargetLimit { limit: usize },
    /// Memory runs short, and new series of targets of this rank are no longer taken.
    MemoryLimit { budget_bytes: u64 },
    /// The labels cannot be kept: empty name, too many, too long.
    BadLabels(String),
}

impl KeepError {
    /// All there are.
    pub const REASONS: [&str; 4] = ["series_limit", "target_limit", "memory", "bad_labels"];

    /// Out of a closed set, for counting.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SeriesLimit { .. } => "series_limit",
            Self::TargetLimit { .. } => "target_limit",
            Self::MemoryLimit { .. } => "memory",
            Self::BadLabels(_) => "bad_labels",
        }
    }
}

impl std::fmt::Display for KeepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SeriesLimit { limit } => write!(f, "the store already holds {limit} series, its limit"),
            Self::TargetLimit { limit } => {
                write!(
                    f,
                    "the target already has {limit} series, the limit of one target"
                )
            }
            Self::MemoryLimit { budget_bytes } => {
                let budget = crate::text::bytes(*budget_bytes as f64);
                write!(
                    f,
                    "memory runs short (the budget is {budget}), and new series of this kind are refused"
                )
            }
            Self::BadLabels(why) => write!(f, "labels refused: {why}"),
        }
    }
}

impl std::error::Error for KeepError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_series_can_be_done_without() {
        for (name, rank) in [
            ("scrape/shop/localhost:8080", Rank::Guest),
            ("remote//shop/x", Rank::Guest),
            ("remote/worker-1/node/10.0.0.1:9100", Rank::Machine),
            ("node", Rank::Machine),
            ("node/report", Rank::Own),
            ("senders", Rank::Own),
            ("scrape/skopos/127.0.0.1:9464/metrics", Rank::Own),
            (
                "rules/skopos.yaml;skopos/SkoposRestarts/0000000000000001",
                Rank::Own,
            ),
        ] {
            let desc = TargetDesc {
                name: name.into(),
                page: None,
                staleness: None,
            };
            assert_eq!(desc.rank(), rank, "{name}");
        }
    }
}
