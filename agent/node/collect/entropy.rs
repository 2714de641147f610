//! The kernel's pool of randomness.

use super::{At, Collector, Roots, Trouble};
use crate::family::Family;
use crate::file::File;
use crate::known::Emit;
use crate::scan;

static AVAILABLE: Family = Family::gauge("node_entropy_available_bits", "Bits of randomness at hand.", &[]);
static SIZE: Family = Family::gauge(
    "node_entropy_pool_size_bits",
    "Bits that the pool holds at most.",
    &[],
);

pub(crate) struct Entropy {
    available: File,
    size: File,
}

impl Entropy {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            available: roots.procfs("sys/kernel/random/entropy_avail"),
            size: roots.procfs("sys/kernel/random/poolsize"),
        }
    }
}

impl Collector for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn collect(&mut self, at: &mut At<'_>, emit: &mut Emit<'_>) -> Result<(), Trouble> {
        let available = scan::single(&self.available.read(at.buffer)?)?;
        emit.put(&AVAILABLE, &[], available);
        let size = scan::single(&self.size.read(at.buffer)?)?;
        emit.put(&SIZE, &[], size);
        Ok(())
    }
}
