//! Seconds each processor spent in each mode. Reads `/proc/stat`, and passes the rest of it to `stat`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::stat::{Stat, Totals};
use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan::{self, Malformed, Words};

static SECONDS: Family = Family::counter(
    "node_cpu_seconds_total",
    "Time a processor spent in a mode; guests are part of user and nice.",
    &["cpu", "mode"],
);
static GUEST: Family = Family::counter(
    "node_cpu_guest_seconds_total",
    "Time a processor spent in guests.",
    &["cpu", "mode"],
);

/// In the order of `/proc/stat`.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const TIMES: usize = MODES.len() + GUEST_MODES.len();
const IDLE: usize = 3;
/// Unit of `/proc/stat`, fixed by the kernel's ABI whatever its timer does.
const TICKS_PER_SECOND: f64 = 100.0;
/// When idle time falls by more than this, the processor was taken away and brought back.
const HOTPLUG_SECONDS: f64 = 3.0;

type Times = [f64; TIMES];

pub(crate) struct Cpu {
    stat: File,
    /// Highest seen: the kernel's own figures sometimes step back by a tick, which would look like a restart.
    seen: BTreeMap<Box<str>, (Times, bool)>,
    totals: Arc<Mutex<Option<Totals>>>,
}

/// The two collectors that share one reading of `/proc/stat`.
pub(crate) fn with_stat(roots: &Roots) -> (Cpu, Stat) {
    let totals = Arc::default();
    let cpu = Cpu {
        stat: roots.procfs("stat"),
        seen: BTreeMap::new(),
        totals: Arc::clone(&totals),
    };
    (cpu, Stat::new(totals))
}

impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let text = self.stat.read(at.buffer)?;
        let seen = &mut self.seen;
        seen.values_mut().for_each(|(_, online)| *online = false);
        let totals = parse(&text, |cpu, new| {
            let times = match seen.get_mut(cpu) {
                Some((old, online)) => {
                    *online = true;
                    risen(old, new)
                }
                None => {
                    seen.insert(cpu.into(), (new, true));
                    new
                }
            };
            for (mode, value) in MODES.iter().zip(times) {
                emit.put(&SECONDS, &[cpu, mode], value);
            }
            for (mode, value) in GUEST_MODES.iter().zip(times.iter().skip(MODES.len())) {
                emit.put(&GUEST, &[cpu, mode], *value);
            }
        })?;
        seen.retain(|_, (_, online)| *online);
        *self.totals.lock() = Some(totals);
        Ok(())
    }
}

/// Raises each of `old` to `new`, or starts again after a hot plug.
fn risen(old: &mut Times, new: Times) -> Times {
    if old[IDLE] - new[IDLE] >= HOTPLUG_SECONDS {
        *old = new;
    }
    for (old, new) in old.iter_mut().zip(new) {
        *old = old.max(new);
    }
    *old
}

/// `/proc/stat`: a line for each processor, and single counters.
fn parse(text: &str, mut each: impl FnMut(&str, Times)) -> Result<Totals, Malformed> {
    let mut totals = Totals::default();
    for (nth, line) in scan::lines(text) {
        let mut words = Words::new(nth, line);
        let key = words.word()?;
        match key.strip_prefix("cpu") {
            Some("") => {}
            Some(cpu) => {
                let mut times = Times::default();
                for time in &mut times {
                    // Older kernels have fewer columns.
                    let Some(word) = words.next() else { break };
                    *time = scan::number(nth, word)? / TICKS_PER_SECOND;
                }
                each(cpu, times);
            }
            None => {
                if let Some(total) = totals.named(key) {
                    *total = Some(words.number()?);
                }
            }
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_seconds_per_mode() {
        let mut cpus = Vec::new();
        let totals = parse(include_str!("../fixtures/proc/stat"), |cpu, times| {
            cpus.push((cpu.to_owned(), times));
        });
        let second = [10.25, 0.0, 5.5, 1204.43, 1.0, 0.0, 0.5, 0.25, 3.0, 0.0];
        assert_eq!(cpus.len(), 2);
        assert_eq!(cpus[1], ("1".to_owned(), second));
        let totals = totals.unwrap();
        assert_eq!(totals.interrupts, Some(901_765.0));
        assert_eq!(totals.boot_time, Some(1_795_660_323.0));
        assert_eq!(totals.blocked, Some(1.0));
    }

    #[test]
    fn a_counter_that_steps_back_stands_still_until_a_hot_plug() {
        let times = |idle, iowait| {
            let mut times = Times::default();
            (times[IDLE], times[IDLE + 1]) = (idle, iowait);
            times
        };
        let mut seen = times(100.0, 7.0);
        assert_eq!(risen(&mut seen, times(101.0, 6.99)), times(101.0, 7.0));
        assert_eq!(risen(&mut seen, times(0.5, 0.0)), times(0.5, 0.0));
    }

    #[test]
    fn a_bad_number_is_named() {
        let error = parse("cpu0 1 2 x 4\n", |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "line 1: \"x\" is no number");
    }
}
