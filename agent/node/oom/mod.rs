//! Processes that the kernel ended for want of memory, by what their cgroups count and by what the kernel's log says of them.
//!
//! A cgroup counts a kill for as long as it is there: of a container that went on without one of its processes, which nobody else tells.
//! One that ended with it takes its count along. The kernel's log has every kill with the process' name, where it may be read: as root,
//! and in a container hardly ever. What was there at the start is not told.

mod cgroup;
mod kernel_log;

use std::collections::HashMap;
use std::path::Path;

pub use kernel_log::{Process, kills};

/// One or more kills at a container's limit, or one at the end of the machine's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kill {
    /// Empty of a process in no container.
    pub pod_uid: String,
    pub container_id: String,
    /// How many processes.
    pub count: u64,
    /// The one that was ended, as the kernel's log has it.
    pub process: Option<Process>,
    /// Of the cgroup: at the kill, or the most that it ever used.
    pub usage_bytes: Option<u64>,
    pub limit_bytes: Option<u64>,
}

/// Looks at cgroups and at the kernel's log. Blocks for milliseconds.
pub struct Watch {
    cgroups: cgroup::Cgroups,
    log: Option<kernel_log::Log>,
    /// Why there is no log; empty where there is one.
    log_error: String,
    /// By container.
    known: HashMap<String, Known>,
}

/// Kills of one container since we look: by the log, by its cgroup, and told.
#[derive(Default)]
struct Known {
    logged: u64,
    counted: u64,
    told: u64,
}

impl Watch {
    /// `sysfs` is where the machine's is mounted.
    #[must_use]
    pub fn new(sysfs: &Path, kernel_log: &Path) -> Self {
        let (log, log_error) = match kernel_log::Log::open(kernel_log) {
            Ok(log) => (Some(log), String::new()),
            Err(error) => (None, format!("{}: {error}", kernel_log.display())),
        };
        Self {
            cgroups: cgroup::Cgroups::new(&sysfs.join("fs/cgroup")),
            log,
            log_error,
            known: HashMap::new(),
        }
    }

    /// Why the names of processes are not known; empty where they are.
    #[must_use]
    pub fn log_error(&self) -> &str {
        &self.log_error
    }

    /// Containers whose cgroups are seen.
    #[must_use]
    pub fn containers(&self) -> usize {
        self.cgroups.count()
    }

    /// What was ended since the last look. A kill is told once, with what either of the two knows.
    pub fn look(&mut self) -> Vec<Kill> {
        // Counts first: what they have by now the log has as well.
        let counted = self.cgroups.look();
        let logged = self.log.as_mut().map(kernel_log::Log::read).unwrap_or_default();
        let kills = self.merge(counted, logged);
        let cgroups = &self.cgroups;
        if self.known.len() > KNOWN_MAX {
            self.known.retain(|id, _| cgroups.has(id));
        }
        kills
    }

    fn merge(&mut self, counted: Vec<Kill>, logged: Vec<Kill>) -> Vec<Kill> {
        let mut kills = Vec::new();
        for mut kill in logged {
            if kill.container_id.is_empty() {
                kills.push(kill);
                continue;
            }
            let known = self.known.entry(kill.container_id.clone()).or_default();
            known.logged += kill.count;
            if known.logged <= known.told {
                // Its count came first, without its name.
                continue;
            }
            known.told = known.logged;
            if let Some(cgroup) = counted.iter().find(|one| one.container_id == kill.container_id) {
                kill.limit_bytes = kill.limit_bytes.or(cgroup.limit_bytes);
                kill.usage_bytes = kill.usage_bytes.or(cgroup.usage_bytes);
            }
            kills.push(kill);
        }
        for cgroup in counted {
            let known = self.known.entry(cgroup.container_id.clone()).or_default();
            known.counted = cgroup.count;
            let more = known.counted.saturating_sub(known.told);
            if more > 0 {
                known.told = known.counted;
                kills.push(Kill {
                    count: more,
                    ..cgroup
                });
            }
        }
        kills
    }
}

/// Containers whose kills are remembered, beside those that are there.
const KNOWN_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
