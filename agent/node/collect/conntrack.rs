//! The kernel's table of tracked connections, and how near it is to full.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static ENTRIES: Family = Family::gauge("node_nf_conntrack_entries", "Connections tracked now.", &[]);
static LIMIT: Family = Family::gauge(
    "node_nf_conntrack_entries_limit",
    "Connections tracked at most.",
    &[],
);

/// Column in `/proc/net/stat/nf_conntrack`, and what it counts. They are gauges in node_exporter, too.
static COUNTS: [(usize, Family); 8] = [
    (
        2,
        Family::gauge(
            "node_nf_conntrack_stat_found",
            "Lookups that found their entry.",
            &[],
        ),
    ),
    (
        4,
        Family::gauge(
            "node_nf_conntrack_stat_invalid",
            "Packets that cannot be tracked.",
            &[],
        ),
    ),
    (
        5,
        Family::gauge(
            "node_nf_conntrack_stat_ignore",
            "Packets that already have an entry.",
            &[],
        ),
    ),
    (
        8,
        Family::gauge("node_nf_conntrack_stat_insert", "Entries added.", &[]),
    ),
    (
        9,
        Family::gauge(
            "node_nf_conntrack_stat_insert_failed",
            "Entries that could not be added.",
            &[],
        ),
    ),
    (
        10,
        Family::gauge(
            "node_nf_conntrack_stat_drop",
            "Packets dropped because tracking failed.",
            &[],
        ),
    ),
    (
        11,
        Family::gauge(
            "node_nf_conntrack_stat_early_drop",
            "Entries dropped to make room for new ones.",
            &[],
        ),
    ),
    (
        16,
        Family::gauge(
            "node_nf_conntrack_stat_search_restart",
            "Lookups begun again after a resize.",
            &[],
        ),
    ),
];

pub(crate) struct Conntrack {
    count: File,
    max: File,
    stat: File,
}

impl Conntrack {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            count: roots.procfs("sys/net/netfilter/nf_conntrack_count"),
            max: roots.procfs("sys/net/netfilter/nf_conntrack_max"),
            stat: roots.net("stat/nf_conntrack"),
        }
    }
}

impl Collector for Conntrack {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let count = scan::single(&self.count.read(at.buffer)?)?;
        emit.put(&ENTRIES, &[], count);
        let max = scan::single(&self.max.read(at.buffer)?)?;
        emit.put(&LIMIT, &[], max);
        let totals = match self.stat.read(at.buffer) {
            Ok(text) => parse(&text)?,
            // Kernels built without the table under /proc still count entries.
            Err(error) if error.is_absent() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for ((_, family), total) in COUNTS.iter().zip(totals) {
            emit.put(family, &[], total);
        }
        Ok(())
    }
}

/// Sums over all processors, in the order of `COUNTS`.
fn parse(text: &str) -> Result<[f64; COUNTS.len()], Malformed> {
    let mut totals = [0.0; COUNTS.len()];
    for (nth, line) in scan::lines(text).skip(1) {
        let mut words = Words::new(nth, line);
        let mut column = 0;
        for ((at, _), total) in COUNTS.iter().zip(&mut totals) {
            words.skip(at - column);
            *total += words.hex()?;
            column = at + 1;
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    #[test]
    fn processors_are_summed() {
        let text = include_str!("../fixtures/proc/net/stat/nf_conntrack");
        let totals = super::parse(text).unwrap();
        assert_eq!(totals, [0.0, 20.0, 16.0, 0.0, 3.0, 1.0, 0.0, 8.0]);
        assert!(super::parse("entries\n0 0 zz\n").is_err());
    }
}
