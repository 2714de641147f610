//! Tasks that the kernel found hung since it was booted.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan;

static TASKS: Family = Family::counter("node_kernel_hung_tasks_total", "Tasks found hung.", &[]);

pub(crate) struct KernelHung {
    count: File,
}

impl KernelHung {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            count: roots.procfs("sys/kernel/hung_task_detect_count"),
        }
    }
}

impl Collector for KernelHung {
    fn name(&self) -> &'static str {
        "kernel_hung"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let count = scan::single(&self.count.read(at.buffer)?)?;
        emit.put(&TASKS, &[], count);
        Ok(())
    }
}
