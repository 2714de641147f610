//! Interrupts, context switches, forks, boot time and the run queue, from what `cpu` has read of `/proc/stat`.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{At, Collector, Trouble};
use crate::family::Family;
use crate::known::Emit;

static INTERRUPTS: Family = Family::counter("node_intr_total", "Interrupts served.", &[]);
static SWITCHES: Family = Family::counter("node_context_switches_total", "Context switches.", &[]);
static FORKS: Family = Family::counter("node_forks_total", "Processes and threads created.", &[]);
static BOOT: Family = Family::gauge(
    "node_boot_time_seconds",
    "When the machine was booted, in Unix time.",
    &[],
);
static RUNNING: Family = Family::gauge("node_procs_running", "Threads that run or could run.", &[]);
static BLOCKED: Family = Family::gauge("node_procs_blocked", "Threads that wait for I/O.", &[]);

/// The single numbers of `/proc/stat`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) interrupts: Option<f64>,
    switches: Option<f64>,
    forks: Option<f64>,
    pub(crate) boot_time: Option<f64>,
    running: Option<f64>,
    pub(crate) blocked: Option<f64>,
}

impl Totals {
    /// The one that the kernel calls `key`.
    pub(crate) fn named(&mut self, key: &str) -> Option<&mut Option<f64>> {
        Some(match key {
            "intr" => &mut self.interrupts,
            "ctxt" => &mut self.switches,
            "processes" => &mut self.forks,
            "btime" => &mut self.boot_time,
            "procs_running" => &mut self.running,
            "procs_blocked" => &mut self.blocked,
            _ => return None,
        })
    }
}

pub(crate) struct Stat {
    totals: Arc<Mutex<Option<Totals>>>,
}

impl Stat {
    pub(crate) fn new(totals: Arc<Mutex<Option<Totals>>>) -> Self {
        Self { totals }
    }
}

impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn collect(&mut self, _: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let totals = self.totals.lock().take();
        let totals = totals.ok_or_else(|| Trouble::Failed("/proc/stat was not read".to_owned()))?;
        let families = [
            (&INTERRUPTS, totals.interrupts),
            (&SWITCHES, totals.switches),
            (&FORKS, totals.forks),
            (&BOOT, totals.boot_time),
            (&RUNNING, totals.running),
            (&BLOCKED, totals.blocked),
        ];
        for (family, value) in families {
            if let Some(value) = value {
                emit.put(family, &[], value);
            }
        }
        Ok(())
    }
}
