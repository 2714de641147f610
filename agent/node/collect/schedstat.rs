//! How long processors ran tasks, and how long tasks waited for them.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

const NANOSECONDS: f64 = 1e9;

static RUNNING: Family = Family::counter(
    "node_schedstat_running_seconds_total",
    "Time spent running tasks.",
    &["cpu"],
);
static WAITING: Family = Family::counter(
    "node_schedstat_waiting_seconds_total",
    "Time that tasks waited for this processor.",
    &["cpu"],
);
static SLICES: Family = Family::counter(
    "node_schedstat_timeslices_total",
    "Time slices given to tasks.",
    &["cpu"],
);

pub(crate) struct Schedstat {
    table: File,
}

impl Schedstat {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            table: roots.procfs("schedstat"),
        }
    }
}

impl Collector for Schedstat {
    fn name(&self) -> &'static str {
        "schedstat"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.table.read(at.buffer)?;
        parse(&text, |cpu, [running, waiting, slices]| {
            emit.put(&RUNNING, &[cpu], running / NANOSECONDS);
            emit.put(&WAITING, &[cpu], waiting / NANOSECONDS);
            emit.put(&SLICES, &[cpu], slices);
        })?;
        Ok(())
    }
}

/// Lines `cpu0 …`, of which the last three of nine columns count; domains follow each and are left out.
fn parse(text: &str, mut each: impl FnMut(&str, [f64; 3])) -> Result<(), Malformed> {
    for (nth, line) in scan::lines(text) {
        let Some(rest) = line.strip_prefix("cpu") else {
            continue;
        };
        let mut words = Words::new(nth, rest);
        let cpu = words.word()?;
        words.skip(6);
        each(cpu, [words.number()?, words.number()?, words.number()?]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn domains_are_left_out() {
        let mut seen = Vec::new();
        let text = include_str!("../fixtures/proc/schedstat");
        super::parse(text, |cpu, values| seen.push((cpu.to_owned(), values))).unwrap();
        assert_eq!(
            seen,
            [
                ("0".to_owned(), [7.0, 8.0, 9.0]),
                ("1".to_owned(), [17.0, 18.0, 19.0])
            ]
        );
        assert!(super::parse("cpu0 1 2 3\n", |_, _| {}).is_err());
    }
}
